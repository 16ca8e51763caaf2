"""One pass over all views: batches are drawn, opened, walked through the steps, and booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.operator import ViewOperator
from opty.runtime.batch_size import with_room
from opty.runtime.batching import pieces, split
from opty.runtime.fused_step import FusedStep, Inside, sees_batch, suited
from opty.runtime.plan import Pass, Scheduled, fusing
from opty.runtime.visits import due as scheduled
from opty.state.access import BatchAccess, of_user
from opty.state.leaves import ESTIMATED
from opty.state.store import Store
from opty.state.views import Batch, Opened, Tour

if TYPE_CHECKING:
    from opty.runtime.execute import Run


def batches(node: Pass, job: Run) -> list[np.ndarray]:
    """Return the view numbers (B,) of the batches; they follow from positions, seed and iteration alone."""
    store = job.store
    if node.order == "scan":  # draws nothing, and to make the generator takes a while
        return pieces(np.arange(store.data.views), with_room(node, job))
    looks = node.order in ("uniform", "compact")
    positions = job.positions() if looks else store.leaves["positions"]  # of which the number is all that is asked
    size = with_room(node, job)
    parts = job.neighbours(size) if node.order == "uniform" and 1 < size < store.data.views else None
    return split(node.order, positions, size, store.rng(), parts)


def run_pass(node: Pass, job: Run) -> None:
    """Run the steps of a pass over all views, in place."""
    from opty.runtime.execute import Explained

    store = job.store
    number = store.iteration + 1 if node.counts else store.iteration
    due = [s for s in node.steps if scheduled(s.when, store.visits, number)]
    if not node.counts and all(s.opened for s in due):
        return  # a pass that is an iteration counts in any case: schedules wait for the iterations to go by
    for name in [name for name in store.leaves if node.stales(store.declared[name])]:
        del store.leaves[name]
    whole = "positions" not in node.writes and job.whole()
    due = suited(due, store, whole)
    alone = not any(sees_batch(s.op) for s in due if not isinstance(s.op, FusedStep))
    job.fused.new_sweep(alone, with_room(node, job))
    views = [_seen_by(s, job, Inside(job, alone, whole, k)) for k, s in enumerate(due)]
    for op, s, _ in views:
        s.memo["number"] = number
        with Explained(op, number, " (before the sweep)"):
            op.begin(s)
    if node.moving:
        job.wrote(node.writes)
    misfits, order = [], batches(node, job)
    still, opened = not node.moving, _opened(due, job)
    measured_here = frozenset(s.op for s in due if _projects_unmeasured(s.op))
    movers = [op for op, _, _ in views if "positions" in op.effects()[1] - op.late]

    def work(batch: Batch) -> None:
        for op, s, b in views:
            if b is not None:
                object.__setattr__(b, "_behind", batch)
            unmeasured = batch.misfit_of_waves() if op in measured_here and batch.misfit is None else None
            try:
                op.apply(s, batch if b is None else b)
            except Exception as error:
                _explain(error, op, batch.number, number)
            if unmeasured is not None and batch.misfit is None:
                batch.add_misfit(unmeasured)
            if op in movers:
                job.watch.positions_written()
        if batch.misfit is not None:
            misfits.append(batch.misfit)

    with store.measured.along(order):
        kind, tour = (node, tuple(due), whole), _tour(node, job, order, (whole, still, opened))
        hindrance = _hindrance(views, store, still) if store.backend.CAPTURES else None
        job.replay.sweep(kind, _leaves_of(due), tour, work, hindrance)
    for op, s, _ in views:
        with Explained(op, number, " (after the sweep)"):
            op.finish(s)
        if "positions" in op.effects()[1]:
            job.wrote(node.writes)
    if node.counts:
        store.iteration += 1
        job.watch.iteration_over(node, sum(misfits, job.fused.misfit()))


def _tour(node: Pass, job: Run, order: list[np.ndarray], kind: tuple[bool, bool, Opened]) -> Tour:
    """Return the tour over the batches; in the order of the scan it is the same in each sweep, while nothing moves."""
    if node.order != "scan" or not kind[1]:
        return Tour(job.store, order, *kind)
    key = len(order[0]), kind
    if key not in job.tours:
        job.tours[key] = Tour(job.store, order, *kind)
    return job.tours[key]


def _leaves_of(steps: list[Scheduled]) -> frozenset[str]:
    """Return the names of the leaves that a sweep which is replayed works on."""
    fused = (s.op.works_on() for s in steps if isinstance(s.op, FusedStep))
    return frozenset({"obj", "probe", "background"}).union(*fused)


def _seen_by(s: Scheduled, job: Run, inside: Inside) -> tuple[Any, Any, Any]:
    """Return a step, and the state and the batch as it may see them; a fused step sees all of both."""
    from opty.runtime.execute import access

    if isinstance(s.op, FusedStep):
        return s.op, inside, None
    return s.op, access(s.op, job), _batch_access(s)


def _hindrance(views: list[tuple[Any, Any, Any]], store: Store, still: bool) -> str | None:
    """Say what keeps the launches of a sweep from being captured, if anything does."""
    if not all(isinstance(op, FusedStep) or op.repeats(s) for op, s, _ in views):
        return "a step that is not fused sees them"
    if not still:
        return "positions move within the sweep"
    if "intensity_factors" in store.leaves:
        return "each view sees a probe of its own brightness"
    if not store.measured.resident:
        return "frames come batch by batch"
    if store.measured.propagator.kind == "near":
        return "the transforms of the near field make arrays of their own"
    if not all(op.repeats(s) for op, s, _ in views):
        return "a step does what the next sweep will not"
    return None


def _opened(steps: list[Scheduled], job: Run) -> Opened:
    """Return what batches open with: the windows that steps read which see no more than they declare."""
    read = frozenset().union(*(s.op.effects()[0] for s in steps if not isinstance(s.op, FusedStep)))
    names = tuple(name for name in ("patches", "illum") if name in read)
    wanted = frozenset().union(*(s.op.gathers for s in steps))
    return Opened(names, _illum_outlives_probe(steps), job.fused if fusing() else None, wanted)


def _projects_unmeasured(op: ViewOperator) -> bool:
    """Say whether a step compares waves with the data and leaves it to the sweep to measure their misfit."""
    reads, writes = op.effects()
    return not isinstance(op, FusedStep) and not op.measures and (op.projects or "delta" in writes - reads)


def _batch_access(s: Scheduled) -> BatchAccess:
    reads, writes = (names - ESTIMATED.keys() for names in s.op.effects())
    return BatchAccess(None, type(s.op).__name__, reads, writes, guarded=of_user(s.op))


def _illum_outlives_probe(steps: list[Scheduled]) -> bool:
    """Say whether a step reads the frozen probe after another one has changed the probe, or changes it itself."""
    changed = False
    for s in steps:
        reads, writes = s.op.effects()
        if "illum" in writes or (changed and "illum" in reads):
            return True
        changed |= "probe" in writes
    return False


def _explain(error: Exception, op: ViewOperator, index: np.ndarray, number: int) -> None:
    from opty.runtime.execute import Explained

    shown = ", ".join(map(str, index[:5].tolist())) + (", ..." if len(index) > 5 else "")
    with Explained(op, number, f", views [{shown}]"):
        raise error
