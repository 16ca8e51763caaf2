"""The data of one run: its program, the state it works in, its place in the plan, and its monitor."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import numpy as np

from opty.algebra.compose import compose, factors
from opty.algebra.operator import Operator
from opty.kernels.engine import Engine
from opty.runtime.batching import neighbours, pieces
from opty.runtime.checkpoint import Cursor, CursorMark, PendingRun, recorded
from opty.runtime.divergence import DivergenceMonitor
from opty.runtime.graph_replay import Replay
from opty.runtime.interrupt import CtrlC
from opty.runtime.plan import followed_by
from opty.runtime.probe_power import HeldPower
from opty.runtime.program import Program
from opty.runtime.shared_object import WHOLE, WholeObject
from opty.runtime.sweep_programs import SweepPrograms
from opty.state import BareState, handle
from opty.state.access import Access, Rights, WholeAccess
from opty.state.store import Store
from opty.state.views import ViewBatches


@dataclass
class Run:
    """The data of one run that belong to no state: its place in the plan, its monitor, whether Ctrl-C was pressed."""

    program: Program
    store: Store
    asked: Operator
    start: Operator  # the recipe that made the state from which the run started
    watch: DivergenceMonitor
    _: KW_ONLY
    way: list[CursorMark] = field(default_factory=list)  # to the place where a run is resumed; consumed on entering
    frames: list[Cursor] = field(default_factory=list)
    object: WholeObject = WHOLE  # how its parts belong to ranks, in a live sweep whose sums are made batch by batch
    batches: dict[SweepPrograms, int] = field(default_factory=dict)  # views in a batch, once it has fitted in memory
    ctrl_c: CtrlC = field(default_factory=CtrlC)
    stopped: bool = False  # by Ctrl-C, on all ranks
    announced: dict[Operator, Any] = field(default_factory=dict)  # by observer: where its output goes, once it has said
    closers: dict[Operator, Callable[[BareState | BaseException], None]] = field(
        default_factory=dict
    )  # of observers that want to know how the run ended: the state returned, or the exception
    tours: dict[Hashable, ViewBatches] = field(
        default_factory=dict
    )  # in the order of the scan, until a step writes positions
    _on_host: np.ndarray | None = None  # positions, until a step writes them
    _positions: np.ndarray | None = None  # the same, none outside of the frame
    _everywhere: np.ndarray | None = None
    _whole: bool | None = None
    _neighbours: dict[int, list[np.ndarray]] = field(default_factory=dict)
    _all_neighbours: dict[int, list[np.ndarray]] = field(default_factory=dict)
    _in_order: dict[int, list[np.ndarray]] = field(default_factory=dict)

    @functools.cached_property
    def engine(self) -> Engine:
        """The kernels of fused steps, with buffers that last as long as the run."""
        store = self.store
        shape = store.probe_shape
        return store.backend.Engine(
            store.measured.propagator, shape, store.dtype, store.threads, deterministic=store.deterministic
        )

    @functools.cached_property
    def replay(self) -> Replay:
        """The sweeps of the run, captured where they repeat on a GPU."""
        return Replay(self.store, self.engine)

    def positions(self) -> np.ndarray:
        """Return the positions (N, 2) px on the host; waits for the device once, until a step writes them."""
        if self._positions is None:
            positions = self._as_they_are()
            # A view outside the frame ends the run at the next check; until then it is batched like the others.
            if not ((positions >= -1) & (positions <= self.store.object_shape)).all():
                positions = np.clip(np.nan_to_num(positions, nan=0.0), -1, self.store.object_shape)
            self._positions = positions
        return self._positions

    def all_positions(self) -> np.ndarray:
        """Return the positions (N, 2) px of the views of all ranks, on the host; all ranks have to call it."""
        if self._everywhere is None:
            ranks, views = self.store.ranks, self.store.measured.whole.views
            self._everywhere = ranks.everywhere(self.positions(), np.diff(ranks.starts(views)))
        return self._everywhere

    def whole(self) -> bool:
        """Return whether all positions are whole pixels, so that no probe has to be shifted."""
        if self._whole is None:
            positions = self._as_they_are()
            self._whole = not self.store.ranks.any(not (positions == np.rint(positions)).all())
        return self._whole

    def _as_they_are(self) -> np.ndarray:
        if self._on_host is None:
            self._on_host = self.store.backend.to_host(self.store.leaves["positions"])
        return self._on_host

    def all_neighbours(self, size: int) -> list[np.ndarray]:
        """Return what ``neighbours`` does, of the views of all ranks; all ranks have to call it."""
        if size not in self._all_neighbours:
            self._all_neighbours[size] = neighbours(self.all_positions(), size)
        return self._all_neighbours[size]

    def neighbours(self, size: int) -> list[np.ndarray]:
        """Return the parts of the scan; a uniform batch of ``size`` has one view of each."""
        if size not in self._neighbours:
            self._neighbours[size] = neighbours(self.positions(), size)
        return self._neighbours[size]

    def in_order(self, size: int) -> list[np.ndarray]:
        """Return the numbers of the views in batches of ``size``, as in the data."""
        if size not in self._in_order:
            self._in_order[size] = pieces(np.arange(self.store.data.views), size)
        return self._in_order[size]

    @functools.cached_property
    def held_power(self) -> HeldPower:
        """What keeps the power of the probe."""
        return HeldPower(self.store)

    @functools.cached_property
    def brightest(self) -> float:
        """Photons of the brightest view."""
        return self.store.measured.brightest

    def wrote_positions(self) -> None:
        """Discard what depends on positions, after a step that writes them."""
        self._on_host = self._positions = self._everywhere = self._whole = None
        self._neighbours.clear()
        self._all_neighbours.clear()
        self.tours.clear()
        self.watch.positions_written()

    def scan_grew(self) -> None:
        """Discard what depends on the number of views or on the frame of the object, after a step that changed them."""
        for name in ("engine", "replay", "brightest"):
            self.__dict__.pop(name, None)
        self.batches.clear()
        self._in_order.clear()
        self.wrote_positions()
        self.watch.scan_grew()

    def access(self, rights: Rights, store: Store | None = None) -> Access:
        """Return the access of an operator to the state, or to another ``store``; observers also get the run."""
        return self._with_run(Access(self.store if store is None else store, *rights))

    def access_of_step(self, rights: Rights) -> Access:
        """Return the access of an operator on the whole state, which sees the measurement of all ranks."""
        return self._with_run(WholeAccess(self.store, *rights))

    def _with_run(self, s: Access) -> Access:
        s.memo["run"] = self
        return s

    def done(self) -> Operator:
        """Return the recipe that made the state as it stands, to the last finished step."""
        return functools.reduce(followed_by, (frame.done() for frame in self.frames), self.start)

    def enter(self, frame: Cursor) -> None:
        """Go down one level."""
        if self.way:
            frame.go_to(self.way.pop(0))
        self.frames.append(frame)

    def place(self) -> tuple[CursorMark, ...]:
        """Return the place in the plan, level by level."""
        return tuple(frame.level() for frame in self.frames)

    def unfinished(self, past_step: bool = False, place: tuple[CursorMark, ...] | None = None) -> PendingRun:
        """Return the rest of the run from the current place; ``past_step``: from after the current step."""
        place = self.place() if place is None else place
        if past_step:
            place = (*place[:-1], replace(place[-1], node=place[-1].node + 1))
        asked = compose(*(recorded(factor) for factor in reversed(factors(self.asked))))
        return PendingRun(asked, self.start, place)

    def loop(self) -> Cursor | None:
        """Return the innermost loop that the walk is in."""
        return next((frame for frame in reversed(self.frames) if frame.body is not None), None)

    def began(self) -> int:
        """Return the iteration at which the turn of the outermost loop began; outside of loops, the run."""
        return next((frame for frame in self.frames if frame.body is not None), self.frames[0]).began

    def stopping(self) -> bool:
        """Say whether Ctrl-C was pressed, on any rank; all ranks have to ask, and it stays so."""
        self.stopped = self.stopped or self.store.ranks.any(self.ctrl_c.pressed)
        return self.stopped

    def turn_over(self) -> None:
        """Let the monitor check a complete state, and keep it."""
        self.ctrl_c.after(lambda: self.watch.turn_over(self.place))

    def close(self, how: BareState | BaseException) -> None:
        """Tell observers, once, how the run ended."""
        while self.closers:
            self.closers.popitem()[1](how)

    def state(self, copied: frozenset[str] = frozenset(), over: bool = False) -> BareState:
        """Return the current state; it shares the leaves that are not ``copied``. Waits for the device.

        ``over`` : the run is over, and the state takes over its arrays.

        Raises DivergedError where a value is not finite or a window has left the object.
        """
        self.watch.check_estimates()
        store = self.store if over else self.store.fork(copied & self.store.leaves.keys())
        store.recipe = self.done()
        return handle()._of(store)
