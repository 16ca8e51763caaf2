"""Inserting outputs into a recipe (progress bars, checkpoints), and removing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from opty.algebra.compose import Compose, Repeat, compose, factors, power
from opty.algebra.control import Control
from opty.algebra.operator import Identity, Operator, Recipe
from opty.runtime.nodes import SweepNode, walk
from opty.runtime.plan import followed_by, plan


def in_outer_loops(recipe: Operator, step: Operator) -> Operator:
    """Return the recipe with a step at the end of the turns of each of its outermost loops, such as a progress bar."""
    parts = [power(compose(step, f.body), f.times) if isinstance(f, Repeat) else f for f in reversed(factors(recipe))]
    return compose(*parts)


def after_iterations(recipe: Operator, step: Operator) -> Operator:
    """Return the recipe with a step, such as ``Save(path, every)``, after every iteration where the state is complete.

    That is at the end of the turns of every loop, inner ones and those of named recipes too, and outside of loops after
    each factor. For the state they are one step, because it records visits by name: one file for each ``every``.
    """

    def in_loops(op: Operator) -> Operator:
        if isinstance(op, Compose):
            return compose(*map(in_loops, op.steps))
        if isinstance(op, Repeat):
            body = in_loops(op.body)
            return power(body if _ends_with(step, body) or not _iterates(body) else compose(step, body), op.times)
        if isinstance(op, Control):
            return replace(op, op=in_loops(op.op))
        if isinstance(op, Recipe):
            inner = op.expand()
            new = in_loops(inner)
            return op if new == inner else new
        return op

    done = [in_loops(group.op) for group in plan(recipe)]  # a factor, or those that make one sweep
    saved = [op if _ends_with(step, op) or not _iterates(op) else compose(step, op) for op in done]
    return compose(*reversed(saved))


def without_outputs(recipe: Operator) -> Operator:
    """Return the same recipe without outputs to files or the screen (Save, Show, Log, Progress).

    A view step on the left of an output does not join the sweep on its right, even when the output is removed.
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
    if step.only_output:
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


def only_outputs(recipe: Operator) -> bool:
    """Say whether a recipe does nothing but write files or to the screen."""
    found: list[bool] = []

    def look(op: Operator) -> Operator:
        found.append(op.only_output)
        return op

    changed_steps(recipe, look)
    return all(found)


def _ends_with(step: Operator, recipe: Operator) -> bool:
    last = factors(recipe)[-1]
    return last == step or (isinstance(last, Repeat) and _ends_with(step, last.body))


def _iterates(recipe: Operator) -> bool:
    return any(isinstance(node, SweepNode) and node.counts for node in walk(plan(recipe)))


def changed_steps(op: Operator, change: Callable[[Operator], Operator]) -> Operator:
    """Return a recipe with ``change`` made to each of its steps, however deep; one that stays equal stays the same."""
    if isinstance(op, Compose):
        return compose(*(changed_steps(step, change) for step in op.steps))
    if isinstance(op, Repeat):
        return power(changed_steps(op.body, change), op.times)
    if isinstance(op, Control):
        return replace(op, op=changed_steps(op.op, change))
    if isinstance(op, Recipe):
        inner = op.expand()
        new = changed_steps(inner, change)
        return op if new == inner else new
    return change(op)
