"""What the views of a batch tell of their positions, on a GPU; the CPU does that step by step."""

from __future__ import annotations

from typing import Any

from opty.backend import fused_fit_gpu, kernels
from opty.backend.kernels import FEW_THREADS, sizes, strided, tile_grid
from opty.backend.registration_gpu import Registration

_NUMBERS = 10  # of a view, as sense.cu leaves them


class Fused(fused_fit_gpu.Fused):
    """What a batch goes through, the refinement of positions included.

    waves at rows (B,) hold the difference to what the data ask for; light (H, W) is that of all views on the object.
    misfit, change and most (N,) and sensed (N, numbers) are float64, written at ``index`` (B,): of each view
    sum |delta|^2, sum |a|^2 with a = sum_m conj(P_m) delta_m, and the largest of sum_m |P_m|^2.
    """

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
        images = self.kept("images", (views, 2, n, n), self._dtype)
        fields = (*self._fields(waves, rows, obj, corners, illum, light), index, most, images)
        self._launch("sense", "windows_asked_for", tile_grid(n, n, views), fields)
        self._registration.peaks(images, index, sensed)
        if self._registration.generation != self._grown:
            self._grown = self._registration.generation
            self.generation += 1

    def _sense(self, waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed, slopes: str) -> None:
        self._come_back()
        views = len(rows)
        across, down, depth = tile_grid(*self._shape[1:], views)
        grid = across, self._slices(down, across * views), depth
        parts = self._parts(views, _NUMBERS, grid[0] * grid[1])
        fields = (*self._fields(waves, rows, obj, corners, illum, light), parts)
        self._launch("sense", "add_up_senses", grid, fields, slopes)
        fields = (parts, *sizes(views, parts.shape[-1]), index, misfit, change, most, sensed)
        grid = (min(views, kernels.MAX_BLOCKS),)
        kernels.launch("sense", "keep_senses", ("double", slopes), grid, (FEW_THREADS,), fields)

    def _fields(self, waves, rows, obj, corners, illum, light) -> tuple[Any, ...]:
        views = sizes(len(rows), *self._shape[:2])
        return waves, rows, obj, light, *sizes(*obj.shape), corners, *strided(illum), *views
