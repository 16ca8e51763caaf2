"""Lengths of steps fitted to each view, and their averages, on a GPU.

What ``products``, ``lengths``, ``light`` and ``transmission`` return is kept, and overwritten by the next call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.arrays import cuda
from opty.arrays.cuda import THREADS, blocks, sizes, strided, tile_grid
from opty.kernels.gpu_base import GpuBase

_FILE = "least_squares/least_squares"
_PRODUCTS = 5


class GpuLeastSquares(GpuBase):
    """Fits of least squares."""

    def products(self, waves, rows, obj, corners, illum, obj_step, illum_step) -> Any:
        """Return uu, vv, uv, ur, vr of each view, (B, 5): r = waves at rows, u = illum obj_step, v = illum_step O."""
        self._come_back()
        views = len(rows)
        grid = self._sliced_grid(views)
        parts = self._parts(views, _PRODUCTS, grid[0] * grid[1])
        fields = (waves, rows, obj, obj_step, *sizes(*obj.shape), corners, *strided(illum), *strided(illum_step))
        self._launch(_FILE, "add_up_products", grid, (*fields, *sizes(views, *self._shape[:2]), parts))
        products = self.persistent("products", (views, _PRODUCTS))
        self._add_up(parts, products)
        return products

    def lengths(self, products, ridge: float, step: float) -> Any:
        """Return the lengths of the steps of object and probe that fit each view best, (2, B), times ``step``."""
        views = len(products)
        lengths = self.persistent("lengths", (2, views))
        numbers = np.float64(ridge), np.float64(step), np.float64(np.finfo(np.float64).tiny)
        grid = (min(blocks(views, THREADS), cuda.MAX_BLOCKS),)
        cuda.launch(_FILE, "solve", ("double",), grid, (THREADS,), (products, *sizes(views), *numbers, lengths))
        return lengths

    def light(self, corners, illum, lengths, weight) -> Any:
        """Return sum_j lengths_j S_j, S_j = sum_m |illum_jm|^2 at the views' places, in the shape of weight (H, W).

        It holds zeros before, and ``add_average`` leaves zeros behind.
        """
        total = self.persistent("light", weight.shape, weight.dtype)
        (height, width), n = weight.shape, self._shape[-1]
        gathers = self._gathers(len(lengths), total)
        name = "add_light_in_order" if gathers else "add_light"
        grid = tile_grid(height, width, 1) if gathers else tile_grid(n, n, len(lengths))
        fields = (corners, *strided(illum), lengths, *sizes(len(lengths), *self._shape[:2]), total)
        self._launch(_FILE, name, grid, (*fields, *sizes(height, width)))
        return total

    def transmission(self, obj, corners, lengths, weight) -> Any:
        """Return sum_j lengths_j |O_j|^2, in the shape of weight (n, n)."""
        total, n = self.persistent("transmission", weight.shape, weight.dtype), self._shape[-1]
        fields = (obj, *sizes(*obj.shape), corners, lengths, *sizes(len(lengths), n), total)
        self._launch(_FILE, "transmission", tile_grid(n, n, 1), fields)
        return total

    def add_average(self, target, direction, total, weight) -> None:
        """target (L, H, W) += direction total / weight, where there is weight; all but target end as zeros."""
        grid = (min(blocks(weight.size, THREADS), cuda.MAX_BLOCKS),)
        fields = (target, direction, total, weight, *sizes(len(target), weight.size))
        self._launch(_FILE, "add_average", grid, fields, block=(THREADS,))
