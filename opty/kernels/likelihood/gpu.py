"""The slope of a likelihood, and its changes along a step, on a GPU; what is found goes into arrays of all views."""

from __future__ import annotations

from functools import partial

import numpy as np

from opty.arrays import cuda
from opty.arrays.cuda import THREADS, blocks, count_type, sizes, strided, tile_grid
from opty.kernels.gpu_base import GpuBase
from opty.kernels.likelihood.noise import NOISES
from opty.kernels.likelihood.noise_writers import in_cuda
from opty.kernels.operands import MeasuredFrames

_FILE = "detector/detector"
_TRIALS = 3

cuda.HEADERS["likelihood/models.cuh"] = in_cuda


class GpuLikelihood(GpuBase):
    """Fits of the likelihood."""

    def follow_slope(self, obj, corners, illum, frames, noise, waves, values, index, fraction=None):
        """Put chi = F^-1 [w dL/dIhat Psi] of exit waves illum O into ``waves``, w L per view into values (N,)."""
        if self._pipeline is not None:
            self._half_way = waves, self._pipeline.form(obj, corners, illum, waves)
            model, memory = self._noise(noise, self._unitary), partial(self._parts, len(waves))
            parts = self._pipeline.put_slope(self._measured(frames), waves, self._misfits, memory, model)
            self._add_up(parts, values, index)
            if not self._reuses:
                self._come_back()
            return
        self.exit_waves(obj, corners, illum, waves)
        self._there_and_back(waves, partial(self._put_slope, frames, noise, values, index), fraction)

    def _put_slope(self, frames: MeasuredFrames, noise: str, values, index, waves, scale: float) -> None:
        """Put the slope on detector waves that are 1 / sqrt(scale) times too large; ``scale`` is left on them."""
        grid = self._detector_grid(len(waves))
        parts = self._parts(len(waves), grid[0])
        fields = (waves, *self._measured(frames), self._misfits, parts, *self._model(len(waves), noise, scale))
        self._launch(_FILE, "put_slope", grid, fields, count_type(frames.intensity), block=(THREADS,))
        self._add_up(parts, values, index)

    def changes(self, obj, corners, illum, obj_step, illum_step, frames, noise, trials, out, index, fraction=None):
        """Put sum w [L(t) - L(0)] of each view, at trial steps t (3,) of obj_step and illum_step, into out (N, 3)."""
        views, epsilon = len(corners), self._real.type(np.finfo(self._real).eps)
        waves, scale = self.scratch("along", views, 3).reshape(3, views, *self._shape), 1.0
        if self._pipeline is not None:
            self._pipeline.along(obj, corners, illum, obj_step, illum_step, waves)
            model, memory = (*self._noise(noise, self._unitary), epsilon), partial(self._parts, views, _TRIALS)
            parts = self._pipeline.changes(self._measured(frames), waves, trials, memory, model)
            self._add_up(parts, out, index)
            return
        fields = (obj, obj_step, *sizes(*obj.shape), corners, *strided(illum), *strided(illum_step))
        grid = tile_grid(*self._shape[1:], views)
        self._launch("exit_waves/exit_waves", "along", grid, (*fields, *self._sizes(waves[0]), waves))
        for each in waves:
            there, scale = self._there(each, fraction)
            if there is not each:
                each[...] = there
        grid = self._detector_grid(views)
        parts = self._parts(views, _TRIALS, grid[0])
        fields = (waves, *self._measured(frames), trials, parts, *self._model(views, noise, scale), epsilon)
        self._launch(_FILE, "add_up_changes", grid, fields, count_type(frames.intensity), block=(THREADS,))
        self._add_up(parts, out, index)

    def _model(self, views: int, noise: str, scale: float) -> tuple:
        """Return the sizes of detector waves, the model of the noise, and what brings |waves|^2 to photons."""
        return *sizes(views, self._shape[0], self._pixels), *self._noise(noise, scale)

    def _noise(self, noise: str, scale: float) -> tuple:
        """Return the model of the noise, and what brings |waves|^2 to photons."""
        return np.int32(NOISES[noise]), self._floor, self._real.type(scale)

    def _detector_grid(self, views: int) -> tuple[int, int]:
        """Return a grid over (pixels, views), no wider than fills the device: each block makes a part of a sum."""
        across = self._slices(min(blocks(self._pixels, THREADS), cuda.MAX_BLOCKS), views)
        return across, min(views, cuda.MAX_BLOCKS // across)
