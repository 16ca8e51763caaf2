"""The refinement beside engines that average the views: it waits while the engine explains more by itself."""

from __future__ import annotations

import numpy as np

from opty.algebra.leaf import Leaf
from opty.operators.position.correct import PosCorrect

_SWEEPS, _FEWEST = 12, 10  # of which the course of the misfit is known, and has to be
_OPENS, _SHUTS = 1 / 3, 4.0  # times what the step gains: views move where the misfit changes by less in a sweep
_SURE = 2.0  # standard errors of the slope that are added to it: the misfit of RAAR and DM wanders
COURSE = Leaf("position_course", str(2 + _SWEEPS), scale=0)


class PatientPosCorrect(PosCorrect, slots=COURSE, register=False):
    """PosCorrect beside AP, DM and RAAR, whose object follows slowly or wanders.

    What such an object still lacks looks like wrong positions, the same in neighbouring views, and moving them makes
    room for it: from a rough start AP and PosCorrect moved right positions by 1 to 2 px, DM by 3 to 30. So nothing
    moves while the misfit of the views changes from sweep to sweep by more than a third of what the step would gain;
    once views move, by more than four times that. The change is the slope of log sum |delta|^2 over 12 sweeps, and
    two of its standard errors. Gains stay at 0.3 and less, the smooth part goes by the mean of five sweeps, and views
    that went astray are not looked for.

    Writes as PosCorrect, and position_course (14,): sweeps counted, whether views move, and the last 12 logarithms.
    """

    first_gain = largest_gain = 0.3
    averaged = True

    def waits(self, leaves):
        done = int(leaves[COURSE.name][0]) if COURSE.name in leaves else 0
        return max(super().waits(leaves), _FEWEST - 1 - done)

    def begin(self, s):
        super().begin(s)
        s.create(COURSE.name)

    def shifts(self, s, sensed):
        step = super().shifts(s, sensed)
        total = s.position_misfit.sum()
        count, moves, *course = s.backend.to_host(s.position_course).tolist()
        gain, total = s.backend.to_host(s.xp.stack([s.memo["told"].gain(step), total])).tolist()
        course = [*course[1:], np.log(total) if total > 0 else 0.0]
        changed = _change(np.array(course[-int(min(count + 1, _SWEEPS)) :]))
        moves = float(gain > 0 and changed * total <= (_SHUTS if moves else _OPENS) * gain)
        s.position_course = s.xp.asarray([count + 1, moves, *course])
        if moves:
            return step
        s.memo["usual"], s.memo["width"] = 0 * s.memo["usual"], 0 * s.memo["width"]
        return 0 * step

    def _search(self, s):
        """Look for no view: a slow or wandering object explains many better elsewhere."""


def _change(course: np.ndarray) -> float:
    """Return how fast a misfit changes, from its last logarithms: |slope| and two errors of it; infinity at first."""
    count = len(course)
    if count < _FEWEST:
        return float("inf")
    sweep = np.arange(count) - (count - 1) / 2
    rest = course - course.mean()
    slope = (sweep * rest).sum() / (sweep**2).sum()
    error = np.sqrt(((rest - slope * sweep) ** 2).sum() / (count - 2) / (sweep**2).sum())
    return abs(slope) + _SURE * error
