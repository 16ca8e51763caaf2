"""The scale between object and probe: no pattern tells it, so that it is brought back where it runs away.

Patterns show P O. With P g in place of P and O / g in place of O, and with all that steps remember scaled along, every
engine does the same; where data do not agree, |O| grows and |P| shrinks by a factor in each sweep, until single
precision overflows. So where a turn improves both, and no step of it gives them a scale, the probe keeps about the
power of the brightest view: ``backend.scaling`` says when it is scaled, by a power of two, which changes no bit of P O.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING

from opty.algebra.operator import Operator
from opty.runtime.effects import written
from opty.runtime.plan import Branch, Group, Node, Pass, Scheduled, Step, walk
from opty.state.leaves import LIVE

if TYPE_CHECKING:
    from opty.runtime.execute import Run
    from opty.state.store import Store

# By which power of g each leaf, slot and field of a batch goes where P becomes P g and O becomes O / g.
EXPONENTS = MappingProxyType(
    {
        "probe": 1,
        "obj": -1,
        "illum": 1,
        "patches": -1,
        **dict.fromkeys(("waves", "delta", "predicted", "index", "kept_waves"), 0),
        **dict.fromkeys(("positions", "background", "intensity_factors"), 0),
        # sums over views: conj(P) psi and |P|^2 on the object, conj(O) psi and |O|^2 on the probe
        "obj_sum": 1,
        "obj_weight": 2,
        "probe_sum": -1,
        "probe_weight": -2,
        "kept_obj_velocity": -1,
        "kept_probe_velocity": 1,
        # dL/dO* goes as P, and the direction as O
        "obj_gradient": 1,
        "probe_gradient": -1,
        "kept_gradient_obj": 1,
        "kept_gradient_probe": -1,
        "kept_direction_obj": -1,
        "kept_direction_probe": 1,
        **dict.fromkeys(("kept_step", "line_sums"), 0),
        **dict.fromkeys(("position_misfit", "position_gain", "position_shift", "position_count"), 0),
        **dict.fromkeys(("position_given", "position_evidence", "position_estimate"), 0),
        **dict.fromkeys(("position_scatter", "position_smooth", "position_uncertainty"), 0),
        **dict.fromkeys(("position_velocity", "adam_mean", "adam_square", "adam_count"), 0),
        **dict.fromkeys(("serial_gain", "serial_shift", "anneal_count"), 0),
    }
)


def gives_scale(op: Operator) -> bool:
    """Say whether a step may give object or probe a scale: all that write anything and do not declare ``scale_free``.

    A step that neither reads nor writes what goes with the scale cannot.
    """
    reads, writes = op.effects()
    return bool(writes) and not op.scale_free and any(EXPONENTS.get(name, 1) for name in reads | writes)


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
    found = ((op.effects()[1] & LIVE, s) for op, s in _steps_of(node) if op.estimates)
    return tuple((names, s) for names, s in found if names)


def changed(groups: tuple[Group, ...], existing: Iterable[str]) -> frozenset[str]:
    """Return the names of the state that a run may change: what steps write, and what is scaled along with it."""
    names = written(groups)
    return names | {name for name in existing if EXPONENTS.get(name)} if names >= LIVE else names


def bring_back(node: Node, job: Run) -> None:
    """Bring the scale back after a node, where object and probe have both been improved.

    Both in this turn of a loop in which nothing gives a scale, or in the recipe, since this was last done.
    """
    if not (names := estimated(node, job.store.iteration)):
        return
    turns = [frame for k, frame in enumerate(job.frames) if k == 0 or frame.body is not None]
    for frame in turns:
        frame.estimated |= names
    if any(frame.estimated >= LIVE and frame.scale_is_free for frame in turns) and _known(job.store):
        _take_scale(job.store, job.brightest)
        for frame in turns:
            frame.estimated = frozenset()


def _take_scale(store: Store, photons: float) -> None:
    moved = [(a, EXPONENTS[name]) for name, a in store.leaves.items() if EXPONENTS.get(name)]
    store.backend.take_scale(store.leaves["probe"], photons, moved)


def _known(store: Store) -> bool:
    """Say whether the state holds no memory of a user's own steps, which may go with the scale or not."""
    return all(name in EXPONENTS or name in store.named for name in store.leaves)


def _steps_of(node: Node) -> Iterator[tuple[Operator, Scheduled]]:
    """Yield the steps of a node that is no loop, fused ones in their parts, with their schedules."""
    scheduled = node.steps if isinstance(node, Pass) else (node.step,) if isinstance(node, Step) else ()
    for s in scheduled:
        for op in getattr(s.op, "parts", (s.op,)):
            yield op, s
