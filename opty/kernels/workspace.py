"""The buffers of one engine, the same on the CPU and on a GPU: memory that lasts for a run."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np


class Workspace:
    """Buffers by name, each made when it is first needed and kept for the next batch.

    ``generation`` changes when an array that a captured graph may use is replaced by another one.
    """

    def __init__(self, xp: ModuleType, probe_shape: tuple[int, int, int], dtype: Any):
        self._xp, self._shape, self._dtype = xp, probe_shape, np.dtype(dtype)
        self._real = self._dtype.type(0).real.dtype
        self._reuses, self._largest_batch = False, 1
        self._rows = xp.arange(0)
        self._scratch: dict[str, Any] = {}
        self._accumulators: dict[str, tuple[Any, Any]] = {}
        self._persistent: dict[str, Any] = {}
        self.generation = 0

    def new_sweep(self, alone: bool, largest: int = 1) -> None:
        """Begin a sweep, of batches of ``largest`` views and fewer, for which memory is taken at once.

        ``alone`` : nobody keeps what a batch is given, and the next one may have the same memory. ``misfit`` counts
        from here.
        """
        self._reuses, self._largest_batch = alone, largest

    def held(self) -> int:
        """Return the bytes of the buffers that there are."""
        pairs = (a for pair in self._accumulators.values() for a in pair)
        return sum(a.nbytes for a in (*self._scratch.values(), *pairs, *self._persistent.values()))

    def scratch(self, name: str, views: int, times: int = 1) -> Any:
        """Return memory for ``times`` the waves of a batch, (times B, M, n, n), one array for each name.

        The values are undefined; the next batch of a sweep that is ``alone`` overwrites them.
        """
        if not self._reuses:
            return self._xp.empty((times * views, *self._shape), self._dtype)
        if name not in self._scratch or len(self._scratch[name]) < times * views:
            self._scratch.pop(name, None)  # or there would be two for a moment
            most = max(views, self._largest_batch) if views > 1 else 1  # one may be all that is ever needed
            self._scratch[name] = self._xp.empty((times * most, *self._shape), self._dtype)
            self.generation += 1
        return self._scratch[name][: times * views]

    def rows(self, views: int) -> Any:
        """Return 0, 1, 2, ... (B,): where the views of a batch stand in an array that holds this batch only."""
        if len(self._rows) < views:
            self._rows = self._xp.arange(views, dtype=np.int64)
            self.generation += 1
        return self._rows[:views]

    def accumulators(self, leaf: str, shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Return a sum (L, H, W) complex and a weight (H, W) real for "obj" or "probe": zeros.

        Whoever adds to them leaves zeros behind.
        """
        if leaf not in self._accumulators:
            self._accumulators[leaf] = self._xp.zeros(shape, self._dtype), self._xp.zeros(shape[1:], self._real)
        return self._accumulators[leaf]

    def persistent(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
        """Return an array that keeps its values between batches and sweeps, one for each name; zeros at first."""
        count = math.prod(shape)
        if name not in self._persistent or self._persistent[name].size < count:
            self._persistent[name] = self._xp.zeros(count, dtype)
            self.generation += 1
        return self._persistent[name][:count].reshape(shape)
