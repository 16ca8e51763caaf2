"""Outputs put into a recipe, or taken out of it: progress bars, checkpoints, silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from opty.algebra.compose import Compose, Repeat, compose, factors, power
from opty.algebra.control import Control
from opty.algebra.operator import Identity, Operator, Recipe
from opty.algebra.plan import followed_by
from opty.operators.observe import Log, Progress, Save, Show


def with_progress(recipe: Operator) -> Operator:
    """Return the recipe with a progress bar on each of its outermost loops."""
    return _in_outer_loops(recipe, Progress())


def with_checkpoints(recipe: Operator, path: str, every: int) -> Operator:
    """Return the recipe with ``Save(path, every)`` at the end of the turns of each of its outermost loops."""
    return _in_outer_loops(recipe, Save(path, every))


def without_outputs(recipe: Operator) -> Operator:
    """Return a recipe that does the same and writes neither files nor to the screen (Save, Show, Log, Progress).

    A view step on the left of an output does not join the sweep on its right, and does not when the output is gone.
    """
    done: Operator = Identity()
    apart = False
    for step in factors(recipe):
        silent = _silent(step)
        changed = silent != step
        done = followed_by(done, silent) if apart or changed else compose(silent, done)
        apart = changed
    return done


def _silent(step: Operator) -> Operator:
    """Return a factor of a recipe without its outputs; Identity where nothing is left."""
    if isinstance(step, (Save, Show, Log, Progress)):
        return Identity()
    if isinstance(step, Repeat):
        return power(without_outputs(step.body), step.times)
    if isinstance(step, Control):
        inner = without_outputs(step.op)
        return inner if isinstance(inner, Identity) else replace(step, op=inner)
    if isinstance(step, Recipe):
        whole = step.expand()
        left = without_outputs(whole)
        return step if left == whole else left
    return step


def saving_to(recipe: Operator, path: str) -> Operator:
    """Return a recipe of which each ``Save`` to a file of the same name, which may have moved, writes to this path."""

    def change(op: Operator) -> Operator:
        return replace(op, path=path) if isinstance(op, Save) and Path(op.path).name == Path(path).name else op

    return _changed(recipe, change)


def _in_outer_loops(recipe: Operator, step: Operator) -> Operator:
    parts = [power(compose(step, f.body), f.times) if isinstance(f, Repeat) else f for f in reversed(factors(recipe))]
    return compose(*parts)


def _changed(op: Operator, change: Callable[[Operator], Operator]) -> Operator:
    """Return a recipe with ``change`` made to each of its steps, however deep; one that stays equal stays the same."""
    if isinstance(op, Compose):
        return compose(*(_changed(step, change) for step in op.steps))
    if isinstance(op, Repeat):
        return power(_changed(op.body, change), op.times)
    if isinstance(op, Control):
        return replace(op, op=_changed(op.op, change))
    if isinstance(op, Recipe):
        inner = op.expand()
        new = _changed(inner, change)
        return op if new == inner else new
    return change(op)
