"""Visits: the last iterations at scheduled steps, which the state records (``Store.visits``).

Iteration numbers may be skipped: a turn of three iterations ends at 3, 6, 9. So a schedule considers all iterations
since the last visit of the step, not the current one alone. The state records these visits, so that a run that is
split, resumed or repeated runs the step at the same iterations.
"""

from __future__ import annotations

import functools

from opty.algebra.control import Control
from opty.runtime.recipe_edit import only_outputs, without_outputs

Span = tuple[int, int]  # the iterations of the previous visit and of this one
Visits = dict[str, Span]  # by the name of the step


def span(visits: Visits, key: str, now: int, began: int | None = None) -> Span:
    """Return the iteration of the last visit before ``now``, and ``now``.

    A second visit in an iteration is like the first. ``began`` : at the very first visit, the iteration after which
    those that were passed over count; None: only ``now`` does.
    """
    before, at = visits.get(key, (now - 1 if began is None else min(began, now - 1), now))
    return (before if at == now else min(at, now - 1)), now


def since(when: tuple[Control, ...], visits: Visits, now: int) -> Span:
    """Return the span since the last visit of a step under some schedules."""
    return span(visits, key_of(when[0]), now) if _crossing(when) else (now - 1, now)


def agreed(when: tuple[Control, ...], since: Span) -> bool:
    """Say whether schedules let a step run: those that count crossings all at one iteration, the others now."""
    last, now = since
    if not all(rule.due(now) for rule in when if not rule.crossing):
        return False
    crossing = _crossing(when)
    return not crossing or any(all(rule.due(k) for rule in crossing) for k in range(now, last, -1))


def remember(when: tuple[Control, ...], visits: Visits, since: Span) -> None:
    """Write a visit into the visits of a state."""
    if _crossing(when):
        visits[key_of(when[0])] = since


def due(when: tuple[Control, ...], visits: Visits, now: int) -> bool:
    """Say whether a step runs that the run stands at in iteration ``now``, and remember the visit."""
    if not when:
        return True
    found = since(when, visits, now)
    remember(when, visits, found)
    return agreed(when, found)


def _crossing(when: tuple[Control, ...]) -> list[Control]:
    return [rule for rule in when if rule.crossing]


@functools.lru_cache(maxsize=1024)
def key_of(step: Control) -> str:
    """Return the name of a step in the visits: its text without steps that only write files or the screen.

    ``opty.rerun`` leaves those steps out, and ``opty resume`` may change their paths.
    """
    return repr(step if only_outputs(step) else without_outputs(step))
