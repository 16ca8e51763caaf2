"""The best step along a line: the kernel against NumPy's, on numbers drawn anew in each run."""

import numpy as np
import pytest

from opty.kernels import numpy_backend
from opty.kernels.likelihood.line_search import FINE, TRIALS, WALL


def both(gpu, slope, changes):
    """Return the step by NumPy and by the kernel."""
    given = np.array([slope]), np.array(changes, float)
    steps = [numpy_backend.best_step(*given), gpu.to_host(gpu.best_step(*map(gpu.asarray, given)))]
    assert all(step.shape == (1,) and step.dtype == np.float64 for step in steps)
    return [float(step[0]) for step in steps]


def drawn(rng):
    """Return a slope and changes: near a valley or anywhere, of any size, some of them no numbers or on a wall."""
    size, u = 10 ** rng.uniform(-6, 6), np.array(TRIALS)
    slope = rng.normal() - 1
    changes = slope * u + rng.normal(size=3) * u**2 if rng.random() < 0.7 else rng.normal(size=3)
    changes = np.where(rng.random(3) < 0.15, 10 ** rng.uniform(0, 9, 3), changes)
    changes = np.where(rng.random(3) < 0.15, rng.choice([np.nan, np.inf], 3), changes)
    return slope * size, changes * size


def curve(slope, changes, x):
    """Return the polynomial through the trials that are near, by NumPy's fit."""
    near = changes < WALL * -np.nanmin(changes)
    u, powers = np.array(TRIALS)[near], np.arange(2, 2 + near.sum())
    factors = np.linalg.solve(u[:, None] ** powers, changes[near] - slope * u)
    return slope * x + sum(f * x**k for f, k in zip(factors, powers, strict=True))


def test_the_kernel_finds_the_step_of_numpy(gpu, rng):
    found = {"none": 0, "inside": 0, "few": 0}
    for _ in range(400):
        slope, changes = drawn(rng)
        expected, got = both(gpu, slope, changes)
        found["none"] += expected == 0
        found["few"] += expected > 0 and (~(changes < WALL * -np.nanmin(changes))).any()
        found["inside"] += expected not in (0, *TRIALS)
        if got != pytest.approx(expected, rel=1e-12, abs=0):  # points as low as each other but for rounding
            assert abs(got - expected) <= 2.0 * max(TRIALS) / FINE
            low, lower = curve(slope, changes, got), curve(slope, changes, expected)
            assert abs(low - lower) <= 1e-9 * abs(lower)
    assert min(found.values()) > 20


@pytest.mark.parametrize(
    "changes", [[0.1, 2, 9], [0, 0, 0], [np.nan] * 3, [np.inf] * 3, [np.nan, 0.0, np.inf], [np.inf, np.nan, 3.0]]
)
def test_no_step_where_no_trial_leads_down(gpu, changes):
    assert both(gpu, -1.0, changes) == [0, 0]


@pytest.mark.parametrize("lone", [0, 1, 2])
@pytest.mark.parametrize("other", [np.nan, np.inf, 1e9])
def test_one_trial_makes_a_parabola(gpu, lone, other):
    changes = np.full(3, other)
    changes[lone] = -1.0
    # -4 t + 3 t^2 in units of that trial
    for step in both(gpu, -4.0 / TRIALS[lone], changes):
        assert step == pytest.approx(max((0, *TRIALS)[lone], 2 / 3 * TRIALS[lone]), abs=2 / FINE)


def test_a_curve_that_is_no_number_ends_at_its_first_point(gpu):
    for step in both(gpu, np.nan, [-1.0, 1e9, 1e9]):
        assert step == pytest.approx(TRIALS[0] / (FINE - 1), rel=1e-12)
