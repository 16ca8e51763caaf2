"""LSQUpdate against the joint least-squares problem solved by brute force, view by view in plain loops."""

import numpy as np
import pytest
from by_hand import View, order
from small_scans import TOLERANCE, scan, shifted, state

from opty import Sweep
from opty.operators import LSQUpdate
from opty.operators.lsq import joint_steps


def brute(residual, u, v, ridge):
    """Real a, b that minimise |r - a u - b v|^2 + ridge (a^2 + b^2) g, by stacking it as an ordinary problem."""
    g = (np.linalg.norm(u) ** 2 + np.linalg.norm(v) ** 2) / 2
    columns = np.stack([u.ravel(), v.ravel()], axis=1)
    rows = np.concatenate([columns.real, columns.imag, np.sqrt(ridge * g) * np.eye(2)])
    right = np.concatenate([residual.ravel().real, residual.ravel().imag, np.zeros(2)])
    return np.linalg.lstsq(rows, right, rcond=None)[0]


def directions(p, views, alpha, beta):
    """Regularised steps of object (H, W) and probe (M, n, n) from a batch, with the weights of both."""
    up, light = np.zeros(p.obj.shape, complex), np.zeros(p.obj.shape)
    probe_up, seen = np.zeros(p.probe.shape, complex), np.zeros(p.probe.shape[1:])
    for v in views:
        delta = v.projected()[0] - v.waves
        up[v.where] += (np.conj(v.illum) * delta).sum(axis=0)
        light[v.where] += (abs(v.illum) ** 2).sum(axis=0)
        probe_up += v.back(np.conj(v.bright) * delta)
        seen += abs(v.bright) ** 2
    scale = alpha * light.max() + (1 - alpha) * light
    return up / np.where(scale > 0, scale, 1), probe_up / (beta * seen.max() + (1 - beta) * seen), light, seen


def by_hand(p, batch, alpha, beta, step, ridge):
    obj, probe = p.numpy("obj").astype(complex), p.numpy("probe").astype(complex)
    for numbers in order(p, batch):
        views = [View(p, j, obj, probe) for j in numbers]
        obj_step, probe_step, light, seen = directions(p, views, alpha, beta)
        a_light, b_seen = np.zeros(light.shape), np.zeros(seen.shape)
        for v in views:
            u = v.illum * obj_step[v.where]
            w = (shifted(probe_step, v.fraction) if v.fraction.any() else probe_step) * v.bright
            a, b = brute(v.projected()[0] - v.waves, u, w, ridge)
            a_light[v.where] += a * (abs(v.illum) ** 2).sum(axis=0)
            b_seen += b * abs(v.bright) ** 2
        obj = obj + step * obj_step * a_light / np.where(light > 0, light, 1)
        probe = probe + step * probe_step * b_seen / seen
    return obj, probe


@pytest.mark.parametrize(("batch", "ridge"), [(1, 0.1), (4, 0.1), (2, 0.0)])
def test_steps_are_the_best_of_the_joint_problem(four, batch, ridge):
    q = Sweep(LSQUpdate(alpha=0.2, beta=0.3, step=0.9, ridge=ridge), batch=batch) * four
    obj, probe = by_hand(four, batch, 0.2, 0.3, 0.9, ridge)
    for got, expected, start in ((q.obj, obj, four.obj), (q.probe, probe, four.probe)):
        assert abs(got - expected).max() <= 30 * TOLERANCE[str(four.dtype)] * abs(expected).max()
        assert abs(got - start).max() > 1e-3 * abs(start).max()


def test_steps_of_four_views_against_brute_force():
    rng = np.random.default_rng(3)
    r, u, v = rng.normal(size=(3, 4, 2, 16, 16)) + 1j * rng.normal(size=(3, 4, 2, 16, 16))
    v = v + 3 * u  # far from orthogonal
    for ridge in (0.0, 0.1, 2.0):
        expected = [brute(r[j], u[j], v[j], ridge) for j in range(4)]
        assert np.allclose(joint_steps(np, r, u, v, ridge), expected, rtol=1e-10)


def test_directions_that_are_the_same_share_the_step():
    rng = np.random.default_rng(4)
    u = rng.normal(size=(4, 1, 16, 16)) + 1j * rng.normal(size=(4, 1, 16, 16))
    assert np.allclose(joint_steps(np, u, u, u, 0.0), 0.5)
    assert np.allclose(joint_steps(np, 5 * u, u, 2 * u, 0.0), [1, 2])  # the smallest steps with a + 2 b = 5
    assert (joint_steps(np, u, 0 * u, 0 * u, 0.0) == 0).all()
    assert np.allclose(joint_steps(np, 3 * u, u, 0 * u, 0.0), [3, 0])


def test_a_step_fits_every_residual_better_than_none():
    p = state(scan(views=8, modes=2), dtype="complex128")
    before = sum(View(p, j).projected()[1] for j in range(8))
    q = Sweep(LSQUpdate(), batch="all") * p
    assert sum(View(q, j).projected()[1] for j in range(8)) < 0.5 * before


@pytest.mark.parametrize("bad", [{"alpha": 2.0}, {"beta": -0.1}, {"step": 0.0}, {"ridge": -1.0}])
def test_parameters_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="give a"):
        LSQUpdate(**bad)
