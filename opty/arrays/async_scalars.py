"""Numbers copied from a GPU to pinned memory while the device goes on; reading one blocks until it has arrived."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

import cupy
import numpy as np

LONGEST = 6  # numbers of one copy, at most


class _Slot:
    """Pinned memory for one copy after the other."""

    def __init__(self) -> None:
        pinned = cupy.cuda.alloc_pinned_memory(LONGEST * np.dtype(np.float64).itemsize)
        self.host = np.frombuffer(pinned, np.float64, LONGEST)
        self.sent = cupy.cuda.Event(disable_timing=True)


# By device. They are never freed: a copy that nobody waits for, of a run that failed, may be in flight for a while.
_idle: defaultdict[int, deque[_Slot]] = defaultdict(deque)


class PendingCopy:
    """Numbers (K,) float64 that are copied to the host when the device comes to it, K at most LONGEST."""

    _slot: _Slot | None = None

    def __init__(self, a: Any):
        self._home = _idle[cupy.cuda.runtime.getDevice()]
        slot = self._home.popleft() if self._home else _Slot()
        slot.sent.synchronize()  # of a copy that nobody read
        self._numbers = slot.host[: a.size]
        stream = cupy.cuda.get_current_stream()
        a.get(stream=stream, out=self._numbers, blocking=False)
        slot.sent.record(stream)
        self._slot = slot

    def read(self) -> np.ndarray:
        """Return the numbers; blocks until the copy has finished."""
        if self._slot is not None:
            self._slot.sent.synchronize()
            self._numbers = self._numbers.copy()
            self._home.append(self._slot)
            self._slot = None
        return self._numbers

    def __del__(self) -> None:
        if self._slot is not None:
            self._home.append(self._slot)


class AsyncScalar:
    """One number of a pending copy, divided by ``over``: float() and bool() block until it has arrived."""

    __slots__ = ("_at", "_copy", "_over")

    def __init__(self, copy: PendingCopy, at: int = 0, over: float = 1.0):
        self._copy, self._at, self._over = copy, at, over

    def __float__(self) -> float:
        return float(self._copy.read()[self._at]) / self._over

    def __bool__(self) -> bool:
        return bool(float(self))


def number(a: Any, over: float) -> AsyncScalar:
    """Return a / over, of a 0-d array, for the history."""
    return AsyncScalar(PendingCopy(a.astype(np.float64, copy=False).reshape(1)), 0, over)
