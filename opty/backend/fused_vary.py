"""A probe that varies, on the CPU: the probe of each view, and what a view makes of what varies."""

from __future__ import annotations

import numpy as np

from opty.backend import fused_sense


class Fused(fused_sense.Fused):
    """What a batch goes through, the steps of OPR modes and weights by one view included."""

    def mix(self, probe, weights, modes, out) -> None:
        """out_jm (B, M, n, n) = probe_m, and in the first mode + sum_k weights_jk modes_k, modes (K, n, n)."""
        if not fused_sense.senses():
            out[...] = probe
            out[:, 0] += np.tensordot(weights, modes, 1)
            return
        from opty.backend import loops_vary

        def work(some: slice) -> None:
            loops_vary.mix(probe, weights[some], modes, out[some])

        self._share_views(work, len(out))

    def shift_each(self, spectra, fraction) -> None:
        """Move waves by their spectra (B, M, n, n), in place, each by its fraction (B, 2) px of a pixel."""

        def work(some: slice) -> None:
            for j in range(some.start, some.stop):
                self._do.shift(spectra[j], fraction[j : j + 1], spectra[j : j + 1])

        self._share_views(work, len(spectra))

    def vary_one(self, modes, weights, square, back, obj, corners, of_modes: float, of_weights: float) -> None:
        """Move OPR modes (K, n, n) and the weights (K,) of one view, in place: see ``loops_vary``."""
        from opty.backend import loops_vary

        loops_vary.vary_one(modes, weights, square, back, obj, *corners[0], of_modes, of_weights)
