"""What the parts of the engine on the CPU share: a batch in pieces that stay in a core's cache, spread over threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from opty.arrays.thread_pool import chunks, parallel_for
from opty.kernels.compiled import loops
from opty.kernels.operands import VaryingProbe
from opty.kernels.workspace import Workspace
from opty.physics.propagation import Propagator

_WORTH_SHARING = 1 << 18  # values: to wake a thread takes as long as to go through them once (measured)
PIECE = 1 << 20  # bytes of the waves that a thread works on at a time: they stay in its core's cache (measured)


class CpuBase(Workspace):
    """Pieces and bands of a batch, and the misfit of a sweep.

    Results are the same bits for any number of threads. ``deterministic`` concerns the GPU only: here each pixel adds
    its views in ascending order in any case.
    """

    def __init__(
        self,
        propagator: Propagator,
        probe_shape: tuple[int, int, int],
        dtype: Any,
        threads: int,
        deterministic: bool = False,
    ):
        super().__init__(np, probe_shape, dtype)
        self._propagator, self._threads = propagator, threads
        self._fit = max(1, PIECE // (math.prod(probe_shape) * self._dtype.itemsize))
        self._within = 1  # threads within a transform, where a piece is the whole batch
        self._misfits: list[np.ndarray] = []

    def use(self, propagator: Propagator) -> None:
        """Take another propagator of the same kind from now on: a run refines the geometry."""
        self._propagator = propagator

    def new_sweep(self, alone: bool, largest: int = 1) -> None:
        super().new_sweep(alone, largest)
        self._misfits.clear()

    def misfit(self) -> float:
        """Return sum w (sqrt I - sqrt Ihat)^2 of all that went to the detector in this sweep, a real scalar."""
        return math.fsum(np.concatenate(self._misfits)) if self._misfits else 0.0

    def _in_pieces(self, work, obj, corners, illum, frames, waves, fraction, *per_view) -> None:
        """Call ``work`` with a batch, piece by piece, and count the misfits (B,) that it fills in."""
        views = len(corners)
        misfits = np.empty(views)
        self._misfits.append(misfits)
        self._within = self._threads if views <= self._piece(views) else 1
        if views <= self._piece(views):  # the usual case of live updates, where every microsecond counts
            work(obj, corners, illum, frames, waves, fraction, misfits, *per_view)
            return

        def piece(some: slice) -> None:
            moved = None if fraction is None else fraction[some]
            part = frames._replace(rows=frames.rows[some])
            seen = of_views(illum, some)
            work(obj, corners[some], seen, part, waves[some], moved, misfits[some], *(a[some] for a in per_view))

        parallel_for(piece, chunks(views, self._piece(views)), self._threads)

    def _piece(self, views: int) -> int:
        """Return how many views make a piece: no more than a cache holds, and enough pieces for all threads."""
        return self._fit if self._threads == 1 else min(self._fit, -(-views // (2 * self._threads)))

    def _share_views(self, work: Callable[[slice], None], views: int) -> None:
        """Call ``work`` with the views of a batch, piece by piece."""
        size = self._piece(views)
        if views <= size:
            work(slice(0, views))
        else:
            parallel_for(work, chunks(views, size), self._threads)

    def _share_rows(self, work: Callable[[int, int], None], rows: int, values: int) -> None:
        """Call ``work`` with the bounds of bands of rows; ``values`` : how many numbers are worked on in all."""
        parallel_for(lambda band: work(band.start, band.stop), self._bands(rows, values), self._threads)

    def _share_weight(self, work, weight) -> None:
        """Share the rows of a weight (H, W): a pixel takes half the time of a value of waves."""
        self._share_rows(work, len(weight), weight.size // 2)

    def _bands(self, rows: int, values: int) -> list[slice]:
        """Return bands of rows; only one where ``values`` are so few that they are done before another thread wakes."""
        if self._threads == 1 or values < _WORTH_SHARING:
            return [slice(0, rows)]
        return chunks(rows, -(-rows // (4 * self._threads)))

    def _light(self, illum, weight) -> np.ndarray:
        """Return sum_m |illum_jm|^2, (B or 1, n, n) in the real type of ``weight``."""
        light = np.empty((len(illum), *self._shape[1:]), weight.dtype)
        loops("accumulate").power(illum, light)
        return light

    def _values(self, views: int) -> int:
        """Return how many values the waves of ``views`` views have."""
        return views * math.prod(self._shape)


def of_views(illum, some: slice):
    """Return the probe (B or 1, M, n, n), or what it is made of, as some of the views see it."""
    if isinstance(illum, VaryingProbe):
        seen = None if illum.seen is None else illum.seen[some]
        return illum._replace(weights=illum.weights[some], seen=seen)
    return illum if len(illum) == 1 else illum[some]


def store(waves: np.ndarray, transformed: np.ndarray) -> None:
    """Put transformed waves where they were: SciPy transforms in place where it can, and does not say whether."""
    if not np.may_share_memory(waves, transformed):
        waves[...] = transformed
