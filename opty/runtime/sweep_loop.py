"""One sweep over all views: batches are drawn and opened, the steps run on them, and the misfit is recorded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from opty.algebra.operator import ViewOperator
from opty.runtime.all_views import conclude
from opty.runtime.batch_size import batch_that_fits
from opty.runtime.batching import drawn_batches, split
from opty.runtime.blame import blame, refuse_returned
from opty.runtime.fused_step import FusedContext, FusedStep
from opty.runtime.job import Run
from opty.runtime.joint_batches import JointBatches
from opty.runtime.nodes import SweepNode, changes_images
from opty.runtime.own_batches import OwnBatches, sweeps_alone
from opty.runtime.rank_sums import SweepSums, UsersMemo
from opty.runtime.shared_object import WHOLE
from opty.runtime.sweep_programs import StepInSweep, SweepProgram, SweepPrograms
from opty.runtime.visits import due
from opty.state.access import BatchAccess, of_user
from opty.state.spread import over_views
from opty.state.views import Batch, Opened, ViewBatches
from opty.state.whole_store import JointStore


def batches(of: SweepPrograms, job: Run, same: bool) -> list[np.ndarray]:
    """Return the view numbers (B,) of the batches; they follow from positions, seed and iteration alone.

    ``same`` : not from the iteration.
    """
    store, order = job.store, of.node.order
    size = batch_that_fits(of, job)
    if order == "scan":  # no random numbers: making the generator takes time
        return job.in_order(size)
    looks = order in ("uniform", "compact")
    positions = job.positions() if looks else store.leaves["positions"]  # only their number is used
    parts = job.neighbours(size) if order == "uniform" and 1 < size < store.data.views else None
    return split(order, positions, size, drawn_batches(same, store), parts)


def run_sweep(node: SweepNode, job: Run) -> None:
    """Run the steps of a pass over all views, in place."""
    store, of = job.store, job.program.of_pass(node)
    number = store.iteration + 1 if node.counts else store.iteration
    some = [due(s.when, store.visits, number) for s in node.steps] if of.scheduled else None
    if some is not None and not node.counts and all(s.opened for s, runs in zip(node.steps, some, strict=True) if runs):
        return  # a sweep that is an iteration always counts, because schedules count iterations
    job.watch.looked = False
    for name in of.stale & store.leaves.keys():
        del store.leaves[name]
    sweep = of.sweep(some, of.fixed and job.whole(), store.leaves)
    live = store.ranks.size > 1 and node.live
    own = OwnBatches(node, job) if live and sweeps_alone(node, store) else None
    shared = JointBatches(node, job, sweep.same_batches) if live and own is None else None
    joint = None if shared is None or shared.summed else shared.state
    job.object = WHOLE if shared is None else shared.object
    size = (
        own.size if own is not None else batch_that_fits(of, job) if shared is None else shared.size + store.ranks.size
    )
    job.engine.new_sweep(sweep.alone and joint is None, size)  # other ranks are sent what a batch has made
    in_step = node.live and own is None
    live_batches = -(-store.measured.view_count // (size if shared is None else shared.size)) if in_step else 0
    seen = _begun(sweep, job, number, joint, live_batches)
    job.engine.use(store.optics()[1])  # what a step may have refined, or begins to refine
    if node.moving:
        job.wrote_positions()
    misfits: list[Any] = []
    sums = _Sums(seen, job) if store.ranks.size > 1 else None
    if own is not None:
        own.run(_work(seen, job, number, misfits), _opened(sweep, job), sweep.whole)
    elif shared is None:
        order, work = batches(of, job, sweep.same_batches), _work(seen, job, number, misfits)
        with store.measured.along(order):
            tour = _tour(of, sweep, job, order)
            hindrance = _hindrance(seen, node, job) if store.backend.CAPTURES else None
            job.replay.sweep(sweep.kind, sweep.leaves, tour, work, hindrance)
    else:
        updates, others = ([one for one in seen if changes_images(one[0].op) is so] for so in (True, False))
        update = _work(updates, job, number, []) if updates else None
        summing = [one for one in others if one[0].op.sums_batches]
        empty = _work(summing, job, number, []) if summing else None
        shared.run(_work(others, job, number, misfits), update, _opened(sweep, job), sweep.whole, empty)
    _concluded(seen, job, number, sums)
    if joint is not None:
        joint.end()
    if node.counts:
        store.iteration += 1
        job.watch.iteration_over(node, store.total(sum(misfits, job.engine.misfit())))


class _Sums:
    """Sums over ranks at the end of a sweep, and what users' steps may not do."""

    def __init__(self, seen: _Seen, job: Run):
        # What changes object and probe from batch to batch does so alike on all ranks: see joint_batches.py.
        of_views = [(step.op, s) for step, s, b in seen if b is not None and not changes_images(step.op)]
        self.memo = UsersMemo(of_views)
        alone = (step.op for step, _, _ in seen if not changes_images(step.op) and not step.op.sums_batches)
        self.of_scan = SweepSums(alone, job.store)
        for _, s in of_views:
            s.hide(frozenset())

    def add_up(self) -> None:
        """Make the sums."""
        self.memo.check()
        self.of_scan.add_up()


def _concluded(seen: _Seen, job: Run, number: int, sums: _Sums | None) -> None:
    """Let the steps conclude a sweep, with what they have summed made the sums over all ranks."""
    for step, s, _ in seen:
        if type(step.op).collect is not ViewOperator.collect:
            _blamed(step.op.collect, s, step, number, " (after the sweep)")
    if sums is not None:
        sums.add_up()
    for step, s, _ in seen:
        finish = step.op.finish if isinstance(s, FusedContext) else functools.partial(conclude, step.op)
        _blamed(finish, s, step, number, " (after the sweep)")
        if step.writes_positions:
            job.wrote_positions()


def _blamed(call: Callable[[Any], object], s: Any, step: StepInSweep, number: int, where: str) -> None:
    """Call a method of a step, whose exception is to name it."""
    try:
        if (returned := call(s)) is not None:
            refuse_returned(step.op, call.__name__, returned)
    except Exception as error:
        blame(error, step.op, number, where)
        raise


_SUMMED = frozenset({"waves", "delta"})  # fields of which the batch keeps sums until they are written again
_Seen = list[tuple[StepInSweep, Any, Any]]  # the steps of a sweep, each with its access to state and batch


def _begun(sweep: SweepProgram, job: Run, number: int, joint: JointStore | None, live_batches: int) -> _Seen:
    """Begin the steps of a sweep; a fused one has access to the whole state and (None) the whole batch.

    ``joint`` : the state for steps that change object and probe from batch to batch, over ranks. ``live_batches`` : how
    many batches, each of all ranks, change object and probe in the sweep.
    """
    seen: _Seen = []
    for k, step in enumerate(sweep.steps):
        store = job.store if joint is None or not changes_images(step.op) else joint
        if step.rights is None or step.in_batch is None:
            seen.append((step, FusedContext(job, store, sweep.alone, sweep.whole, k), None))
        else:
            seen.append((step, job.access(step.rights, store), BatchAccess(None, *step.in_batch)))
    scattered = over_views(job.store) if job.store.ranks.size > 1 else frozenset()
    for step, s, b in seen:
        s.memo["number"], s.memo["whole"], s.memo["live_batches"] = number, sweep.whole, live_batches
        if b is not None and of_user(step.op) and not step.op.over_ranks and not changes_images(step.op):
            s.hide(scattered)
        _blamed(step.op.begin, s, step, number, " (before the sweep)")
    return seen


def _work(seen: _Seen, job: Run, number: int, misfits: list[Any]) -> Callable[[Batch], None]:
    """Return the function that runs the steps on a batch and appends its squared misfit to ``misfits``."""
    put = object.__setattr__
    ranks = job.store.ranks
    ready: list[tuple[Any, ...]] = [
        (step.op, step.measured_here, step.moves, not _SUMMED.isdisjoint(step.op.effects()[1]), s, b)
        for step, s, b in seen
    ]

    def work(batch: Batch) -> None:
        ranks.look()
        for op, measured_here, moves, overwrites, s, b in ready:
            if b is not None:
                put(b, "_behind", batch)
            unmeasured = batch.misfit_of_waves() if measured_here and batch.misfit is None else None
            try:
                if (returned := op.apply(s, batch if b is None else b)) is not None:
                    refuse_returned(op, "apply", returned)
            except Exception as error:
                numbers = batch.number[:5] + batch.store.first_view
                shown = ", ".join(map(str, numbers.tolist())) + (", ..." if batch.size > 5 else "")
                blame(error, op, number, f", views [{shown}]")
                raise
            if unmeasured is not None and batch.misfit is None:
                batch.add_misfit(unmeasured)
            if overwrites:
                batch.forget_sums()
            if moves:
                job.watch.positions_written()
        if batch.misfit is not None:
            misfits.append(batch.misfit)

    return work


def _opened(sweep: SweepProgram, job: Run) -> Opened:
    return Opened(sweep.opened, sweep.own_illum, job.engine if job.program.plan.fused else None, sweep.wanted)


def _tour(of: SweepPrograms, sweep: SweepProgram, job: Run, order: list[np.ndarray]) -> ViewBatches:
    """Return the batches; in scan order they are the same in each sweep while the positions do not change."""
    still, key = not of.node.moving, (sweep, len(order[0]) if order else 0)
    if of.node.order == "scan" and still and key in job.tours:
        return job.tours[key]
    tour = ViewBatches(job.store, order, sweep.whole, still, _opened(sweep, job))
    if of.node.order == "scan" and still:
        job.tours[key] = tour
    return tour


def _hindrance(seen: _Seen, node: SweepNode, job: Run) -> str | None:
    """Return why the launches of a sweep cannot be captured as a CUDA graph, or None."""
    store = job.store
    if not all(isinstance(step.op, FusedStep) or step.op.is_capturable(s) for step, s, _ in seen):
        return "a step that is not fused sees them"
    if node.moving:
        return "positions move within the sweep"
    if "intensity_factors" in store.leaves:
        return "the probe's brightness differs from view to view"
    if not store.measured.resident:
        return "frames come batch by batch"
    if store.measured.propagator.kind == "near":
        return "the transforms of the near field allocate arrays"
    if not all(step.op.is_capturable(s) for step, s, _ in seen):
        return "a step does what the next sweep will not"
    return None
