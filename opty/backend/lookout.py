"""Numbers on their way from a GPU: copied to pinned memory while it goes on, and waited for by who reads them."""

from __future__ import annotations

import functools
from collections import defaultdict, deque
from typing import Any

import cupy
import numpy as np

from opty.backend import kernels
from opty.backend.kernels import NULL, THREADS, blocks, sizes

_LONGEST = 3  # numbers in a letter


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

    def broken(self, obj: Any, probe: Any, positions: Any) -> tuple[Later, Later, Later]:
        """Say which of them hold a value that is not finite; None holds no such value."""
        given = [None if a is None else a.view(_real(a.dtype)) for a in (obj, probe, positions)]
        real = next((a.dtype for a in given[:2] if a is not None), np.dtype(np.float32))
        fields = tuple(x for a in given for x in ((NULL, *sizes(0)) if a is None else (a, *sizes(a.size))))
        count = min(blocks(max(0 if a is None else a.size for a in given), THREADS), kernels.MAX_BLOCKS)
        if count:
            find = kernels.kernel("finite", "find_broken", kernels.REALS[kernels.code_of(real)])
            find((count,), (THREADS,), kernels.checked((*fields, self._broken)))
        letter = _Letter(self._broken)
        return Later(letter, 0), Later(letter, 1), Later(letter, 2)


@functools.cache
def _real(dtype: np.dtype) -> np.dtype:
    return dtype.type(0).real.dtype
