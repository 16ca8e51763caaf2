"""Fused sensing of position refinements: few passes over the arrays on a GPU; the rules are in ``rules``."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType
from typing import Any, cast

from opty.algebra.operator import ViewOperator
from opty.fusion.fits import _Fit
from opty.fusion.sweeps import _from_fused
from opty.kernels.buffers import Scratch
from opty.operators.anderson import Anderson
from opty.operators.lsq import LSQUpdate
from opty.operators.momentum import ObjMomentum, ProbeMomentum
from opty.operators.object import ObjUpdate
from opty.operators.position import (
    PosCorrect,
    PosCorrectAdam,
    PosCorrectGain,
    PosCorrectGradient,
    PosCorrectSerial,
)
from opty.operators.position.gain import CrossCorrelation
from opty.operators.position.patient import PatientPosCorrect
from opty.operators.probe import ProbeUpdate
from opty.runtime.fused_step import FusedContext
from opty.runtime.nodes import PlannedStep
from opty.state.views import Batch

REFINEMENTS = (
    PosCorrect,
    PatientPosCorrect,
    PosCorrectGradient,
    PosCorrectAdam,
    PosCorrectGain,
    PosCorrectSerial,
)
_UPDATES = (ObjUpdate, ProbeUpdate, LSQUpdate, ObjMomentum, ProbeMomentum, Anderson)


def sense_first(steps: tuple[PlannedStep, ...]) -> tuple[PlannedStep, ...]:
    """Put refinements of positions before the updates of object and probe.

    They read the windows as the batch opened them and move nothing before the sweep ends, so the result is the same,
    and the windows need no copy there.
    """
    out: list[PlannedStep] = []
    for s in steps:
        k = len(out)
        while type(s.op) in REFINEMENTS and k and type(out[k - 1].op) in _UPDATES:
            k -= 1
        out.insert(k, s)
    return tuple(out)


class Sense(_Fit, register=False):
    """A refinement of positions by a fit of the residual, or by the shift of the object window."""

    buffers = (Scratch("images", times=2), Scratch("illum", moved=True))
    deferred_writes = frozenset({"positions"})

    @classmethod
    def matches(cls, parts: tuple[ViewOperator, ...], before: tuple[ViewOperator, ...]) -> bool:
        """Return whether a fused step made the difference, object and probe are unchanged since, weights equal."""
        changed = frozenset().union(*(op.effects()[1] for op in before))
        first = parts[0]
        assert isinstance(first, REFINEMENTS)
        of_window = not isinstance(first, CrossCorrelation) or cast(Any, first).signal == "object"
        unchanged = not changed & {"obj", "probe", "patches", "illum"}
        return _from_fused("delta", before) and unchanged and of_window and first.weights == "equal"

    def supports(self, leaves: Collection[str], backend: ModuleType, whole: bool) -> bool:
        by_fit = not isinstance(self.parts[0], CrossCorrelation)
        return super().supports(leaves, backend, whole) and (backend.CAPTURES or (by_fit and backend.senses()))

    def touched_leaves(self) -> frozenset[str]:
        return frozenset({"position_misfit"})

    def begin(self, s: FusedContext) -> None:
        super().begin(s)
        memo = s.memo["seen"].memo
        memo["number"] = s.memo["number"]
        for name in ("sensed", "change", "power", "light"):
            place = s.persistent(name, memo[name].shape, memo[name].dtype)
            place[...] = memo[name]
            memo[name] = place

    def finish(self, s: FusedContext) -> None:
        memo = s.memo["seen"].memo
        memo["sensed"] = memo["sensed"].copy()  # the refinement may keep it, and the next sweep overwrites the buffer
        super().finish(s)

    def apply(self, s: FusedContext, b: Batch) -> None:
        memo, leaves = s.memo["seen"].memo, s.store.leaves
        by_shift = isinstance(self.parts[0], CrossCorrelation)
        sense = cast(Any, s.engine).sense_shifts if by_shift else s.engine.sense_slopes  # shifts: GPU engines only
        assert b.source is not None  # see ``matches``
        kept = leaves["position_misfit"], memo["change"], memo["power"], memo["sensed"]
        sense(*b.source, leaves["obj"], b.corners, b.illum, memo["light"], b.leaves["index"], *kept)
