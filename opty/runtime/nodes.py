"""The nodes of a plan: a step on the whole state, a pass over all views, a loop, a branch; groups of them in order."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from opty.algebra.control import Control, Until
from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator, ViewOperator
from opty.algebra.sweep import Order
from opty.state.leaves import declared


@dataclass(frozen=True)
class PlannedStep:
    """A step and the schedules (Every, After) that must all agree before it runs."""

    op: Any  # a ViewOperator in a Pass, another Operator in a Step
    when: tuple[Control, ...] = ()
    opened: bool = False  # put in by the plan, not written by the user

    def active(self, iteration: int) -> bool:
        """Say whether the step runs in that iteration, or time and again around it."""
        return all(rule.active(iteration) for rule in self.when)


@dataclass(frozen=True)
class StepNode:
    """A node: one operator on the whole state."""

    step: PlannedStep


@dataclass(frozen=True)
class SweepNode:
    """A node: one sweep over all views."""

    steps: tuple[PlannedStep, ...]  # in the order in which they run
    batch: int | Literal["all"] | None
    order: Order
    origin: Literal["sweep", "lifted"]
    _: KW_ONLY
    fused: tuple[str, ...] = ()

    reads: frozenset[str] = field(init=False)
    writes: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        effects = [s.op.effects() for s in self.steps]
        object.__setattr__(self, "reads", frozenset().union(*(r for r, _ in effects)))
        object.__setattr__(self, "writes", frozenset().union(*(w for _, w in effects)))

    def __hash__(self) -> int:
        return self._hash  # needed in every sweep

    @functools.cached_property
    def _hash(self) -> int:
        return hash((self.steps, self.batch, self.order))

    @functools.cached_property
    def projects(self) -> bool:
        """True where the pass compares with the data, so that it measures a misfit."""
        return "delta" in self.writes or any(s.op.projects for s in self.steps)

    @functools.cached_property
    def counts(self) -> bool:
        """True where the sweep is an iteration: it compares with the data, for an update of object or probe."""
        return self.projects and (bool(self.improves) or any(s.op.counts for s in self.steps))

    @functools.cached_property
    def live(self) -> bool:
        """True where a batch uses the object or probe as changed by the batch before it."""
        return any(changes_images(s.op) for s in self.steps)

    @functools.cached_property
    def improves(self) -> frozenset[str]:
        """The estimates that an iteration improves, at once or through a merge."""
        found: set[str] = set()
        for leaf in _written_by(self.steps):
            found |= {leaf.name} if leaf.image else set(leaf.improves)
        return frozenset(found)

    @functools.cached_property
    def keeps_waves(self) -> bool:
        """True where the iterate is a wave for each view; its misfit may rise."""
        return any(leaf.remade and leaf.improves for leaf in _written_by(self.steps))

    @functools.cached_property
    def moving(self) -> bool:
        """True where positions may change in the middle of the pass, from batch to batch."""
        return any("positions" in s.op.effects()[1] - s.op.deferred_writes for s in self.steps)

    def stales(self, leaf: Leaf) -> bool:
        """Say whether the pass improves what an array belongs to, and neither reads nor writes the array.

        Positions may be refined meanwhile: kept waves move along with their views.
        """
        if not leaf.belongs_to or self.improves.isdisjoint(leaf.belongs_to):
            return False
        name = leaf.part_of or leaf.name
        return name not in self.reads and name not in self.writes


def _written_by(steps: tuple[PlannedStep, ...]) -> Iterator[Leaf]:
    """Yield the declarations of the names that some steps write, if they have one."""
    found = (declared(name, s.op) for s in steps for name in s.op.effects()[1])
    return (leaf for leaf in found if leaf is not None)


def changes_images(op: ViewOperator) -> bool:
    """Say whether a step changes object or probe."""
    return any(leaf.image for leaf in _written_by((PlannedStep(op),)))


@dataclass(frozen=True)
class LoopNode:
    """A node: a body repeated."""

    body: tuple[Group, ...]
    times: int | Until
    op: Operator  # the body as the user wrote it, for the record of a loop that ends early


@dataclass(frozen=True)
class ConditionalNode:
    """A node: a body run only in the iterations its schedules allow; without schedules, a recipe with loops."""

    when: tuple[Control, ...]
    body: tuple[Group, ...]


Node = StepNode | SweepNode | LoopNode | ConditionalNode


@dataclass(frozen=True)
class Group:
    """A factor of a recipe and its nodes; after each group the state is complete."""

    op: Operator
    nodes: tuple[Node, ...]


def walk(groups: tuple[Group, ...]) -> Iterator[Node]:
    """Yield all nodes, outer before inner, in execution order."""
    for group in groups:
        for node in group.nodes:
            yield node
            if isinstance(node, (LoopNode, ConditionalNode)):
                yield from walk(node.body)


def steps_of(groups: tuple[Group, ...]) -> Iterator[PlannedStep]:
    """Yield all scheduled steps of all nodes, in execution order (a loop's body once)."""
    for node in walk(groups):
        if isinstance(node, StepNode):
            yield node.step
        elif isinstance(node, SweepNode):
            yield from node.steps
