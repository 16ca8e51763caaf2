"""What the views of a batch tell of their positions, on a GPU."""

from __future__ import annotations

from typing import Any

from opty.arrays import cuda
from opty.arrays.cuda import FEW_THREADS, sizes, strided, tile_grid
from opty.kernels.gpu_base import GpuBase
from opty.kernels.positions.registration_gpu import Registration

_FILE = "positions/sense"
_NUMBERS = 10  # of a view, as sense.cu leaves them


class GpuPositions(GpuBase):
    """The refinement of positions, by a fit or by a shift."""

    _registration: Registration | None = None

    def sense_slopes(self, waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed) -> None:
        """Put what ``signals.fit_numbers`` returns into sensed (N, 7)."""
        self._sense(waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed, "true")

    def sense_shifts(self, waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed) -> None:
        """Put what ``signals.object_shift`` returns into sensed (N, 2) px."""
        self._sense(waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed, "false")
        n, views = self._shape[-1], len(rows)
        if self._registration is None:
            self._registration = Registration(n, self._dtype)
            self._grown = self._registration.generation
        images = self.persistent("images", (views, 2, n, n), self._dtype)
        fields = (*self._fields(waves, rows, obj, corners, illum, light), index, most, images)
        self._launch(_FILE, "windows_asked_for", tile_grid(n, n, views), fields)
        self._registration.peaks(images, index, sensed)
        if self._registration.generation != self._grown:
            self._grown = self._registration.generation
            self.generation += 1

    def _sense(self, waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed, slopes: str) -> None:
        self._come_back()
        views = len(rows)
        grid = self._sliced_grid(views)
        parts = self._parts(views, _NUMBERS, grid[0] * grid[1])
        fields = (*self._fields(waves, rows, obj, corners, illum, light), parts)
        self._launch(_FILE, "add_up_senses", grid, fields, slopes)
        fields = (parts, *sizes(views, parts.shape[-1]), index, misfit, change, most, sensed)
        grid = (min(views, cuda.MAX_BLOCKS),)
        cuda.launch(_FILE, "keep_senses", ("double", slopes), grid, (FEW_THREADS,), fields)

    def _fields(self, waves, rows, obj, corners, illum, light) -> tuple[Any, ...]:
        views = sizes(len(rows), *self._shape[:2])
        return waves, rows, obj, light, *sizes(*obj.shape), corners, *strided(illum), *views
