"""The same recipes with the stand-in for a GPU: the numbers of NumPy."""

import sys
from pathlib import Path

import numpy as np
import pytest
from small_scans import close, everything, scan, state

import opty
from opty import AP, DM, Every, Misfit, Orthogonalise, PosCorrectAdam, ScaleObjProbe, Sweep, ePIE, rPIE

sys.path.append(str(Path(__file__).resolve().parents[1] / "backend"))
from standin_plugin import standin_gpu

__all__ = ["standin_gpu"]

RECIPES = [
    ePIE(),
    rPIE(),
    rPIE(batch=5),
    AP(),
    DM(),
    PosCorrectAdam() * rPIE(batch=4),
    ScaleObjProbe() * Every(2, Orthogonalise()) * Misfit() * AP(),
    DM() * rPIE(),
    Sweep(opty.ObjUpdate() * opty.FourierProject() * opty.Recall()) * DM(),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_a_recipe_gives_the_numbers_of_numpy(standin_gpu, recipe):
    p = state(scan(modes=2, mask=3, background=True), wrong=0.1)
    q = p.to("gpu")
    assert (p.device, q.device) == ("cpu", "gpu")
    assert close(recipe**3 * q, recipe**3 * p, 1e-4)
    assert q.data is p.data


def test_states_go_there_and_back(standin_gpu):
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


def test_the_laws_hold_there_too(standin_gpu):
    p = (PosCorrectAdam() * rPIE(batch=3)) ** 2 * state(scan()).to("gpu")
    before = everything(p)
    assert close(rPIE() ** 2 * (rPIE() * p), rPIE() ** 3 * p, 1e-5)
    rPIE() * (Orthogonalise() * p).donate()
    assert all((before[k] == everything(p)[k]).all() for k in before)
