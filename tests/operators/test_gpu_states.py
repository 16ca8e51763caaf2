"""The same recipes on a GPU, or its stand-in: the numbers of NumPy; states there are copied and kept as here."""

import copy
import pickle

import numpy as np
import pytest
from small_scans import close, everything, same, scan, state

import opty
from opty import (
    AP,
    DM,
    LSQML,
    RAAR,
    Every,
    Misfit,
    Orthogonalise,
    PosCorrectAdam,
    Save,
    ScaleObjProbe,
    Show,
    Sweep,
    ePIE,
    rPIE,
)

ALONE = [ePIE(), rPIE(), rPIE(batch=16), AP(), DM(), RAAR()]  # test_gpu_recipes.py has these too
RECIPES = [
    *(pytest.param(engine, marks=pytest.mark.slow) for engine in ALONE),
    rPIE(batch=5),
    LSQML(batch=4),
    PosCorrectAdam() * rPIE(),
    PosCorrectAdam() * rPIE(batch=4),
    ScaleObjProbe() * Every(2, Orthogonalise()) * Misfit() * AP(),
    DM() * rPIE(),
    Sweep(opty.ObjUpdate() * opty.FourierProject() * opty.operators.LoadKeptWaves()) * DM(),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_a_recipe_gives_the_numbers_of_numpy(gpu, recipe):
    p = state(scan(modes=2, mask=3, background=True), wrong=0.1)
    q = p.to("gpu")
    assert (p.device, q.device) == ("cpu", "gpu")
    assert close(recipe**3 * q, recipe**3 * p, 1e-4)
    assert q.data is p.data


def test_states_go_there_and_back(gpu):
    p = DM() ** 2 * state(scan())
    there = p.to("gpu")
    assert there.to("gpu") is there
    assert not isinstance(there.obj, np.ndarray)
    back = there.to("cpu")
    assert all((everything(p)[k] == everything(back)[k]).all() for k in everything(p))
    assert back.recipe == there.recipe == p.recipe
    assert opty.misfit(there) == pytest.approx(opty.misfit(p), rel=1e-4)
    fresh = opty.PtychoState(p.data)
    assert fresh.device == "gpu"


@pytest.fixture
def found(gpu):
    """What a run left on the device."""
    p = state(scan(modes=2, background=True), wrong=0.1, deterministic=True).to("gpu")
    return (PosCorrectAdam() * rPIE(batch=3)) ** 2 * p


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_copy_is_there_as_well_and_goes_on_like_the_original(gpu, found, copied):
    there = copied(found)
    assert there.device == "gpu"
    assert isinstance(there.obj, gpu.xp.ndarray)
    assert same(there, found)
    assert same(AP() * there, AP() * found)


def test_a_result_is_kept_and_goes_on_there_and_here(gpu, found, tmp_path):
    opty.save(tmp_path / "r.h5", found)
    there = opty.load(tmp_path / "r.h5", device="gpu", deterministic=True)
    assert isinstance(there.obj, gpu.xp.ndarray)
    assert same(there, found)
    assert same(rPIE() * there, rPIE() * found)
    here = opty.load(tmp_path / "r.h5", device="cpu")
    assert same(here, found)
    assert close(rPIE() * here, rPIE() * found, 1e-4)
    assert opty.rerun(tmp_path / "r.h5", deterministic=True).identical


def test_a_run_there_is_watched(gpu, found, tmp_path):
    outputs = Show(every=2, path=str(tmp_path / "{iteration}.png")) * Save(str(tmp_path / "s.h5"), every=2)
    states = list(((outputs * rPIE(batch=4)) ** 4).iter(found))
    assert states[-1].device == "gpu"
    assert sorted(f.name for f in tmp_path.glob("*.png")) == ["00004.png", "00006.png"]
    series = states[-1].history["misfit"]
    assert isinstance(series, np.ndarray)
    assert len(series) == 6
    assert series[-1] < series[0]
    assert "on gpu" in repr(states[-1])


def test_the_laws_hold_there_too(gpu):
    p = (PosCorrectAdam() * rPIE(batch=3)) ** 2 * state(scan()).to("gpu")
    before = everything(p)
    assert close(rPIE() ** 2 * (rPIE() * p), rPIE() ** 3 * p, 1e-5)
    rPIE() * (Orthogonalise() * p).donate()
    assert all((before[k] == everything(p)[k]).all() for k in before)
