"""The scale between object and probe: no pattern tells it, so that it is brought back where it runs away.

Patterns show P O. With P g in place of P and O / g in place of O, and with all that steps remember scaled along, every
engine does the same; where data do not agree, |O| grows and |P| shrinks by a factor in each sweep, until single
precision overflows. So where a turn improves both, and no step of it gives them a scale, the probe keeps about the
power of the brightest view: ``backend.scaling`` says when it is scaled, by a power of two, which changes no bit of P O.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator
from opty.runtime.effects import written
from opty.runtime.plan import Branch, Group, Node, Pass, Scheduled, Step, walk
from opty.state.leaves import declared

if TYPE_CHECKING:
    from opty.runtime.execute import Run
    from opty.state.store import Store


def gives_scale(op: Operator) -> bool:
    """Say whether a step may give object or probe a scale: all that write anything and do not declare ``scale_free``.

    A step that neither reads nor writes what goes with the scale cannot.
    """
    reads, writes = op.effects()
    if not writes or op.scale_free:
        return False
    leaves = (declared(name, op) for name in reads | writes)
    return any(leaf is None or leaf.scale != 0 for leaf in leaves)


def is_free(groups: tuple[Group, ...]) -> bool:
    """Say whether no step gives object or probe a scale."""
    return not any(gives_scale(op) for node in walk(groups) for op, _ in _steps_of(node))


def estimated(node: Node, iteration: int) -> frozenset[str]:
    """Return which of object and probe the steps of a node improve, in an iteration or time and again around it."""
    if isinstance(node, Branch):
        active = all(rule.active(iteration) for rule in node.when)
        inner = (inner for group in node.body for inner in group.nodes if active)
        return frozenset().union(*(estimated(one, iteration) for one in inner))
    return frozenset().union(*(names for names, s in _improved_by(node) if s.active(iteration)))


@functools.lru_cache(maxsize=1024)
def _improved_by(node: Node) -> tuple[tuple[frozenset[str], Scheduled], ...]:
    """Return which of object and probe each step of a node improves that does, and the step."""
    found = ((_scaled(op), s) for op, s in _steps_of(node) if op.estimates)
    return tuple((names, s) for names, s in found if names)


def _scaled(op: Operator) -> frozenset[str]:
    """Return the estimates that a step writes and that go with the scale."""
    leaves = (declared(name, op) for name in op.effects()[1])
    return frozenset(leaf.name for leaf in leaves if leaf is not None and leaf.role == "estimate" and leaf.scale)


def _free(names: frozenset[str], store: Store) -> bool:
    """Say whether the scale is free where all of ``names`` may change: some go up with it and some down."""
    known = (store.declared.get(name) for name in names)
    powers = {leaf.scale > 0 for leaf in known if leaf is not None and leaf.role == "estimate" and leaf.scale}
    return len(powers) == 2


def changed(groups: tuple[Group, ...], store: Store) -> frozenset[str]:
    """Return the names of the state that a run may change: what steps write, and what is scaled along with it."""
    names = written(groups)
    return names | {name for name, leaf in store.layout.items() if leaf.scale} if _free(names, store) else names


def bring_back(node: Node, job: Run) -> None:
    """Bring the scale back after a node, where object and probe have both been improved.

    Both in this turn of a loop in which nothing gives a scale, or in the recipe, since this was last done.
    """
    if not (names := estimated(node, job.store.iteration)):
        return
    turns = [frame for k, frame in enumerate(job.frames) if k == 0 or frame.body is not None]
    for frame in turns:
        frame.estimated |= names
    if any(_free(frame.estimated, job.store) and frame.scale_is_free for frame in turns) and _known(job.store):
        _take_scale(job.store, job.brightest)
        for frame in turns:
            frame.estimated = frozenset()


def _take_scale(store: Store, photons: float) -> None:
    layout = store.layout
    moved = [
        (_scaled_part(a, layout[name]), power) for name, a in store.leaves.items() if (power := layout[name].scale)
    ]
    store.backend.take_scale(store.leaves["probe"], photons, moved)


def _scaled_part(a: Any, leaf: Leaf) -> Any:
    """Return what of a leaf goes with the scale: of several slices, whose product it is, the first."""
    return a[0] if leaf.axes[0] == "slice" and a.ndim == len(leaf.axes) else a


def _known(store: Store) -> bool:
    """Say whether of all memory it is known how it goes with the scale; arrays that the user gives stay as they are."""
    return all(leaf.scale is not None or leaf.role == "array" for leaf in store.layout.values())


def _steps_of(node: Node) -> Iterator[tuple[Operator, Scheduled]]:
    """Yield the steps of a node that is no loop, fused ones in their parts, with their schedules."""
    scheduled = node.steps if isinstance(node, Pass) else (node.step,) if isinstance(node, Step) else ()
    for s in scheduled:
        for op in getattr(s.op, "parts", (s.op,)):
            yield op, s
