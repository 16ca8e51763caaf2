"""Momentum against its formula written out; its velocity lives in slots that other engines drop."""

import numpy as np
import pytest
from small_scans import same, scan, state

import opty
from opty import AP, ObjUpdate, Orthogonalise, ProbeUpdate, Sweep, ViewOperator, mPIE, rPIE
from opty.operators import ObjMomentum, ProbeMomentum

# Drift makes the misfit grow without end, which a run warns of.
pytestmark = pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
SLOTS = {"kept_obj_velocity", "kept_probe_velocity"}


class Drift(ViewOperator, reads="delta obj probe", writes="obj probe"):
    """Adds to each object pixel the number of views seen, and a tenth of it to the probe: a sum done by hand."""

    def begin(self, s):
        s.memo["views"] = 0

    def apply(self, s, b):
        s.memo["views"] += b.size
        s.obj[...] += s.memo["views"]
        s.probe[...] += s.memo["views"] / 10


def by_hand(start, momentum, every, sweeps, batch, views=12):
    """One number carried on as the formula says, step by step."""
    x, v = start, 0.0
    for _ in range(sweeps):
        before, since, seen = x, 0, 0
        for _ in range(0, views, batch):
            seen += batch
            since += batch
            x += seen
            if since >= every or seen == views:
                v = momentum * v + (x - before)
                x = before + v
                before, since = x, 0
    return x, v


@pytest.mark.parametrize(("batch", "every"), [(1, 5), (3, 4), (4, 4), (2, 100), (12, 12), (1, 1)])
def test_steps_are_those_of_the_formula(p, batch, every):
    p = state(p.data, dtype="complex128")
    q = Sweep(ObjMomentum(0.7, every) * Drift(), batch=batch) ** 3 * p
    x, v = by_hand(0.0, 0.7, every, 3, batch)
    assert np.allclose(q.obj - p.obj, x, rtol=1e-12)
    assert np.allclose(q.numpy("kept_obj_velocity"), v, rtol=1e-12)
    assert (q.probe - p.probe)[0, 0, 0] == pytest.approx(3 * sum(range(batch, 13, batch)) / 10)  # not carried on


def test_none_is_one_step_a_sweep(p):
    body = ProbeUpdate(step=0.5) * ObjUpdate(alpha=0.2)
    once, never_within = (
        Sweep(ProbeMomentum(0.6, every) * ObjMomentum(0.6, every) * body, batch=2) for every in (None, 10**6)
    )
    assert same(once**3 * p, never_within**3 * p)


def test_probe_and_object_are_carried_on_alike(p):
    p = state(scan(modes=3), dtype="complex128")
    q = Sweep(ProbeMomentum(0.4, 3) * Drift(), batch=3) ** 2 * p
    x, _ = by_hand(0.0, 0.4, 3, 2, 3)
    assert np.allclose(q.probe - p.probe, x / 10, rtol=1e-12)
    assert q.numpy("kept_probe_velocity").shape == p.probe.shape


def test_without_friction_nothing_is_carried_on(p):
    moved = mPIE(momentum=0.0, interval=4, batch=2) ** 3 * p
    plain = rPIE(alpha=mPIE().alpha, batch=2) ** 3 * p
    assert (moved.obj == plain.obj).all()
    assert (moved.probe == plain.probe).all()


def test_momentum_beside_any_sweep_joins_it(p):
    by_hand = ProbeMomentum(0.5, 6) * ObjMomentum(0.5, 6) * rPIE(alpha=0.1, batch=3)
    assert same(by_hand**3 * p, mPIE(alpha=0.1, momentum=0.5, interval=6, batch=3) ** 3 * p)


@pytest.mark.parametrize("every", [None, 5])
def test_the_velocity_is_memory_that_resumes(p, every):
    engine = mPIE(momentum=0.6, interval=every)
    assert same(engine**2 * (engine**3 * p), engine**5 * p)
    assert set((engine * p).slots) == SLOTS


@pytest.mark.parametrize("other", [rPIE(), AP(), opty.DM()], ids=repr)
def test_another_engine_drops_the_velocity(p, other):
    q = other * (mPIE(momentum=0.6) ** 3 * p)
    assert not SLOTS & set(q.slots)
    fresh = opty.PtychoState(p.data, probe=q.probe, obj=q.obj, dtype=str(q.dtype), device="cpu", threads=1)
    a, b = mPIE(momentum=0.6, batch="all") * q, mPIE(momentum=0.6, batch="all") * fresh
    assert abs(a.obj - b.obj).max() < 1e-5


def test_turned_modes_have_their_velocity_turned_with_them():
    p = mPIE(momentum=0.6) ** 3 * state(scan(modes=2), dtype="complex128")
    q = Orthogonalise() * p
    turn = q.probe.reshape(2, -1) @ np.linalg.pinv(p.probe.reshape(2, -1))
    expected = np.tensordot(turn, p.numpy("kept_probe_velocity"), 1)
    assert abs(turn - np.eye(2)).max() > 1e-3
    assert abs(q.numpy("kept_probe_velocity") - expected).max() < 1e-10 * abs(expected).max()
    assert (q.numpy("kept_obj_velocity") == p.numpy("kept_obj_velocity")).all()


def test_the_basis_of_the_modes_makes_no_difference_to_the_object():
    p, engine = state(scan(modes=2), dtype="complex128"), mPIE(momentum=0.6)
    plain, turned = engine**6 * p, engine**3 * (Orthogonalise() * (engine**3 * p))
    assert abs(plain.obj - turned.obj).max() < 1e-10


@pytest.mark.parametrize("make", [ObjMomentum, ProbeMomentum])
def test_parameters_out_of_range_are_refused(make):
    for bad in ({"momentum": 1.0}, {"momentum": -0.1}, {"interval": 0}):
        with pytest.raises(ValueError, match="give a"):
            make(**bad)
