"""When a step runs: Every, After, Before; and when a loop ends: Until."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import ClassVar

from opty.algebra.operator import Operator
from opty.algebra.parameters import parameter_type
from opty.algebra.protocols import State
from opty.errors import RecipeError
from opty.words import clear_init


class Control(Operator, register=False):
    """An operator that runs another one at some iterations only."""

    crossing: ClassVar[bool] = False  # True: an iteration that was passed over since the last visit counts too

    n: int
    op: Operator

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

    def apply(self, s: State) -> None:
        raise RecipeError("a scheduled step is run by the plan, not applied: write recipe * p")


class Every(Control):
    """Run ``op`` in every n-th iteration: n, 2n, 3n, ..., or first, first + n, ... where ``first`` is given.

    ``Every(2, A) * Every(2, B, first=1)`` alternates: B in iterations 1, 3, 5, ..., A in 2, 4, 6, ...

    Where more than one iteration passes between two visits of the step, it runs if any of them is one of these: in
    ``(Every(5, A) * ePIE() ** 3) ** 10`` A runs after iterations 6, 12 (for 10), 15, 21 (for 20), ... At the first
    visit only the iteration reached counts: the state does not record which earlier ones belong to the same recipe.
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


@dataclasses.dataclass(frozen=True)
class Until:
    """An exponent: ``A ** Until(tol=1e-4, max_turns=500)`` repeats until the misfit settles.

    On a GPU the rule waits for the misfit of each turn, so that the device rests while the next turn is put in its
    queue: where turns take less than a few milliseconds, a number of turns is faster.

    Parameters
    ----------
    tol : relative change of the misfit from one turn to the next at which the loop ends (no unit).
    max_turns : the largest number of turns.
    """

    tol: float = 1e-4
    max_turns: int = 1000

    def __post_init__(self) -> None:
        for name, kind in (("tol", (int, float)), ("max_turns", (int,))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind):
                raise RecipeError(f"Until({name}={value!r}): give a number")
        if not 0 <= self.tol <= sys.float_info.max:
            raise ValueError(f"Until(tol={self.tol!r:.40}): give a finite number from 0 on")
        if self.max_turns < 1:
            raise ValueError(f"Until(max_turns={self.max_turns}): give at least one turn")
        object.__setattr__(self, "tol", float(self.tol))

    def settled(self, misfits: Sequence[float]) -> bool:
        """Say whether the misfits of the last two turns agree to ``tol``."""
        return len(misfits) > 1 and abs(misfits[-2] - misfits[-1]) <= self.tol * abs(misfits[-2])


clear_init(Until, RecipeError)
parameter_type(Until, "Until(tol=..., max_turns=...)")
