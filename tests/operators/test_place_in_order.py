"""PlaceInOrder: positions whose errors add up."""

import numpy as np
import pytest

import opty
from opty import LSQML, PlaceInOrder, PosCorrect
from opty.model import Slices
from opty.operators.position.place_in_order import beginnings, step_size
from opty.physics.scan_map import position_error
from opty.simulate import experiment, objects, probes, scans, stage

REFINE = PosCorrect(search_every=10, hold=0.0) * LSQML(batch=8)


def walked(walk, seed=1, **model):
    """36 views of 48 x 48 under a known beam, on a stage that walks, and a flat object."""
    data = experiment(
        objects.two_images((150, 150)),
        probes.two_images(48, 36),
        scans.raster((6, 6), 6, jitter=1, seed=seed),
        photons=1e7,
        geometry=opty.Geometry(1e-10, 1.0, 1e-4),
        position_error=stage.Drift(walk=walk) if walk else None,
        seed=seed,
    )
    return opty.PtychoState(data, probe=data.truth["probe"], device="cpu", threads=1, margin=40, **model)


def error(p):
    return position_error(p.positions, p.data.truth["positions"], False)


def test_a_stage_that_walks_is_put_together_where_a_refinement_stays_lost():
    p = walked(3.0)
    q = REFINE**10 * p
    assert error(q) > 4
    assert error(REFINE**20 * q) > 4
    q = PlaceInOrder(REFINE**3) * q
    assert error(q) < 0.1
    assert q.history["order_before"][-1] > 0.3
    assert q.history["order_after"][-1] < 0.1
    off = q.positions.mean(axis=0) - p.positions.mean(axis=0)
    assert abs(off).max() < 1e-6


def test_views_that_explain_each_other_stay():
    p = walked(0.0)
    q = REFINE**6 * p
    r = PlaceInOrder(REFINE) * q
    assert np.array_equal(r.positions, q.positions)
    assert np.array_equal(r.obj, q.obj)


def test_what_explains_the_views_no_better_is_not_taken():
    p = walked(3.0)
    rng = np.random.default_rng(5)
    lost = p.replace(positions=rng.permutation(p.positions))  # no order that could be followed
    q = PlaceInOrder(opty.ePIE()) * lost
    assert q.history["order_after"] == q.history["order_before"]
    assert np.ptp(q.positions - lost.positions, axis=0).max() < 1e-9
    assert np.array_equal(q.obj, lost.obj)


def test_it_begins_where_the_steps_are_smallest():
    away = np.zeros((40, 2))
    away[:20] = np.cumsum(np.full((20, 2), 2.0), axis=0)
    found = beginnings(away)
    assert found[0].start >= 19
    taken = [v for part in found for v in range(part.start, part.stop)]
    assert len(taken) == len(set(taken)) >= 32


def test_steps_are_measured_among_views_of_one_kind():
    rng = np.random.default_rng(2)
    away = np.cumsum(rng.normal(0, 1.5, (4000, 2)), axis=0)
    away[2000:] += 500
    placed = np.arange(4000) < 2000
    assert step_size(away, placed, 64) == pytest.approx(1.5, rel=0.05)
    assert step_size(0 * away, placed, 64) == 2.0


def test_it_needs_a_thin_object():
    p = walked(0.0, model=Slices(2, 1e-7))
    with pytest.raises(opty.RecipeError, match="no thin object"):
        PlaceInOrder(REFINE) * p
