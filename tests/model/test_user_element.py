"""An element of a user's in ten lines: every engine, simulation, misfit, files and explain work with it."""

from __future__ import annotations

import numpy as np
import pytest
from small_scans import smooth
from user_elements import Tilt

import opty
from opty import AP, DM, LSQML, ML, Refine, rPIE
from opty.model import Object, Probe
from opty.simulate import experiment

N, SIZE = 24, 52


@pytest.fixture(scope="module")
def scene():
    """A thin object behind a beam whose tilt varies from view to view by a tenth of a pixel of the detector."""
    rng = np.random.default_rng(11)
    obj = (0.8 + 0.1 * smooth(rng, (SIZE, SIZE), 1.2).real) * np.exp(0.5j * smooth(rng, (SIZE, SIZE), 1.5).real)
    x = np.arange(N) - N // 2
    probe = 100 * np.exp(-(x[:, None] ** 2 + x**2) / 50 * (1 - 0.6j))
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(7), indexing="ij"), -1).reshape(-1, 2) * 3.7
    positions = np.rint(grid + rng.uniform(-1, 1, grid.shape))
    tilt = rng.normal(0, 0.06, (len(grid), 2))
    tilt -= tilt.mean(axis=0)
    data = experiment(obj, probe, positions, model=Tilt() * Object() * Probe(), leaves={"slope": tilt})
    return data, tilt


def begun(scene, known):
    data, tilt = scene
    start = np.roll(data.truth["probe"], (1, -1), axis=(1, 2))
    p = opty.PtychoState(data, start, obj=np.ones((SIZE, SIZE)), model=Tilt() * Object() * Probe())
    p = p.replace(positions=data.truth["positions"])
    return p.replace(leaves={"slope": tilt}) if known else p


@pytest.mark.parametrize(
    "recipe",
    [rPIE(alpha=0.1) ** 20, LSQML(batch=8) ** 25, ML("amplitude") ** 30, AP() ** 40, DM() ** 40],
    ids=lambda r: repr(r).partition("(")[0],
)
def test_every_engine_uses_it(scene, recipe):
    known, ignored = (recipe * begun(scene, tilts) for tilts in (True, False))
    assert opty.misfit(known) < 0.2 * opty.misfit(ignored)


def test_it_is_found(scene):
    q = (Refine("slope") * rPIE(alpha=0.1)) ** 40 * begun(scene, False)
    # A tilt of all views alike is one of the probe, one that grows along the scan a curvature of the object.
    freedom = np.column_stack([np.ones(len(scene[1])), q.numpy("positions")])
    off, whole = (a - freedom @ np.linalg.lstsq(freedom, a, rcond=None)[0] for a in (q.slope - scene[1], scene[1]))
    assert np.sqrt((off**2).mean()) < 0.15 * np.sqrt((whole**2).mean())


def test_it_is_in_texts_files_and_plans(scene, tmp_path):
    p = rPIE() * begun(scene, True)
    assert repr(p.model) == "FarField() * Tilt() * Object() * Probe(modes=1)"
    assert "Tilt()" in (rPIE() ** 2).explain(p)
    p.save(tmp_path / "p.h5")
    q = opty.load(tmp_path / "p.h5")
    np.testing.assert_array_equal(q.slope, p.slope)
    np.testing.assert_array_equal((rPIE() * q).obj, (rPIE() * p).obj)


def test_what_refine_cannot_do_is_said(scene):
    with pytest.raises(opty.RecipeError, match="has no such numbers; what can be refined here is"):
        Refine("spacing") * rPIE() * begun(scene, True)
    with pytest.raises(ValueError, match="PosCorrect"):
        Refine("positions")
