"""The runner: walks a plan, works in place on a fork of the state, and hands back a new state."""

from __future__ import annotations

import functools
from collections.abc import Generator, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opty.algebra.compose import compose, factors
from opty.algebra.control import Until
from opty.algebra.operator import Operator
from opty.blas import one_thread
from opty.errors import EffectError
from opty.runtime.batching import neighbours
from opty.runtime.blame import written_leaf
from opty.runtime.checkpoint import Frame, Level, Unfinished, recorded
from opty.runtime.divergence import Watch
from opty.runtime.effects import check_model, check_slots, freed
from opty.runtime.frames_needed import check_frames
from opty.runtime.graph_replay import Replay
from opty.runtime.interrupt import CtrlC, Stop, interrupt, returns, warn
from opty.runtime.memory_estimate import check_memory
from opty.runtime.plan import Branch, Group, Loop, Node, Pass, Step, followed_by, plan, steps_of
from opty.runtime.rescue import keeping_donated, keeping_state
from opty.runtime.scale import bring_back, changed
from opty.runtime.sweep_loop import run_pass
from opty.runtime.visits import agreed, due, remember, since
from opty.state import BareState, handle
from opty.state.access import Access, of_user
from opty.state.store import Store
from opty.state.views import Tour


@dataclass
class Run:
    """What belongs to one run and to no state: where the walk stands, the watch over it, whether Ctrl-C was pressed."""

    store: Store
    asked: Operator
    start: Operator  # the recipe that made the state from which the run started
    watch: Watch
    way: list[Level] = field(default_factory=list)  # down to the place where a run goes on; used up on entering
    frames: list[Frame] = field(default_factory=list)
    batches: dict[Pass, int] = field(default_factory=dict)  # views worked on together, once there was room for them
    ctrl_c: CtrlC = field(default_factory=CtrlC)
    announced: set[Operator] = field(default_factory=set)  # observers that have said where their output goes
    tours: dict[Hashable, Tour] = field(default_factory=dict)  # in the order of the scan, until a step writes positions
    _positions: np.ndarray | None = None  # on the host, until a step writes them
    _whole: bool | None = None
    _neighbours: dict[int, list[np.ndarray]] = field(default_factory=dict)

    @functools.cached_property
    def fused(self) -> Any:
        """The kernels of fused steps, with buffers that last as long as the run."""
        store = self.store
        shape = store.probe_shape
        return store.backend.Fused(
            store.measured.propagator, shape, store.dtype, store.threads, deterministic=store.deterministic
        )

    @functools.cached_property
    def replay(self) -> Replay:
        """The sweeps of the run, captured where they repeat on a GPU."""
        return Replay(self.store, self.fused)

    def positions(self) -> np.ndarray:
        """Return the positions (N, 2) px on the host; the device is waited for once, until a step has written them."""
        if self._positions is None:
            positions = self.store.backend.to_host(self.store.leaves["positions"])
            # What has left the frame ends the run when it is looked at; until then it is dealt out as the rest is.
            self._positions = np.clip(np.nan_to_num(positions, nan=0.0), -1, self.store.object_shape)
        return self._positions

    def whole(self) -> bool:
        """Say whether all positions are whole pixels, so that no probe need be shifted."""
        if self._whole is None:
            positions = self.positions()
            self._whole = bool((positions == np.rint(positions)).all())
        return self._whole

    def neighbours(self, size: int) -> list[np.ndarray]:
        """Return the parts of the scan of which a uniform batch of ``size`` takes one view each."""
        if size not in self._neighbours:
            self._neighbours[size] = neighbours(self.positions(), size)
        return self._neighbours[size]

    @functools.cached_property
    def brightest(self) -> float:
        """Photons of the brightest view."""
        return float(self.store.measured.view_photons.max())

    def wrote(self, names: frozenset[str]) -> None:
        """Take note that a step that writes some leaves has run."""
        if "positions" in names:
            self._positions = self._whole = None
            self._neighbours.clear()
            self.tours.clear()
            self.watch.positions_written()

    def done(self) -> Operator:
        """Return the recipe that made the state as it stands, to the last finished step."""
        return functools.reduce(followed_by, (frame.done() for frame in self.frames), self.start)

    def enter(self, frame: Frame) -> None:
        """Go down one level."""
        if self.way:
            frame.go_to(self.way.pop(0))
        self.frames.append(frame)

    def place(self) -> tuple[Level, ...]:
        """Return where the walk stands, level by level."""
        return tuple(frame.level() for frame in self.frames)

    def unfinished(self, past_step: bool = False, place: tuple[Level, ...] | None = None) -> Unfinished:
        """Return the place where the walk stands; ``past_step``: as if the step under way were done."""
        place = self.place() if place is None else place
        if past_step:
            place = (*place[:-1], replace(place[-1], node=place[-1].node + 1))
        asked = compose(*(recorded(factor) for factor in reversed(factors(self.asked))))
        return Unfinished(asked, self.start, place)

    def loop(self) -> Frame | None:
        """Return the innermost loop that the walk is in."""
        return next((frame for frame in reversed(self.frames) if frame.body is not None), None)

    def began(self) -> int:
        """Return the iteration at which the turn of the outermost loop began; outside of loops, the run."""
        return next((frame for frame in self.frames if frame.body is not None), self.frames[0]).began

    def turn_over(self) -> None:
        """Let the watch look at a state that is whole, and remember it."""
        self.ctrl_c.after(lambda: self.watch.turn_over(self.place))

    def state(self, copied: frozenset[str] = frozenset()) -> BareState:
        """Return a state of what stands now; it shares the leaves that are not ``copied``. Waits for the device.

        Raises DivergedError where it is broken.
        """
        self.watch.check_estimates()
        store = self.store.fork(copied & set(self.store.leaves))
        store.recipe = self.done()
        return handle()._of(store)


def run(recipe: Operator, p: BareState, stopped: Unfinished | None = None) -> BareState:
    """Return ``recipe * p``: plan, fork, work in place, and put what came out into a new state.

    ``stopped`` : the place in the recipe where ``p`` stands, to go on from there.
    Raises EffectError, RecipeError, or SourceError (no frames) before anything runs, DivergedError where a value is no
    longer finite. Whatever is raised carries the last whole state.
    """
    job, groups = _prepared(recipe, p, stopped)
    with keeping_state(job):
        with _at_work(job), suppress(Stop):
            _walk_groups(groups, job)
        q = job.state()
    if job.ctrl_c.pressed and not returns():
        raise interrupt(q, job.unfinished())
    if job.ctrl_c.pressed:
        warn(q, job.unfinished())
    return q


def turns(recipe: Operator, p: BareState) -> Iterator[BareState]:
    """Yield a state of its own after each turn of the outermost loops, and after each factor outside of them."""
    job, groups = _prepared(recipe, p)
    copied = changed(groups, job.store)
    walk = _outer_turns(groups, job)
    over = False
    try:
        while not job.ctrl_c.pressed:
            with keeping_state(job):
                with _at_work(job), suppress(Stop):  # the state is whole then, in the middle of a turn of an outer loop
                    over = next(walk, None) is None
                if over and not job.ctrl_c.pressed:
                    return
                q = job.state(copied)
            if job.ctrl_c.pressed and not returns():
                raise interrupt(q, job.unfinished())
            if not over:
                yield q
    finally:
        walk.close()
    warn(q, job.unfinished())


@contextmanager
def _at_work(job: Run) -> Iterator[None]:
    """Handle Ctrl-C, and leave values that are not finite to the watch.

    BLAS has one thread: with its own, the small products of a batch made position refinement take six times as long on
    two cores.
    """
    with job.ctrl_c.handled(), np.errstate(over="ignore", invalid="ignore", divide="ignore"), one_thread():
        yield


def _outer_turns(groups: tuple[Group, ...], job: Run) -> Generator[bool]:
    """Walk groups, yielding after each turn of the outermost loops and after each group that does not end in one."""
    frame = job.frames[-1]
    for group in groups:
        for node in group.nodes:
            if isinstance(node, Loop):
                yield from _turns_of(node, job)
            elif not isinstance(node, Branch):
                _walk_node(node, job)
            elif _went_in(node, job):
                yield from _outer_turns(node.body, job)
                _went_out(node, job)
            else:
                bring_back(node, job)
            frame.node += 1
        _book(job)
        if group.nodes and not isinstance(group.nodes[-1], (Loop, Branch)):
            yield True


def _prepared(recipe: Operator, p: BareState, stopped: Unfinished | None = None) -> tuple[Run, tuple[Group, ...]]:
    with keeping_donated(recipe, p):
        groups = plan(recipe)
        for step in steps_of(groups):
            step.op.foresee()
        source = p._live
        check_model(groups, source.model)
        source.declared = check_slots(groups, source)  # steps of the recipe may know better what its arrays are
        check_frames(source.data, groups)
        copied = changed(groups, source) & set(source.leaves)
        copied = copied & source.held_elsewhere() if p._owned else copied
        check_memory(source, groups, copied)
        store = source.fork(copied)
        way = stopped.place if stopped else ()
        start = stopped.before if stopped else store.recipe
        job = Run(store, recipe, start, Watch(store, groups, start, way))
        job.way.extend(way)
        job.enter(Frame(groups, began=store.iteration))
    if p._owned:
        p._consume("its buffers were donated to a recipe")
    return job, groups


# -- walking


def _walk_groups(groups: tuple[Group, ...], job: Run) -> None:
    frame = job.frames[-1]
    for group in groups[frame.group :]:
        for node in group.nodes[frame.node :]:
            _walk_node(node, job)
            frame.node += 1
        _book(job)
        if job.ctrl_c.pressed and job.loop() is None:
            raise Stop


def _walk_node(node: Node, job: Run) -> None:
    if isinstance(node, (Pass, Step)):
        run_pass(node, job) if isinstance(node, Pass) else _apply(node, job)
        bring_back(node, job)
    elif isinstance(node, Loop):
        for _ in _turns_of(node, job):
            if job.ctrl_c.pressed:
                raise Stop
    elif _went_in(node, job):
        _walk_groups(node.body, job)
        _went_out(node, job)
    else:
        bring_back(node, job)


def _went_in(node: Branch, job: Run) -> bool:
    """Go into a branch if its schedules let it run, or if the run stopped in it; say whether it was gone into."""
    now, visits = job.store.iteration, job.store.visits
    last = since(node.when, visits, now)
    if not (job.way or agreed(node.when, last)):
        remember(node.when, visits, last)
        return False
    job.enter(Frame(node.body, began=now))
    return True


def _went_out(node: Branch, job: Run) -> None:
    """Leave a branch. Only now its visit is remembered: a branch that is left half done goes on the books by its parts.

    Iterations that it made itself do not count as passed over.
    """
    now, began = job.store.iteration, job.frames.pop().began
    last = since(node.when, job.store.visits, now) if now == began else (now - 1, now)
    remember(node.when, job.store.visits, last)


def _book(job: Run) -> None:
    """Write down that a group was done; the state is whole."""
    job.frames[-1].book()
    if job.loop() is None:
        job.turn_over()


def _turns_of(node: Loop, job: Run) -> Generator[bool]:
    """Run the turns of a loop, yielding after each; a rule may end it, and observers close what they opened."""
    rule = node.times if isinstance(node.times, Until) else None
    total = node.times.max if isinstance(node.times, Until) else node.times
    frame = Frame(node.body, node.op, None if rule else total, began=job.store.iteration)
    job.enter(frame)
    try:
        while frame.turns < total and not (rule and rule.settled(frame.misfits)):
            _walk_groups(node.body, job)
            frame.next_turn()
            if rule and job.store.iteration > frame.began:  # on a GPU the misfit is waited for
                frame.misfits = (*frame.misfits[-1:], job.store.history["misfit"][-1])
            frame.began = job.store.iteration
            job.turn_over()
            yield True
        # Only a loop that ran to its end is off the books of its level: one that was left early is what was done.
        job.frames.pop()
    finally:
        for close in frame.closers.values():
            close()


def _apply(node: Step, job: Run) -> None:
    op = node.step.op
    if not due(node.step.when, job.store.visits, job.store.iteration):
        return
    with Explained(op, job.store.iteration):
        op.apply(access(op, job))
    for name in freed(op, job.store.leaves, job.store.declared) if op.frees or op.outdates else ():
        del job.store.leaves[name]
    job.wrote(op.effects()[1])


def access(op: Operator, job: Run) -> Access:
    """Return the state as ``op`` may see it; observers also see the run."""
    reads, writes = op.effects()
    s = Access(job.store, type(op).__name__, reads, writes, guarded=of_user(op))
    s.memo["run"] = job
    return s


class Explained:
    """Adds to an exception where it happened; turns a write to a read-only leaf into what it is.

    ``of`` : which part of the step, or which views. A class, since it is entered at every step.
    """

    __slots__ = ("_iteration", "_of", "_op")

    def __init__(self, op: Operator, iteration: int, of: str = ""):
        self._op, self._iteration, self._of = op, iteration, of

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception):
            return
        op, where = self._op, f"in {self._op!r}{self._of}, iteration {self._iteration}"
        if isinstance(error, ValueError) and "read-only" in str(error):
            reads, writes = op.effects()
            if (leaf := written_leaf(error, reads - writes)) is not None:
                raise EffectError(
                    f"{type(op).__name__} changes a leaf in place that it does not declare as written: {leaf!r} "
                    f"(it declares writes={' '.join(sorted(writes)) or 'nothing'}): add it in its class line ({where})"
                ) from error
            if only_read := ", ".join(sorted(reads - writes)):
                where += f"; leaves that it declares as read alone are read-only there: {only_read}"
        with suppress(Exception):  # of a class that takes no notes
            error.add_note(where)
