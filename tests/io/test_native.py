"""Results and measurements of opty's own: exact round trips, links to the measurement, failures half way."""

import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import opty
from opty.algebra.operator import Operator
from opty.algebra.serial import from_json
from opty.data import PtychoData
from opty.errors import FormatError
from opty.io import load, native, save
from opty.state import PtychoState


class Brighten(Operator, reads="obj", writes="obj"):
    """A recipe of the tests' own, to be found again in a file."""

    factor: float = 2.0

    def apply(self, s):
        s.obj *= self.factor


def identical(a, b):
    """Same dtype, same shape, same bits."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()


def assert_same_data(a, b):
    for name in ("intensities", "positions", "mask", "background", "probe"):
        one, two = getattr(a, name), getattr(b, name)
        if one is None:
            assert two is None, name
        else:
            identical(one, two)
    assert a.geometry == b.geometry
    assert set(a.truth or ()) == set(b.truth or ())
    for name in a.truth or ():
        identical(a.truth[name], b.truth[name])


def assert_same_state(a, b):
    assert_same_data(a.data, b.data)
    for name in ("obj", "probe", "positions", "origin"):
        identical(getattr(a, name), getattr(b, name))
    assert set(a.slots) == set(b.slots)
    assert set(a.history) == set(b.history)
    for one, two in ((a.slots, b.slots), (a.history, b.history)):
        for name in one:
            identical(one[name], two[name])
    assert (a.iteration, a.seed, a.dtype, a.recipe) == (b.iteration, b.seed, b.dtype, b.recipe)
    if a.background is None:
        assert b.background is None
    else:
        identical(a.background, b.background)


@pytest.fixture
def make_state(rng):
    """Function that makes a state in the middle of a run: books, slots of several types and awkward names."""

    def make(data, dtype="complex64"):
        start = PtychoState(data, modes=2, dtype=dtype, device="cpu", seed=5)
        leaves = {name: start.numpy(name) for name in ("obj", "probe", "positions")}
        leaves["obj"] += rng.normal(size=start.obj.shape)
        if data.background is not None:
            leaves["background"] = start.numpy("background") * 1.5
        slots = {
            "waves": start.numpy("probe") * 3j,
            "a/b m%": rng.normal(size=(4, 2)),
            "n": np.arange(3),
            "on": np.array(True),
        }
        return PtychoState.restore(
            data,
            leaves | {f"slot:{name}": array for name, array in slots.items()},
            origin=start.origin,
            seed=5,
            iteration=43,
            history={
                "misfit": np.array([0.5, 0.1 + 0.2]),
                "iteration": np.array([42, 43]),
                "odd/name": np.array([1.0]),
            },
            recipe=Brighten(factor=0.1) ** 3 * Brighten(),
            device="cpu",
            threads=1,
        )

    return make


# -- round trips


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "f4", "f8", ">u2", "f2"])
def test_data_in_their_own_type(tmp_path, counts, dtype):
    data = PtychoData(counts.astype(dtype), np.arange(8.0).reshape(4, 2) / 3)
    save(tmp_path / "d.h5", data)
    assert_same_data(load(tmp_path / "d.h5"), data)


def test_data_with_everything(tmp_path, full_data):
    save(tmp_path / "d.h5", full_data)
    assert_same_data(load(tmp_path / "d.h5"), full_data)


def test_data_with_a_mask_for_each_view_and_a_choice_of_views(tmp_path, full_data, rng):
    data = full_data.replace(mask=rng.uniform(size=(4, 16, 16)) > 0.2)
    save(tmp_path / "d.h5", data)
    found = load(tmp_path / "d.h5", views=[2, 0])
    for name in ("intensities", "positions", "mask"):
        identical(getattr(found, name), getattr(data, name)[[2, 0]])
    identical(found.truth["positions"], data.truth["positions"][[2, 0]])


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_state_with_everything(tmp_path, full_data, make_state, dtype):
    p = make_state(full_data, dtype)
    p.save(tmp_path / "r.h5")
    assert_same_state(load(tmp_path / "r.h5", device="cpu"), p)


def test_state_at_its_start(tmp_path, counts):
    p = PtychoState(PtychoData(counts, np.zeros((4, 2))), device="cpu")
    save(tmp_path / "r.h5", p)
    assert_same_state(load(tmp_path / "r.h5", device="cpu"), p)


def test_saving_again_after_loading_gives_the_same(tmp_path, full_data, make_state):
    save(tmp_path / "a.h5", make_state(full_data))
    p = load(tmp_path / "a.h5", device="cpu")
    save(tmp_path / "a.h5", p)  # the file that it came from
    assert_same_state(load(tmp_path / "a.h5", device="cpu"), p)


def test_one_state_always_gives_the_same_bytes(tmp_path, full_data, make_state):
    p = make_state(full_data)
    for name in ("a.h5", "b.h5"):
        save(tmp_path / name, p)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_device_and_threads_are_options(tmp_path, full_data, make_state):
    save(tmp_path / "r.h5", make_state(full_data))
    p = load(tmp_path / "r.h5", device="cpu", threads=3)
    assert (p.device, p.threads) == ("cpu", 3)


def test_layout_is_what_other_programs_look_for(tmp_path, full_data, make_state):
    p = make_state(full_data)
    save(tmp_path / "r.h5", p)
    with h5py.File(tmp_path / "r.h5") as f:
        assert f["cxi_version"][()] == 160
        assert_array_equal(f["entry_1/data_1/data"], full_data.intensities)
        assert f["entry_1/data_1/data"].chunks == (1, 16, 16)
        assert_array_equal(f["entry_1/data_1/translation"][:, :2], full_data.positions[:, ::-1])
        assert_array_equal(f["entry_1/instrument_1/detector_1/mask"][()] == 0, full_data.mask)
        assert_array_equal(f["entry_1/object"], p.obj)
        assert_array_equal(f["entry_1/probe"], p.probe)
        assert_array_equal(f["entry_1/reconstruction/positions_m"], p.positions * p.data.pixel)
        assert f["entry_1/reconstruction/recipe"].asstr()[()] == "Brighten(factor=0.1) ** 3 * Brighten()"
        assert from_json(f["entry_1/reconstruction/recipe_json"].asstr()[()]) == p.recipe
        assert f.attrs["creator"] == "opty"
        assert f.attrs["opty_version"]


def test_data_files_of_opty_are_read_by_the_cxi_reader_too(tmp_path, full_data):
    from opty.io import cxi
    from opty.io.container import Container

    save(tmp_path / "d.cxi", full_data)
    read = cxi.read(Container(tmp_path / "d.cxi"))
    for name in ("intensities", "positions", "mask"):
        identical(getattr(read, name), getattr(full_data, name))
    assert read.geometry.wavelength == full_data.geometry.wavelength


# -- links to the measurement


@pytest.fixture
def scan(tmp_path, counts):
    """An npz whose patterns are large enough for a result with a copy of them to stand out."""
    path = tmp_path / "raw/scan.npz"
    path.parent.mkdir()
    noise = np.random.default_rng(1).integers(0, 60_000, (30, 64, 64)).astype("uint16")
    np.savez(path, data=noise, scan=np.random.default_rng(2).uniform(0, 30, (30, 2)), probe=np.ones((64, 64), "c8"))
    return path


def test_unchanged_data_are_linked(tmp_path, scan, make_state):
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


def test_changed_fields_are_kept_though_the_data_are_linked(tmp_path, scan, make_state, rng):
    data = load(scan).replace(mask=rng.uniform(size=(64, 64)) > 0.1, positions=rng.uniform(0, 30, (30, 2)))
    p = make_state(data)
    save(tmp_path / "r.h5", p)
    with h5py.File(tmp_path / "r.h5") as f:
        assert "data" not in f["entry_1/instrument_1/detector_1"]
    assert_same_state(load(tmp_path / "r.h5", device="cpu"), p)


@pytest.mark.parametrize("change", ["intensities", "fewer views", "file gone", "file changed"])
def test_data_that_the_file_does_not_give_are_embedded(tmp_path, scan, make_state, change):
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


def test_measurement_is_found_beside_the_result(tmp_path, scan, make_state):
    p = make_state(load(scan))
    save(tmp_path / "r.h5", p)
    shutil.move(scan, tmp_path / "scan.npz")
    back = load(tmp_path / "r.h5", device="cpu")
    assert_same_state(back, p)
    assert back.data.source["path"] == str(tmp_path / "scan.npz")


def test_measurement_that_is_gone_or_changed_says_what_to_do(tmp_path, scan, make_state):
    p = make_state(load(scan))
    save(tmp_path / "r.h5", p)
    whole = scan.read_bytes()
    scan.write_bytes(whole[:-1])
    with pytest.raises(FormatError, match=r"has changed since: it now has \d+ bytes, then \d+; .*no such file.*data="):
        load(tmp_path / "r.h5")
    scan.write_bytes(whole[:5000] + b"?" + whole[5001:])
    with pytest.raises(FormatError, match="has changed since: its first megabyte is another one now"):
        load(tmp_path / "r.h5")
    scan.write_bytes(whole)
    scan.rename(tmp_path / "moved.npz")
    with pytest.raises(FormatError, match=r"needs the data .*scan\.npz: no such file.*opty\.load\('r\.h5', data="):
        load(tmp_path / "r.h5")
    back = load(tmp_path / "r.h5", data=load(tmp_path / "moved.npz"), device="cpu")
    assert_same_state(back, p)


def test_data_given_that_do_not_fit(tmp_path, scan, make_state, full_data):
    data = load(scan)
    save(tmp_path / "r.h5", make_state(data))
    with pytest.raises(TypeError, match="data is a str; give a PtychoData"):
        load(tmp_path / "r.h5", data="scan.npz")
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


# -- failures


def test_what_cannot_be_saved(tmp_path, full_data):
    with pytest.raises(TypeError, match="p is a str"):
        save(full_data, "r.h5")
    with pytest.raises(FileNotFoundError, match="no folder"):
        save(tmp_path / "nowhere/r.h5", full_data)


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_failure_half_way_keeps_the_old_file_and_leaves_nothing(tmp_path, full_data, make_state, monkeypatch, error):
    p = make_state(full_data)
    save(tmp_path / "r.h5", p)
    before = (tmp_path / "r.h5").read_bytes()

    def fail(self, name):
        raise error

    monkeypatch.setattr(PtychoState, "numpy", fail)
    with pytest.raises(type(error)):
        save(tmp_path / "r.h5", p)
    assert (tmp_path / "r.h5").read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["r.h5"]


FULL_DISK = """
import resource, sys
import numpy as np
from opty.data import PtychoData
from opty.io import save
small, large = (PtychoData(np.random.default_rng(0).integers(0, 60000, (n, 64, 64)), np.zeros((n, 2))) for n in (1, 20))
save(sys.argv[1], small)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save(sys.argv[1], large)
except OSError as error:
    print("OSError")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_disk_that_takes_no_more(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path / "d.h5"], capture_output=True, text=True)
    assert done.stdout == "OSError\n", done.stderr
    assert load(tmp_path / "d.h5").views == 1
    assert [f.name for f in tmp_path.iterdir()] == ["d.h5"]


@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_truncated_results(tmp_path, full_data, make_state, part):
    save(tmp_path / "r.h5", make_state(full_data))
    whole = (tmp_path / "r.h5").read_bytes()
    (tmp_path / "r.h5").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(FormatError, match="truncated"):
        load(tmp_path / "r.h5")


def test_parts_that_are_missing(tmp_path, full_data, make_state):
    save(tmp_path / "r.h5", make_state(full_data))
    with h5py.File(tmp_path / "r.h5", "a") as f:
        del f[native.OWN]["origin"]
    with pytest.raises(FormatError, match=r"damaged HDF5.*origin"):
        load(tmp_path / "r.h5")


def test_later_format_and_unknown_operator(tmp_path, full_data, make_state):
    save(tmp_path / "r.h5", make_state(full_data))
    with h5py.File(tmp_path / "r.h5", "a") as f:
        text = f[native.OWN]["recipe_json"]
        text[()] = text.asstr()[()].replace("Brighten", "Dimmen")
    with pytest.raises(FormatError, match=r"Dimmen.*must be imported before"):
        load(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "a") as f:
        f.attrs["opty_format"], f.attrs["opty_version"] = 2, "9.1"
    with pytest.raises(FormatError, match=r"opty 9\.1 in file format 2; this opty reads format 1: update opty"):
        load(tmp_path / "r.h5")


# -- going on


@pytest.mark.parametrize("recipe", ["rPIE(batch=2)", "DM()", "PosCorrectAdam() * rPIE()"])
def test_a_run_goes_on_exactly(tmp_path, full_data, recipe):
    """R ** 3 after a file equals R ** 5 in one go, bit by bit: counters, seeds and slots are all there."""
    step = opty.parse(recipe)
    start = PtychoState(full_data, device="cpu", seed=11, threads=1)
    half = step**2 * start
    half.save(tmp_path / "half.h5")
    there = step**3 * load(tmp_path / "half.h5", device="cpu", threads=1)
    straight = step**3 * half
    assert there.iteration == 5
    assert_same_state(there, straight)
