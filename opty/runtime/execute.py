"""The runner: executes a plan in place on a fork of the state, and returns a new state."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress

import numpy as np

from opty.algebra.control import Until
from opty.algebra.operator import Operator
from opty.blas import OneThread
from opty.errors import MisfitWarning, carry, warn_user
from opty.runtime.all_views import looks_at_all, with_all_views
from opty.runtime.blame import blame, refuse_returned
from opty.runtime.checkpoint import Cursor, PendingRun
from opty.runtime.divergence import DivergenceMonitor
from opty.runtime.effects import freed
from opty.runtime.idle_steps import warn_of_idle_steps
from opty.runtime.interrupt import Stop, interrupt, returns, warn
from opty.runtime.job import Run
from opty.runtime.memory_estimate import check_memory
from opty.runtime.nodes import ConditionalNode, Group, LoopNode, Node, StepNode, SweepNode
from opty.runtime.plan import planned
from opty.runtime.program import compiled
from opty.runtime.rank_sums import check_over_ranks
from opty.runtime.rescue import carry_donated, carry_last, fail_together
from opty.runtime.sweep_loop import run_sweep
from opty.runtime.visits import agreed, due, remember, since
from opty.state import BareState


def run(recipe: Operator, p: BareState, stopped: PendingRun | None = None) -> BareState:
    """Return ``recipe * p``: plan, fork, work in place, and return the result as a new state.

    ``stopped`` : the place of ``p`` in the recipe, from which the run is resumed.
    Raises EffectError, RecipeError, or SourceError (no frames) before anything runs, DivergedError where a value is no
    longer finite. Every exception carries the last complete state.
    """
    job = prepared(recipe, p, stopped, warns=stopped is None)
    try:
        with job.ctrl_c, _quiet(), OneThread(), suppress(Stop):
            walk_groups(job.program.groups, job)
        q = job.state(over=True)
    except (Exception, KeyboardInterrupt) as error:
        fail_together(error, job)
        carry_last(error, job)
        job.close(error)
        raise
    stopping = job.stopping()
    job.close(q)
    if job.program.speak_at_end and not stopping:
        _say_at_end(job, q)
    if stopping and not (job.ctrl_c.ended or returns()):
        raise interrupt(q, job.unfinished())
    if job.stopped:
        warn(q, job.unfinished())
    return q


def _say_at_end(job: Run, q: BareState) -> None:
    """Warn of what the steps of a run say at its end; a warning that is an error carries the state."""
    found = (op.at_end(q._live.leaves, q._live.iteration) for op in job.program.speak_at_end)
    try:
        for said in dict.fromkeys(found):
            if said:
                warn_user(said, MisfitWarning)
    except MisfitWarning as error:
        carry(error, q, job.unfinished())
        raise


def turns(recipe: Operator, p: BareState) -> Iterator[BareState]:
    """Yield a separate state after each turn of the outermost loops, and after each factor outside of them."""
    job = prepared(recipe, p, warns=True)
    walk = _outer_turns(job.program.groups, job)
    over = False
    q: BareState | None = None
    try:
        while not job.stopped:
            try:
                with job.ctrl_c, _quiet(), OneThread(), suppress(Stop):
                    # After Stop the state is complete, in the middle of a turn of an outer loop.
                    over = next(walk, None) is None
                if not job.stopping() and over:
                    return
                q = job.state(job.program.changed)
            except (Exception, KeyboardInterrupt) as error:
                fail_together(error, job)
                carry_last(error, job)
                job.close(error)
                raise
            if job.stopped and not (job.ctrl_c.ended or returns()):
                raise interrupt(q, job.unfinished())
            if not over:
                yield q
    finally:
        walk.close()
        if q is not None:
            job.close(q)
    assert q is not None  # a run that was stopped has reached a state
    warn(q, job.unfinished())


def _quiet() -> np.errstate:
    """Leave values that are not finite to the monitor."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def _outer_turns(groups: tuple[Group, ...], job: Run) -> Generator[bool]:
    """Walk groups, yielding after each turn of the outermost loops and after each group that does not end in one."""
    frame = job.frames[-1]
    for group in groups:
        for node in group.nodes:
            if isinstance(node, LoopNode):
                yield from _turns_of(node, job)
            elif not isinstance(node, ConditionalNode):
                _walk_node(node, job)
            elif _enter(node, job):
                yield from _outer_turns(node.body, job)
                _leave(node, job)
            else:
                job.program.scale.bring_back(node, job)
            frame.node += 1
        _record(job)
        if group.nodes and not isinstance(group.nodes[-1], (LoopNode, ConditionalNode)):
            yield True


def prepared(
    recipe: Operator, p: BareState, stopped: PendingRun | None = None, warns: bool = False, inside: str | None = ""
) -> Run:
    """Return the run of a recipe on a fork of ``p``, planned and checked, at its start or where ``stopped`` stands.

    ``warns`` : of steps that do nothing where they stand. ``inside`` : see DivergenceMonitor.
    """
    try:
        plan = planned(recipe)
        for op in plan.checked_first:
            op.check_before_run()
        source = p._live
        program = compiled(plan, source)
        if warns:
            warn_of_idle_steps(plan, source.leaves)
        if program.compares:
            source.data.need_frames()
        copied = program.changed & source.leaves.keys()
        copied = copied & source.held_elsewhere() if p._owned else copied
        check_memory(source, program, copied)
        if source.ranks.size > 1:
            check_over_ranks(plan.groups, source)
        store = source.fork(copied)
        store.declared = program.declared  # the declarations of the steps of the recipe take precedence
        way = stopped.place if stopped else ()
        start = stopped.before if stopped else store.recipe
        untouched = None if p._owned else source
        watch = DivergenceMonitor(store, program, start, way, untouched, inside)
        job = Run(program, store, recipe, start, watch)
        job.way.extend(way)
        job.enter(Cursor(program.groups, began=store.iteration))
    except (Exception, KeyboardInterrupt) as error:
        carry_donated(error, recipe, p)
        raise
    if p._owned:
        p._consume("its buffers were donated to a recipe")
    return job


# -- walking


def walk_groups(groups: tuple[Group, ...], job: Run) -> None:
    """Run the groups of a plan from where the run stands; after each group the state is whole and recorded."""
    frame = job.frames[-1]
    for group in groups[frame.group :]:
        for node in group.nodes[frame.node :]:
            _walk_node(node, job)
            frame.node += 1
        _record(job)
        if job.loop() is None and job.stopping():
            raise Stop


def _walk_node(node: Node, job: Run) -> None:
    if isinstance(node, (SweepNode, StepNode)):
        run_sweep(node, job) if isinstance(node, SweepNode) else _apply(node, job)
        job.program.scale.bring_back(node, job)
    elif isinstance(node, LoopNode):
        for _ in _turns_of(node, job):
            if job.stopping():
                raise Stop
    elif _enter(node, job):
        walk_groups(node.body, job)
        _leave(node, job)
    else:
        job.program.scale.bring_back(node, job)


def _enter(node: ConditionalNode, job: Run) -> bool:
    """Enter a branch if its schedules let it run, or if the run stopped in it; return whether it was entered."""
    now, visits = job.store.iteration, job.store.visits
    last = since(node.when, visits, now)
    if not (job.way or agreed(node.when, last)):
        remember(node.when, visits, last)
        return False
    job.enter(Cursor(node.body, began=now))
    return True


def _leave(node: ConditionalNode, job: Run) -> None:
    """Leave a branch and record its visit; a branch that ends early is recorded by its parts instead.

    Iterations inside the branch do not count as skipped.
    """
    now, began = job.store.iteration, job.frames.pop().began
    last = since(node.when, job.store.visits, now) if now == began else (now - 1, now)
    remember(node.when, job.store.visits, last)


def _record(job: Run) -> None:
    """Record that a group is done; the state is complete."""
    job.frames[-1].mark_done()
    if job.loop() is None:
        job.turn_over()


def _turns_of(node: LoopNode, job: Run) -> Generator[bool]:
    """Run the turns of a loop, yielding after each; a rule may end it, and observers close what they opened."""
    rule = node.times if isinstance(node.times, Until) else None
    total = node.times.max_turns if isinstance(node.times, Until) else node.times
    frame = Cursor(node.body, node.op, None if rule else total, began=job.store.iteration)
    job.enter(frame)
    try:
        while frame.turns < total and not (rule and rule.settled(frame.misfits)):
            walk_groups(node.body, job)
            counts = not frame.uncounted
            frame.next_turn()
            if rule and job.store.iteration > frame.began:  # on a GPU this waits for the misfit
                frame.misfits = (*frame.misfits[-1:], job.watch.newest_misfit()) if counts else ()
            frame.began = job.store.iteration
            job.turn_over()
            yield True
        # A loop that ran to its end is recorded by the level around it; one that ended early is the record itself.
        job.frames.pop()
    finally:
        for close in frame.closers.values():
            close()


def _apply(node: StepNode, job: Run) -> None:
    if not due(node.step.when, job.store.visits, job.store.iteration):
        return
    op, rights, frees = job.program.of_step(node)
    if op.only_output and not op.gathers_state and job.store.ranks.rank:
        return  # the screen, and files, are the first rank's
    job.watch.looked = False
    try:
        s = job.access_of_step(rights)
        if job.store.ranks.size > 1 and looks_at_all(op, job.store):
            with with_all_views(op, s):
                returned = op.apply(s)  # type: ignore[func-returns-value]
        else:
            returned = op.apply(s)  # type: ignore[func-returns-value]
        if returned is not None:
            refuse_returned(op, "apply", returned)
    except Exception as error:
        blame(error, op, job.store.iteration)
        raise
    for name in freed(op, job.store.leaves, job.store.declared) if frees else ():
        del job.store.leaves[name]
    if "positions" in rights.writes:
        job.wrote_positions()
