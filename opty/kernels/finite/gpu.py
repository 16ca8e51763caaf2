"""Are all values of a state finite, and all windows inside the object? On a GPU, without waiting for it."""

from __future__ import annotations

import functools
from typing import Any

import cupy
import numpy as np

from opty.arrays import cuda
from opty.arrays.async_scalars import LONGEST, AsyncScalar, PendingCopy
from opty.arrays.cuda import NULL, THREADS, blocks, sizes

_FILE = "finite/finite"


class FiniteCheck:
    """Checks the state after each iteration; the answers are read one iteration later."""

    LAG = 1  # iterations that may be in flight when one is checked

    def __init__(self) -> None:
        self._broken = cupy.zeros(LONGEST, np.float64)  # once set it stays: the run does not continue

    def look_at(self, positions: Any, largest: tuple[int, int]) -> None:
        """Check positions (N, 2) px that may change again before ``broken`` is called: one launch."""
        fields = (positions, *sizes(len(positions), *largest), self._broken)
        cuda.launch(_FILE, "find_strays", ("double",), (1,), (THREADS,), fields)

    def broken(self, obj: Any, probe: Any, positions: Any, largest: tuple[int, int]) -> tuple[AsyncScalar, ...]:
        """Return which of the three hold a value that is not finite, 1 or 0; None holds no such value.

        Then the number of the first view whose window lies outside the object, counted from 1, or 0, and its position.
        ``largest`` : corner of the last window inside.
        """
        given = [None if a is None else a.view(_real(a.dtype)) for a in (obj, probe)]
        real = next((a.dtype for a in given if a is not None), np.dtype(np.float32))
        fields = tuple(x for a in given for x in ((NULL, *sizes(0)) if a is None else (a, *sizes(a.size))))
        views = (NULL, *sizes(0)) if positions is None else (positions, *sizes(len(positions)))
        count = min(blocks(max(0 if a is None else a.size for a in (*given, positions)), THREADS), cuda.MAX_BLOCKS)
        types = (cuda.REALS[cuda.code_of(real)],)
        fields = (*fields, *views, *sizes(*largest), self._broken)
        cuda.launch(_FILE, "find_broken", types, (count,), (THREADS,), fields)
        copy = PendingCopy(self._broken)
        return tuple(AsyncScalar(copy, k) for k in range(LONGEST))


@functools.cache
def _real(dtype: np.dtype) -> np.dtype:
    return dtype.type(0).real.dtype
