"""The fused steps of a sweep on the CPU: a batch in pieces that stay in a core's cache, spread over threads.

The same class stands in ``fused_gpu``, with kernels of its own. All results are the same bits for any number of threads.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from opty.backend.crew import cut, share
from opty.backend.operands import Frames, Kept
from opty.propagate import Propagator

PIECE = 1 << 20  # bytes of the waves that a thread works on at a time: they stay in its core's cache (measured)


@functools.cache
def loops() -> ModuleType:
    """Return the compiled loops, or where numba is not installed those of NumPy."""
    if find_spec("numba") is None:
        from opty.backend import plain

        return plain
    from opty.backend import loops

    return loops


class Fused:
    """What a batch goes through, with buffers that are kept from batch to batch.

    Arguments are those of ``plain``: obj (H, W), corners (B, 2), illum (B or 1, M, n, n), waves (B, M, n, n).
    """

    def __init__(self, propagator: Propagator, probe_shape: tuple[int, int, int], dtype: Any, threads: int):
        self._do, self._propagator, self._threads = loops(), propagator, threads
        self._shape, self._dtype = probe_shape, np.dtype(dtype)
        self._waves, self._rows = self.new_waves(0), np.arange(0)
        self._sums: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def new_waves(self, views: int) -> np.ndarray:
        """Return room for the waves of a batch (B, M, n, n) that is the caller's."""
        return np.empty((views, *self._shape), self._dtype)

    def waves(self, views: int) -> np.ndarray:
        """Return the room for the waves of a batch (B, M, n, n) that is used again for the next one."""
        if len(self._waves) < views:
            self._waves = self.new_waves(views)
        return self._waves[:views]

    def rows(self, views: int) -> np.ndarray:
        """Return 0, 1, 2, ... (B,): where the views of a batch stand in an array of its own."""
        if len(self._rows) < views:
            self._rows = np.arange(views)
        return self._rows[:views]

    def sums(self, leaf: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return canvases of zeros for "obj" or "probe", (L, H, W) complex and (H, W) real, that end as zeros again."""
        if leaf not in self._sums:
            real = self._dtype.type(0).real.dtype
            self._sums[leaf] = np.zeros(shape, self._dtype), np.zeros(shape[1:], real)
        return self._sums[leaf]

    def exit_waves(self, obj, corners, illum, waves) -> None:
        """waves_jm = illum_jm O_j."""
        self._do.exit_waves(obj, corners, illum, waves)

    def project(
        self, obj, corners, illum, frames: Frames, difference: bool, waves, kept: Kept | None = None, fraction=None
    ):
        """Bring exit waves to the detector, put the measured modulus on them and bring them back, into ``waves``.

        They start as illum O, with ``kept`` as 2 illum O - kept; what comes back are the projected waves, or with
        ``difference`` their difference to what they were. ``fraction`` (B, 2) px concerns the near field only.
        Returns sum w (sqrt I - sqrt Ihat)^2 of the batch, a real scalar.
        """
        do, misfits = self._do, np.empty(len(corners))

        def work(piece: slice) -> None:
            part, at, seen = waves[piece], corners[piece], illum if len(illum) == 1 else illum[piece]
            if kept is None:
                do.exit_waves(obj, at, seen, part)
            else:
                do.reflect(obj, at, seen, kept.waves, kept.rows[piece], part)
            moved = None if fraction is None else fraction[piece]
            there = self._propagator.to_modulus(part, moved)
            do.put_modulus(
                there, frames.intensity, frames.rows[piece], frames.mask, frames.background, difference, misfits[piece]
            )
            back = self._propagator.from_modulus(there, moved)
            if back is not part:  # transforms work in place where SciPy can
                part[...] = back

        self._share_views(work, len(corners))
        return misfits.sum()

    def advance(self, obj, corners, illum, waves, kept: Kept, beta: float, keep: float) -> None:
        """Take a step of the difference map's kind: kept += beta (waves - P O) + (1 - keep) (P O - kept)."""

        def work(piece: slice) -> None:
            seen = illum if len(illum) == 1 else illum[piece]
            self._do.advance(obj, corners[piece], seen, waves[piece], kept.waves, kept.rows[piece], beta, keep)

        self._share_views(work, len(corners))

    def add_to_object(self, waves, rows, corners, illum, obj_sum, obj_weight) -> None:
        """obj_sum (H, W) += sum_m conj(illum_jm) waves_jm and obj_weight (H, W) += sum_m |illum_jm|^2, views in place."""
        light = np.empty((len(illum), *self._shape[1:]), obj_weight.dtype)
        self._do.power(illum, light)

        def work(band: slice) -> None:
            self._do.add_to_object(waves, rows, corners, illum, light, obj_sum, obj_weight, band.start, band.stop)

        share(work, self._bands(len(obj_sum)), self._threads)

    def add_to_probe(self, waves, rows, obj, corners, probe_sum, probe_weight) -> None:
        """probe_sum (M, n, n) += conj(O_j) waves_jm and probe_weight (n, n) += |O_j|^2, over the views."""

        def work(band: slice) -> None:
            self._do.add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, band.start, band.stop)

        share(work, self._bands(len(probe_weight)), self._threads)

    def add_scaled(self, target, direction, weight, regularisation: float, step: float) -> None:
        """target (L, H, W) += step direction / [a max(weight) + (1 - a) weight], a the regularisation.

        direction (L, H, W) and weight (H, W) are zero afterwards.
        """
        most = self._do.largest(weight, 0, len(weight))

        def work(band: slice) -> None:
            self._do.add_scaled(target, direction, weight, most, regularisation, step, band.start, band.stop)

        share(work, self._bands(len(weight)), self._threads)

    def update_both(self, obj, corners, probe, waves, alpha, obj_step, beta, probe_step) -> None:
        """Steps of object and probe along the residual of one view, both from what they were: see ``plain``."""
        self._do.update_both(obj, corners, probe, waves, alpha, obj_step, beta, probe_step)

    def _share_views(self, work, views: int) -> None:
        size = max(1, PIECE // (int(np.prod(self._shape)) * self._dtype.itemsize))
        if self._threads > 1:
            size = min(size, -(-views // (2 * self._threads)))
        share(work, cut(views, size), self._threads)

    def _bands(self, rows: int) -> list[slice]:
        return cut(rows, -(-rows // (1 if self._threads == 1 else 4 * self._threads)))
