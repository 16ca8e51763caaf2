"""How often pictures are taken: what viewers cost stays a small part of the run's time."""

from __future__ import annotations

import threading
import time

SHARE = 0.003  # of the time that passes, for pictures and what viewers fetch of them
SHORTEST = 0.5  # seconds between two pictures


class Budget:
    """Seconds of computing that pictures and answers to viewers have cost, and when the next picture is due.

    A picture whose making and sending took c seconds is followed by the next one after c / ``SHARE`` seconds, and
    never before ``SHORTEST``: seconds in which the process computes, where other programs take its cores. Answers
    without a picture do not put it off: viewers ask on without one, on a slow machine for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answers = 0.0  # seconds of all answers to viewers
        self._spent = 0.0
        self._last = self._cpu = -float("inf")

    def spend(self, seconds: float, on_picture: float) -> None:
        """Count seconds of computing for an answer, in any thread; ``on_picture`` : those that went into a picture."""
        with self._lock:
            self._spent += on_picture
            self.answers += seconds

    def due(self, at_rest: bool = False) -> bool:
        """Say whether the next picture may be taken; ``at_rest`` : the run waits, and is not held up."""
        with self._lock:
            passed = time.monotonic() - self._last
            if not at_rest:
                passed = min(passed, time.process_time() - self._cpu)
            return passed >= max(SHORTEST, self._spent / SHARE)

    def taken(self, seconds: float) -> None:
        """Count a picture that took some seconds; what viewers cost from here on belongs to it."""
        with self._lock:
            self._last, self._cpu, self._spent = time.monotonic(), time.process_time(), seconds
