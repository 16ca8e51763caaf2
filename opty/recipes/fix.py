"""Fix: a recipe that leaves some of the estimates as they are."""

from __future__ import annotations

import dataclasses
from typing import Any

from opty.algebra.compose import Compose, Repeat, compose, power
from opty.algebra.control import Control
from opty.algebra.operator import Identity, Operator, Recipe, names
from opty.algebra.sweep import Sweep
from opty.errors import RecipeError
from opty.model.element import LEAVES
from opty.runtime.nested import Nested
from opty.state.leaves import ESTIMATED, FIELDS, declared


class Fix(Recipe):
    """``recipe`` without what changes ``leaves``: ``rPIE().fix("probe")`` updates the object and nothing else.

    Steps that change nothing but these are left out, with the sums that only they need; LSQUpdate, ConjugateDirection
    and TakeStep, which change object and probe together, change the other one alone; recipes inside are expanded.

    Parameters
    ----------
    leaves : names of estimates, such as "probe", "obj", "positions" or "probe positions". With the probe stays what
        varies of it, its OPR modes and weights.
    recipe : what runs without changing them.

    Raises RecipeError for a name that is no estimate, for opr_modes or opr_weights without the probe, and for a step
    that changes one of them together with others and cannot do without: CentreProbe, ScaleObjProbe.
    """

    leaves: str
    recipe: Operator

    def check(self) -> None:
        known = {leaf.name: leaf for leaf in (*ESTIMATED.values(), *LEAVES.values()) if leaf.role == "estimate"}
        unknown = sorted(names(self.leaves) - known.keys())
        if unknown or not names(self.leaves):
            what = repr(" ".join(unknown)) if unknown else "nothing"
            whole = ", ".join(name for name, leaf in known.items() if not leaf.part_of)
            raise RecipeError(f"fix({self.leaves!r}): {what} is no estimate; fix one or more of {whole}")
        for name in sorted(names(self.leaves)):
            if (whole := known[name].part_of) and whole not in names(self.leaves):
                raise RecipeError(
                    f"fix({self.leaves!r}): {name} is a part of the {whole}, and steps change both: fix {whole!r}"
                )
        super().check()

    def expand(self) -> Operator:
        return _without(self.recipe, names(self.leaves))


def _without(op: Operator, fixed: frozenset[str]) -> Operator:
    """Return a recipe without what changes ``fixed``."""
    if (other := op.fixed(fixed)) is not None:
        return other
    if isinstance(op, Nested):
        inner: Any = {name: _without(recipe, fixed) for name, recipe in op.recipes.items()}
        return Identity() if all(isinstance(r, Identity) for r in inner.values()) else dataclasses.replace(op, **inner)
    if isinstance(op, Compose):
        return compose(*(_without(step, fixed) for step in op.steps))
    if isinstance(op, Repeat):
        return power(_without(op.body, fixed), op.times)
    if isinstance(op, Control):
        inner = _without(op.op, fixed)
        return inner if isinstance(inner, Identity) else dataclasses.replace(op, op=inner)
    if isinstance(op, Sweep):
        body = _without(op.body, fixed)
        return dataclasses.replace(op, body=body) if _does_something(body) else Identity()
    if isinstance(op, Recipe):
        whole = op.expand()
        return op if (rest := _without(whole, fixed)) == whole else rest
    return _step_without(op, fixed)


def _step_without(op: Operator, fixed: frozenset[str]) -> Operator:
    """Return a step, or nothing in its place where it changes nothing but ``fixed``."""
    written = [declared(name, op) for name in op.effects()[1]]
    changed = {leaf.name for leaf in written if leaf is not None and leaf.role == "estimate"}
    if fixed.isdisjoint(changed):
        improved = _improved(op)
        return Identity() if improved and improved <= fixed else op
    if changed <= fixed:
        return Identity()
    raise RecipeError(
        f"{op!r} changes {' and '.join(sorted(changed))} together: leave it out of a recipe with "
        f"fix({' '.join(sorted(fixed))!r})"
    )


def _improved(op: Operator) -> frozenset[str]:
    """Return the estimates that a step changes, at once or through the sums that it makes for a later step."""
    found: set[str] = set()
    for leaf in (declared(name, op) for name in op.effects()[1]):
        if leaf is not None:
            found |= {leaf.name} if leaf.role == "estimate" else set(leaf.improves)
    return frozenset(found)


def _does_something(body: Operator) -> bool:
    """Return whether a sweep of these steps compares with the data, or leaves anything behind."""
    writes = body.effects()[1]
    return "delta" in writes or bool(writes - FIELDS.keys())
