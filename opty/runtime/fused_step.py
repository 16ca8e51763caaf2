"""A fused step: replaces several steps of a sweep, with access to the whole state and batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import ViewOperator
from opty.kernels.buffers import Buffer, Scratch
from opty.model.compose import Model
from opty.state.access import Access, Rights, rights_of
from opty.state.leaves import FIELDS
from opty.state.store import Store

if TYPE_CHECKING:
    from opty.runtime.job import Run
    from opty.runtime.nodes import PlannedStep


class FusedContext:
    """The access of a fused step to a run: the state that it works on, the engine of the run, its private dict.

    ``alone`` : only fused steps use the batch, so that its waves may be in the buffer of the next batch.
    ``whole`` : all positions of the sweep are whole pixels. ``number`` : of the step in the sweep.
    """

    __slots__ = ("alone", "engine", "job", "memo", "number", "store", "whole")

    def __init__(self, job: Run, store: Store, alone: bool, whole: bool, number: int):
        self.job, self.store, self.engine = job, store, job.engine
        self.alone, self.whole, self.number = alone, whole, number
        self.memo: dict[str, Any] = {}

    def persistent(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
        """Return an array for this step alone that keeps its place and values between sweeps; zeros at first."""
        return self.engine.persistent(f"{name} of step {self.number}", shape, dtype)

    def put_in_place(self, *names: str) -> None:
        """Move leaves that each sweep makes again to the addresses of the last sweep, if that may be replayed."""
        leaves = self.store.leaves
        for name in names if self.store.backend.CAPTURES else ():
            place = self.engine.persistent(name, leaves[name].shape, leaves[name].dtype)
            if leaves[name] is not place:
                place[...] = leaves[name]
                leaves[name] = place


class FusedStep(ViewOperator, register=False):
    """Consecutive steps of a sweep, ``parts``, in one step with fewer passes over the arrays.

    ``apply(self, s, b)`` is given a FusedContext and the Batch. ``buffers`` : its arrays in the workspace of the
    engine, from which memory is estimated. ``varying``, ``thick`` : whether the step supports, on a CPU, a probe that
    varies, and slices.
    ``beside`` : what it takes then beside its buffers and what the model keeps, in waves of a batch and in objects.
    ``omits`` : fields that the parts make and the step does not: no later step of the sweep may read them.
    """

    buffers: ClassVar[tuple[Buffer, ...]] = (Scratch("illum", moved=True), Scratch("back", moved=True))
    varying: ClassVar[bool] = False
    thick: ClassVar[bool] = False
    beside: ClassVar[tuple[float, float]] = (0.0, 0.0)
    omits: ClassVar[frozenset[str]] = frozenset()
    parts: tuple[ViewOperator, ...] = ()

    def __repr__(self) -> str:
        return " * ".join(map(repr, reversed(self.parts)))

    @classmethod
    def matches(cls, parts: tuple[ViewOperator, ...], before: tuple[ViewOperator, ...]) -> bool:
        """Return whether the step may replace ``parts``, which come after the steps ``before`` of the sweep."""
        return True

    @property
    def slots(self) -> tuple[Leaf, ...]:  # type: ignore[override]
        """The memory of the parts."""
        return sum((part.slots for part in self.parts), ())

    @property
    def counts(self) -> bool:  # type: ignore[override]
        """Whether one of the parts makes the sweep an iteration."""
        return any(part.counts for part in self.parts)

    @property
    def projects(self) -> bool:  # type: ignore[override]
        """Whether one of the parts compares with the data."""
        return any(part.projects or "delta" in part.writes for part in self.parts)

    @property
    def advice(self) -> str:  # type: ignore[override]
        """The advice of the parts."""
        return ", or ".join(part.advice for part in self.parts if part.advice)

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self._effects

    @cached_property
    def _effects(self) -> tuple[frozenset[str], frozenset[str]]:
        reads: frozenset[str] = frozenset()
        writes: frozenset[str] = frozenset()
        for part in self.parts:
            of_part = part.effects()
            reads, writes = reads | (of_part[0] - writes), writes | of_part[1]
        return reads, writes

    def supports(self, leaves: Collection[str], backend: ModuleType, whole: bool) -> bool:
        """Return whether the step can be used for a state that holds ``leaves``.

        ``whole`` : all positions of the sweep are whole pixels.
        """
        return True

    def is_capturable(self, s: FusedContext) -> bool:
        """Return whether each sweep launches the same kernels and does nothing else, so that it may be replayed.

        Then ``apply`` uses only leaves in ``touched_leaves`` and buffers of ``s.engine``, and ``finish`` needs no work
        of ``apply`` on the host.
        """
        return True

    def seen_by_parts(self, s: FusedContext) -> list[tuple[ViewOperator, Access]]:
        """Return the parts, each with its access to the state."""
        seen = [(part, s.job.access(rights, s.store)) for part, rights in self._rights]
        for _, of_part in seen:
            of_part.memo["whole"] = s.whole
        return seen

    @cached_property
    def _rights(self) -> list[tuple[ViewOperator, Rights]]:
        return [(part, rights_of(part)) for part in self.parts]

    def touched_leaves(self) -> frozenset[str]:
        """Return the names of the leaves that ``apply`` works on, beside object, probe and background."""
        return frozenset().union(*self.effects())


def sees_batch(op: ViewOperator) -> bool:
    """Return whether a step uses the waves or windows of a batch."""
    reads, writes = op.effects()
    return bool(FIELDS.keys() & (reads | writes))


def suited(
    steps: Iterable[PlannedStep], model: Model, leaves: Collection[str], backend: ModuleType, whole: bool
) -> list[PlannedStep]:
    """Return steps, with fused ones that a state does not support replaced by their parts.

    The kernels of fused steps are those of a thin object; for the rest see ``FusedStep.supports``.
    """
    varies, thick = (one and backend.name == "cpu" for one in (model.varies, model.thick))

    def supported(op: ViewOperator) -> bool:
        if not isinstance(op, FusedStep):
            return True
        kind = model.thin or (varies and op.varying) or (thick and op.thick)
        return kind and op.supports(leaves, backend, whole)

    return [one for s in steps for one in ([s] if supported(s.op) else written_out([s]))]


def written_out(steps: Iterable[PlannedStep]) -> list[PlannedStep]:
    """Return steps, with fused ones replaced by their parts."""
    return [replace(s, op=part) for s in steps for part in getattr(s.op, "parts", (s.op,))]
