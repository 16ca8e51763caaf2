"""Files that cannot be read: what the error says, and that nothing is executed."""

import bz2
import gzip
import os
import pickle

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import info, load, save


@pytest.fixture
def npz(tmp_path, counts):
    path = tmp_path / "scan.npz"
    np.savez(path, data=counts[None], scan=np.arange(8.0).reshape(1, 4, 2), probe=np.ones((1, 1, 1, 1, 16, 16), "c8"))
    return path


def test_missing_file_names_it_and_its_neighbours(tmp_path, npz):
    with pytest.raises(FileNotFoundError, match=r"no file .*scam\.npz; did you mean scan\.npz\?"):
        load(tmp_path / "scam.npz")
    with pytest.raises(FileNotFoundError, match=r"nor a folder .*nowhere"):
        load(tmp_path / "nowhere/scan.npz")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 7])
def test_nothing_or_next_to_nothing_in_it(tmp_path, length):
    path = tmp_path / "scan.cxi"
    path.write_bytes(b"\x89HDF\r\n\x1a"[:length])
    with pytest.raises(FormatError, match="is empty" if length == 0 else f"only {length} bytes"):
        load(path)


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"position_x position_y\n1 2\n", "text that starts with b'position_x posit'"),
        ("é".encode() * 40, "text that starts with"),
        (bytes(range(200, 256)) * 3, "binary data that starts with"),
        (pickle.dumps({"data": np.ones(3)}), "a Python pickle, which opty never runs"),
        (b"\x93NUMPY" + bytes(60), "a single NumPy array"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "a PNG picture"),
    ],
)
def test_unknown_content_is_described_and_the_known_formats_named(tmp_path, content, looks):
    path = tmp_path / "scan.npz"  # the name must not matter
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        load(path)
    assert looks in str(caught.value)
    for name in ("CXI", "tike npz", "opty npz", "opty result", "opty data"):
        assert name in str(caught.value)


def test_containers_without_the_expected_names(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.ones(3), xy=np.ones(3))
    with pytest.raises(FormatError, match=r"npz .zip. file with the arrays images, xy"):
        load(tmp_path / "a.npz")
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["images"], f["xy"] = np.ones(3), np.ones(3)
    with pytest.raises(FormatError, match=r"HDF5 file with images, xy at its root; opty reads: .*; or give mapping="):
        info(tmp_path / "a.h5")


def test_a_name_that_is_no_text(tmp_path):
    """Found by the soak: h5py has such a name as bytes."""
    with h5py.File(tmp_path / "a.h5", "w") as f:
        h5py.h5g.create(f.id, b"co\xff\xfent")
    with pytest.raises(FormatError, match=r"HDF5 file with co..nt at its root; opty reads"):
        load(tmp_path / "a.h5")


def test_names_that_would_break_the_line_or_command_the_terminal(tmp_path):
    """Found by the soak: a line feed in a name at the root."""
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["a\nb"] = f["\x1b[2Jc"] = 1
    with pytest.raises(FormatError, match=r"HDF5 file with \\x1b\[2Jc, a\\nb at its root") as caught:
        load(tmp_path / "a.h5")
    assert str(caught.value).isprintable()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.95, 0.999])
@pytest.mark.parametrize("kind", ["npz", "npz.bz2", "npz.gz", "cxi", "data.h5"])
def test_truncated_anywhere(tmp_path, npz, make_cxi, full_data, kind, part):
    path = tmp_path / f"cut.{kind}"
    if kind == "cxi":
        whole = make_cxi().read_bytes()
    elif kind == "data.h5":
        save(path, full_data)
        whole = path.read_bytes()
    else:
        pack = {"npz": bytes, "npz.bz2": bz2.compress, "npz.gz": gzip.compress}[kind]
        whole = pack(npz.read_bytes())
    path.write_bytes(whole)
    assert load(path).views == 4
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(FormatError, match="truncated"):
        load(path)


def test_damaged_in_the_middle(tmp_path, npz):
    whole = bytearray(npz.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    npz.write_bytes(whole)
    with pytest.raises(FormatError, match="damaged"):
        load(npz)


class Trap:
    def __reduce__(self):
        return os.mkdir, (os.environ["TRAP"],)


def test_pickles_are_refused_and_never_run(tmp_path, counts, monkeypatch):
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    for key in ("data", "scan", "probe"):
        arrays = {"data": counts, "scan": np.arange(8.0).reshape(4, 2), key: np.array([Trap()], dtype=object)}
        np.savez(tmp_path / "trap.npz", **arrays)
        with pytest.raises(FormatError, match=f"'{key}' holds Python objects"):
            load(tmp_path / "trap.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.ones((2, 4, 16, 16))}, r"'data' has shape \(2, 4, 16, 16\)"),
        ({"data": np.ones((4, 16, 18))}, "must be square"),
        ({"data": np.ones(16)}, r"'data' has shape \(16,\)"),
        (
            {"data": np.full((4, 16, 16), np.nan)},
            "the first of 1024 pixels that are NaN .*nothing else is in views 0, 1, 2, 3: mask",
        ),
        ({"data": np.ones((4, 16, 16), complex)}, "dtype complex128"),
        ({"scan": np.ones((3, 2))}, "4 patterns but 3 positions"),
        ({"scan": np.ones((4, 5))}, r"scan has shape \(4, 5\)"),
        ({"scan": np.full((4, 2), np.inf)}, "leave that view out"),
        ({"probe": np.ones((8, 8), "c8")}, r"probe has shape \(1, 8, 8\) but the patterns are 16 x 16"),
        ({"probe": np.zeros((16, 16), "c8")}, "probe is zero"),
    ],
)
def test_unfit_contents_name_the_file(tmp_path, counts, changes, message):
    path = tmp_path / "odd.npz"
    np.savez(path, **{"data": counts, "scan": np.arange(8.0).reshape(4, 2), "probe": np.ones((16, 16), "c8")} | changes)
    with pytest.raises(FormatError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_options_that_a_format_does_not_have(npz, make_cxi):
    with pytest.raises(FormatError, match=r"is read as tike npz .*, a measurement: data goes with a result"):
        load(npz, data="pos.npy")
    with pytest.raises(TypeError, match=r"CXI .* has no option z1; it has views, leave_out"):
        info(make_cxi(), z1=3.0)
