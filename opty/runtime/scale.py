"""The scale between object and probe: the data do not determine it; where it drifts far it is reset.

Patterns show P O. With P g in place of P and O / g in place of O, and with all that steps remember scaled along, every
engine does the same; where data do not agree, |O| grows and |P| shrinks by a factor in each sweep, until single
precision overflows. So where a turn improves both, and no step of it gives them a scale, the probe keeps about the
power of the brightest view: ``backend.scaling`` says when it is scaled, by a power of two, which changes no bit of P O.
A live sweep that updates both also keeps the power of the probe: see probe_power.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator
from opty.runtime.nodes import ConditionalNode, Group, LoopNode, Node, PlannedStep, StepNode, SweepNode, walk
from opty.state.leaves import declared

if TYPE_CHECKING:
    from opty.runtime.job import Run


def gives_scale(op: Operator) -> bool:
    """Say whether a step may give object or probe a scale: all that write anything and do not declare ``scale_free``.

    A step that neither reads nor writes what goes with the scale cannot.
    """
    reads, writes = op.effects()
    if not writes or op.scale_free:
        return False
    leaves = (declared(name, op) for name in reads | writes)
    return any(leaf is None or leaf.scale != 0 for leaf in leaves)


class Scale:
    """How the steps of a plan go with the scale, for the declarations of a state and of the memory of the steps."""

    def __init__(self, groups: tuple[Group, ...], declared: Mapping[str, Leaf]):
        self._powers = {name: leaf.scale for name, leaf in declared.items() if leaf.scale}
        self._estimates = frozenset(name for name in self._powers if declared[name].role == "estimate")
        self._sliced = frozenset(name for name in self._powers if declared[name].axes[:1] == ("slice",))
        self._axes = {name: len(declared[name].axes) for name in self._sliced}
        # Arrays that the user gives stay as they are.
        self._unknown = frozenset(k for k, leaf in declared.items() if leaf.scale is None and leaf.role != "array")
        nodes = list(walk(groups))
        self._improved = {id(node): _improved_by(node) for node in nodes}
        levels = [groups, *(node.body for node in nodes if isinstance(node, (LoopNode, ConditionalNode)))]
        self._free_levels = {id(level): _is_free(level) for level in levels}

    def changed(self, written: frozenset[str], names: Iterable[str]) -> frozenset[str]:
        """Return the names of the state that a run may change: what steps write, and what is scaled along with it.

        ``names`` : of the leaves that the state holds.
        """
        return written | (self._powers.keys() & names) if self._opposed(written) else written

    def bring_back(self, node: Node, job: Run) -> None:
        """Bring the scale back after a node, where object and probe have both been improved.

        Both in this turn of a loop in which nothing gives a scale, or in the recipe, since this was last done.
        """
        if not (names := self._estimated(node, job.store.iteration)):
            return
        turns = [frame for k, frame in enumerate(job.frames) if k == 0 or frame.body is not None]
        for frame in turns:
            frame.estimated |= names
        free = any(self._free_levels[id(frame.groups)] and self._opposed(frame.estimated) for frame in turns)
        grows = isinstance(node, SweepNode) and self._opposed(names)
        if not (free or grows) or not self._unknown.isdisjoint(job.store.leaves):
            return
        job.watch.looked = False
        moved = self._moved(job)
        if free:
            job.store.backend.take_scale(job.store.leaves["probe"], job.brightest, list(moved.values()))
            for frame in turns:
                frame.estimated = frozenset()
        if grows:
            job.held_power.swept(job.brightest, moved, free)

    def _estimated(self, node: Node, iteration: int) -> frozenset[str]:
        """Return which of object and probe the steps of a node improve, in an iteration or time and again around it."""
        if isinstance(node, ConditionalNode):
            if not all(rule.active(iteration) for rule in node.when):
                return frozenset()
            return frozenset().union(*[self._estimated(one, iteration) for g in node.body for one in g.nodes])
        always, sometimes = self._improved[id(node)]
        return always.union(*[names for names, s in sometimes if s.active(iteration)]) if sometimes else always

    def _opposed(self, names: frozenset[str]) -> bool:
        """Say whether the scale is free where all of ``names`` may change: some go up with it and some down."""
        return len({self._powers[name] > 0 for name in names & self._estimates}) == 2

    def _moved(self, job: Run) -> dict[str, tuple[Any, int]]:
        """Return what goes with the scale, by name, and the power of the probe's factor by which it does."""
        leaves = job.store.leaves.items()
        part = _whole if job.store.model.mixture else self._scaled_part
        return {name: (part(name, a), self._powers[name]) for name, a in leaves if name in self._powers}

    def _scaled_part(self, name: str, a: Any) -> Any:
        """Return what of a leaf goes with the scale: of several slices, whose product it is, the first."""
        return a[0] if name in self._sliced and a.ndim == self._axes[name] else a


def _whole(name: str, a: Any) -> Any:
    """Return what of a leaf of a mixture goes with the scale: each of its states makes waves of its own."""
    return a


def _is_free(groups: tuple[Group, ...]) -> bool:
    """Say whether no step gives object or probe a scale."""
    return not any(gives_scale(op) for node in walk(groups) for op, _ in _steps_of(node))


def _improved_by(node: Node) -> tuple[frozenset[str], list[tuple[frozenset[str], PlannedStep]]]:
    """Return which of object and probe the steps of a node improve in every iteration, and by which steps at some."""
    found = [(_scaled(op), s) for op, s in _steps_of(node) if op.estimates]
    always = frozenset().union(*(names for names, s in found if not s.when))
    return always, [(names, s) for names, s in found if names and s.when]


def _scaled(op: Operator) -> frozenset[str]:
    """Return the estimates that a step writes and that go with the scale."""
    leaves = (declared(name, op) for name in op.effects()[1])
    return frozenset(leaf.name for leaf in leaves if leaf is not None and leaf.role == "estimate" and leaf.scale)


def _steps_of(node: Node) -> Iterator[tuple[Operator, PlannedStep]]:
    """Yield the steps of a node that is no loop, fused ones in their parts, with their schedules."""
    scheduled = node.steps if isinstance(node, SweepNode) else (node.step,) if isinstance(node, StepNode) else ()
    for s in scheduled:
        for op in getattr(s.op, "parts", (s.op,)):
            yield op, s
