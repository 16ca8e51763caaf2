"""The board: what a run puts up for viewers, and what viewers ask of the run. Both sides may come at any time."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

from opty.live.budget import Budget
from opty.live.snapshot import Snapshot

_LOOKS = 15.0  # seconds after the last request for which somebody is taken to be looking
ORDERS = ("pause", "go_on", "stop", "save")


class Asked(NamedTuple):
    """What the run has to do now: put up a picture, save, wait, end."""

    show: bool = False
    save: bool = False
    pause: bool = False
    stop: bool = False


class Board:
    """The newest picture and the facts about a run, numbered by change; and the orders of viewers.

    ``busy`` : a run is putting things up. ``kind`` : "run" or "result".
    """

    def __init__(self, kind: str = "run") -> None:
        self.budget = Budget()
        self.kind, self.busy = kind, False
        self.snapshot: Snapshot | None = None
        self._facts: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._number = 0
        self._looked = -float("inf")
        self._paused = self._stop = self._save = False

    # -- the run

    def begin(self, **facts: Any) -> None:
        """Take the board for a run: nothing of an earlier one is left."""
        with self._changed:
            self.snapshot = None
            self._facts, self.busy = {"state": "running"}, True
            self._paused = self._stop = self._save = False
        self.put(**facts)

    def put(self, snapshot: Snapshot | None = None, **facts: Any) -> None:
        """Put up facts, and a picture where there is one."""
        with self._changed:
            self._facts |= facts
            self.snapshot = snapshot or self.snapshot
            self._number += 1
            self._changed.notify_all()

    def end(self, snapshot: Snapshot | None, **facts: Any) -> None:
        """Put up how the run ended."""
        self.busy = False
        self.put(snapshot, **facts)

    def asked(self) -> Asked:
        """Return what the run is to do now; an order to save is given once."""
        with self._changed:
            save, self._save = self._save, False
            watched = self.snapshot is None or time.monotonic() - self._looked < _LOOKS
        return Asked(watched and self.budget.due(self._paused), save, self._paused, self._stop)

    def rest(self, seconds: float) -> None:
        """Wait until something is put up or ordered, not longer than some seconds."""
        with self._changed:
            self._changed.wait(seconds)

    @property
    def stopped(self) -> bool:
        """Whether a viewer ended the run."""
        return self._stop

    # -- viewers

    def order(self, what: str) -> None:
        """Give the run an order: pause, go_on, stop or save. Without a run it does nothing."""
        with self._changed:
            if self.busy:
                self._paused = {"pause": True, "go_on": False, "stop": False}.get(what, self._paused)
                self._stop = self._stop or what == "stop"
                self._save = self._save or what == "save"
                if what == "stop":
                    self._facts["state"] = "stopping"
                self._number += 1
                self._changed.notify_all()

    def facts(self, after: int, patience: float) -> tuple[int, dict[str, Any], Snapshot | None]:
        """Return number, facts and picture as soon as the number is not ``after``, or after ``patience`` seconds."""
        with self._changed:
            self._looked = time.monotonic()
            self._changed.wait_for(lambda: self._number != after, patience)
            self._looked = time.monotonic()
            return self._number, dict(self._facts), self.snapshot
