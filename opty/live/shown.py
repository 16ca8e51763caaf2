"""A run on a page: what its status says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.errors import DivergedError
from opty.live.board import Asked, Board
from opty.live.progress import Clock, planned_iterations
from opty.live.snapshot import Snapshot
from opty.runtime.recipe_edit import without_outputs

if TYPE_CHECKING:
    from opty.runtime.job import Run
    from opty.state import BareState

_FACTS_EVERY = 1.0  # seconds
_REST = 0.2  # seconds between looks for Ctrl-C in a pause
_CURVE = 300  # points of the error curve at most


class ShownRun:
    """A run that is put up on a board, by the thread that computes."""

    def __init__(self, run: Run, board: Board):
        self._run, self.board, self._clock = run, board, Clock()
        self._began = time.monotonic()
        self._last = -float("inf")  # when facts were put up
        self._paused = False
        self._planned, exact = planned_iterations(run.program.groups)
        self._end = run.frames[0].began + self._planned
        data = run.store.measured.whole
        board.begin(
            recipe=repr(without_outputs(run.asked)),
            file=None if data.source is None else str(data.source["path"]),
            exact=exact,
            first=run.frames[0].began,
        )

    def asked(self) -> Asked:
        """Return what viewers want of the run; put up the facts where it is time for that."""
        if not self._paused and time.monotonic() - self._last >= _FACTS_EVERY:
            self.put()
        return self.board.asked()

    def put(self, snapshot: Snapshot | None = None) -> None:
        """Put up the facts, and a picture where there is one."""
        self._last = time.monotonic()
        self.board.put(snapshot, **self.facts())

    def facts(self) -> dict[str, Any]:
        """Return where the run stands."""
        store = self._run.store
        if not self._paused:
            self._clock.mark(store.iteration)
        rate = self._clock.rate()
        feed = store.data.feed
        growing = feed is not None and not feed.over
        if growing:
            self._end = store.iteration + self._planned  # turns count once the scan is complete: see Follow
        return {
            "iteration": store.iteration,
            "planned": self._end,
            "views": store.measured.whole.views,
            "growing": time.monotonic() - feed.arrived if growing and feed is not None else None,
            "rate": rate,
            "left": None if rate is None or growing else max(0, self._end - store.iteration) / rate,
            "elapsed": time.monotonic() - self._began,
            "curve": curve(store.history),
        }

    def rest(self) -> None:
        """Say that the run waits, and wait for an order, but not so long that Ctrl-C would."""
        if not self._paused:
            self._paused = True
            self.board.put(state="paused", **self.facts())
        self.board.rest(_REST)

    def go_on(self) -> None:
        """Say that the run goes on, where it waited."""
        if self._paused:
            self._paused = False
            self._clock.forget()
            self.board.put(state="stopping" if self._run.stopped else "running")

    def end(self, p: BareState | None, how: BareState | BaseException) -> None:
        """Put up how the run ended, and the state that it reached, if that is known."""
        state, text = "finished", None
        if isinstance(how, BaseException):
            state = "diverged" if isinstance(how, DivergedError) else "failed"
            text = " ".join(str(how).split()) or type(how).__name__
        elif self._run.stopped:
            state = "stopped"
        found: dict[str, Any] = {} if p is None else {"iteration": p.iteration, "curve": curve(p.history)}
        note = {} if text is None else {"note": {"failed": True, "text": text}}
        snapshot = None if p is None else Snapshot.of(p)
        self.board.end(snapshot, state=state, left=None, elapsed=time.monotonic() - self._began, **found, **note)


def curve(history: Mapping[str, Any]) -> list[list[float]]:
    """Return iterations and misfits of a history, some hundred of them at most, the first and the last among them."""
    misfits = history.get("misfit", ())
    iterations = history.get("iteration", range(1, len(misfits) + 1))
    count = min(len(misfits), len(iterations))
    some = np.unique(np.linspace(0, count - 1, min(count, _CURVE)).astype(int)) if count else ()
    return [[int(iterations[int(k)]) for k in some], [float(misfits[int(k)]) for k in some]]
