"""Divergence of a run: non-finite values stop it with the last finite state; a rising misfit warns once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, SupportsFloat

import numpy as np

from opty.algebra.operator import Operator
from opty.errors import DivergedError, MisfitWarning, warn_user
from opty.runtime.checkpoint import CursorMark, done_at
from opty.runtime.misfit_monitor import MisfitMonitor
from opty.runtime.nodes import SweepNode
from opty.runtime.program import Program
from opty.state import BareState, handle
from opty.state.store import Store

Place = tuple[CursorMark, ...]
_LOOKED_AT = ("obj", "probe", "positions")  # in the order of a FiniteCheck


class _Misfit(NamedTuple):
    """An iteration whose misfit is to be checked: its number, its place in the history, and its sweep.

    ``sweep`` is None for an engine whose misfit rises by nature.
    """

    iteration: int
    at: int
    sweep: int | None


class _Look(NamedTuple):
    """The faults of object, probe and positions after an iteration, as a FiniteCheck reports them."""

    iteration: int
    broken: tuple[SupportsFloat, ...]

    def why(self, largest: tuple[int, int]) -> str | None:
        """Return the first fault as text, or None."""
        for name, broken in zip(_LOOKED_AT, self.broken, strict=False):
            if broken:
                return f"{name} is no longer finite"
        view, row, column = map(float, self.broken[len(_LOOKED_AT) :])
        if not view:
            return None
        return (
            f"the position of view {view - 1:.0f}, ({row:.6g}, {column:.6g}) px, left the frame of the object, in "
            f"which corners of windows lie from (0, 0) to {largest} px,"
        )


class _Kept:
    """A state to return to, with copies of the arrays that the run writes; ``shared`` : given arrays stay as is."""

    def __init__(self, store: Store, place: Place, program: Program, shared: bool = False):
        self._program, self.place = program, place
        self._own = frozenset() if shared else program.changed.intersection(store.leaves) - program.remade
        self.store = store.fork(self._own)
        self.store.declared = program.declared
        for name in program.remade & store.leaves.keys():
            del self.store.leaves[name]
        self.given = False

    def give(self, recipe: Operator) -> BareState:
        """Return the state; nothing is written into it any more."""
        self.store.recipe, self.given = recipe, True
        return handle()._of(self.store)

    def take(self, store: Store, place: Place) -> None:
        """Copy the current state into the same arrays."""
        if self.given:
            self.__init__(store, place, self._program)  # type: ignore[misc]
            return
        mine, old = self.store, self.store.leaves
        # All memory is allocated, which may fail, before the kept state is overwritten.
        kept = [name for name in store.leaves if name not in self._program.remade]
        own = {
            name: _like(store.leaves[name], old[name] if name in self._own else None)
            for name in kept
            if name in self._program.changed
        }
        for name, a in own.items():
            store.backend.copy_into(a, store.leaves[name])
        mine.leaves, self._own = {name: own.get(name, store.leaves[name]) for name in kept}, frozenset(own)
        mine.iteration, mine.history, mine.visits = store.iteration, store.copied_history(), dict(store.visits)
        mine.measured, mine.start = store.measured, store.start  # a scan may have grown
        mine.frame_origin = store.frame_origin
        self.place = place


def _agreed(broken: tuple[SupportsFloat, ...], store: Store) -> tuple[float, ...]:
    """Return the faults that a FiniteCheck reports, of all ranks: the first view in the scan of those that strayed."""
    *faults, view, row, column = map(float, broken)
    ranks, last = store.ranks, store.measured.whole.views + 1
    behind = last - (view + store.first_view) if view else 0.0  # the larger, the earlier in the scan
    *faults, first = ranks.most(np.array([*faults, behind])).tolist()
    if not first:
        return (*faults, 0.0, 0.0, 0.0)
    where = ranks.most(np.array([row, column] if behind == first else [-np.inf, -np.inf]))
    return (*faults, last - first, *where.tolist())


def _like(a: Any, old: Any) -> Any:
    """Return an array to copy another one into: the old one if its shape and type fit."""
    return a.copy() if old is None or old.shape != a.shape or old.dtype != a.dtype else old


class DivergenceMonitor:
    """Keeps the last finite state (object, probe, positions and small slots) and checks every iteration.

    On a GPU it looks at one only when the next one is under way, so that the device need not wait for the host; it
    keeps one more state then. Every state is checked before it is returned: ``settle``.
    ``untouched`` : the state at the start, in arrays that the run does not write; None where it may write them.
    ``inside`` : what warnings say of the patterns, where they are not those of the scan; None: a misfit
        that rises is no warning, as of a search.
    """

    def __init__(
        self,
        store: Store,
        program: Program,
        start: Operator,
        place: Place,
        untouched: Store | None = None,
        inside: str | None = "",
    ):
        self.inside = inside
        self._store, self._program, self._start, self._begun = store, program, start, store.recipe
        self._looked = program.changed.intersection(_LOOKED_AT)
        self._finite_check = store.backend.FiniteCheck()
        self._under_way: list[_Misfit | _Look] = []  # of the current state
        self._behind: list[_Misfit | _Look] = []  # of ``_newest``, if that differs from ``_last``
        self._monitor = MisfitMonitor(rounding=100 * float(np.finfo(store.real_dtype).eps) ** 2)
        first = _Kept(store, place, program) if untouched is None else _Kept(untouched, place, program, shared=True)
        self._last = self._newest = first
        self._newest_at = -1
        self.looked = False  # whether all has been checked since the last step
        self._first = self._last.store.iteration
        self._spare: _Kept | None = None

    def last(self) -> tuple[BareState, Place]:
        """Return the last finite state, and its place in the recipe."""
        kept = self._last
        at_start = kept.store.iteration == self._first
        recipe = self._begun if at_start else done_at(self._start, self._program.groups, kept.place)
        return kept.give(recipe), kept.place

    def iteration_over(self, node: SweepNode, misfit: Any) -> None:
        """Record the squared misfit of an iteration that has just been counted, and check it."""
        store = self._store
        store.record("iteration", store.iteration)
        store.expect("misfit", store.backend.number(misfit, store.measured.photons))
        self._newest_at = at = len(store.history["misfit"]) - 1
        self._under_way.append(_Misfit(store.iteration, at, id(node) if id(node) in self._program.monitored else None))
        if not self._finite_check.LAG:
            self._look_at(self._under_way)

    def newest_misfit(self) -> float:
        """Return the misfit of the last iteration of the run itself, not of a recipe inside a step; waits for it."""
        return self._store.history["misfit"][self._newest_at]

    def turn_over(self, place: Callable[[], Place]) -> None:
        """Check a complete state; keep it if an iteration has passed."""
        store = self._store
        if store.iteration <= self._newest.store.iteration:
            return
        self._look()
        if self._finite_check.LAG:
            self._look_behind()
            self._behind, self._under_way = self._under_way, []
        else:
            self._look_at(self._under_way)
        self._keep(place())

    def positions_written(self) -> None:
        """Check positions that a step has just written: a later step might move one back that has left the frame."""
        self._finite_check.look_at(self._store.leaves["positions"], self._store.largest_corner)

    def scan_grew(self) -> None:
        """Begin anew with the misfits, which are of other views now; after ``settle``."""
        self._monitor.forget()

    def settle(self) -> None:
        """Check all iterations that have not been checked; waits for the device."""
        self._look_behind()
        self._look_at(self._under_way)

    def check_estimates(self, agree: bool = True) -> None:
        """Raise DivergedError where object, probe or positions hold a value that is not finite, or a position has left
        the frame; waits for the device. ``agree`` : on all ranks, where it is so on one.
        """
        if not self.looked:
            self._look(agree)
        self.settle()

    def _keep(self, place: Place) -> None:
        """Keep the current state, which on a GPU has not been checked yet."""
        if not self._finite_check.LAG:
            self._last.take(self._store, place)
        elif self._spare is None:
            self._newest = _Kept(self._store, place, self._program)
        else:
            self._newest, self._spare = self._spare, None
            self._newest.take(self._store, place)

    def _look(self, agree: bool = True) -> None:
        """Start the check that all values are finite, and all windows inside the object."""
        leaves = (self._store.leaves[name] if name in self._looked else None for name in _LOOKED_AT)
        broken = self._finite_check.broken(*leaves, self._store.largest_corner)
        if agree and self._store.ranks.size > 1:
            broken = _agreed(broken, self._store)
        self._under_way.append(_Look(self._store.iteration, broken))
        self.looked = True

    def _look_behind(self) -> None:
        """Check the newest kept state: if it is finite, it becomes the last finite one."""
        self._look_at(self._behind)
        if self._newest is not self._last:
            self._spare, self._last = self._last, self._newest

    def _look_at(self, met: list[_Misfit | _Look]) -> None:
        for one in met:
            if isinstance(one, _Misfit):
                self._look_at_misfit(one)
            elif why := one.why(self._store.largest_corner):
                self._diverged(why, one.iteration)
        met.clear()

    def _look_at_misfit(self, one: _Misfit) -> None:
        value = self._store.history["misfit"][one.at]
        if not math.isfinite(value):
            self._diverged(f"the misfit is {value}", one.iteration)
        if one.sweep is None:
            self._monitor.forget()
        elif (wrong := self._monitor.look(one.sweep, one.iteration, value)) and self.inside is not None:
            warn_user(wrong + self.inside + self._advice(), MisfitWarning)

    def _advice(self) -> str:
        return f"; try {', or '.join(self._program.advice)}" if self._program.advice else ""

    def _diverged(self, why: str, iteration: int) -> Any:
        last, _ = self.last()
        when = "in" if iteration > last.iteration else "after"
        raise DivergedError(
            f"{why} {when} iteration {iteration}: the reconstruction diverged; the last finite state (iteration "
            f"{last.iteration}) is in the exception's .state{self._advice()}",
            last,
        )
