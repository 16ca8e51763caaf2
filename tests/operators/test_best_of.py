"""BestOf: several tries from the same state, of which the best is kept."""

import numpy as np
import pytest

import opty
from opty import LSQML, BestOf, Fix, PosCorrect, RecipeError, Save, ePIE, rPIE
from opty.operators.position.others import others_say, worst_tenth
from opty.physics.scan_map import position_error
from opty.simulate import experiment, objects, probes, scans, stage

REFINE = PosCorrect(search_every=10, hold=0.0) * LSQML(batch=4)


def wrong(errors, seed=1):
    """36 views of 32 x 32 under a known beam, each far from its place, and a flat object."""
    data = experiment(
        objects.two_images((100, 100)),
        probes.two_images(32, 24),
        scans.raster((6, 6), 5, jitter=1, seed=seed),
        photons=1e7,
        geometry=opty.Geometry(1e-10, 1.0, 1e-4),
        position_error=stage.Gaussian(errors),
        seed=seed,
    )
    return opty.PtychoState(data, probe=data.truth["probe"], device="cpu", threads=1, margin=24)


def error(p):
    return position_error(p.positions, p.data.truth["positions"], False)


def unexplained(p):
    return worst_tenth(others_say(p._live).unexplained)


def test_another_try_finds_what_the_first_does_not():
    p = wrong(6.0)
    first = REFINE**20 * p
    assert unexplained(first) > 0.25
    q = BestOf(REFINE**20, tries=6) * p
    tries = q.history["best_tries"][-1]
    assert 1 < tries <= 6
    assert q.iteration == 20 * tries
    assert unexplained(q) == pytest.approx(q.history["best_after"][-1], abs=1e-3)
    assert unexplained(q) < 0.25
    assert error(q) < error(first)
    assert np.abs(q.positions.mean(axis=0) - p.positions.mean(axis=0)).max() < 1e-6


def test_one_try_is_the_recipe_itself():
    p = wrong(3.0)
    q, r = BestOf(REFINE**20) * p, REFINE**20 * p
    assert q.history["best_tries"][-1] == 1
    np.testing.assert_allclose(q.positions, r.positions, atol=1e-4)


def test_every_second_try_may_be_another_recipe():
    p = wrong(6.0)
    assert (BestOf(REFINE**20, tries=1) * p).history["best_after"][-1] > 0.25
    other = (PosCorrect(search_every=10, hold=0.0) * LSQML(batch=1)) ** 7
    q = BestOf(REFINE**20, tries=2, again=other) * p
    assert q.history["best_tries"][-1] == 2
    assert q.iteration == 27
    q = BestOf(REFINE**20, tries=3, again=other) * p
    assert q.iteration == 47


def test_both_recipes_are_told_and_held_to_what_is_fixed():
    p = wrong(1.0)
    both = BestOf(rPIE() ** 2, again=ePIE() ** 3)
    told = str(both.explain(p))
    assert "on a separate state, again:" in told
    assert "repeat 3" in told
    q = Fix("probe", both) * p
    assert np.array_equal(q.probe, p.probe)
    with pytest.raises(RecipeError, match="inside BestOf"):
        BestOf(rPIE(), again=Save("x.h5") * rPIE())


class Shuffle(opty.Operator, register=False, reads="positions", writes="positions"):
    """Give every view the place of another one."""

    def apply(self, s):
        s.positions = s.positions[::-1].copy()


def test_what_ruins_places_that_were_found_is_not_taken():
    p = REFINE**20 * wrong(0.0)
    q = BestOf(Shuffle(), tries=2) * p
    assert q.history["best_before"][-1] < 0.25
    assert q.history["best_tries"][-1] == 2
    assert q.history["best_after"] == q.history["best_before"]
    assert np.array_equal(q.positions, p.positions)
    assert np.array_equal(q.obj, p.obj)
