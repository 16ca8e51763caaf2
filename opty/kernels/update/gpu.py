"""Steps of object and probe along sums over views, on a GPU."""

from __future__ import annotations

import numpy as np

from opty.arrays.cuda import THREADS, sizes, tile_grid
from opty.kernels.gpu_base import PARTIALS, GpuBase

_FILE = "update/update"


class GpuUpdates(GpuBase):
    """Steps divided by regularised weights, and merged estimates."""

    def add_scaled(self, target, direction, weight, regularisation: float, step: float) -> None:
        """target (L, H, W) += step direction / [a max(weight) + (1 - a) weight], a the regularisation.

        direction (L, H, W) and weight (H, W) are zero afterwards.
        """
        parts, grid = self._find_largest(weight)
        fields = (target, direction, weight, *sizes(len(target), weight.size), *parts)
        fields = (*fields, np.float64(regularisation), np.float64(step), self._tiny)
        self._launch(_FILE, "add_scaled", grid, fields, block=(THREADS,))

    def divide(self, direction, weight, regularisation: float, largest=None) -> None:
        """direction (L, H, W) /= a max(weight) + (1 - a) weight, a the regularisation; weight (H, W) stays.

        ``largest`` : numbers (K,) float64 on the device of which the largest is to be max(weight).
        """
        parts, grid = self._find_largest(weight)
        if largest is not None:
            parts = largest, *sizes(len(largest))
        fields = (direction, weight, *sizes(len(direction), weight.size), *parts, np.float64(regularisation))
        self._launch(_FILE, "divide", grid, (*fields, self._tiny), block=(THREADS,))

    def merge(self, old, total, weight, held, inertia: float) -> None:
        """old (L, H, W) = (total + c held) / (weight + c), c = inertia max(weight); as it is where nothing is known."""
        parts, grid = self._find_largest(weight)
        fields = (old, total, weight, held, *sizes(len(old), weight.size), *parts, np.float64(inertia))
        self._launch(_FILE, "merge", grid, fields, block=(THREADS,))

    def update_both(self, obj, corners, probe, waves, alpha, obj_step, beta, probe_step) -> None:
        """Steps of object and probe along the residual of one view, both from what they were."""
        (modes, n, _), steps = self._shape, (alpha, obj_step, beta, probe_step)
        if self._half_way is not None:
            parts, self._half_way = self._half_way[1], None
            self._pipeline.update(obj, corners, probe, waves, self._largest, parts, *steps)
            return
        grid = tile_grid(n, n, 1)[:2]
        few = min(grid[0], 8), min(grid[1], PARTIALS // 8)
        window = (obj, *sizes(*obj.shape), corners, probe)
        self._launch(_FILE, "largest_of_both", few, (*window, *sizes(modes, n), self._largest))
        fields = (*window, waves, *sizes(modes, n), self._largest, *sizes(few[0] * few[1]))
        self._launch(_FILE, "update_both", grid, (*fields, *map(np.float64, steps), self._tiny))
