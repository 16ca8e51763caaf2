"""The fused steps of fits, of likelihood and least squares, on a GPU; arguments are those of ``plain_fit``.

The same class stands in ``fused_fit``. What ``products``, ``lengths``, ``light`` and ``transmission`` return is kept,
and overwritten by the next call; what is found of each view goes into arrays of all views.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import cupy as xp
import numpy as np

from opty.backend import fused_gpu, kernels
from opty.backend.kernels import FEW_THREADS, NULL, THREADS, blocks, count_type, sizes, strided, tile_grid
from opty.backend.noise import NOISES, TOO_DARK
from opty.backend.operands import Frames

_TRIALS, _PRODUCTS = 3, 5


class Fused(fused_gpu.Fused):
    """What a batch goes through, in projections and in fits."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._numbers: dict[str, Any] = {}
        self._totals: dict[tuple[str, tuple[int, ...]], Any] = {}

    def kept(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
        """Return room for numbers, of one use for each name, which stays and is left as it is."""
        count = int(np.prod(shape))
        if name not in self._numbers or self._numbers[name].size < count:
            self._numbers[name] = xp.empty(count, dtype)
            self.generation += 1
        return self._numbers[name][:count].reshape(shape)

    # -- likelihood

    def follow_slope(self, obj, corners, illum, frames: Frames, noise: str, waves, values, index, fraction=None):
        """Put chi = F^-1 [w dL/dIhat Psi] of exit waves illum O into ``waves``, w L summed per view into values (N,).

        index (B,) is where the views stand in ``values``. ``misfit`` counts sum w (sqrt I - sqrt Ihat)^2 of the batch.
        """
        if self._passes is not None:
            self._half_way = waves, self._passes.form(obj, corners, illum, waves)
            model = self._noise(noise, self._unitary)
            room = partial(self._parts, len(waves))
            parts = self._passes.put_slope(self._measured(frames), waves, self._misfits, room, model)
            self._add_up(parts, values, index)
            if not self._alone:
                self._come_back()
            return
        self.exit_waves(obj, corners, illum, waves)
        self._there_and_back(waves, partial(self._put_slope, frames, noise, values, index), fraction)

    def _put_slope(self, frames: Frames, noise: str, values, index, waves, scale: float) -> None:
        """Put the slope on detector waves that are 1 / sqrt(scale) times too large; ``scale`` is left on them."""
        grid = self._detector_grid(len(waves))
        parts = self._parts(len(waves), grid[0])
        fields = (waves, *self._measured(frames), self._misfits, parts, *self._model(len(waves), noise, scale))
        self._launch("likelihood", "put_slope", grid, fields, count_type(frames.intensity), block=(THREADS,))
        self._add_up(parts, values, index)

    def changes(
        self, obj, corners, illum, obj_step, illum_step, frames: Frames, noise: str, trials, out, index, fraction=None
    ):
        """Put sum w [L(t) - L(0)] of each view, at trial steps t (3,) of obj_step and illum_step, into out (N, 3).

        index (B,) is where the views stand in ``out``.
        """
        views = len(corners)
        waves, scale = self.room("along", views, 3).reshape(3, views, *self._shape), 1.0
        if self._passes is not None:
            self._passes.along(obj, corners, illum, obj_step, illum_step, waves)
            room = partial(self._parts, views, _TRIALS)
            model = *self._noise(noise, self._unitary), self._real.type(np.finfo(self._real).eps)
            self._add_up(self._passes.changes(self._measured(frames), waves, trials, room, model), out, index)
            return
        fields = (obj, obj_step, *sizes(*obj.shape), corners, *strided(illum), *strided(illum_step))
        grid = tile_grid(*self._shape[1:], views)
        self._launch("likelihood", "along", grid, (*fields, *self._sizes(waves[0]), waves))
        for each in waves:
            there, scale = self._there(each, fraction)
            if there is not each:
                each[...] = there
        grid = self._detector_grid(views)
        parts = self._parts(views, _TRIALS, grid[0])
        model = *self._model(views, noise, scale), self._real.type(np.finfo(self._real).eps)
        fields = (waves, *self._measured(frames), trials, parts, *model)
        self._launch("likelihood", "add_up_changes", grid, fields, count_type(frames.intensity), block=(THREADS,))
        self._add_up(parts, out, index)

    def _model(self, views: int, noise: str, scale: float) -> tuple:
        """Return the sizes of detector waves, the model of the noise, and what brings |waves|^2 to photons."""
        return *sizes(views, self._shape[0], np.prod(self._shape[1:])), *self._noise(noise, scale)

    def _noise(self, noise: str, scale: float) -> tuple:
        """Return the model of the noise, and what brings |waves|^2 to photons."""
        return np.int32(NOISES[noise]), self._floor, self._real.type(scale), self._real.type(TOO_DARK)

    # -- least squares

    def products(self, waves, rows, obj, corners, illum, obj_step, illum_step) -> Any:
        """Return uu, vv, uv, ur, vr of each view, (B, 5): r = waves at rows, u = illum obj_step, v = illum_step O."""
        self._come_back()
        views = len(rows)
        across, down, depth = tile_grid(*self._shape[1:], views)
        grid = across, self._slices(down, across * views), depth
        parts = self._parts(views, _PRODUCTS, grid[0] * grid[1])
        fields = (waves, rows, obj, obj_step, *sizes(*obj.shape), corners, *strided(illum), *strided(illum_step))
        self._launch("lsq", "add_up_products", grid, (*fields, *sizes(views, *self._shape[:2]), parts))
        products = self.kept("products", (views, _PRODUCTS))
        self._add_up(parts, products)
        return products

    def lengths(self, products, ridge: float, step: float) -> Any:
        """Return the lengths of the steps of object and probe that fit each view best, (2, B), times ``step``."""
        lengths = self.kept("lengths", (2, len(products)))
        numbers = np.float64(ridge), np.float64(step), np.float64(np.finfo(np.float64).tiny)
        fields = (products, *sizes(len(products)), *numbers, lengths)
        _in_double("lsq", "solve", blocks(len(products), THREADS), THREADS, fields)
        return lengths

    def light(self, corners, illum, lengths, weight) -> Any:
        """Return sum_j lengths_j S_j, S_j = sum_m |illum_jm|^2 at the views' places, in the shape of weight (H, W).

        It is a canvas of zeros before, and ``add_average`` makes it one again.
        """
        total, (height, width), n = self._total("light", weight), weight.shape, self._shape[-1]
        gathers = self._gathers(len(lengths), total)
        name = "add_light_in_order" if gathers else "add_light"
        grid = tile_grid(height, width, 1) if gathers else tile_grid(n, n, len(lengths))
        fields = (corners, *strided(illum), lengths, *sizes(len(lengths), *self._shape[:2]), total)
        self._launch("lsq", name, grid, (*fields, *sizes(height, width)))
        return total

    def transmission(self, obj, corners, lengths, weight) -> Any:
        """Return sum_j lengths_j |O_j|^2, in the shape of weight (n, n)."""
        total, n = self._total("transmission", weight), self._shape[-1]
        fields = (obj, *sizes(*obj.shape), corners, lengths, *sizes(len(lengths), n), total)
        self._launch("lsq", "transmission", tile_grid(n, n, 1), fields)
        return total

    def divide(self, direction, weight, regularisation: float) -> None:
        """direction (L, H, W) /= a max(weight) + (1 - a) weight, a the regularisation; weight (H, W) stays."""
        parts, grid = self._find_largest(weight)
        tiny = self._real.type(np.finfo(self._real).tiny)
        fields = (direction, weight, *sizes(len(direction), weight.size), *parts, np.float64(regularisation), tiny)
        self._launch("updates", "divide", grid, fields, block=(THREADS,))

    def add_average(self, target, direction, total, weight) -> None:
        """target (L, H, W) += direction total / weight, where there is weight; all but target end as zeros."""
        grid = (min(blocks(weight.size, THREADS), kernels.MAX_BLOCKS),)
        fields = (target, direction, total, weight, *sizes(len(target), weight.size))
        self._launch("lsq", "add_average", grid, fields, block=(THREADS,))

    # -- how

    def _detector_grid(self, views: int) -> tuple[int, int]:
        """Return a grid over (pixels, views), no wider than fills the device: each block makes a part of a sum."""
        pixels = int(np.prod(self._shape[1:]))
        across = self._slices(min(blocks(pixels, THREADS), kernels.MAX_BLOCKS), views)
        return across, min(views, kernels.MAX_BLOCKS // across)

    def _parts(self, *shape: int) -> Any:
        """Return room for the parts of sums over views."""
        return self.kept("parts", shape)

    def _add_up(self, parts, out, index=None) -> None:
        """Put the sums of parts (B, ..., P) over their last axis into ``out`` (B, ...), or (N, ...) at index (B,)."""
        count, each = int(np.prod(parts.shape[:-1])), int(np.prod(parts.shape[1:-1]))
        fields = (parts, *sizes(count, parts.shape[-1]), NULL if index is None else index, *sizes(each), out)
        _in_double("likelihood", "sum_parts", count, FEW_THREADS, fields)

    def _total(self, name: str, weight) -> Any:
        """Return a canvas in the shape of weight, zeros when it is made."""
        key = name, weight.shape
        if key not in self._totals:
            self._totals[key] = xp.zeros_like(weight)
            self.generation += 1
        return self._totals[key]


def _in_double(file: str, name: str, count: int, threads: int, fields: tuple) -> None:
    """Launch a kernel on numbers that are in double precision whatever the waves are; ``count`` blocks at most."""
    kernels.launch(file, name, ("double",), (min(count, kernels.MAX_BLOCKS),), (threads,), fields)
