"""The fused steps of a sweep on a GPU: a few kernels for a batch, transforms in place, and buffers that stay.

The same class stands in ``fused_cpu``. Once a batch of a size has been worked on, another one allocates nothing and
nothing waits for the device, so that a sweep can be captured as a CUDA graph; but for the near field, whose transforms
are the propagator's own. All work goes into CuPy's current stream.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import cupy as xp
import numpy as np
from cupy.cuda import cufft
from cupyx.scipy.fft import get_fft_plan

from opty.backend import fft_passes, kernels
from opty.backend.kernels import NULL, THREADS, TILE, blocks, count_type, pixel_grid, sizes, strided, tile_grid
from opty.backend.operands import Frames, Kept
from opty.physics.propagation import Propagator

PLANS = 16  # sizes of batches whose transforms stay planned: each plan may hold memory of the size of the waves
_FILLING = 1024  # blocks that fill any present device a few times over
_IN_VAIN = 4  # pixels of an object that look for views, for each pixel of a view
_PARTIALS = 512  # largest values, one for each block that looked for it


class Fused:
    """What a batch goes through, with buffers that are kept from batch to batch.

    Arguments are those of ``plain``: obj (H, W), corners (B, 2), illum (B or 1, M, n, n), waves (B, M, n, n), all
    C-contiguous; corners and rows are int64. ``threads`` concerns the CPU only. ``deterministic``: no atomics, each
    pixel adds its views in ascending order. ``generation`` changes when a buffer makes way for another one.
    """

    def __init__(
        self,
        propagator: Propagator,
        probe_shape: tuple[int, int, int],
        dtype: Any,
        threads: int,
        deterministic: bool = False,
    ):
        self._propagator, self._shape, self._dtype = propagator, probe_shape, np.dtype(dtype)
        self._real = self._dtype.type(0).real.dtype
        self._floor = self._real.type(np.finfo(self._real).tiny ** 0.5)
        self._ordered = deterministic
        self._unitary = 1.0 / np.prod(probe_shape[1:])  # cuFFT leaves its sums: there and back waves grow by as much
        self._alone, self._largest_batch, self._rows = False, 1, xp.arange(0)
        self._passes = (
            fft_passes.Passes(probe_shape) if fft_passes.fits(propagator.kind, probe_shape[-1], dtype) else None
        )
        self._half_way: tuple[Any, int] | None = None
        self._rooms: dict[str, Any] = {}
        self._sums: dict[str, tuple[Any, Any]] = {}
        self._plans: OrderedDict[int, Any] = OrderedDict()
        self._misfits = xp.zeros(kernels.MAX_BLOCKS, np.float64)
        self._largest = xp.zeros(2 * max(_PARTIALS, *kernels.SIDES), np.float64)
        self.generation = 0

    # -- buffers

    def new_sweep(self, alone: bool, largest: int = 1) -> None:
        """Begin a sweep, of batches of ``largest`` views and fewer, for which room is made at once.

        ``alone`` : nobody keeps what a batch is given, and the next one may have the same memory. ``misfit`` counts
        from here.
        """
        self._alone, self._largest_batch, self._half_way = alone, largest, None
        self._misfits.fill(0)

    def misfit(self) -> Any:
        """Return sum w (sqrt I - sqrt Ihat)^2 of all that went to the detector in this sweep, 0-d, on the device."""
        return self._misfits.sum()

    def room(self, name: str, views: int, times: int = 1) -> Any:
        """Return room for so many times the waves of a batch (times B, M, n, n), of one use for each name."""
        if not self._alone:
            return xp.empty((times * views, *self._shape), self._dtype)
        if name not in self._rooms or len(self._rooms[name]) < times * views:
            self._rooms.pop(name, None)  # or there would be two for a moment
            most = max(views, self._largest_batch) if views > 1 else 1  # one may be all that is ever asked for
            self._rooms[name] = xp.empty((times * most, *self._shape), self._dtype)
            self.generation += 1
        return self._rooms[name][: times * views]

    def rows(self, views: int) -> Any:
        """Return 0, 1, 2, ... (B,): where the views of a batch stand in an array of its own."""
        if len(self._rows) < views:
            self._rows = xp.arange(views, dtype=np.int64)
            self.generation += 1
        return self._rows[:views]

    def sums(self, leaf: str, shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Return canvases of zeros for "obj" or "probe", (L, H, W) complex and (H, W) real, that end as zeros again."""
        if leaf not in self._sums:
            self._sums[leaf] = xp.zeros(shape, self._dtype), xp.zeros(shape[1:], self._real)
        return self._sums[leaf]

    # -- waves

    def exit_waves(self, obj, corners, illum, waves) -> None:
        """waves_jm = illum_jm O_j."""
        grid, seen = self._window_grid(len(waves)), self._seen(obj, corners, illum)
        self._launch("exit_waves", "exit_waves", grid, (*seen, *self._sizes(waves), waves))

    def project(self, obj, corners, illum, frames: Frames, difference: bool, waves, fraction=None) -> None:
        """Bring exit waves to the detector, put the measured modulus on them and bring them back, into ``waves``.

        They start as illum O; what comes back are the projected waves, or with ``difference`` their difference to what
        they were. ``fraction`` (B, 2) px concerns the near field only. ``misfit`` counts sum w (sqrt I - sqrt Ihat)^2
        of the batch.
        """
        if self._passes is not None:
            one = self._largest if len(waves) == 1 else None  # its update will ask for the largest weights
            self._half_way = waves, self._passes.form(obj, corners, illum, waves, one)
            self._passes.put_modulus(self._measured(frames), difference, waves, self._misfits)
            if not self._alone:
                self._come_back()
            return
        self.exit_waves(obj, corners, illum, waves)
        self._there_and_back(waves, partial(self._put_modulus, frames, difference), fraction)

    def _come_back(self) -> None:
        """Transform back what ``project`` left half way: along columns, in the hope of something to do beside rows."""
        if self._half_way is not None:
            waves, self._half_way = self._half_way[0], None
            self._passes.back(waves)

    def step_kept(
        self, obj, corners, illum, frames: Frames, waves, kept: Kept, beta: float, keep: float, fraction=None
    ) -> None:
        """Take a step of the difference map's kind: kept += beta (Pi(2 P O - kept) - P O) + (1 - keep) (P O - kept).

        Pi is what ``project`` does. ``waves`` is room to work in. ``misfit`` counts that of 2 P O - kept.
        """
        if self._passes is not None:
            self._passes.reflect(obj, corners, illum, kept, waves)
            self._passes.put_modulus(self._measured(frames), True, waves, self._misfits)
            self._passes.advance(obj, corners, illum, waves, kept, beta, keep - beta)
            return
        grid, seen = self._window_grid(len(waves)), self._seen(obj, corners, illum)
        fields = (*seen, kept.waves, kept.rows, *self._sizes(waves), waves)
        self._launch("exit_waves", "reflect", grid, fields)
        self._there_and_back(waves, partial(self._put_modulus, frames, True), fraction)
        lengths = (self._real.type(beta), self._real.type(keep - beta))
        fields = (*seen, waves, kept.rows, *self._sizes(waves), kept.waves, *lengths)
        self._launch("exit_waves", "advance", grid, fields)

    def _there(self, waves, fraction) -> tuple[Any, float]:
        """Bring waves to the detector, in place if that can be; return them and what brings their power to photons."""
        if self._propagator.kind == "near":
            return xp.ascontiguousarray(self._propagator.to_modulus(waves, fraction)), 1.0
        self._transform(waves, waves, cufft.CUFFT_FORWARD)
        return waves, self._unitary

    def _there_and_back(self, waves, change: Callable[[Any, float], None], fraction) -> None:
        """Bring waves to the detector, let ``change`` work on what ``_there`` returns, bring them back, in place."""
        there, scale = self._there(waves, fraction)
        change(there, scale)
        if self._propagator.kind == "near":
            waves[...] = self._propagator.from_modulus(there, fraction)
        else:
            self._transform(waves, waves, cufft.CUFFT_INVERSE)

    def _put_modulus(self, frames: Frames, difference: bool, waves, scale: float) -> None:
        """Put the modulus on detector waves that are 1 / sqrt(scale) times too large; ``scale`` is left on them."""
        views, modes, pixels = len(waves), self._shape[0], int(np.prod(self._shape[1:]))
        floor, scale = self._floor, self._real.type(scale)
        fields = (waves, *self._measured(frames), self._misfits, *sizes(views, modes, pixels))
        fields = (*fields, np.int32(difference), floor, scale, scale)
        grid = pixel_grid(pixels, views)
        self._launch("modulus", "fourier_modulus", grid, fields, count_type(frames.intensity), block=(THREADS,))

    def _measured(self, frames: Frames) -> tuple:
        """Return what was measured as kernels take it: intensity, rows, mask, its stride, background."""
        intensity, rows, mask, background = frames
        stride = 0 if mask is None or len(mask) == 1 else int(np.prod(self._shape[1:]))
        mask, background = (NULL if a is None else a for a in (mask, background))
        return intensity, rows, mask, *sizes(stride), background

    # -- probes moved by fractions of a pixel

    def shifted(self, probe, fraction, name: str = "illum") -> Any:
        """Return a probe (M, n, n) moved by fraction (B, 2) px for each view, (B, M, n, n), in a room of that name."""
        out, spectrum = self.room(name, len(fraction)), self.room("spectrum", 1)
        self._transform(probe, spectrum, cufft.CUFFT_FORWARD)
        grid, scale = tile_grid(*self._shape[1:], len(out)), self._real.type(self._unitary)
        self._launch("shifts", "shift", grid, (spectrum, fraction, *self._sizes(out), scale, out))
        self._transform(out, out, cufft.CUFFT_INVERSE)
        return out

    def on_probe(self, waves, rows, obj, corners, fraction) -> Any:
        """Return sum_j S_j^-1 conj(O_j) waves_jm (M, n, n), S_j the move by ``fraction``: the adjoint of seeing it."""
        total = self.room("total", 1)[0]
        self._move_back(waves, rows, obj, corners, fraction, None, total, self._unitary, False)
        self._transform(total, total, cufft.CUFFT_INVERSE)
        return total

    def add_on_probe(self, waves, rows, obj, corners, fraction, spectrum, illum=None) -> None:
        """Add the spectrum of what ``on_probe`` returns to ``spectrum`` (M, n, n), view after view.

        With ``illum`` the waves are taken less illum_jm O_j.
        """
        self._move_back(waves, rows, obj, corners, fraction, illum, spectrum, self._unitary**0.5, True)

    def _move_back(self, waves, rows, obj, corners, fraction, illum, spectrum, scale: float, adds: bool) -> None:
        self._come_back()
        out = self.room("back", len(rows))
        seen = (NULL, *sizes(0)) if illum is None else strided(illum)
        fields = (waves, rows, obj, *sizes(*obj.shape), corners, *seen, *self._sizes(out), out)
        self._launch("shifts", "through_object", tile_grid(*self._shape[1:], len(out)), fields)
        self._transform(out, out, cufft.CUFFT_FORWARD)
        fields = (out, fraction, *self._sizes(out), self._real.type(scale), np.int32(adds), spectrum)
        self._launch("shifts", "sum_shifted_back", tile_grid(*self._shape[1:], self._shape[0]), fields)

    def add_seen(self, obj, corners, probe_weight) -> None:
        """probe_weight (n, n) += |O_j|^2 over the views."""
        fields = (obj, *sizes(*obj.shape), corners, *sizes(len(corners), self._shape[-1]), probe_weight)
        self._launch("shifts", "add_seen", tile_grid(*self._shape[1:], 1), fields)

    # -- sums over views

    def add_to_object(self, waves, rows, corners, illum, obj_sum, obj_weight) -> None:
        """obj_sum (H, W) += sum_m conj(illum_jm) waves_jm and obj_weight += sum_m |illum_jm|^2, views in place."""
        self._come_back()
        n, (height, width) = self._shape[-1], obj_sum.shape
        gathers = self._gathers(len(rows), obj_sum)
        name = "add_to_object_in_order" if gathers else "add_to_object"
        grid = tile_grid(blocks(height, 2), width, 1) if gathers else tile_grid(n, n, len(rows))
        fields = (waves, rows, corners, *strided(illum), *sizes(len(rows), self._shape[0], n))
        self._launch("accumulate", name, grid, (*fields, obj_sum, obj_weight, *sizes(height, width)))

    def add_to_probe(self, waves, rows, obj, corners, probe_sum, probe_weight) -> None:
        """probe_sum (M, n, n) += conj(O_j) waves_jm and probe_weight (n, n) += |O_j|^2, over the views."""
        self._come_back()
        (modes, n, _), views = self._shape, len(rows)
        across = self._window_grid(1)[:2]
        slices = 1 if self._ordered else self._slices(views, across[0] * across[1] * modes)
        fields = (waves, rows, obj, *sizes(*obj.shape), corners, *sizes(views, modes, n), probe_sum, probe_weight)
        self._launch("accumulate", "add_to_probe", (*across, modes * slices), (*fields, *sizes(slices)))

    def add_to_both(self, waves, rows, corners, illum, obj, obj_sum, obj_weight, probe_sum, probe_weight) -> None:
        """What ``add_to_object`` and ``add_to_probe`` do, in one pass over the waves where that is possible."""
        (modes, n, _), views = self._shape, len(rows)
        if self._gathers(views, obj_sum) or modes > kernels.MODES_AT_ONCE:
            if self._half_way is not None and not self._ordered:
                self._passes.back_to_probe(self._half_way[0], obj, corners, probe_sum, probe_weight)
                self._half_way = None
                self.add_to_object(waves, rows, corners, illum, obj_sum, obj_weight)
                return
            self.add_to_object(waves, rows, corners, illum, obj_sum, obj_weight)
            self.add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight)
            return
        self._come_back()
        across = tile_grid(n, n, 1)[:2]
        slices = self._slices(views, across[0] * across[1])
        fields = (waves, rows, obj, corners, *strided(illum), *sizes(views, n), obj_sum, obj_weight)
        fields = (*fields, *sizes(*obj_sum.shape), probe_sum, probe_weight, *sizes(slices))
        self._launch("accumulate", "add_to_both", (*across, slices), fields, str(modes))

    # -- steps

    def add_scaled(self, target, direction, weight, regularisation: float, step: float) -> None:
        """target (L, H, W) += step direction / [a max(weight) + (1 - a) weight], a the regularisation.

        direction (L, H, W) and weight (H, W) are zero afterwards.
        """
        parts, grid = self._find_largest(weight)
        fields = (target, direction, weight, *sizes(len(target), weight.size), *parts)
        self._launch("updates", "add_scaled", grid, (*fields, *self._steps(regularisation, step)), block=(THREADS,))

    def merge(self, old, total, weight, held, inertia: float) -> None:
        """old (L, H, W) = (total + c held) / (weight + c), c = inertia max(weight); as it is where nothing is known."""
        parts, grid = self._find_largest(weight)
        fields = (old, total, weight, held, *sizes(len(old), weight.size), *parts, np.float64(inertia))
        self._launch("updates", "merge", grid, fields, block=(THREADS,))

    def update_both(self, obj, corners, probe, waves, alpha, obj_step, beta, probe_step) -> None:
        """Steps of object and probe along the residual of one view, both from what they were: see ``plain``."""
        modes, n, _ = self._shape
        if self._half_way is not None:
            parts, self._half_way = self._half_way[1], None
            self._passes.update(obj, corners, probe, waves, self._largest, parts, alpha, obj_step, beta, probe_step)
            return
        grid = tile_grid(n, n, 1)[:2]
        few = min(grid[0], 8), min(grid[1], _PARTIALS // 8)
        window = (obj, *sizes(*obj.shape), corners, probe)
        self._launch("updates", "largest_of_both", few, (*window, *sizes(modes, n), self._largest))
        fields = (*window, waves, *sizes(modes, n), self._largest, *sizes(few[0] * few[1]))
        steps = (np.float64(alpha), np.float64(obj_step), *self._steps(beta, probe_step))
        self._launch("updates", "update_both", grid, (*fields, *steps))

    # -- how

    def _find_largest(self, weight) -> tuple[tuple, tuple[int]]:
        """Leave the largest of weight (H, W) in parts; return where, and the grid over all pixels."""
        count = blocks(weight.size, THREADS)
        parts = min(count, _PARTIALS)
        self._launch("updates", "largest", (parts,), (weight, *sizes(weight.size), self._largest), block=(THREADS,))
        return (self._largest, *sizes(parts)), (min(count, _FILLING),)  # each block reads all parts

    def _launch(self, file: str, name: str, grid: tuple, fields: tuple, *types: str, block: tuple = TILE) -> None:
        kernels.launch(file, name, (kernels.REALS[kernels.code_of(self._real)], *types), grid, block, fields)

    def _transform(self, waves, out, direction: int) -> None:
        """Transform waves (..., n, n) into ``out``, which may be the same; the sums are left as they are."""
        waves, out = (a.reshape(-1, *self._shape[1:]) for a in (waves, out))
        count = len(waves)
        if not count:
            return  # cuFFT has no plan for that
        if count not in self._plans:
            self._plans[count] = get_fft_plan(waves, axes=(1, 2))
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
                self.generation += 1
        self._plans.move_to_end(count)
        self._plans[count].fft(waves, out, direction)

    def _gathers(self, views: int, canvas) -> bool:
        """Say whether pixels of the object gather their views, rather than that views add to them with atomics.

        That is faster where the windows of the batch hold as many pixels as the object: hardly one looks in vain.
        """
        return self._ordered or (views > 1 and canvas.size <= _IN_VAIN * views * self._shape[-1] ** 2)

    def _window_grid(self, views: int) -> tuple[int, int, int]:
        """Return the grid over windows whose threads take four rows each."""
        n = self._shape[-1]
        return tile_grid(blocks(n, 4), n, views)

    def _slices(self, most: int, across: int) -> int:
        """Return into how many slices, ``most`` or fewer, work is cut: each adds up once, and all fill the device."""
        return max(1, min(most, blocks(_FILLING, max(1, across))))

    def _seen(self, obj, corners, illum) -> tuple:
        return (obj, *sizes(*obj.shape), corners, *strided(illum))

    def _sizes(self, waves) -> tuple[np.int64, ...]:
        return sizes(len(waves), waves.shape[1], waves.shape[-1])

    def _steps(self, regularisation: float, step: float) -> tuple:
        return np.float64(regularisation), np.float64(step), self._real.type(np.finfo(self._real).tiny)
