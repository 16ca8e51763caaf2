"""What HDF5 would do without a word: follow links out of the file, make up values, allocate anything."""

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import load

DATA = "entry_1/instrument_1/detector_1/data"


def replaced(path, name=DATA):
    f = h5py.File(path, "a")
    del f[name]
    return f


@pytest.fixture
def other(tmp_path):
    with h5py.File(tmp_path / "frames_000001.h5", "w") as f:
        f["data"] = np.full((4, 16, 16), 7, "int32")
    return tmp_path / "frames_000001.h5"


def test_external_links_only_by_name(make_cxi, other):
    path = make_cxi()
    with replaced(path) as f:
        f[DATA] = h5py.ExternalLink("frames_000001.h5", "/data")
    with pytest.raises(FormatError, match=r"detector_1/data is a link to another file, frames_000001.h5; if you trust"):
        load(path)
    for links in ("frames_000001.h5", "frames_*.h5", ["a.h5", "frames_??????.h5"]):
        assert (load(path, links=links).intensities == 7).all()
    other.unlink()
    with pytest.raises(FormatError, match="and there is no such file"):
        load(path, links="*")


def test_link_in_a_linked_file_is_asked_for_as_well(make_cxi, other, tmp_path):
    with h5py.File(tmp_path / "between.h5", "w") as f:
        f["data"] = h5py.ExternalLink("frames_000001.h5", "/data")
    path = make_cxi()
    with replaced(path) as f:
        f[DATA] = h5py.ExternalLink("between.h5", "/data")
    with pytest.raises(FormatError, match=r"is a link to another file, frames_000001.h5"):
        load(path, links="between.h5")
    assert (load(path, links=["between.h5", "frames_*"]).intensities == 7).all()


def test_virtual_datasets_only_by_name(make_cxi, other):
    path = make_cxi()
    layout = h5py.VirtualLayout((4, 16, 16), "int32")
    layout[:] = h5py.VirtualSource("frames_000001.h5", "data", (4, 16, 16))
    with replaced(path) as f:
        f.create_virtual_dataset(DATA, layout)
    with pytest.raises(FormatError, match=r"\(a virtual dataset\) is a link to another file, frames_000001.h5"):
        load(path)
    assert (load(path, links="frames_*").intensities == 7).all()
    other.unlink()
    with pytest.raises(FormatError, match="there is no such file"):
        load(path, links="frames_*")


def test_raw_bytes_of_another_file_are_refused(make_cxi, tmp_path):
    path = make_cxi()
    (tmp_path / "secret.bin").write_bytes(bytes(5000))
    with replaced(path) as f:
        f.create_dataset(DATA, (4, 16, 16), "int32", external=[("secret.bin", 0, 4096)])
    with pytest.raises(FormatError, match=r"lies in another file, secret.bin, as raw bytes"):
        load(path)


def test_rings_and_dead_ends(make_cxi):
    path = make_cxi()
    with replaced(path) as f:
        f[DATA] = h5py.SoftLink("/" + DATA)
    with pytest.raises(FormatError, match="more than 16 links lead to one another"):
        load(path)
    with replaced(path) as f:
        f[DATA] = h5py.SoftLink("/nowhere")
    with pytest.raises(FormatError, match="no intensities at"):
        load(path)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (10**12, 16, 16), "chunks": (1, 16, 16)},
        {"shape": (10**12, 16, 16), "chunks": (1, 16, 16), "compression": "gzip"},
        {"shape": (4, 16, 16)},
        {"shape": (4, 16, 16), "chunks": (1, 16, 16), "fillvalue": 9},
    ],
)
def test_header_that_promises_too_much_allocates_nothing(make_cxi, options):
    path = make_cxi()
    with replaced(path) as f:
        f.create_dataset(DATA, dtype="uint16", **options)
    with pytest.raises(FormatError, match=r"data promises .* bytes, which the file does not hold"):
        load(path)


def test_records_are_refused(make_cxi):
    """Where members of a damaged record overlap, HDF5 would write beyond the memory that it was given."""
    path = make_cxi()
    with replaced(path) as f:
        f[DATA] = np.zeros((4, 16, 16), [("r", "<f4"), ("x", "<f4")])
        f[DATA.replace("/data", "/x")] = 1.0
    with pytest.raises(FormatError, match="detector_1/data holds records"):
        load(path)


def test_npy_and_npz_headers_that_promise_too_much(tmp_path):
    import io
    import zipfile

    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<u2", "fortran_order": False, "shape": (10**12, 16, 16)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("diff.npy", stream.getvalue() + bytes(512))
        archive.writestr("pos.npy", stream.getvalue())
    with pytest.raises(FormatError, match=r"array 'diff' promises \(1000000000000, 16, 16\) of uint16"):
        load(tmp_path / "a.npz")


def test_bombs(tmp_path):
    import bz2
    import zipfile

    (tmp_path / "a.npz.bz2").write_bytes(bz2.compress(bytes(50_000_000)))
    with pytest.raises(FormatError, match="unpacks to more than 1100 times its size"):
        load(tmp_path / "a.npz.bz2")
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_BZIP2) as archive:
        for name in ("diff.npy", "pos.npy"):
            archive.writestr(name, bytes(20_000_000))
    with pytest.raises(FormatError, match="promises 20000000 bytes, which it cannot hold"):
        load(tmp_path / "b.npz")


def test_what_is_missing_is_named_with_what_is_there(make_cxi):
    path = make_cxi(instrument_1__detector_1__data=None, instrument_1__detector_1__dat=np.ones((4, 16, 16)))
    with pytest.raises(
        FormatError, match=r"no intensities at entry_1/.*detector_1 holds basis_vectors, dat,.*mean dat\?"
    ):
        load(path)


@pytest.mark.parametrize("libver", ["earliest", "v110"])
@pytest.mark.parametrize("many", [0, 30])
def test_attributes_of_any_age_and_number(tmp_path, libver, many):
    """Read from the bytes of the file: headers of both versions, continued ones, long and short texts, numbers."""
    from opty.files.container import Container

    with h5py.File(tmp_path / "a.h5", "w", libver=(libver, "latest")) as f:
        f["x"] = np.arange(3.0)
        for k in range(many if libver == "earliest" else min(many, 4)):  # more than eight are kept elsewhere
            f["x"].attrs[f"other{k}"] = "filler" * 50
        f["x"].attrs["units"] = "µm"
        f["x"].attrs["fixed"] = np.bytes_("mm")
        f["x"].attrs["number"] = 2.5
        f["x"].attrs["empty"] = ""
        f.attrs["creator"] = "someone"
    with Container(tmp_path / "a.h5").tree() as tree:
        node = tree.find("x")
        found = {name: tree.attribute(node, name) for name in ("units", "fixed", "number", "empty", "none")}
        assert found == {"units": "µm", "fixed": "mm", "number": 2.5, "empty": "", "none": None}
        assert tree.attribute(node, "none", "m") == "m"
    assert Container(tmp_path / "a.h5").attrs == {"creator": "someone"}
