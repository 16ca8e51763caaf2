"""Exit waves to the detector and back, on a GPU: with own transforms where the pipeline has them, else with cuFFT."""

from __future__ import annotations

from functools import partial

import numpy as np

from opty.arrays.cuda import THREADS, count_type, pixel_grid, sizes
from opty.kernels.gpu_base import GpuBase
from opty.kernels.operands import MeasuredFrames

_FILE = "exit_waves/exit_waves"


class GpuExitWaves(GpuBase):
    """Projections, and steps of kept waves."""

    def exit_waves(self, obj, corners, illum, waves) -> None:
        """waves_jm = illum_jm O_j."""
        grid, seen = self._window_grid(len(waves)), self._seen(obj, corners, illum)
        self._launch(_FILE, "exit_waves", grid, (*seen, *self._sizes(waves), waves))

    def project(self, obj, corners, illum, frames, difference, waves, fraction=None) -> None:
        """Bring exit waves to the detector, put the measured modulus on them and bring them back, into ``waves``."""
        if self._pipeline is not None:
            one = self._largest if len(waves) == 1 else None  # its update will need the largest weights
            self._half_way = waves, self._pipeline.form(obj, corners, illum, waves, one)
            self._pipeline.put_modulus(self._measured(frames), difference, waves, self._misfits)
            if not self._reuses:
                self._come_back()
            return
        self.exit_waves(obj, corners, illum, waves)
        self._there_and_back(waves, partial(self._put_modulus, frames, difference), fraction)

    def step_kept(self, obj, corners, illum, frames, waves, kept, beta, keep, fraction=None) -> None:
        """Take a step of the difference map's kind: kept += beta (Pi(2 P O - kept) - P O) + (1 - keep) (P O - kept)."""
        if self._pipeline is not None:
            self._pipeline.reflect(obj, corners, illum, kept, waves)
            self._pipeline.put_modulus(self._measured(frames), True, waves, self._misfits)
            self._pipeline.advance(obj, corners, illum, waves, kept, beta, keep - beta)
            return
        grid, seen = self._window_grid(len(waves)), self._seen(obj, corners, illum)
        self._launch(_FILE, "reflect", grid, (*seen, kept.waves, kept.rows, *self._sizes(waves), waves))
        self._there_and_back(waves, partial(self._put_modulus, frames, True), fraction)
        lengths = self._real.type(beta), self._real.type(keep - beta)
        self._launch(_FILE, "advance", grid, (*seen, waves, kept.rows, *self._sizes(waves), kept.waves, *lengths))

    def _put_modulus(self, frames: MeasuredFrames, difference: bool, waves, scale: float) -> None:
        """Put the modulus on detector waves that are 1 / sqrt(scale) times too large; ``scale`` is left on them."""
        views, scale = len(waves), self._real.type(scale)
        fields = (waves, *self._measured(frames), self._misfits, *sizes(views, self._shape[0], self._pixels))
        fields = (*fields, np.int32(difference), self._floor, scale, scale)
        grid = pixel_grid(self._pixels, views)
        self._launch(
            "detector/detector", "fourier_modulus", grid, fields, count_type(frames.intensity), block=(THREADS,)
        )
