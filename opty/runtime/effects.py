"""Effects: what a step reads and writes, checked before anything runs.

By their declarations (``opty.Leaf``) names are estimates, fields of a batch, or slots: memory of an operator that lives
in the state. Any other word is an array that the user put into the state, or a field of a batch that a user's steps
hand to each other. Memory belongs to the estimates that it was made with: a sweep that improves these and neither reads
nor writes it drops it, so that no engine goes on with what was true before another one ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from opty.algebra.leaf import PARTS, Leaf, with_parts
from opty.algebra.operator import Operator, ViewOperator
from opty.errors import EffectError, RecipeError
from opty.model.compose import Model
from opty.model.element import LEAVES
from opty.runtime.nodes import Group, PlannedStep, StepNode, SweepNode, steps_of, walk
from opty.state.access import undeclared
from opty.state.leaves import FIELDS, declared

_OPENED = frozenset({"index", "illum", "patches"})  # a sweep brings them with every batch


def check_batch_order(steps: Iterable[PlannedStep]) -> None:
    """Raise EffectError where a step of a sweep reads a batch field that only a later step makes.

    A later step that reads the field itself and changes it is allowed: the sweep opens the field for both.
    """
    steps = list(steps)
    made: set[str] = set(_OPENED)
    for k, s in enumerate(steps):
        step, (reads, writes) = s.op, s.op.effects()
        if s.when and (new := sorted(_made(step))):
            raise RecipeError(
                f"{step!r} writes {new[0]!r} for other steps and cannot be left out at some iterations: put "
                f"{type(s.when[0]).__name__} around the steps that read it, or around the whole sweep"
            )
        for name in sorted((reads & FIELDS.keys()) - made):
            if writer := next((t.op for t in steps[k + 1 :] if name in _made(t.op)), None):
                raise EffectError(
                    f"{step!r} reads {name!r} but no step to its right writes it: {writer!r} stands on its left; "
                    f"operators run from right to left, so write ... * {step!r} * {writer!r}"
                )
        made |= writes


def _made(op: Operator) -> frozenset[str]:
    reads, writes = op.effects()
    return (writes - reads) & FIELDS.keys()


def check_batch_outputs(steps: Sequence[PlannedStep]) -> None:
    """Raise EffectError for a step that writes only fields of the batch which no later step of the sweep reads.

    The fields end with the batch, so that the step would change nothing. Steps that the plan puts in are exempt.
    """
    for k, s in enumerate(steps):
        writes = s.op.effects()[1]
        if s.opened or not writes or writes - FIELDS.keys() or any(_is_read(name, steps[k + 1 :]) for name in writes):
            continue
        names = " and ".join(repr(name) for name in sorted(writes))
        raise EffectError(
            f"{s.op!r} writes {names}, which no later step of the sweep reads: it would change nothing. Operators run "
            f"from right to left, so write the steps that use it on its left, inside one sweep, such as "
            f"Sweep(ProbeUpdate() * ObjUpdate() * {s.op!r})"
        )


def _is_read(name: str, later: Iterable[PlannedStep]) -> bool:
    """Return whether one of the later steps reads a field before another one replaces it."""
    for s in later:
        reads, writes = s.op.effects()
        if name in reads:
            return True
        if name in writes and not s.when:
            return False
    return False


def check_slots(groups: tuple[Group, ...], declared_there: Mapping[str, Leaf], there: Iterable[str]) -> dict[str, Leaf]:
    """Return the declarations of the arrays of a state, and of the memory that the steps of a plan add.

    ``declared_there`` : what the state declares; ``there`` : the names of the arrays that it holds.

    Raises EffectError where a step reads a slot that neither the state holds nor an earlier step writes, where it
    writes an undeclared array, and where a name is declared twice.
    """
    known = _declared_by(groups, declared_there)
    estimates = {name for name, leaf in known.items() if leaf.role == "estimate"}
    at_start = set(there)
    have = set(at_start)
    for node in walk(groups):
        if isinstance(node, SweepNode):
            have = {name for name in have if name not in known or not node.stales(known[name])}
        scheduled = (node.step,) if isinstance(node, StepNode) else node.steps if isinstance(node, SweepNode) else ()
        for s in scheduled:
            reads, writes = s.op.effects()
            if lost := sorted(reads - writes - estimates - FIELDS.keys() - have):
                if (brought := lost[0]) in LEAVES:
                    raise EffectError(
                        f"{s.op!r} reads {brought!r}, which the model of this state does not bring: leave the step out"
                    )
                raise EffectError(
                    f"{s.op!r} reads {lost[0]!r} but no step to its right writes it, and the state holds none"
                    f" (its slots: {sorted(at_start - estimates) or 'none'})"
                )
            if not isinstance(s.op, ViewOperator):  # of a view step, it may be a field of the batch
                _check_declared(s.op, writes - known.keys())
            have |= writes
            have -= freed(s.op, have, known)
    return known


def check_model(groups: tuple[Group, ...], model: Model) -> None:
    """Refuse a model with an unknown element, and a step that cannot work with the model."""
    for element in model.unknown:
        raise element.refusal()
    for s in steps_of(groups):
        for op in getattr(s.op, "parts", (s.op,)):
            if type(op).check_model is not Operator.check_model:
                op.check_model(model)
            if op.needs_closed and not model.closed:
                open_ones = ", ".join(repr(e) for e in model.elements if not e.closed)
                raise RecipeError(
                    f"{op!r} (of DM and RAAR) needs the nearest waves that the model makes, and those of {open_ones} "
                    "are not known: use rPIE, LSQML, ML or AP"
                )


def _check_declared(op: Operator, names: Iterable[str]) -> None:
    """Refuse writes to a name that is no array of the state and that no operator declares."""
    if strange := sorted(name for name in names if declared(name) is None):
        raise EffectError(undeclared(repr(op), strange[0]))


def _declared_by(groups: tuple[Group, ...], declared_there: Mapping[str, Leaf]) -> dict[str, Leaf]:
    found: dict[str, Leaf] = {}
    for s in steps_of(groups):
        for leaf in _memory_of(s.op):
            first = found.setdefault(leaf.name, leaf)
            if first is not leaf and first != leaf:
                raise EffectError(
                    f"{s.op!r} declares {leaf!r}, and another step of the recipe {first!r}: give one of the "
                    "two another name"
                )
            old = declared_there.get(leaf.name)
            if old is not None and old.role != "slot":
                what = "an estimate" if old.role == "estimate" else "an array that you put there"
                raise EffectError(f"{s.op!r} keeps memory as {leaf.name!r}, which in the state is {what}: rename it")
    return {**declared_there, **found}


def freed(op: Operator, existing: Iterable[str], known: Mapping[str, Leaf]) -> set[str]:
    """Return which arrays are removed after a step: those that it frees, and memory that it outdates."""
    writes = op.effects()[1]
    frees = with_parts(op.frees)
    gone = {name for name in existing if name in frees}
    if op.outdates:
        gone |= {name for name in existing if name in known and not writes.isdisjoint(known[name].belongs_to)}
    return gone - with_parts(writes)


def made(groups: tuple[Group, ...], known: Mapping[str, Leaf]) -> dict[str, Leaf]:
    """Return the arrays that the steps of a plan create if missing: memory, and optional estimates."""
    changed = written(groups)
    started = {name: leaf for name, leaf in known.items() if leaf.role == "estimate" and name in changed}
    return started | {leaf.name: leaf for s in steps_of(groups) for leaf in _memory_of(s.op)}


def _memory_of(op: Operator) -> Iterator[Leaf]:
    """Yield what a step declares as its memory, and the parts of that."""
    for slot in op.slots:
        yield slot
        yield from PARTS.get(slot.name, {}).values()


def written(groups: tuple[Group, ...]) -> frozenset[str]:
    """Return the names of the state that any step of a plan writes."""
    return frozenset().union(*(s.op.effects()[1] for s in steps_of(groups))) - FIELDS.keys()
