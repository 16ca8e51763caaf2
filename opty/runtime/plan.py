"""The plan: from a recipe to the nodes that the runner walks.

expand recipes -> lift bare view steps into sweeps, join them to the sweep on their right -> open what a sweep reads
-> fuse. Each is a pure function on values, and the result is cached by the recipe.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from opty.algebra.compose import Compose, Repeat, compose, factors
from opty.algebra.control import Control, Until
from opty.algebra.operator import REGISTRY, Operator, Recipe, ViewOperator
from opty.algebra.sweep import Sweep
from opty.errors import RecipeError
from opty.model.element import ELEMENTS
from opty.runtime.effects import check_batch_order, check_batch_outputs
from opty.runtime.nodes import (
    ConditionalNode,
    Group,
    LoopNode,
    Node,
    PlannedStep,
    StepNode,
    SweepNode,
    changes_images,
    steps_of,
    walk,
)

FusionRule = Callable[[tuple[PlannedStep, ...]], tuple[PlannedStep, ...]]
FUSION_RULES: list[FusionRule] = []
_fusing: contextvars.ContextVar[bool] = contextvars.ContextVar("opty_fusing", default=True)


@contextmanager
def unfused() -> Iterator[None]:
    """Run recipes step by step, without fused operators; for debugging: ``with opty.unfused(): p = recipe * p``."""
    token = _fusing.set(False)
    try:
        yield
    finally:
        _fusing.reset(token)


def fusing() -> bool:
    """Say whether kernels made for several steps may be used: not inside ``unfused``."""
    return _fusing.get()


@dataclass(frozen=True, eq=False)
class Plan:
    """The factors of a recipe with their nodes, in execution order.

    ``checked_first`` : the steps that check files or other things outside the state before a run. ``fused`` : whether
    kernels made for several steps may be used.
    """

    groups: tuple[Group, ...]
    checked_first: tuple[Operator, ...]
    fused: bool


def plan(recipe: Operator) -> tuple[Group, ...]:
    """Return the factors of a recipe with their nodes, in execution order.

    Raises RecipeError for a composition that makes no sense and EffectError for a step that comes too early.
    """
    return planned(recipe).groups


def planned(recipe: Operator) -> Plan:
    """Return the plan of a recipe, cached until a class of operators or elements is redefined."""
    return _planned(recipe, fusing(), tuple(FUSION_RULES), tuple(REGISTRY.values()), tuple(ELEMENTS.values()))


@functools.lru_cache(maxsize=256)
def _planned(recipe: Operator, fuse: bool, rules: tuple[FusionRule, ...], *known: tuple[type, ...]) -> Plan:
    groups = tuple(_finished(group, rules if fuse else ()) for group in _groups(recipe))
    for node in walk(groups):
        if isinstance(node, LoopNode):
            _check_loop(node)
    checked_first = (s.op for s in steps_of(groups) if type(s.op).check_before_run is not Operator.check_before_run)
    return Plan(groups, tuple(checked_first), fuse)


def _check_loop(loop: LoopNode) -> None:
    """Refuse a loop whose exit condition nothing in its body can change: a misfit, or the next iteration."""
    always = any(isinstance(node, SweepNode) and node.counts for node in _unscheduled(loop.body))
    if always:
        return
    if isinstance(loop.times, Until):
        raise RecipeError(f"{loop.times!r} waits for a misfit, but nothing in its loop updates object or probe")
    branch = next(
        (n for n in _unscheduled(loop.body) if isinstance(n, ConditionalNode) and n.when and _counting(n.body)), None
    )
    if branch is not None:
        raise RecipeError(
            f"{branch.when[0]!r} waits for iterations to go by, but nothing else in its loop makes any: put an engine "
            "that runs in every turn beside it, or repeat the inner recipe itself"
        )


def _counting(groups: tuple[Group, ...]) -> bool:
    return any(isinstance(node, SweepNode) and node.counts for node in walk(groups))


def _unscheduled(groups: tuple[Group, ...]) -> Iterator[Node]:
    """Yield the nodes of a body, of its inner loops and recipes, but not what is inside a branch with a schedule."""
    for group in groups:
        for node in group.nodes:
            yield node
            if isinstance(node, LoopNode) or (isinstance(node, ConditionalNode) and not node.when):
                yield from _unscheduled(node.body)


# -- expand, lift, join


def _groups(op: Operator) -> list[Group]:
    groups: list[Group] = []
    for factor in factors(op):
        nodes = _nodes(factor)
        if joined := _joined(groups[-1].nodes if groups else (), nodes):
            groups[-1] = Group(compose(factor, groups[-1].op), (joined,))
        else:
            groups.append(Group(factor, tuple(nodes)))
    return [_beside(groups, k) for k in range(len(groups))]


def _beside(groups: list[Group], k: int) -> Group:
    """Return a group with what its view steps become beside the engine on their right, or else the nearest one."""
    nodes = groups[k].nodes
    if len(nodes) != 1 or not isinstance(node := nodes[0], SweepNode) or node.origin != "lifted":
        return groups[k]
    others = tuple(node for group in groups[k + 1 :] + groups[:k] for node in walk((group,)))
    engine = next((one for one in reversed(others) if isinstance(one, SweepNode) and one.counts), None)
    if engine is None or not any(s.op.averages for s in engine.steps):
        return groups[k]
    steps = tuple(replace(s, op=s.op.beside_averages()) for s in node.steps)
    return replace(groups[k], nodes=(replace(node, steps=steps),))


def _joined(before: tuple[Node, ...], nodes: list[Node]) -> SweepNode | None:
    """Return the sweep that view steps without Sweep form with the sweep on their right, or None."""
    if len(before) != 1 or len(nodes) != 1:
        return None
    sweep, lifted = before[0], nodes[0]
    if isinstance(sweep, SweepNode) and isinstance(lifted, SweepNode) and lifted.origin == "lifted":
        early = tuple(s for s in lifted.steps if s.op.joins_before_update)
        late = tuple(s for s in lifted.steps if not s.op.joins_before_update)
        at = next((k for k, s in enumerate(sweep.steps) if changes_images(s.op)), len(sweep.steps))
        return replace(sweep, steps=sweep.steps[:at] + early + sweep.steps[at:] + late)
    return None


def followed_by(earlier: Operator, later: Operator) -> Operator:
    """Return ``later * earlier`` for recipes that ran one after the other: no step of one joins the other's sweep."""
    steps = factors(later)
    count = 0
    if _may_be_pass(earlier.steps[0] if isinstance(earlier, Compose) else earlier):
        while count < len(steps) and (node := _only_pass(steps[count])) and node.origin == "lifted":
            count += 1
    if not count:
        return compose(later, earlier)
    return compose(*reversed(steps[count:]), Sweep(compose(*reversed(steps[:count]))), earlier)


def _may_be_pass(op: Operator) -> bool:
    """Return whether a factor of a recipe is, or if its class is missing may be, a sweep."""
    try:
        return _only_pass(op) is not None
    except RecipeError:
        return True


@functools.lru_cache(maxsize=256)
def _only_pass(op: Operator) -> SweepNode | None:
    """Return the sweep of a factor of a recipe, or None if it is none."""
    nodes = [] if isinstance(op, Repeat) else _nodes(op)
    return nodes[0] if len(nodes) == 1 and isinstance(nodes[0], SweepNode) else None


def _nodes(op: Operator) -> list[Node]:
    if isinstance(op, ViewOperator):
        return [SweepNode((PlannedStep(op),), None, "random", "lifted")]
    if isinstance(op, Sweep):
        return [SweepNode(tuple(_view_steps(op.body, ())), op.batch, op.order, "sweep")]
    if isinstance(op, Repeat):
        return [LoopNode(tuple(_groups(op.body)), op.times, op.body)]
    if isinstance(op, Control):
        return _controlled(op)
    if isinstance(op, Recipe):
        groups = _groups(op.expand())
        nodes = [node for group in groups for node in group.nodes]
        # A loop may end early; then the finished factors are recorded one by one.
        return (
            [ConditionalNode((), tuple(groups))]
            if any(isinstance(node, (LoopNode, ConditionalNode)) for node in nodes)
            else nodes
        )
    return [StepNode(PlannedStep(op))]


def _controlled(op: Control) -> list[Node]:
    groups = _groups(op.op)
    nodes = [node for group in groups for node in group.nodes]
    if len(nodes) == 1 and isinstance(node := nodes[0], StepNode):
        return [StepNode(replace(node.step, when=(op, *node.step.when)))]
    if len(nodes) == 1 and isinstance(node, SweepNode) and node.origin == "lifted":
        return [replace(node, steps=tuple(replace(s, when=(op, *s.when)) for s in node.steps))]
    return [ConditionalNode((op,), tuple(groups))]


def _view_steps(op: Operator, when: tuple[Control, ...]) -> Iterator[PlannedStep]:
    for step in factors(op):
        if isinstance(step, ViewOperator):
            yield PlannedStep(step, when)
        elif isinstance(step, Control):
            yield from _view_steps(step.op, (*when, step))
        elif isinstance(step, Recipe) and not any(isinstance(f, (Sweep, Repeat)) for f in factors(step.expand())):
            yield from _view_steps(step.expand(), when)
        elif isinstance(step, (Sweep, Repeat, Recipe)):
            raise RecipeError(f"{step!r} stands inside a Sweep; a sweep's body is made of view steps, run once a batch")
        else:
            raise RecipeError(f"{step!r} works on the whole state, not on a batch of views; write it left of the Sweep")


# -- open and fuse


def _finished(group: Group, rules: tuple[FusionRule, ...]) -> Group:
    return replace(group, nodes=tuple(_finished_node(node, rules) for node in group.nodes))


def _finished_node(node: Node, rules: tuple[FusionRule, ...]) -> Node:
    if isinstance(node, (LoopNode, ConditionalNode)):
        return replace(node, body=tuple(_finished(inner, rules) for inner in node.body))
    if not isinstance(node, SweepNode):
        return node
    steps = opened = _opened(node.steps)
    for rule in rules:
        steps = rule(steps)
    return replace(node, steps=steps, fused=tuple(type(s.op).__name__ for s in steps if s not in opened))


def _opened(steps: tuple[PlannedStep, ...]) -> tuple[PlannedStep, ...]:
    """Insert the steps that make what others read and none makes: the exit waves, the projection.

    They stand as far in front as they can: behind the steps that change the windows or the illumination, of which exit
    waves are made, where those stand before the first step that reads what is put in.
    """
    check_batch_order(steps)
    for maker in _makers():
        if (at := _first_reader(steps, maker.opens)) is not None:
            steps = _put_in(steps, maker(), at)
    check_batch_outputs(steps)
    return steps


def _makers() -> list[type[ViewOperator]]:
    """Return the steps that a sweep may insert; one that reads a field that another one makes comes before it."""
    found = [cls for cls in REGISTRY.values() if issubclass(cls, ViewOperator) and cls.opens]
    opened = frozenset().union(*(cls.opens for cls in found))
    return sorted(found, key=lambda cls: not cls.reads & opened)


def _first_reader(steps: tuple[PlannedStep, ...], names: frozenset[str]) -> int | None:
    """Return which step first reads one of some batch fields that no step before it makes, or None."""
    made: set[str] = set()
    for k, s in enumerate(steps):
        reads, writes = s.op.effects()
        if (reads - made) & names:
            return k
        made |= writes
    return None


def _put_in(steps: tuple[PlannedStep, ...], op: Operator, reader: int) -> tuple[PlannedStep, ...]:
    """Return the steps with one more before ``reader``, behind the last step there that changes what it is made of."""
    changing = [k for k in range(reader) if steps[k].op.effects()[1] & {"illum", "patches", "waves"}]
    at = changing[-1] + 1 if changing else 0
    return (*steps[:at], PlannedStep(op, opened=True), *steps[at:])
