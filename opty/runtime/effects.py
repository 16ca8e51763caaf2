"""Effects: what a step reads and writes, checked before anything runs.

Names are of three kinds: leaves of the state (LEAVES), fields of a batch (BATCH), and any other word: a slot, memory of
an operator that lives in the state, or an array that the user put there. Slots whose names begin with ``kept_`` belong
to the object and probe that they were made with: a sweep that improves these and neither reads nor writes a kept slot
drops it, so that no engine goes on with what was true before another one ran.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from opty.algebra.operator import Operator
from opty.errors import EffectError, RecipeError
from opty.state.leaves import BATCH, KEPT, LEAVES, LIVE

if TYPE_CHECKING:
    from opty.runtime.plan import Group, Scheduled

ESTIMATES = LIVE | {"obj_sum", "probe_sum", KEPT}  # what an iteration improves, at once or through a merge
GRADIENTS = frozenset({"obj_gradient", "probe_gradient"})  # measured in one pass, followed after a line search
_OPENED = frozenset({"index", "illum", "patches"})  # a sweep brings them with every batch


def check_batch_order(steps: Iterable[Scheduled]) -> None:
    """Raise EffectError where a step of a sweep reads a batch field that only a later step makes.

    A later step that reads the field itself, and changes it, is in its place: the sweep opens the field for both.
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
        for name in sorted((reads & BATCH) - made):
            if writer := next((t.op for t in steps[k + 1 :] if name in _made(t.op)), None):
                raise EffectError(
                    f"{step!r} reads {name!r} but no step to its right writes it: {writer!r} stands on its left; "
                    f"operators run from right to left, so write ... * {step!r} * {writer!r}"
                )
        made |= writes


def _made(op: Operator) -> frozenset[str]:
    reads, writes = op.effects()
    return (writes - reads) & BATCH


def check_batch_outputs(steps: Sequence[Scheduled]) -> None:
    """Raise EffectError for a step that writes only fields of the batch which no later step of the sweep reads.

    The fields end with the batch, so that the step would change nothing. Steps that the plan puts in are exempt.
    """
    for k, s in enumerate(steps):
        writes = s.op.effects()[1]
        if s.opened or not writes or writes - BATCH or any(_is_read(name, steps[k + 1 :]) for name in writes):
            continue
        names = " and ".join(repr(name) for name in sorted(writes))
        raise EffectError(
            f"{s.op!r} writes {names}, which no later step of the sweep reads: it would change nothing. Operators run "
            f"from right to left, so write the steps that use it on its left, inside one sweep, such as "
            f"Sweep(ProbeUpdate() * ObjUpdate() * {s.op!r})"
        )


def _is_read(name: str, later: Iterable[Scheduled]) -> bool:
    """Return whether one of the later steps reads a field before another one replaces it."""
    for s in later:
        reads, writes = s.op.effects()
        if name in reads:
            return True
        if name in writes and not s.when:
            return False
    return False


def check_slots(groups: tuple[Group, ...], existing: Iterable[str]) -> None:
    """Raise EffectError where a step reads a slot that neither the state holds nor an earlier step writes."""
    from opty.runtime.plan import Pass, Step, walk

    have = set(existing)
    for node in walk(groups):
        if isinstance(node, Pass):
            have = {name for name in have if not node.stales(name)}
        scheduled = (node.step,) if isinstance(node, Step) else node.steps if isinstance(node, Pass) else ()
        for s in scheduled:
            reads, writes = s.op.effects()
            if lost := sorted(reads - writes - LEAVES - BATCH - have):
                raise EffectError(
                    f"{s.op!r} reads {lost[0]!r} but no step to its right writes it, and the state holds none"
                    f" (its slots: {sorted(set(existing) - LEAVES) or 'none'})"
                )
            have |= writes
            have -= freed(s.op, have)


def freed(op: Operator, existing: Iterable[str]) -> set[str]:
    """Return which of some slots are gone after a step: those that match its ``frees`` and that it does not write."""
    writes = op.effects()[1]
    return {name for name in existing if _matches(name, op.frees) and name not in writes}


@functools.cache
def _matches(name: str, rules: frozenset[str]) -> bool:
    return any(fnmatchcase(name, rule) for rule in rules)


def written(groups: tuple[Group, ...]) -> frozenset[str]:
    """Return the names of the state that any step of a plan writes."""
    from opty.runtime.plan import steps_of

    return frozenset().union(*(s.op.effects()[1] for s in steps_of(groups))) - BATCH
