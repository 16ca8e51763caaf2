"""Position refinement by trial: random shifts in a circle that shrinks."""

from __future__ import annotations

import math

import numpy as np

from opty.algebra.leaf import Leaf
from opty.operators.position.refinement import READS, PositionRefinement, kept_inside
from opty.operators.position.search import trial_misfits
from opty.operators.position.signals import norms

_SALT = 11  # what tells these random numbers from those that deal the views


class PosCorrectAnneal(
    PositionRefinement,
    reads=f"{READS} index obj background anneal_count",
    slots=Leaf("anneal_count", "1", scale=0),
):
    """Move each position to the best of some random places around it, or leave it where it fits best already.

    The places lie evenly over a circle of radius (1 - t / over) radius, t the sweeps done; after ``over`` sweeps
    nothing moves. Each costs one propagation of the view. In a sweep's body it belongs right of the updates, where the
    object is still what the views saw; left of a sweep it goes there by itself.

    It does not ask whether the positions given were right, and moves those too (docs/positions.md): on the left of the
    run ``ComparePositions(rPIE() ** 12)`` goes back to them where others fit no better; ``PosCorrect`` asks first.

    Parameters
    ----------
    radius : of the circle at the start [px].
    trials : places tried for each view in each sweep.
    over : sweeps in which the circle shrinks to nothing.
    max_step, weights : longest step [px]; weights of the views, as in every refinement.

    Reads delta (B, M, n, n), illum, patches, probe, obj; writes positions (N, 2) px and anneal_count (1,).
    Source: Maiden et al., Ultramicroscopy 120, 64 (2012).
    """

    radius: float = 8.0
    trials: int = 8
    over: int = 100
    max_step: float = 10.0
    weights: str = "equal"
    joins_before_update = True  # the trials and the view's own misfit are of one object
    advice = "a smaller radius of PosCorrectAnneal, or starting it later with After(20, PosCorrectAnneal())"

    def check(self):
        super().check()
        if not self.radius > 0:
            raise ValueError(f"PosCorrectAnneal(radius={self.radius}): give a radius above 0, in pixels")
        for name in ("trials", "over"):
            if getattr(self, name) < 1:
                raise ValueError(f"PosCorrectAnneal({name}={getattr(self, name)}): give a number from 1 on")

    def begin(self, s):
        super().begin(s)
        s.create("anneal_count")
        left = max(0.0, 1 - float(s.anneal_count[0]) / self.over)
        rng = s.rng(_SALT)
        views = s.store.measured.whole.views  # the numbers of each do not depend on who has it
        shape = (views, self.trials)
        radius, angle = left * self.radius * np.sqrt(rng.random(shape)), 2 * math.pi * rng.random(shape)
        shifts = radius[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        s.memo["shifts"] = s.backend.asarray(shifts[s.store.ranks.views(views)]) if left else None

    def sense(self, s, b, asked, share):
        xp, shifts = s.xp, s.memo["shifts"]
        if shifts is None:
            return xp.zeros((b.size, 2), np.float64)
        here = s.positions[b.selection]
        places = kept_inside(s, here[:, None] + shifts[b.selection])
        tried = trial_misfits(s, s.backend.to_host(xp.repeat(b.index, self.trials)), places.reshape(-1, 2))
        tried = tried.reshape(b.size, self.trials)
        found = places[xp.arange(b.size), tried.argmin(axis=1)] - here
        return xp.where((tried.min(axis=1) < norms(b.delta))[:, None], found, 0)

    def settle(self, s):
        s.anneal_count += 1
