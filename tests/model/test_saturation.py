"""A detector that reads no more than a level, through every engine, noise models, positions and files."""

from __future__ import annotations

import numpy as np
import pytest
import thin_scene
from small_scans import scan, state
from thick_scene import N
from thin_scene import every_engine, thin_state

import opty
from opty import DM, ML, RAAR, rPIE
from opty.analysis import errors
from opty.errors import RecipeError
from opty.model import Blur, FarField, Object, Probe, Saturation, Slices
from opty.operators.likelihood import LikelihoodGradient
from opty.simulate import Detector
from opty.testing import check_element

LEVEL = 4000.0


@pytest.fixture(scope="module")
def clipped():
    """Patterns whose middle is saturated."""
    return thin_scene.simulated(model=Saturation(LEVEL))


def test_simulation_clips_counts():
    counts = thin_scene.simulated(model=Saturation(LEVEL), photons=1e6)[0].intensities
    assert counts.max() == LEVEL
    assert 0.03 < (counts == LEVEL).mean() < 0.2
    open_scan, _ = thin_scene.simulated(photons=1e6)
    np.testing.assert_array_equal(counts, np.minimum(open_scan.intensities, LEVEL))
    with pytest.raises(ValueError, match="whole number of photons"):
        thin_scene.simulated(model=Saturation(4000.5), photons=1e6)
    lower, _ = thin_scene.simulated(model=Saturation(LEVEL), detector=Detector(saturation=900), photons=1e6)
    assert lower.intensities.max() == 900


def test_a_chain_with_it_is_sound():
    model = Saturation(5.0) * Blur(0.7) * FarField() * Slices(2, 1e-7)
    assert max(check_element(model).values()) < 1e-13


@every_engine()
def test_every_engine_finds_the_object(clipped, recipe, times):
    p = thin_state(clipped, Saturation(LEVEL))
    assert opty.misfit(recipe * p) < times * opty.misfit(p)


@pytest.mark.parametrize("recipe", [DM(), RAAR()], ids=repr)
def test_the_difference_map_refuses_it(clipped, recipe):
    with pytest.raises(RecipeError, match=r"nearest waves.*Saturation\(4000"):
        recipe * thin_state(clipped, Saturation(LEVEL))


def test_it_finds_more_than_clipped_counts_and_than_a_mask():
    """The first with a known probe; the second from a start that the data make, with most light in saturated pixels."""
    data, probe = thin_scene.simulated(model=Saturation(1000.0), photons=1e6)

    def error(start, model=None, mask=None):
        return errors(rPIE(alpha=0.1, batch=4) ** 15 * thin_state((data.replace(mask=mask), start), model))["object"]

    assert error(probe, Saturation(1000.0)) < 0.5 * error(probe)
    assert error(None, Saturation(1000.0)) < 0.7 * error(None, mask=data.intensities < 1000)


@pytest.mark.parametrize("noise", ["poisson", "gaussian", "amplitude"])
def test_gradients_of_the_likelihood_are_its_slopes(clipped, noise):
    data, probe = clipped
    p = thin_state((data.replace(background=np.full((N, N), 3.0)), probe), Saturation(LEVEL), dtype="complex128")
    rng = np.random.default_rng(2)
    start = p.replace(
        obj=data.truth["obj"] * np.exp(0.03j * rng.normal(size=p.obj.shape)), probe=1.05 * data.truth["probe"]
    )
    q = opty.Sweep(LikelihoodGradient(noise)) * start
    change = rng.normal(size=p.obj.shape) + 1j * rng.normal(size=p.obj.shape)
    h = 1e-6

    def value(sign):
        r = opty.Sweep(LikelihoodGradient(noise)) * start.replace(obj=start.numpy("obj") + sign * h * change)
        return r.history["llk"][-1] * data.views * N**2

    along = 2 * np.vdot(q.slots["obj_gradient"], change).real
    assert along == pytest.approx((value(1) - value(-1)) / (2 * h), rel=1e-4)


def test_no_engine_pulls_down_what_is_brighter_than_the_level(clipped):
    """The truth explains clipped counts."""
    truth = clipped[0].truth
    true = opty.PtychoState(clipped[0], truth["probe"], obj=truth["obj"], model=Saturation(LEVEL))
    true = true.replace(positions=truth["positions"])
    assert opty.misfit(true) < 1e-10
    assert errors(rPIE(batch=4) ** 2 * true)["object"] < 1e-4


def test_positions_come_home(clipped):
    truth = clipped[0].truth["positions"]
    wrong = np.clip(truth + np.random.default_rng(1).uniform(-1, 1, truth.shape), 0, 31)
    p = thin_state(clipped, Saturation(LEVEL)).replace(positions=wrong)
    q = (opty.PosCorrect() * rPIE(alpha=0.1, batch=4)) ** 20 * p
    left, before = (opty.analysis.position_error(s.numpy("positions"), truth, affine=True) for s in (q, p))
    assert left < 0.3 * before


def test_files_texts_and_refusals(clipped, tmp_path):
    p = rPIE(batch=8) ** 2 * thin_state(clipped, "Saturation(4000)")
    assert p.model == Saturation(4000.0) * FarField() * Object() * Probe(1)
    p.save(tmp_path / "run.h5")
    assert opty.load(tmp_path / "run.h5").model == p.model
    assert opty.rerun(tmp_path / "run.h5").identical
    for wrong, says in ((lambda: Saturation(0.0), "above 0"), (lambda: Object() * Saturation(9.0), "on the left of")):
        with pytest.raises((ValueError, RecipeError), match=says):
            wrong()


@pytest.mark.parametrize("recipe", [rPIE(batch=5), ML()], ids=repr)
def test_a_gpu_gives_the_numbers_of_numpy(gpu, recipe):
    model = Saturation(1100.0) * FarField() * Object() * Probe(modes=2)
    p = state(scan(modes=2, mask=3, background=True), model=model, dtype="complex128")
    p = rPIE(batch=4) * p
    here, there = recipe**2 * p, recipe**2 * p.to("gpu")
    for name in ("obj", "probe"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())
