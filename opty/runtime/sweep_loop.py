"""One sweep over all views: batches are drawn and opened, the steps run on them, and the misfit is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from opty.runtime.batch_size import batch_that_fits
from opty.runtime.batching import split
from opty.runtime.blame import blame
from opty.runtime.fused_step import FusedContext, FusedStep
from opty.runtime.job import Run
from opty.runtime.nodes import SweepNode
from opty.runtime.sweep_programs import StepInSweep, SweepProgram, SweepPrograms
from opty.runtime.visits import due
from opty.state.access import BatchAccess
from opty.state.views import Batch, Opened, ViewBatches


def batches(of: SweepPrograms, job: Run) -> list[np.ndarray]:
    """Return the view numbers (B,) of the batches; they follow from positions, seed and iteration alone."""
    store, order = job.store, of.node.order
    size = batch_that_fits(of, job)
    if order == "scan":  # no random numbers: making the generator takes time
        return job.in_order(size)
    looks = order in ("uniform", "compact")
    positions = job.positions() if looks else store.leaves["positions"]  # only their number is used
    parts = job.neighbours(size) if order == "uniform" and 1 < size < store.data.views else None
    return split(order, positions, size, store.rng(), parts)


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
    job.engine.new_sweep(sweep.alone, batch_that_fits(of, job))
    seen = _begun(sweep, job, number)
    if node.moving:
        job.wrote_positions()
    misfits: list[Any] = []
    order, work = batches(of, job), _work(seen, job, number, misfits)
    with store.measured.along(order):
        tour = _tour(of, sweep, job, order)
        hindrance = _hindrance(seen, node, job) if store.backend.CAPTURES else None
        job.replay.sweep(sweep.kind, sweep.leaves, tour, work, hindrance)
    for step, s, _ in seen:
        try:
            step.op.finish(s)
        except Exception as error:
            blame(error, step.op, number, " (after the sweep)")
            raise
        if step.writes_positions:
            job.wrote_positions()
    if node.counts:
        store.iteration += 1
        job.watch.iteration_over(node, sum(misfits, job.engine.misfit()))


_Seen = list[tuple[StepInSweep, Any, Any]]  # the steps of a sweep, each with its access to state and batch


def _begun(sweep: SweepProgram, job: Run, number: int) -> _Seen:
    """Begin the steps of a sweep; a fused one has access to the whole state and (None) the whole batch."""
    seen: _Seen = []
    for k, step in enumerate(sweep.steps):
        if step.rights is None or step.in_batch is None:
            seen.append((step, FusedContext(job, sweep.alone, sweep.whole, k), None))
        else:
            seen.append((step, job.access(step.rights), BatchAccess(None, *step.in_batch)))
    for step, s, _ in seen:
        s.memo["number"] = number
        try:
            step.op.begin(s)
        except Exception as error:
            blame(error, step.op, number, " (before the sweep)")
            raise
    return seen


def _work(seen: _Seen, job: Run, number: int, misfits: list[Any]) -> Callable[[Batch], None]:
    """Return the function that runs the steps on a batch and appends its squared misfit to ``misfits``."""
    put = object.__setattr__
    ready: list[tuple[Any, ...]] = [(step.op, step.measured_here, step.moves, s, b) for step, s, b in seen]

    def work(batch: Batch) -> None:
        for op, measured_here, moves, s, b in ready:
            if b is not None:
                put(b, "_behind", batch)
            unmeasured = batch.misfit_of_waves() if measured_here and batch.misfit is None else None
            try:
                op.apply(s, batch if b is None else b)
            except Exception as error:
                shown = ", ".join(map(str, batch.number[:5].tolist())) + (", ..." if batch.size > 5 else "")
                blame(error, op, number, f", views [{shown}]")
                raise
            if unmeasured is not None and batch.misfit is None:
                batch.add_misfit(unmeasured)
            if moves:
                job.watch.positions_written()
        if batch.misfit is not None:
            misfits.append(batch.misfit)

    return work


def _tour(of: SweepPrograms, sweep: SweepProgram, job: Run, order: list[np.ndarray]) -> ViewBatches:
    """Return the batches; in scan order they are the same in each sweep while the positions do not change."""
    still, key = not of.node.moving, (sweep, len(order[0]))
    if of.node.order == "scan" and still and key in job.tours:
        return job.tours[key]
    opened = Opened(sweep.opened, sweep.own_illum, job.engine if job.program.plan.fused else None, sweep.wanted)
    tour = ViewBatches(job.store, order, sweep.whole, still, opened)
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
