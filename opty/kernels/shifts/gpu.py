"""Probes moved by fractions of a pixel, and what views say of them moved back, on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from cupy.cuda import cufft

from opty.arrays.cuda import NULL, sizes, strided, tile_grid
from opty.kernels.gpu_base import GpuBase

_FILE = "shifts/shifts"


class GpuShifts(GpuBase):
    """Moves of probes, and their adjoint."""

    def shifted(self, probe, fraction, name: str = "illum") -> Any:
        """Return a probe (M, n, n) moved by fraction (B, 2) px for each view, (B, M, n, n), in scratch ``name``."""
        out, spectrum = self.scratch(name, len(fraction)), self.scratch("spectrum", 1)
        self._transform(probe, spectrum, cufft.CUFFT_FORWARD)
        grid, scale = tile_grid(*self._shape[1:], len(out)), self._real.type(self._unitary)
        self._launch(_FILE, "shift", grid, (spectrum, fraction, *self._sizes(out), scale, out))
        self._transform(out, out, cufft.CUFFT_INVERSE)
        return out

    def on_probe(self, waves, rows, obj, corners, fraction) -> Any:
        """Return sum_j S_j^-1 conj(O_j) waves_jm (M, n, n), S_j the move by ``fraction``: the adjoint of seeing it."""
        total = self.scratch("total", 1)[0]
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
        out = self.scratch("back", len(rows))
        seen = (NULL, *sizes(0)) if illum is None else strided(illum)
        fields = (waves, rows, obj, *sizes(*obj.shape), corners, *seen, *self._sizes(out), out)
        self._launch(_FILE, "through_object", tile_grid(*self._shape[1:], len(out)), fields)
        self._transform(out, out, cufft.CUFFT_FORWARD)
        fields = (out, fraction, *self._sizes(out), self._real.type(scale), np.int32(adds), spectrum)
        self._launch(_FILE, "sum_shifted_back", tile_grid(*self._shape[1:], self._shape[0]), fields)

    def add_seen(self, obj, corners, probe_weight) -> None:
        """probe_weight (n, n) += |O_j|^2 over the views."""
        fields = (obj, *sizes(*obj.shape), corners, *sizes(len(corners), self._shape[-1]), probe_weight)
        self._launch(_FILE, "add_seen", tile_grid(*self._shape[1:], 1), fields)
