"""The refinement beside engines that average the views: it waits while the engine explains more by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from opty.algebra.leaf import Leaf
from opty.operators.position.correct import PosCorrect

_SWEEPS, _FEWEST = 12, 10  # of which the course of the misfit is known, and has to be
_OPENS, _SHUTS = 1 / 3, 4.0  # times what the step gains: views move where the misfit changes by less in a sweep
_SURE = 2.0  # standard errors of the slope that are added to it: the misfit of RAAR and DM wanders
_FAR = 0.5  # px that the usual view seems off, from which a warning says so: what an object lacks looks like less
_LONG = 20  # sweeps of waiting, in a row, that are worth a word
_NUMBERS = 5  # of the course, before the logarithms
COURSE = Leaf("position_course", str(_NUMBERS + _SWEEPS), scale=0)


class Wait(NamedTuple):
    """What a refinement that waits remembers.

    ``sweeps`` : so many were counted; ``moves`` : whether views move; ``waited`` : sweeps since they last did.
    ``seems`` : how far the usual view seemed to be from where it should be in the last one [px], 0 where the scan as a
    whole is held; ``at`` : ``position_count`` then.
    """

    sweeps: float
    moves: float
    waited: float
    seems: float
    at: float


def said_of_waiting(leaves: Mapping[str, Any]) -> str:
    """Return what is to be said of a refinement that has not moved views for long, from what it remembers, or ""."""
    if COURSE.name not in leaves:
        return ""
    wait = Wait(*(float(number) for number in leaves[COURSE.name][:_NUMBERS]))
    if wait.waited < _LONG or float(leaves["position_count"][0]) > wait.at + 1:  # another refinement ran since
        return ""
    never = wait.waited >= wait.sweeps
    if not (wait.seems or never):
        return ""
    moved = f"PosCorrect() has moved no position in its {'' if never else 'last '}{wait.waited:.0f} sweeps"
    why = "beside an engine that averages the views nothing stood out from the noise: if positions may be wrong,"
    if wait.seems:
        why = (
            f"views seem to be off by about {wait.seems:.2g} px, or the object lacks as much, but the misfit of the "
            "engine, which averages the views, was still changing: go on for more iterations, or"
        )
    return f"{moved}; {why} follow with (PosCorrect() * rPIE()) ** 50"


class PatientPosCorrect(PosCorrect, slots=COURSE, register=False):
    """PosCorrect beside AP, DM and RAAR, whose object follows slowly or wanders.

    What such an object still lacks looks like wrong positions, the same in neighbouring views, and moving them makes
    room for it: from a rough start AP and PosCorrect moved right positions by 1 to 2 px, DM by 3 to 30. So nothing
    moves while the misfit of the views changes from sweep to sweep by more than a third of what the step would gain;
    once views move, by more than four times that. The change is the slope of log sum |delta|^2 over 12 sweeps, and
    two of its standard errors. Gains stay at 0.3 and less, the smooth part goes by the mean of five sweeps, and views
    that went astray are not looked for.

    Where it has waited for the last 20 sweeps and the usual view seems to be off by more than half a pixel, a
    MisfitWarning says so at the end of the run. ``position_report`` says it of any displacement.

    Writes as PosCorrect, and position_course (17,): the numbers of ``Wait``, and the last 12 logarithms.
    """

    first_gain = largest_gain = 0.3
    averaged = True

    def waits(self, leaves):
        done = int(leaves[COURSE.name][0]) if COURSE.name in leaves else 0
        return max(super().waits(leaves), _FEWEST - 1 - done)

    def at_end(self, leaves, iteration):
        far = COURSE.name in leaves and float(leaves[COURSE.name][Wait._fields.index("seems")]) > _FAR
        return said_of_waiting(leaves) if far else ""

    def begin(self, s):
        super().begin(s)
        s.create(COURSE.name)

    def shifts(self, s, sensed):
        step = super().shifts(s, sensed)
        total = s.position_misfit.sum()
        count, moves, waited, _, _, *course = s.backend.to_host(s.position_course).tolist()
        left = (s.memo["usual"] > 0) * s.xp.median((step**2).sum(axis=1)) / np.log(2)  # see prior_widths
        numbers = s.xp.stack([s.memo["told"].gain(step), total, left**0.5, s.position_count[0]])
        gain, total, seems, at = s.backend.to_host(numbers).tolist()
        course = [*course[1:], np.log(total) if total > 0 else 0.0]
        changed = _change(np.array(course[-int(min(count + 1, _SWEEPS)) :]))
        moves = float(gain > 0 and changed * total <= (_SHUTS if moves else _OPENS) * gain)
        wait = Wait(count + 1, moves, 0 if moves else waited + 1, seems, at)
        s.position_course = s.xp.asarray([*wait, *course])
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
