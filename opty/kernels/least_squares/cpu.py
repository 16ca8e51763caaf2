"""Lengths of steps fitted to each view, and their averages, on the CPU."""

from __future__ import annotations

import numpy as np

from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase, of_views
from opty.kernels.least_squares.solve2x2 import lengths_from


class CpuLeastSquares(CpuBase):
    """Fits of least squares."""

    def products(self, waves, rows, obj, corners, illum, obj_step, illum_step) -> np.ndarray:
        """Return uu, vv, uv, ur, vr of each view, (B, 5): r = waves at rows, u = illum obj_step, v = illum_step O."""
        out = np.empty((len(rows), 5))

        def work(some: slice) -> None:
            seen, step = of_views(illum, some), of_views(illum_step, some)
            args = waves, rows[some], obj, corners[some], seen, obj_step, step, out[some]
            loops("least_squares").add_up_products(*args)

        self._share_views(work, len(rows))
        return out

    def lengths(self, products, ridge: float, step: float) -> np.ndarray:
        """Return the lengths of the steps of object and probe that fit each view best, (2, B), times ``step``."""
        return step * lengths_from(np, *products.T, ridge).T

    def light(self, corners, illum, lengths, weight) -> np.ndarray:
        """Return sum_j lengths_j S_j, S_j = sum_m |illum_jm|^2 at the views' places, in the shape of weight (H, W)."""
        light, total = self._light(illum, weight), np.zeros_like(weight)

        def work(low: int, high: int) -> None:
            loops("least_squares").add_light(corners, light, lengths, total, low, high)

        self._share_weight(work, weight)
        return total

    def transmission(self, obj, corners, lengths, weight) -> np.ndarray:
        """Return sum_j lengths_j |O_j|^2, in the shape of weight (n, n)."""
        total = np.zeros_like(weight)

        def work(low: int, high: int) -> None:
            loops("least_squares").add_transmission(obj, corners, lengths, total, low, high)

        self._share_weight(work, weight)
        return total

    def add_average(self, target, direction, total, weight) -> None:
        """target (L, H, W) += direction total / weight, where there is weight; direction and weight end as zeros."""

        def work(low: int, high: int) -> None:
            loops("least_squares").add_average(target, direction, total, weight, low, high)

        self._share_weight(work, weight)
