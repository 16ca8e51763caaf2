"""The search along a line: the steps that are tried, and the best one by what they changed (line.cu: on a GPU)."""

from __future__ import annotations

import numpy as np

TRIALS = (0.25, 1.0, 2.0)  # steps at which the search looks, in units of the step before
WALL = 8.0  # a trial that rises by this many times what the best one falls
FINE = 400  # points of the curve through the trials


def best_step(slope, changes):
    """Return the best step (1,) float64 in units of the trials', 0 where no trial leads down.

    slope (1,) at zero in the same units, changes (3,) at TRIALS; both float64. NaN is taken for a rise without end.
    """
    changes = np.where(np.isnan(changes), np.inf, changes)
    best = int(np.argmin(changes))
    if not changes[best] < 0:
        return np.zeros(1)
    # A trial on a wall says nothing of the valley, and no polynomial goes through both.
    near = changes < WALL * -changes[best]
    u, powers = np.array(TRIALS)[near], np.arange(2, 2 + near.sum())
    rest = np.linalg.solve(u[:, None] ** powers, changes[near] - slope * u)
    ends = np.array([0, *TRIALS])
    right = best + 2 if best + 2 < len(ends) and near[best + 1] else best + 1
    fine = np.linspace(ends[best], ends[right], FINE)[1:]
    lowest = (slope * fine + fine[:, None] ** powers @ rest).argmin()
    return fine[lowest : lowest + 1]
