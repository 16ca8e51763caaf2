"""Results and measurements of opty's own: exact round trips, layout, going on exactly, failures half way."""

import pickle
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import opty
from opty.algebra.compose import compose
from opty.algebra.text import from_json
from opty.data import PtychoData
from opty.errors import FormatError
from opty.io import load, save, writing
from opty.io.formats import native
from opty.ptycho_state import PtychoState

# -- round trips


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "f4", "f8", ">u2", "f2"])
def test_data_in_their_own_type(tmp_path, counts, dtype, assert_same_data):
    data = PtychoData(counts.astype(dtype), np.arange(8.0).reshape(4, 2) / 3)
    save(tmp_path / "d.h5", data)
    assert_same_data(load(tmp_path / "d.h5"), data)


def test_data_with_everything(tmp_path, full_data, assert_same_data):
    save(tmp_path / "d.h5", full_data)
    assert_same_data(load(tmp_path / "d.h5"), full_data)


def test_data_with_a_mask_for_each_view_and_a_choice_of_views(tmp_path, full_data, rng, identical):
    data = full_data.replace(mask=rng.uniform(size=(4, 16, 16)) > 0.2)
    save(tmp_path / "d.h5", data)
    found = load(tmp_path / "d.h5", views=[2, 0])
    for name in ("intensities", "positions", "mask"):
        identical(getattr(found, name), getattr(data, name)[[2, 0]])
    identical(found.truth["positions"], data.truth["positions"][[2, 0]])


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_state_with_everything(tmp_path, full_data, make_state, dtype, assert_same_state):
    p = make_state(full_data, dtype)
    p.save(tmp_path / "r.h5")
    assert_same_state(load(tmp_path / "r.h5", device="cpu"), p)


def test_state_at_its_start(tmp_path, counts, assert_same_state):
    p = PtychoState(PtychoData(counts, np.zeros((4, 2))), device="cpu")
    save(tmp_path / "r.h5", p)
    assert_same_state(load(tmp_path / "r.h5", device="cpu"), p)


def test_saving_again_after_loading_gives_the_same(tmp_path, full_data, make_state, assert_same_state):
    save(tmp_path / "a.h5", make_state(full_data))
    p = load(tmp_path / "a.h5", device="cpu")
    save(tmp_path / "a.h5", p)  # the file that it came from
    assert_same_state(load(tmp_path / "a.h5", device="cpu"), p)


@pytest.mark.skipif(
    h5py.version.version_tuple[:2] < (3, 15), reason="this h5py writes the time at which the root group was made"
)
def test_one_state_always_gives_the_same_bytes(tmp_path, full_data, make_state):
    p = make_state(full_data)
    for name in ("a.h5", "b.h5"):
        save(tmp_path / name, p)
        time.sleep(1.1)  # HDF5 counts seconds
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_device_and_threads_are_options(tmp_path, full_data, make_state):
    save(tmp_path / "r.h5", make_state(full_data))
    p = load(tmp_path / "r.h5", device="cpu", threads=3)
    assert (p.device, p.threads) == ("cpu", 3)


def test_a_recipe_too_long_for_a_header_comes_back(tmp_path, full_data):
    p = PtychoState(full_data, device="cpu", threads=1)
    recipe = compose(*[opty.operators.ClampObj(hi=2 + k * 1e-4) for k in range(1500)])
    q = recipe * p
    q.save(tmp_path / "r.h5")
    assert len(q.recipe.to_json()) > writing.COMPACT
    assert opty.load(tmp_path / "r.h5", device="cpu").recipe == recipe


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            "entry_1/measurement/positions",
            "no /entry_1/measurement/positions: /entry_1/measurement holds background",
        ),
        ("entry_1/measurement/photons", "there is no /entry_1/measurement/photons: / holds cxi_version, entry_1, numb"),
        ("entry_1/reconstruction", "there is no /entry_1/reconstruction: / holds"),
        (
            "entry_1/reconstruction/leaves",
            "no /entry_1/reconstruction/leaves: /entry_1/reconstruction holds arrays",
        ),
        ("entry_1/reconstruction/recipe_json", "there is no /entry_1/reconstruction/recipe_json: "),
        ("entry_1/reconstruction/leaves/obj", "a state needs obj, probe, positions; .'obj'. are missing"),
    ],
)
def test_what_a_result_lacks_is_named_with_its_path(tmp_path, full_data, place, said):
    path = tmp_path / "r.h5"
    opty.save(path, PtychoState(full_data, device="cpu"))
    with h5py.File(path, "a") as f:
        del f[place]
        for name in ("entry_1/object", "entry_1/probe"):
            del f[name]
    with pytest.raises(FormatError, match=said):
        opty.load(path)


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
        assert f.attrs["creator"] == b"opty"
        assert f.attrs["opty_version"]


def test_data_files_of_opty_are_read_by_the_cxi_reader_too(tmp_path, full_data, identical):
    from opty.files.container import Container
    from opty.io.formats import cxi

    save(tmp_path / "d.cxi", full_data)
    read = cxi.read(Container(tmp_path / "d.cxi"))
    for name in ("intensities", "positions", "mask"):
        identical(getattr(read, name), getattr(full_data, name))
    assert read.geometry.wavelength == full_data.geometry.wavelength


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
    with pytest.raises(FormatError, match=r"r\.h5.*origin"):
        load(tmp_path / "r.h5")


def test_later_format(tmp_path, full_data, make_state):
    save(tmp_path / "r.h5", make_state(full_data))
    with h5py.File(tmp_path / "r.h5", "a") as f:
        f.attrs["opty_format"], f.attrs["opty_version"] = 2, "9.1"
    with pytest.raises(FormatError, match=r"opty 9\.1 in file format 2; this opty reads format 1: update opty"):
        load(tmp_path / "r.h5")


# -- going on


@pytest.mark.parametrize("recipe", ["rPIE(batch=2)", "DM()", "PosCorrectAdam() * rPIE()"])
def test_a_run_goes_on_exactly(tmp_path, full_data, recipe, assert_same_state):
    """R ** 3 after a file equals R ** 5 in one go, bit by bit: counters, seeds and slots are all there."""
    step = opty.parse(recipe)
    start = PtychoState(full_data, device="cpu", seed=11, threads=1)
    half = step**2 * start
    half.save(tmp_path / "half.h5")
    there = step**3 * load(tmp_path / "half.h5", device="cpu", threads=1)
    straight = step**3 * half
    assert there.iteration == 5
    assert_same_state(there, straight)


def test_background_factors_and_named_arrays_come_back(tmp_path, counts):
    recipe = opty.parse("(Support('pinhole') * BackgroundUpdate() * IntensityUpdate() * rPIE(batch=2)) ** 2")
    weights = np.hypot(*(np.indices((16, 16)) - 8)) <= 6
    start = PtychoState(PtychoData(counts, np.arange(8.0).reshape(4, 2) / 3), device="cpu")
    p = recipe * start.replace(arrays={"pinhole": weights})
    save(tmp_path / "a.h5", p)
    q = load(tmp_path / "a.h5")
    for name in ("background", "intensity_factors"):
        assert (p.numpy(name) == q.numpy(name)).all()
    assert p.intensity_factors.std() > 0
    assert (q.arrays["pinhole"] == weights).all()
    again = [recipe * s for s in (p, q)]
    assert (again[0].obj == again[1].obj).all()
    assert (again[0].background == again[1].background).all()
    copied = pickle.loads(pickle.dumps(p))
    assert (copied.arrays["pinhole"] == weights).all()
    assert (copied.background == p.background).all()
