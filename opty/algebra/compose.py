"""Compose and Repeat: what ``*`` and ``**`` make. Flat and normalised, so that equal recipes are equal values."""

from __future__ import annotations

from collections.abc import Iterable

from opty.algebra.control import Until
from opty.algebra.operator import Identity, Operator
from opty.algebra.protocols import State
from opty.errors import RecipeError


class Compose(Operator):
    """Steps one after the other, written left to right and run right to left; made by ``*``.

    Nested compositions are flattened and Identity is dropped, so ``(A * B) * C == A * (B * C)``.
    """

    steps: tuple[Operator, ...]

    def check(self) -> None:
        flat = _flat(self.steps)
        if len(flat) < 2:
            raise RecipeError(f"Compose needs two steps or more, got {len(flat)}; write A * B")
        object.__setattr__(self, "steps", flat)

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        both = [step.effects() for step in self.steps]
        return frozenset().union(*(r for r, _ in both)), frozenset().union(*(w for _, w in both))

    def apply(self, s: State) -> None:
        raise RecipeError("a composition is run by the plan, not applied: write recipe * p")


class Repeat(Operator):
    """A loop over a body; made by ``**``. ``times`` is a number of turns (two or more) or a rule (Until)."""

    body: Operator
    times: int | Until

    def check(self) -> None:
        if isinstance(self.times, int) and self.times < 2:
            raise ValueError(f"Repeat(times={self.times}): give two turns or more; write A ** {self.times} instead")
        if isinstance(self.body, Identity):
            raise RecipeError("Repeat(Identity(), ...): doing nothing needs no loop; write Identity()")
        if isinstance(self.body, Repeat) and isinstance(self.body.times, int) and isinstance(self.times, int):
            object.__setattr__(self, "times", self.body.times * self.times)
            object.__setattr__(self, "body", self.body.body)

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.body.effects()

    def apply(self, s: State) -> None:
        raise RecipeError("a loop is run by the plan, not applied: write recipe * p")


def compose(*ops: Operator) -> Operator:
    """Return the flat composition of some operators (Identity for none), leftmost last to run."""
    flat = _flat(ops)
    if not flat:
        return Identity()
    if len(flat) == 1:
        return flat[0]
    made = object.__new__(Compose)  # the parts are checked already; checking all of them at each * would be quadratic
    object.__setattr__(made, "steps", flat)
    return made


def _flat(ops: Iterable[Operator]) -> tuple[Operator, ...]:
    flat: list[Operator] = []
    for op in ops:
        flat.extend(op.steps if isinstance(op, Compose) else () if isinstance(op, Identity) else (op,))
    return tuple(flat)


def power(body: Operator, times: int | Until) -> Operator:
    """Return ``body`` repeated: ``A**0`` is Identity, ``A**1`` is A, ``(A**2)**3`` is ``A**6``."""
    if times == 0 or isinstance(body, Identity):
        return Identity()
    if times == 1:
        return body
    return Repeat(body, times)


def factors(op: Operator) -> tuple[Operator, ...]:
    """Return the steps of a composition in the order in which they run (right to left)."""
    return tuple(reversed(op.steps)) if isinstance(op, Compose) else () if isinstance(op, Identity) else (op,)
