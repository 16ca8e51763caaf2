"""Exit waves to the detector and back in three passes over the waves, with Fourier transforms of our own.

A transform of a library reads and writes the waves twice, along rows and along columns, and what happens before and
after it reads and writes them again. Here the first pass forms exit waves and transforms their rows; the second does
the columns, what is to be done on the detector, and the columns back; the third transforms the rows back, and does
what comes next where that is a matter of one pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from opty.arrays import cuda
from opty.arrays.cuda import NULL, blocks, launch, sizes, strided
from opty.kernels.operands import WaveStore

SIDES = (32, 64, 128, 256, 512, 1024)  # n of windows that are transformed here, in single precision
MODES_HELD = 4  # modes that a thread can hold eight values of in its registers
_FILLING = 100  # blocks that keep most multiprocessors of a large device at work
_MANY = 4096  # blocks of a launch: one that takes several views works out the turns of its transforms once
_SLICES = 16  # of the views at most, each of which adds up on its own
_SLICE = 8  # views in a slice at least: each ends in atomics


def supports(kind: str, n: int, dtype: Any) -> bool:
    """Say whether there are passes for windows of n x n and a kind of propagation."""
    return kind != "near" and n in SIDES and np.dtype(dtype) == np.complex64


class FourierPipeline:
    """The passes over waves (B, M, n, n) complex64, n in ``SIDES``; arguments are those of ``GpuEngine``.

    What is left on the waves after both transforms is n^2 times too large: the detector takes it off.
    """

    def __init__(self, probe_shape: tuple[int, int, int]):
        self._modes, self._n, _ = probe_shape
        self._scale = np.float32(1.0 / self._n**2)
        self._tiny = np.float32(np.finfo(np.float32).tiny)
        self._held = str(self._modes if self._modes <= MODES_HELD else 0)

    # -- rows

    def form(self, obj, corners, illum, waves, largest: Any = None) -> int:
        """waves_jm = F illum_jm O_j along rows.

        ``largest`` : memory for the largest of sum_m |illum_m|^2, and of |O|^2, of as many parts as are returned.
        """
        finds, where = ("false", NULL) if largest is None else ("true", largest)
        fields = (*self._seen(obj, corners, illum), *sizes(*waves.shape[:2]), waves, where)
        return self.forward(waves, "form_rows", len(waves), fields, finds)

    def reflect(self, obj, corners, illum, kept: WaveStore, waves) -> None:
        """waves_jm = F (2 illum_jm O_j - kept_jm) along rows."""
        fields = (*self._seen(obj, corners, illum), kept.waves, kept.rows, *sizes(*waves.shape[:2]), waves)
        self.forward(waves, "reflect_rows", len(waves), fields)

    def back(self, waves) -> None:
        """waves_jm = F^-1 waves_jm along rows."""
        images = waves.shape[0] * waves.shape[1]
        self.inverse(waves, "back_rows", images, (waves, *sizes(images)))

    def back_to_probe(self, waves, obj, corners, probe_sum, probe_weight) -> None:
        """What ``back`` does, and probe_sum_m += conj(O_j) waves_jm, probe_weight += |O_j|^2 over the views."""
        fields = (waves, obj, *sizes(*obj.shape), corners, *sizes(*waves.shape[:2]), probe_sum, probe_weight)
        self.inverse(waves, "back_rows_to_probe", _slices(len(waves)), fields, depth=waves.shape[1])

    def advance(self, obj, corners, illum, waves, kept: WaveStore, beta: float, share: float) -> None:
        """kept_jm = share kept_jm + (1 - share) illum_jm O_j + beta F^-1 waves_jm along rows."""
        fields = (*self._seen(obj, corners, illum), waves, kept.rows, *sizes(*waves.shape[:2]), kept.waves)
        self.inverse(waves, "advance_rows", len(waves), (*fields, np.float32(beta), np.float32(share)))

    def update(self, obj, corners, probe, waves, largest, parts: int, *steps: float) -> None:
        """What ``back`` does for one view, and steps along it; ``steps``: alpha, obj_step, beta, probe_step."""
        fields = (obj, *sizes(*obj.shape), corners, probe, waves, *sizes(len(probe)), largest, *sizes(parts))
        self.inverse(waves, "update_rows", 1, (*fields, *map(np.float64, steps), self._tiny))

    def along(self, obj, corners, illum, obj_step, illum_step, waves) -> None:
        """waves (3, B, M, n, n) = F of P O, P dO + dP O, dP dO along rows."""
        fields = (obj, obj_step, *sizes(*obj.shape), corners, *strided(illum), *strided(illum_step))
        self.forward(waves, "along_rows", len(corners), (*fields, *sizes(*waves.shape[1:3]), waves))

    # -- columns

    def put_modulus(self, measured: tuple, difference: bool, waves, misfits) -> None:
        """Transform along columns, put the measured modulus there, and transform back along columns."""
        fields = (waves, *_counted(measured), misfits, *sizes(*waves.shape[:2]), np.int32(difference))
        fields = (*fields, self._tiny ** np.float32(0.5), self._scale, self._scale)
        self._columns("modulus_columns", len(waves), fields, self._held)

    def put_slope(self, measured: tuple, waves, misfits, parts: Callable[[int], Any], model: tuple) -> Any:
        """Transform along columns, put the slope of the likelihood there, and transform back along columns.

        ``parts`` : called with their number, returns memory for the parts of each view's likelihood, which is returned.
        ``model`` : of the noise, and its numbers.
        """
        memory = parts(self._column_grid(len(waves))[1])
        fields = (waves, *_counted(measured), misfits, memory, *sizes(*waves.shape[:2]), *model)
        self._columns("slope_columns", len(waves), fields, self._held)
        return memory

    def changes(self, measured: tuple, waves, trials, parts: Callable[[int], Any], model: tuple) -> Any:
        """Transform waves (3, B, M, n, n) along columns, and return parts of the changes of each view's likelihood."""
        memory = parts(self._column_grid(waves.shape[1])[1])
        fields = (waves, *_counted(measured), trials, memory, *sizes(*waves.shape[1:3]), *model)
        self._columns("changes_columns", waves.shape[1], fields)
        return memory

    # -- launches

    def _seen(self, obj, corners, illum) -> tuple:
        return (obj, *sizes(*obj.shape), corners, *strided(illum))

    def forward(self, waves, name: str, images: int, fields: tuple, *types: str) -> int:
        """Launch a kernel that transforms the rows of ``waves``; returns the number of its blocks across and down.

        ``images`` : how many of them, or slices of them, are worked on at once.
        """
        return self._rows(name, images, fields, *types)

    def inverse(self, waves, name: str, images: int, fields: tuple, depth: int = 1) -> None:
        """Launch a kernel that transforms the rows of ``waves`` back, ``depth`` layers of blocks deep."""
        self._rows(name, images, fields, depth=depth)

    def _rows(self, name: str, images: int, fields: tuple, *types: str, depth: int = 1) -> int:
        threads = self._n // 8
        most, least = min(self._n, 256 // threads), max(1, 32 // threads)
        each = _halved(most, least, self._n * images * depth)
        across = self._n // each
        grid = across, min(images, blocks(_MANY, across), cuda.MAX_GRID_YZ), depth
        launch("fft/rows", name, ("float", str(self._n), *types), grid, (threads, each), fields)
        return grid[0] * grid[1]

    def _columns(self, name: str, views: int, fields: tuple, *types: str) -> None:
        each, across = self._column_grid(views)
        grid = across, min(views, cuda.MAX_BLOCKS // across)
        launch("fft/columns", name, ("float", str(self._n), *types), grid, (each, self._n // 8), fields)

    def _column_grid(self, views: int) -> tuple[int, int]:
        """Return how many columns a block takes, and how many blocks a view."""
        each = _halved(min(self._n, 4096 // self._n), max(4, 256 // self._n), self._n * views)
        return each, self._n // each


def _counted(measured: tuple) -> tuple:
    """Return what was measured as the kernels of columns take it: the number type of intensities goes as a number."""
    intensity, *rest = measured
    return intensity.view(np.uint8), np.int32(list(cuda.COUNTS).index(cuda.code_of(intensity.dtype))), *rest


def _slices(views: int) -> int:
    return max(1, min(_SLICES, views // _SLICE))


def _halved(most: int, least: int, lines: int) -> int:
    """Return how many lines a block takes: ``most``, or less where there are too few to go round."""
    each = most
    while each > least and lines // each < _FILLING:
        each //= 2
    return each
