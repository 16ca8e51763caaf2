"""What the parts of the engine on a GPU share: launches, grids, transforms in place, and waves left half way.

Once a batch of a size has been worked on, another one allocates nothing and nothing waits for the device, so that a
sweep can be captured as a CUDA graph; but for the near field, whose transforms are the propagator's. All work goes
into CuPy's current stream.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import cupy as xp
import numpy as np
from cupy.cuda import cufft
from cupyx.scipy.fft import get_fft_plan

from opty.arrays import cuda
from opty.arrays.cuda import FEW_THREADS, NULL, THREADS, TILE, blocks, sizes, strided, tile_grid
from opty.kernels.fft import pipeline
from opty.kernels.operands import MeasuredFrames
from opty.kernels.workspace import Workspace
from opty.physics.propagation import Propagator

PLANS = 16  # sizes of batches whose transforms stay planned: each plan may hold memory of the size of the waves
FILLING = 1024  # blocks that fill any present device a few times over
PARTIALS = 512  # largest values, one for each block that looked for it
_IN_VAIN = 4  # pixels of an object that look for views, for each pixel of a view


class GpuBase(Workspace):
    """Buffers and launches of an engine.

    Arrays are C-contiguous; corners and rows are int64. ``threads`` concerns the CPU only. ``deterministic``: no
    atomics, each pixel adds its views in ascending order.
    """

    def __init__(
        self,
        propagator: Propagator,
        probe_shape: tuple[int, int, int],
        dtype: Any,
        threads: int,
        deterministic: bool = False,
    ):
        super().__init__(xp, probe_shape, dtype)
        self._propagator, self._ordered = propagator, deterministic
        self._pixels = math.prod(probe_shape[1:])
        self._unitary = 1.0 / self._pixels  # cuFFT leaves its sums: there and back waves grow by as much
        self._floor = self._real.type(np.finfo(self._real).tiny ** 0.5)
        self._tiny = self._real.type(np.finfo(self._real).tiny)
        own = pipeline.supports(propagator.kind, probe_shape[-1], dtype)
        self._pipeline = pipeline.FourierPipeline(probe_shape) if own else None
        self._half_way: tuple[Any, int] | None = None
        self._plans: OrderedDict[int, Any] = OrderedDict()
        self._misfits = xp.zeros(cuda.MAX_BLOCKS, np.float64)
        self._largest = xp.zeros(2 * max(PARTIALS, *pipeline.SIDES), np.float64)

    def use(self, propagator: Propagator) -> None:
        """Take another propagator of the same kind from now on: a run refines the geometry."""
        self._propagator = propagator

    def new_sweep(self, alone: bool, largest: int = 1) -> None:
        super().new_sweep(alone, largest)
        self._half_way = None
        self._misfits.fill(0)

    def misfit(self) -> Any:
        """Return sum w (sqrt I - sqrt Ihat)^2 of all that went to the detector in this sweep, 0-d, on the device."""
        return self._misfits.sum()

    def _come_back(self) -> None:
        """Transform back what ``project`` left half way: along columns, because a sum may follow that does the rows."""
        if self._half_way is not None:
            waves, self._half_way = self._half_way[0], None
            self._pipeline.back(waves)

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

    def _there(self, waves, fraction) -> tuple[Any, float]:
        """Bring waves to the detector, in place if that can be; return them and what brings their power to photons."""
        if self._propagator.kind == "near":
            return xp.ascontiguousarray(self._propagator.to_modulus(waves, fraction)), 1.0
        self._transform(waves, waves, cufft.CUFFT_FORWARD)
        return waves, self._unitary

    def _there_and_back(self, waves, change, fraction) -> None:
        """Bring waves to the detector, let ``change`` work on what ``_there`` returns, bring them back, in place."""
        there, scale = self._there(waves, fraction)
        change(there, scale)
        if self._propagator.kind == "near":
            waves[...] = self._propagator.from_modulus(there, fraction)
        else:
            self._transform(waves, waves, cufft.CUFFT_INVERSE)

    # -- launches

    def _launch(self, file: str, name: str, grid: tuple, fields: tuple, *types: str, block: tuple = TILE) -> None:
        cuda.launch(file, name, (cuda.REALS[cuda.code_of(self._real)], *types), grid, block, fields)

    def _add_up(self, parts, out, index=None) -> None:
        """Put the sums of parts (B, ..., P) over their last axis into ``out`` (B, ...), or (N, ...) at index (B,)."""
        count, each = math.prod(parts.shape[:-1]), math.prod(parts.shape[1:-1])
        fields = (parts, *sizes(count, parts.shape[-1]), NULL if index is None else index, *sizes(each), out)
        grid = (min(count, cuda.MAX_BLOCKS),)
        cuda.launch("accumulate/accumulate", "sum_parts", ("double",), grid, (FEW_THREADS,), fields)

    def _parts(self, *shape: int) -> Any:
        """Return memory for the parts of sums over views."""
        return self.persistent("parts", shape)

    def _find_largest(self, weight) -> tuple[tuple, tuple[int]]:
        """Leave the largest of weight (H, W) in parts; return where, and the grid over all pixels."""
        count = blocks(weight.size, THREADS)
        parts = min(count, PARTIALS)
        fields = (weight, *sizes(weight.size), self._largest)
        self._launch("update/update", "largest", (parts,), fields, block=(THREADS,))
        return (self._largest, *sizes(parts)), (min(count, FILLING),)  # each block reads all parts

    # -- arguments and grids

    def _measured(self, frames: MeasuredFrames) -> tuple:
        """Return what was measured as kernels take it: intensity, rows, mask, its stride, background."""
        intensity, rows, mask, background = frames
        stride = 0 if mask is None or len(mask) == 1 else self._pixels
        mask, background = (NULL if a is None else a for a in (mask, background))
        return intensity, rows, mask, *sizes(stride), background

    def _seen(self, obj, corners, illum) -> tuple:
        return (obj, *sizes(*obj.shape), corners, *strided(illum))

    def _sizes(self, waves) -> tuple[np.int64, ...]:
        return sizes(len(waves), waves.shape[1], waves.shape[-1])

    def _window_grid(self, views: int) -> tuple[int, int, int]:
        """Return the grid over windows whose threads take four rows each."""
        n = self._shape[-1]
        return tile_grid(blocks(n, 4), n, views)

    def _sliced_grid(self, views: int) -> tuple[int, int, int]:
        """Return the grid over windows, no more blocks than fill the device: each makes a part of a sum."""
        across, down, depth = tile_grid(*self._shape[1:], views)
        return across, self._slices(down, across * views), depth

    def _slices(self, most: int, across: int) -> int:
        """Return into how many slices, ``most`` or fewer, work is cut: each adds up once, and all fill the device."""
        return max(1, min(most, blocks(FILLING, max(1, across))))

    def _gathers(self, views: int, canvas) -> bool:
        """Say whether pixels of the object gather their views, rather than that views add to them with atomics.

        That is faster where the windows of the batch hold as many pixels as the object: almost every thread finds work.
        """
        return self._ordered or (views > 1 and canvas.size <= _IN_VAIN * views * self._shape[-1] ** 2)
