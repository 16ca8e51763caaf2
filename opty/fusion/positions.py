"""What refinements of positions sense of a batch, in few passes over the arrays on a GPU; ``fused`` has the rules."""

from __future__ import annotations

from opty.fusion.fits import _Fit
from opty.fusion.sweeps import _from_fused
from opty.kernels.buffers import Scratch
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
from opty.operators.probe import ProbeUpdate
from opty.runtime.nodes import PlannedStep

REFINEMENTS = (PosCorrect, PosCorrectGradient, PosCorrectAdam, PosCorrectGain, PosCorrectSerial)
_UPDATES = (ObjUpdate, ProbeUpdate, LSQUpdate, ObjMomentum, ProbeMomentum)


def sense_first(steps: tuple[PlannedStep, ...]) -> tuple[PlannedStep, ...]:
    """Put refinements of positions before the updates of object and probe.

    They look at the windows as the batch opened them and move nothing before the sweep is over, so that it is the same
    to them; and there the windows need no copy.
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
    def matches(cls, parts, before):
        """Where a fused step left the difference, object and probe are as it saw them, and all views weigh alike."""
        changed = frozenset().union(*(op.effects()[1] for op in before))
        of_window = not isinstance(parts[0], CrossCorrelation) or parts[0].signal == "object"
        unchanged = not changed & {"obj", "probe", "patches", "illum"}
        return _from_fused("delta", before) and unchanged and of_window and parts[0].weights == "equal"

    def supports(self, leaves, backend, whole):
        by_fit = not isinstance(self.parts[0], CrossCorrelation)
        return super().supports(leaves, backend, whole) and (backend.CAPTURES or (by_fit and backend.senses()))

    def touched_leaves(self):
        return frozenset({"position_misfit"})

    def begin(self, s):
        super().begin(s)
        memo = s.memo["seen"].memo
        memo["number"] = s.memo["number"]
        for name in ("sensed", "change", "power", "light"):
            place = s.persistent(name, memo[name].shape, memo[name].dtype)
            place[...] = memo[name]
            memo[name] = place

    def finish(self, s):
        memo = s.memo["seen"].memo
        memo["sensed"] = memo["sensed"].copy()  # which the refinement may keep, where the next sweep writes
        super().finish(s)

    def apply(self, s, b):
        memo, leaves = s.memo["seen"].memo, s.store.leaves
        by_shift = isinstance(self.parts[0], CrossCorrelation)
        sense = s.engine.sense_shifts if by_shift else s.engine.sense_slopes
        kept = leaves["position_misfit"], memo["change"], memo["power"], memo["sensed"]
        sense(*b.source, leaves["obj"], b.corners, b.illum, memo["light"], b.leaves["index"], *kept)
