"""Numbers on their way from a GPU: copied to pinned memory while it goes on, and waited for by who reads them."""

from __future__ import annotations

import functools
from collections import defaultdict, deque
from typing import Any

import cupy
import numpy as np

from opty.backend import kernels
from opty.backend.kernels import NULL, THREADS, blocks, sizes

_LONGEST = 6  # numbers in a letter


class _Slot:
    """Pinned memory for one letter after the other."""

    def __init__(self) -> None:
        pinned = cupy.cuda.alloc_pinned_memory(_LONGEST * np.dtype(np.float64).itemsize)
        self.host = np.frombuffer(pinned, np.float64, _LONGEST)
        self.sent = cupy.cuda.Event(disable_timing=True)


# By device. They are never freed: a copy that nobody waits for, of a run that failed, may be under way for a while.
_idle: defaultdict[int, deque[_Slot]] = defaultdict(deque)


class _Letter:
    """Numbers (K,) that are copied to the host when the device comes to it."""

    _slot: _Slot | None = None

    def __init__(self, a: Any):
        self._home = _idle[cupy.cuda.runtime.getDevice()]
        slot = self._home.popleft() if self._home else _Slot()
        slot.sent.synchronize()  # of a letter that nobody read
        self._numbers = slot.host[: a.size]
        stream = cupy.cuda.get_current_stream()
        a.get(stream=stream, out=self._numbers, blocking=False)
        slot.sent.record(stream)
        self._slot = slot

    def read(self) -> np.ndarray:
        """Return the numbers; waits until they are there."""
        if self._slot is not None:
            self._slot.sent.synchronize()
            self._numbers = self._numbers.copy()
            self._home.append(self._slot)
            self._slot = None
        return self._numbers

    def __del__(self) -> None:
        if self._slot is not None:
            self._home.append(self._slot)


class Later:
    """A number of a letter, divided by ``over``: float() and bool() wait until it is there."""

    __slots__ = ("_at", "_letter", "_over")

    def __init__(self, letter: _Letter, at: int = 0, over: float = 1.0):
        self._letter, self._at, self._over = letter, at, over

    def __float__(self) -> float:
        return float(self._letter.read()[self._at]) / self._over

    def __bool__(self) -> bool:
        return bool(float(self))


def number(a: Any, over: float) -> Later:
    """Return a / over, of a 0-d array, for the history."""
    return Later(_Letter(a.astype(np.float64, copy=False).reshape(1)), 0, over)


class Lookout:
    """Tells the host what came out of an iteration, without waiting for it."""

    LAG = 1  # iterations that may be under way when one is looked at

    def __init__(self) -> None:
        self._broken = cupy.zeros(_LONGEST, np.float64)  # once set it stays: the run goes on no more

    def look_at(self, positions: Any, largest: tuple[int, int]) -> None:
        """Look at positions (N, 2) px that may change again before ``broken`` is called: one launch."""
        fields = (positions, *sizes(len(positions), *largest), self._broken)
        kernels.launch("finite", "find_strays", ("double",), (1,), (THREADS,), fields)

    def broken(self, obj: Any, probe: Any, positions: Any, largest: tuple[int, int]) -> tuple[Later, ...]:
        """Say which of them hold a value that is not finite, 1 or 0; None holds no such value.

        Then the number of the first view whose window lies outside the object, counted from 1, or 0, and its position.
        ``largest`` : corner of the last window inside.
        """
        given = [None if a is None else a.view(_real(a.dtype)) for a in (obj, probe)]
        real = next((a.dtype for a in given if a is not None), np.dtype(np.float32))
        fields = tuple(x for a in given for x in ((NULL, *sizes(0)) if a is None else (a, *sizes(a.size))))
        views = (NULL, *sizes(0)) if positions is None else (positions, *sizes(len(positions)))
        count = min(blocks(max(0 if a is None else a.size for a in (*given, positions)), THREADS), kernels.MAX_BLOCKS)
        types = (kernels.REALS[kernels.code_of(real)],)
        fields = (*fields, *views, *sizes(*largest), self._broken)
        kernels.launch("finite", "find_broken", types, (count,), (THREADS,), fields)
        letter = _Letter(self._broken)
        return tuple(Later(letter, k) for k in range(_LONGEST))


@functools.cache
def _real(dtype: np.dtype) -> np.dtype:
    return dtype.type(0).real.dtype
