"""Exit waves to the detector and back in three passes over the waves, with Fourier transforms of our own.

A transform of a library reads and writes the waves twice, along rows and along columns, and what happens before and
after it reads and writes them again. Here the first pass forms exit waves and transforms their rows; the second does
the columns, what is to be done on the detector, and the columns back; the third transforms the rows back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.backend import kernels
from opty.backend.kernels import blocks, launch, sizes, strided
from opty.backend.operands import Kept

_SIDE_BLOCKS = 4096  # of a launch: a block that takes several views works out the turns of its transforms once


class Passes:
    """The passes over waves (B, M, n, n) complex64, n in ``kernels.SIDES``; arguments are those of ``fused_gpu``.

    What is left on the waves after both transforms is n^2 times too large: ``scale`` takes it off on the detector.
    """

    def __init__(self, probe_shape: tuple[int, int, int]):
        self._modes, self._n, _ = probe_shape
        self._threads = self._n // 8
        self._scale = np.float32(1.0 / self._n**2)
        self._floor = np.float32(np.finfo(np.float32).tiny ** 0.5)

    def form(self, obj, corners, illum, waves) -> None:
        """waves_jm = F illum_jm O_j along rows."""
        fields = (*self._seen(obj, corners, illum), *sizes(*waves.shape[:2]), waves)
        self._rows("form_rows", len(waves), fields)

    def reflect(self, obj, corners, illum, kept: Kept, waves) -> None:
        """waves_jm = F (2 illum_jm O_j - kept_jm) along rows."""
        fields = (*self._seen(obj, corners, illum), kept.waves, kept.rows, *sizes(*waves.shape[:2]), waves)
        self._rows("reflect_rows", len(waves), fields)

    def back(self, waves) -> None:
        """waves_jm = F^-1 waves_jm along rows."""
        images = waves.shape[0] * waves.shape[1]
        self._rows("back_rows", images, (waves, *sizes(images)))

    def advance(self, obj, corners, illum, waves, kept: Kept, beta: float, share: float) -> None:
        """kept_jm = share kept_jm + (1 - share) illum_jm O_j + beta F^-1 waves_jm along rows."""
        fields = (*self._seen(obj, corners, illum), waves, kept.rows, *sizes(*waves.shape[:2]), kept.waves)
        self._rows("advance_rows", len(waves), (*fields, np.float32(beta), np.float32(share)))

    def put_modulus(self, measured: tuple, difference: bool, waves, misfits) -> None:
        """Transform along columns, put the measured modulus there, and transform back along columns."""
        views, modes = waves.shape[:2]
        intensity, rows, mask, stride, background = measured
        counts = intensity.view(np.uint8), np.int32(list(kernels.COUNTS).index(kernels.code_of(intensity.dtype)))
        fields = (waves, *counts, rows, mask, stride, background, misfits, *sizes(views, modes), np.int32(difference))
        held = modes if modes <= kernels.MODES_HELD else 0
        columns = min(self._n, 4096 // self._n)
        across = self._n // columns
        grid = across, min(views, kernels.MAX_BLOCKS // across)
        types = "float", str(self._n), str(held)
        block = columns, self._threads
        launch("columns", "modulus_columns", types, grid, block, (*fields, self._floor, self._scale, self._scale))

    def _rows(self, name: str, images: int, fields: tuple) -> None:
        rows = min(self._n, 256 // self._threads)
        across = self._n // rows
        grid = across, min(images, blocks(_SIDE_BLOCKS, across), kernels.MAX_GRID_YZ)
        launch("rows", name, ("float", str(self._n)), grid, (self._threads, rows), fields)

    def _seen(self, obj, corners, illum) -> tuple:
        return (obj, *sizes(*obj.shape), corners, *strided(illum))


def fits(kind: str, n: int, dtype: Any) -> bool:
    """Say whether there are passes for windows of n x n and a kind of propagation."""
    return kind != "near" and n in kernels.SIDES and np.dtype(dtype) == np.complex64
