"""When a step runs: Every, After, Before; and when a loop ends: Until.

An iteration number may be passed over: a turn of three iterations ends at 3, 6, 9. So a schedule does not look at the
iteration alone, but at all iterations since the run last stood at the step. The state remembers these visits
(``Store.visits``), so that a run that is split, resumed or repeated runs the step at the same iterations.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from opty.algebra.operator import Operator
from opty.algebra.parameters import parameter_type
from opty.errors import RecipeError
from opty.words import clear_init

if TYPE_CHECKING:
    from opty.state.access import Access


class Control(Operator, register=False):
    """An operator that runs another one at some iterations only."""

    crossing: ClassVar[bool] = False  # True: an iteration that was passed over since the last visit counts too

    n: int
    op: Operator

    @functools.cached_property
    def key(self) -> str:
        """The name of the step in the visits of a state: its text without steps that only write files or the screen.

        ``opty.rerun`` leaves those steps out, and ``opty resume`` may change their paths.
        """
        from opty.operators.outputs import only_outputs, without_outputs

        return repr(self if only_outputs(self) else without_outputs(self))

    def check(self) -> None:
        if self.n < 1:
            raise ValueError(f"{type(self).__name__}({self.n}, ...): give a number of iterations from 1 on")

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.op.effects()

    def due(self, iteration: int) -> bool:
        """Say whether the step runs in iteration number ``iteration`` (the first is 1)."""
        raise RecipeError(f"{type(self).__name__} has no due(self, iteration)")

    def active(self, iteration: int) -> bool:
        """Say whether the step runs in that iteration, or time and again before and after it."""
        return self.due(iteration)

    def words(self) -> str:
        """Say when, for ``explain``."""
        return f"{type(self).__name__} {self.n}"

    def apply(self, s: Access) -> None:
        raise RecipeError("a scheduled step is run by the plan, not applied: write recipe * p")


class Every(Control):
    """Run ``op`` in every n-th iteration: n, 2n, 3n, ..., or first, first + n, ... where ``first`` is given.

    ``Every(2, A) * Every(2, B, first=1)`` alternates: B in iterations 1, 3, 5, ..., A in 2, 4, 6, ...

    Where more than one iteration passes between two visits of the step, it runs if any of them is one of these: in
    ``(Every(5, A) * ePIE() ** 3) ** 10`` A runs after iterations 6, 12 (for 10), 15, 21 (for 20), ... At the first
    visit only the iteration reached counts: the state does not say which of the earlier ones belong to the same recipe.
    """

    crossing: ClassVar[bool] = True
    first: int | None = None

    def check(self) -> None:
        super().check()
        if self.first is not None and self.first < 1:
            raise ValueError(f"Every({self.n}, ..., first={self.first}): give an iteration from 1 on")

    def due(self, iteration: int) -> bool:
        """True in iterations n, 2n, 3n, ..., or from ``first`` on in steps of n."""
        first = self.n if self.first is None else self.first
        return iteration >= first and (iteration - first) % self.n == 0

    def active(self, iteration: int) -> bool:
        """True from ``first`` on, where it is given, and always where it is not."""
        return self.first is None or iteration >= self.first

    def words(self) -> str:
        """Say when, for ``explain``."""
        return f"every {self.n} iterations" + (f" from {self.first} on" if self.first else "")


class After(Control):
    """Run ``op`` only after the first n iterations: from n + 1 on."""

    def due(self, iteration: int) -> bool:
        """True from iteration n + 1 on."""
        return iteration > self.n

    def words(self) -> str:
        """Say when, for ``explain``."""
        return f"after iteration {self.n}"


class Before(Control):
    """Run ``op`` only in the first n iterations: 1 to n. What it updated stays as it is from then on."""

    def due(self, iteration: int) -> bool:
        """True up to and with iteration n."""
        return iteration <= self.n

    def words(self) -> str:
        """Say when, for ``explain``."""
        return f"up to iteration {self.n}"


# -- visits

Span = tuple[int, int]  # the iteration of the last visit before, that of this one
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
    return span(visits, when[0].key, now) if _crossing(when) else (now - 1, now)


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
        visits[when[0].key] = since


def due(when: tuple[Control, ...], visits: Visits, now: int) -> bool:
    """Say whether a step runs that the run stands at in iteration ``now``, and remember the visit."""
    if not when:
        return True
    found = since(when, visits, now)
    remember(when, visits, found)
    return agreed(when, found)


def _crossing(when: tuple[Control, ...]) -> list[Control]:
    return [rule for rule in when if rule.crossing]


@dataclasses.dataclass(frozen=True)
class Until:
    """An exponent: ``A ** Until(tol=1e-4, max=500)`` repeats until the misfit settles.

    On a GPU the rule waits for the misfit of each turn, so that the device rests while the next turn is put in its
    queue: where turns take less than a few milliseconds, a number of turns is faster.

    Parameters
    ----------
    tol : relative change of the misfit from one turn to the next at which the loop ends (no unit).
    max : the largest number of turns.
    """

    tol: float = 1e-4
    max: int = 1000

    def __post_init__(self) -> None:
        for name, kind in (("tol", (int, float)), ("max", (int,))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind):
                raise RecipeError(f"Until({name}={value!r}): give a number")
        if not 0 <= self.tol <= sys.float_info.max:
            raise ValueError(f"Until(tol={self.tol!r:.40}): give a finite number from 0 on")
        if self.max < 1:
            raise ValueError(f"Until(max={self.max}): give at least one turn")
        object.__setattr__(self, "tol", float(self.tol))

    def settled(self, misfits: Sequence[float]) -> bool:
        """Say whether the misfits of the last two turns agree to ``tol``."""
        return len(misfits) > 1 and abs(misfits[-2] - misfits[-1]) <= self.tol * abs(misfits[-2])


clear_init(Until, RecipeError)
parameter_type(Until, "Until(tol=..., max=...)")
