"""A probe that varies, on the CPU: the probe of each view, and the steps of OPR modes and weights by one view."""

from __future__ import annotations

from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase


class CpuVariation(CpuBase):
    """What only a probe that varies needs; on a GPU it is done step by step."""

    def mix(self, probe, weights, modes, out) -> None:
        """out_jm (B, M, n, n) = probe_m, and in the first mode + sum_k weights_jk modes_k, modes (K, n, n)."""

        def work(some: slice) -> None:
            loops("variation").mix(probe, weights[some], modes, out[some])

        self._share_views(work, len(out))

    def shift_each(self, spectra, fraction) -> None:
        """Multiply the spectra (B, M, n, n), in place, by the phases of moves by fraction (B, 2) px, one for each."""

        def work(some: slice) -> None:
            for j in range(some.start, some.stop):
                loops("shifts").shift(spectra[j], fraction[j : j + 1], spectra[j : j + 1])

        self._share_views(work, len(spectra))

    def through_object(self, waves, rows, obj, corners):
        """Return conj(O_j) waves_jm (B, M, n, n), in scratch "back"."""
        out = self.scratch("back", len(rows))

        def work(some: slice) -> None:
            loops("shifts").through_object(waves, rows[some], obj, corners[some], None, out[some])

        self._share_views(work, len(out))
        return out

    def vary_one(self, modes, weights, square, back, obj, corners, of_modes: float, of_weights: float) -> None:
        """Move OPR modes (K, n, n) and the weights (K,) of one view, in place: see ``meaning.vary_one``."""
        loops("variation").vary_one(modes, weights, square, back, obj, *corners[0], of_modes, of_weights)
