"""What a run needs to know of one sweep: made ready once for the steps that are due, and the kind of positions."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

from opty.algebra.leaf import Leaf
from opty.algebra.operator import ViewOperator
from opty.kernels.buffers import Buffer
from opty.model.compose import Model
from opty.runtime.fused_step import FusedStep, sees_batch, suited
from opty.runtime.nodes import PlannedStep, SweepNode
from opty.state.access import Rights, rights_in_batch, rights_of


class SweepPrograms:
    """A pass made ready. ``stale`` : names of the memory that it drops; ``scheduled`` : whether a step may be left out.

    ``fixed`` : whether no step writes positions.
    """

    def __init__(self, node: SweepNode, declared: Mapping[str, Leaf], model: Model, backend: ModuleType):
        self.node = node
        self.stale = frozenset(name for name, leaf in declared.items() if node.stales(leaf))
        self.scheduled = any(s.when for s in node.steps)
        self.fixed = "positions" not in node.writes
        self._model, self._backend = model, backend

    def sweep(self, due: Sequence[bool] | None, whole: bool, leaves: Mapping[str, object]) -> SweepProgram:
        """Return a sweep of some of the steps; ``due`` : which, None for all.

        ``whole`` : all positions are whole pixels; ``leaves`` : that are there when it begins.
        """
        return _swept(self, due if due is None else tuple(due), whole, tuple(leaves))

    def suited(self, due: Sequence[bool] | None, whole: bool, names: tuple[str, ...]) -> tuple[PlannedStep, ...]:
        """Return the steps that run, fused ones in their parts where they do not suit."""
        steps = self.node.steps
        some = steps if due is None else [s for s, is_due in zip(steps, due, strict=True) if is_due]
        return tuple(suited(some, self._model, names, self._backend, whole))


class StepInSweep(NamedTuple):
    """A step of a sweep: its rights in state and batch (None: all of both), and what the sweep does around it.

    ``measured_here`` : the sweep measures the misfit of the waves that it projects. ``moves`` : it moves positions
    from batch to batch; ``writes_positions`` : it writes them, at the end of the sweep at the latest.
    """

    op: ViewOperator
    rights: Rights | None
    in_batch: Rights | None
    measured_here: bool
    moves: bool
    writes_positions: bool


class SweepProgram:
    """The steps of a sweep that are due, on whole pixels or not, for the leaves of the state.

    Attributes
    ----------
    steps : as they run. alone : only fused ones use the waves of a batch. opened, own_illum, wanted : what a batch
    opens with, see ``state.views.Opened``. leaves : names of the leaves that a replayed sweep works on.
    whole : all positions are whole pixels. scratch : its memory. kind : equal for sweeps with the same launches.
    same_batches : a step needs the batches, and their order, that the other sweeps with it have.
    """

    def __init__(self, node: SweepNode, steps: tuple[PlannedStep, ...], whole: bool):
        ops = [s.op for s in steps]
        plain = [op for op in ops if not isinstance(op, FusedStep)]
        self.steps = tuple(map(_in_sweep, ops))
        self.alone = not any(map(sees_batch, plain))
        read = frozenset().union(*(op.effects()[0] for op in plain))
        self.opened = tuple(name for name in ("patches", "illum") if name in read)
        self.own_illum = _illum_outlives_probe(ops)
        self.wanted = frozenset().union(*(op.gathers for op in ops))
        touched_leaves = (op.touched_leaves() for op in ops if isinstance(op, FusedStep))
        self.leaves = frozenset({"obj", "probe", "background"}).union(*touched_leaves)
        self.whole, self.kind = whole, (node, steps, whole)
        self.same_batches = any(op.same_batches for op in ops)
        self.scratch = ScratchMemory.of(ops, whole)


class ScratchMemory(NamedTuple):
    """The memory of a sweep without sizes, from which batch_size.py computes bytes.

    ``arrays`` : of plain steps that see the batch, (of all states, of each view); ``slices`` : of each of several
    slices, (of all states, of each view, as large as the slice); ``buffers`` : that fused steps take, and ``beside``
    them where the object is not thin or the probe varies; ``moved`` : probes are shifted by fractions of a pixel.
    """

    arrays: tuple[tuple[float, float], ...]
    slices: tuple[tuple[float, float, float], ...]
    buffers: frozenset[Buffer]
    moved: bool
    beside: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, ops: Sequence[ViewOperator], whole: bool) -> ScratchMemory:
        """Return what some steps take."""
        fused = [op for op in ops if isinstance(op, FusedStep)]
        plain = [op for op in ops if not isinstance(op, FusedStep) and sees_batch(op)]
        arrays, slices = (tuple(getattr(op, f"scratch_{of}") for op in plain) for of in ("waves", "slices"))
        buffers, beside = frozenset().union(*(op.buffers for op in fused)), tuple(op.beside for op in fused)
        return cls(arrays, slices, buffers, bool(fused) and not whole, beside)


@functools.lru_cache(maxsize=1024)
def _swept(of: SweepPrograms, due: tuple[bool, ...] | None, whole: bool, names: tuple[str, ...]) -> SweepProgram:
    return SweepProgram(of.node, of.suited(due, whole, names), whole)


def _in_sweep(op: ViewOperator) -> StepInSweep:
    reads, writes = op.effects()
    moves, writes_positions = "positions" in writes - op.deferred_writes, "positions" in writes
    if isinstance(op, FusedStep):
        return StepInSweep(op, None, None, False, moves, writes_positions)
    projects = op.projects or "delta" in writes - reads
    measured_here = projects and not op.measures  # a step that leaves it to the sweep to measure its misfit
    return StepInSweep(op, rights_of(op), rights_in_batch(op), measured_here, moves, writes_positions)


def _illum_outlives_probe(ops: Sequence[ViewOperator]) -> bool:
    """Say whether a step reads the frozen probe after another one has changed the probe, or changes it itself."""
    changed = False
    for op in ops:
        reads, writes = op.effects()
        if "illum" in writes or (changed and "illum" in reads):
            return True
        changed |= "probe" in writes
    return False
