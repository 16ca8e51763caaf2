"""Probes moved by fractions of a pixel, and what views say of them moved back, on the CPU."""

from __future__ import annotations

import numpy as np

from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase, of_views, store


class CpuShifts(CpuBase):
    """Moves of probes, and their adjoint."""

    def shifted(self, probe, fraction, name: str = "illum") -> np.ndarray:
        """Return a probe (M, n, n) moved by fraction (B, 2) px for each view, (B, M, n, n), in scratch ``name``."""
        out, transform = self.scratch(name, len(fraction)), self._propagator.backend
        spectrum = transform.fft2(probe)

        def work(some: slice) -> None:
            loops("shifts").shift(spectrum, fraction[some], out[some])
            store(out[some], transform.ifft2(out[some], True))

        self._share_views(work, len(out))
        return out

    def on_probe(self, waves, rows, obj, corners, fraction) -> np.ndarray:
        """Return sum_j S_j^-1 conj(O_j) waves_jm (M, n, n), S_j the move by ``fraction``: the adjoint of seeing it."""
        total = np.zeros(self._shape, self._dtype)
        self.add_on_probe(waves, rows, obj, corners, fraction, total)
        return self._propagator.backend.ifft2(total, True)

    def add_on_probe(self, waves, rows, obj, corners, fraction, spectrum, illum=None) -> None:
        """Add the spectrum of what ``on_probe`` returns to ``spectrum`` (M, n, n), view after view.

        With ``illum`` the waves are taken less illum_jm O_j.
        """
        out, transform = self.scratch("back", len(rows)), self._propagator.backend

        def work(some: slice) -> None:
            seen = illum if illum is None else of_views(illum, some)
            loops("shifts").through_object(waves, rows[some], obj, corners[some], seen, out[some])
            store(out[some], transform.fft2(out[some], True))

        def gather(low: int, high: int) -> None:
            loops("shifts").add_shifted_back(out, fraction, spectrum, low, high)

        self._share_views(work, len(out))
        self._share_rows(gather, self._shape[1], out.size)

    def add_seen(self, obj, corners, probe_weight) -> None:
        """probe_weight (n, n) += |O_j|^2 over the views."""

        def work(low: int, high: int) -> None:
            loops("shifts").add_seen(obj, corners, probe_weight, low, high)

        self._share_rows(work, len(probe_weight), len(corners) * probe_weight.size)
