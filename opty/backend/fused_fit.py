"""The fused steps of fits, of likelihood and least squares, on the CPU; arguments are those of ``plain_fit``."""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any

import numpy as np

from opty.backend import fused_cpu
from opty.backend.fused_cpu import _into
from opty.backend.noise import NOISES
from opty.backend.operands import Frames
from opty.backend.solve2x2 import lengths_from
from opty.backend.thread_pool import cut, share


@functools.cache
def loops() -> ModuleType:
    """Return the compiled loops, or where numba is not installed those of NumPy."""
    if fused_cpu.loops().name == "numpy":
        from opty.backend import plain_fit

        return plain_fit
    from opty.backend import loops_fit

    return loops_fit


class Fused(fused_cpu.Fused):
    """What a batch goes through, in projections and in fits."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._fit_do = loops()
        self._spare: dict[int, list[np.ndarray]] = {}
        self._numbers: dict[str, np.ndarray] = {}

    def kept(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        """Return room for numbers, of one use for each name, which stays and is left as it is."""
        count = math.prod(shape)
        if name not in self._numbers or self._numbers[name].size < count:
            self._numbers[name] = np.zeros(count, dtype)
        return self._numbers[name][:count].reshape(shape)

    def follow_slope(self, obj, corners, illum, frames: Frames, noise: str, waves, values, index, fraction=None):
        """Put chi = F^-1 [w dL/dIhat Psi] of exit waves illum O into ``waves``, w L summed per view into values (N,).

        index (B,) is where the views stand in ``values``. ``misfit`` counts sum w (sqrt I - sqrt Ihat)^2 of the batch.
        """

        def work(obj, corners, illum, frames, waves, fraction, misfits, index) -> None:
            self._do.exit_waves(obj, corners, illum, waves)
            there, found = self._propagator.to_modulus(waves, fraction), np.empty(len(index))
            self._fit_do.put_slope(there, *frames, NOISES[noise], misfits, found)
            values[index] = found
            _into(waves, self._propagator.from_modulus(there, fraction))

        self._in_pieces(work, obj, corners, illum, frames, waves, fraction, index)

    def changes(
        self, obj, corners, illum, obj_step, illum_step, frames: Frames, noise: str, trials, out, index, fraction=None
    ):
        """Put sum w [L(t) - L(0)] of each view, at trial steps t (3,) of obj_step and illum_step, into out (N, 3).

        index (B,) is where the views stand in ``out``.
        """
        views = len(corners)
        # Three arrays of waves for each view; who finds none left makes them, and leaves them for the next.
        size = max(1, self._piece(views) // 2)
        rooms: list[np.ndarray] = self._spare.setdefault(size, [])

        def work(some: slice) -> None:
            room = rooms.pop() if rooms else np.empty((3, size, *self._shape), self._dtype)
            waves = room[:, : some.stop - some.start]
            seen, step = (a if len(a) == 1 else a[some] for a in (illum, illum_step))
            self._fit_do.along(obj, corners[some], seen, obj_step, step, waves)
            moved = None if fraction is None else fraction[some]
            for each in waves:
                _into(each, self._propagator.to_modulus(each, moved))
            part, found = frames._replace(rows=frames.rows[some]), np.empty((some.stop - some.start, len(trials)))
            self._fit_do.add_up_changes(waves, *part, NOISES[noise], trials, found)
            out[index[some]] = found
            rooms.append(room)

        share(work, cut(views, size), self._threads)

    def divide(self, direction, weight, regularisation: float) -> None:
        """direction (L, H, W) /= a max(weight) + (1 - a) weight, a the regularisation; weight (H, W) stays."""
        most = self._do.largest(weight, 0, len(weight))

        def work(band: slice) -> None:
            self._fit_do.divide(direction, weight, most, regularisation, band.start, band.stop)

        share(work, self._bands(len(weight), weight.size // 2), self._threads)

    def products(self, waves, rows, obj, corners, illum, obj_step, illum_step) -> np.ndarray:
        """Return uu, vv, uv, ur, vr of each view, (B, 5): r = waves at rows, u = illum obj_step, v = illum_step O."""
        views = len(rows)
        out = np.empty((views, 5))

        def work(some: slice) -> None:
            seen, step = (a if len(a) == 1 else a[some] for a in (illum, illum_step))
            self._fit_do.add_up_products(waves, rows[some], obj, corners[some], seen, obj_step, step, out[some])

        share(work, cut(views, self._piece(views)), self._threads)
        return out

    def lengths(self, products, ridge: float, step: float) -> np.ndarray:
        """Return the lengths of the steps of object and probe that fit each view best, (2, B), times ``step``."""
        return step * lengths_from(np, *products.T, ridge).T

    def light(self, corners, illum, lengths, weight) -> np.ndarray:
        """Return sum_j lengths_j S_j, S_j = sum_m |illum_jm|^2 at the views' places, in the shape of weight (H, W)."""
        light, total = self._light(illum, weight), np.zeros_like(weight)

        def work(band: slice) -> None:
            self._fit_do.add_light(corners, light, lengths, total, band.start, band.stop)

        share(work, self._bands(len(weight), weight.size // 2), self._threads)
        return total

    def transmission(self, obj, corners, lengths, weight) -> np.ndarray:
        """Return sum_j lengths_j |O_j|^2, in the shape of weight (n, n)."""
        total = np.zeros_like(weight)

        def work(band: slice) -> None:
            self._fit_do.add_transmission(obj, corners, lengths, total, band.start, band.stop)

        share(work, self._bands(len(weight), weight.size // 2), self._threads)
        return total

    def add_average(self, target, direction, total, weight) -> None:
        """target (L, H, W) += direction total / weight, where there is weight; direction and weight end as zeros."""

        def work(band: slice) -> None:
            self._fit_do.add_average(target, direction, total, weight, band.start, band.stop)

        share(work, self._bands(len(weight), weight.size // 2), self._threads)
