"""Results that point to their measurement: when they may, how it is found again, what is said when it is not."""

import shutil

import h5py
import numpy as np
import pytest

from opty.errors import SourceError
from opty.io import load, save


@pytest.fixture
def scan(tmp_path, counts):
    """An npz whose patterns are large enough for a result with a copy of them to stand out."""
    path = tmp_path / "raw/scan.npz"
    path.parent.mkdir()
    noise = np.random.default_rng(1).integers(0, 60_000, (30, 64, 64)).astype("uint16")
    np.savez(path, data=noise, scan=np.random.default_rng(2).uniform(0, 30, (30, 2)), probe=np.ones((64, 64), "c8"))
    return path


def test_unchanged_data_are_linked(tmp_path, scan, make_state, assert_same_state):
    p = make_state(load(scan, views="::2"))
    save(tmp_path / "r.h5", p)
    with h5py.File(tmp_path / "r.h5") as f:
        assert "data" not in f["entry_1/instrument_1/detector_1"]
    back = load(tmp_path / "r.h5", device="cpu")
    assert_same_state(back, p)
    assert dict(back.data.source) == dict(p.data.source)
    save(tmp_path / "again.h5", back)
    with h5py.File(tmp_path / "again.h5") as f:
        assert "data" not in f["entry_1/instrument_1/detector_1"]


def test_changed_fields_are_kept_though_the_data_are_linked(tmp_path, scan, make_state, rng, assert_same_state):
    data = load(scan).replace(mask=rng.uniform(size=(64, 64)) > 0.1, positions=rng.uniform(0, 30, (30, 2)))
    p = make_state(data)
    save(tmp_path / "r.h5", p)
    with h5py.File(tmp_path / "r.h5") as f:
        assert "data" not in f["entry_1/instrument_1/detector_1"]
    assert_same_state(load(tmp_path / "r.h5", device="cpu"), p)


@pytest.mark.parametrize("change", ["intensities", "fewer views", "file gone", "file changed"])
def test_data_that_the_file_does_not_give_are_embedded(tmp_path, scan, make_state, change, assert_same_state):
    data = load(scan)
    if change == "intensities":
        data = data.replace(intensities=data.intensities // 2)
    elif change == "fewer views":
        data = data.replace(intensities=data.intensities[:20], positions=data.positions[:20])
    elif change == "file gone":
        scan.unlink()
    else:
        scan.write_bytes(scan.read_bytes() + b"\0")
    p = make_state(data)
    save(tmp_path / "r.h5", p)
    scan.unlink(missing_ok=True)
    assert_same_state(load(tmp_path / "r.h5", device="cpu"), p)


def test_measurement_is_found_beside_the_result(tmp_path, scan, make_state, assert_same_state):
    p = make_state(load(scan))
    save(tmp_path / "r.h5", p)
    shutil.move(scan, tmp_path / "scan.npz")
    back = load(tmp_path / "r.h5", device="cpu")
    assert_same_state(back, p)
    assert back.data.source["path"] == str(tmp_path / "scan.npz")


def test_measurement_that_is_gone_or_changed_says_what_to_do(tmp_path, scan, make_state, assert_same_state):
    p = make_state(load(scan))
    save(tmp_path / "r.h5", p)
    whole = scan.read_bytes()
    changes = {
        r"has changed since: it now has \d+ bytes, then \d+; .*no such file": whole[:-1],
        "has changed since: its first megabyte has changed": whole[:5000] + b"?" + whole[5001:],
        r"scan\.npz: no such file": None,
    }
    for says, content in changes.items():
        scan.unlink() if content is None else scan.write_bytes(content)
        back = load(tmp_path / "r.h5", device="cpu")
        with pytest.raises(SourceError, match=rf"{says}.*opty\.load\('r\.h5', data='NEWPATH'\)"):
            back.data.need_frames()
    (tmp_path / "moved.npz").write_bytes(whole)
    assert_same_state(load(tmp_path / "r.h5", data=load(tmp_path / "moved.npz"), device="cpu"), p)
    assert_same_state(load(tmp_path / "r.h5", data=tmp_path / "moved.npz", device="cpu"), p)


def test_data_given_that_do_not_fit(tmp_path, scan, make_state, full_data):
    data = load(scan)
    save(tmp_path / "r.h5", make_state(data))
    with pytest.raises(TypeError, match="data is a list; give a PtychoData, or the path"):
        load(tmp_path / "r.h5", data=["scan.npz"])
    with pytest.raises(FileNotFoundError, match=r"scan\.npz"):
        load(tmp_path / "r.h5", data=tmp_path / "scan.npz")
    with pytest.raises(ValueError, match=r"4 views of 16 x 16; .* 30 views of 64 x 64"):
        load(tmp_path / "r.h5", data=full_data)
    with pytest.warns(UserWarning, match="other photons"):
        load(tmp_path / "r.h5", data=data.replace(intensities=data.intensities[::-1]), device="cpu")


def test_a_result_never_takes_the_place_of_its_measurement(tmp_path, scan, make_state):
    p = make_state(load(scan))
    before = scan.read_bytes()
    with pytest.raises(ValueError, match="is the measurement itself"):
        save(scan, p)
    link = tmp_path / "link.npz"
    link.symlink_to(scan)
    with pytest.raises(ValueError, match="is the measurement itself"):
        save(link, p)
    assert scan.read_bytes() == before
