"""The wait of PosCorrect: views do not move while the engine explains more by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from opty.algebra.leaf import Leaf

_SWEEPS = 12  # of which the course of the misfit is known
# Beside engines that average, times what the step gains: views move where the misfit changes by less in a sweep.
_OPENS, _SHUTS = 1 / 3, 4.0
_SETTLED = 0.01  # of the misfit: by less in a sweep it hardly changes
# Standard errors of the slope that are added to it: the misfit of RAAR and DM wanders.
_SURE = {False: 1.0, True: 2.0}
LONG = 20  # sweeps of waiting, in a row, that are worth a word
_NUMBERS = 6  # of the course, before the logarithms
COURSE = Leaf("position_course", str(_NUMBERS + _SWEEPS), scale=0)


class Wait(NamedTuple):
    """What a refinement that waits remembers.

    ``sweeps`` : so many were counted; ``moves`` : for how many, in a row, views have moved; ``waited`` : sweeps since
    they last did.
    ``seems`` : how far the usual view seemed to be from where it should be in the last one [px], 0 where the scan as a
    whole is held; ``at`` : ``position_count`` then; ``averages`` : whether the engine averages the views.
    """

    sweeps: float
    moves: float
    waited: float
    seems: float
    at: float
    averages: float


def remembered(leaves: Mapping[str, Any]) -> Wait | None:
    """Return what a refinement remembers of its wait, None where it never waited."""
    return Wait(*(float(number) for number in leaves[COURSE.name][:_NUMBERS])) if COURSE.name in leaves else None


def said_of_waiting(leaves: Mapping[str, Any]) -> str:
    """Return what is to be said of a refinement that has not moved views for long, from what it remembers, or ""."""
    wait = remembered(leaves)
    if wait is None or wait.waited < LONG:
        return ""
    if float(leaves["position_count"][0]) > wait.at + 1:  # another refinement ran since
        return ""
    never = wait.waited >= wait.sweeps
    if not (wait.seems or (never and wait.averages)):
        return ""
    moved = f"PosCorrect() has moved no position in its {'' if never else 'last '}{wait.waited:.0f} sweeps"
    why = "beside an engine that averages the views nothing stood out from the noise: if positions may be wrong,"
    if wait.seems:
        why = (
            f"views seem to be off by about {wait.seems:.2g} px, or the object lacks as much, but the misfit was still "
            "changing: go on for more iterations"
        )
        if not wait.averages:
            return f"{moved}; {why}"
        why = f"{why}, or"
    return f"{moved}; {why} follow with (PosCorrect() * rPIE()) ** 50"


def may_move(s: Any, step: Any, fewest: int, averages: bool) -> tuple[bool, bool]:
    """Say whether views may take a step (N, 2) px that was found, and whether they may be looked for.

    They may move from the sweep on in which the misfit of the views changes by no more than 1 percent. Beside engines
    that average the views, which wander, they may while it changes by less than a third of what the step would gain,
    and once they move by less than four times that. The change is the slope of log sum |delta|^2 over up to 12 sweeps,
    and one of its standard errors, beside engines that average two; ``fewest`` sweeps have to be known. Views may be
    looked for where they move, or where the misfit hardly changes: one that is lost far off gains by no step.
    """
    total = s.position_misfit.sum()
    count, moves, waited, _, _, _, *course = s.backend.to_host(s.position_course).tolist()
    left = (s.memo["usual"] > 0) * s.xp.median((step**2).sum(axis=1)) / np.log(2)  # see prior_widths
    numbers = s.xp.stack([s.memo["told"].gain(step), total, left**0.5, s.position_count[0]])
    gain, total, seems, at = s.backend.to_host(numbers).tolist()
    course = [*course[1:], np.log(total) if total > 0 else 0.0]
    changed = change(np.array(course[-int(min(count + 1, _SWEEPS)) :]), fewest, _SURE[averages])
    if averages:
        opened = gain > 0 and changed * total <= (_SHUTS if moves else _OPENS) * gain
    else:
        opened = moves or (gain > 0 and changed <= _SETTLED)
    wait = Wait(count + 1, moves + 1 if opened else 0, 0 if opened else waited + 1, seems, at, float(averages))
    s.position_course = s.xp.asarray([*wait, *course])
    return bool(opened), bool(opened or changed <= _SETTLED)


def change(course: np.ndarray, fewest: int, sure: float) -> float:
    """Return how fast a misfit changes, from its last logarithms: |slope| and ``sure`` errors of it; first infinity."""
    count = len(course)
    if count < fewest:
        return float("inf")
    sweep = np.arange(count) - (count - 1) / 2
    rest = course - course.mean()
    slope = (sweep * rest).sum() / (sweep**2).sum()
    error = np.sqrt(((rest - slope * sweep) ** 2).sum() / (count - 2) / (sweep**2).sum())
    return float(abs(slope) + sure * error)
