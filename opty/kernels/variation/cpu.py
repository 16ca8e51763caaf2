"""A probe that varies, on the CPU: the probe of each view, and the steps of OPR modes and weights by one view."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from opty.arrays.thread_pool import chunks
from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase, of_views
from opty.kernels.variation import products


class Variation(NamedTuple):
    """Directions of the probe (M, n, n), the modes (K, n, n) and the views' weights (B, K), and what weighs them.

    ``seen`` (n, n) : sum |O_j|^2; ``curved`` (B, K) : sum |U_k|^2 |O_j|^2; ``brightest`` (B,) : max |O_j|^2.
    """

    probe: Any
    seen: Any
    modes: Any
    weights: Any
    curved: Any
    brightest: Any


class CpuVariation(CpuBase):
    """What only a probe that varies needs; on a GPU it is done step by step."""

    def mix(self, probe, weights, modes, out) -> None:
        """out_jm (B, M, n, n) = probe_m, and in the first mode + sum_k weights_jk modes_k, modes (K, n, n)."""
        flat_probe, flat_modes, flat = (np.ascontiguousarray(a).view(self._real) for a in (probe, modes, out))

        def work(some: slice) -> None:
            loops("variation").mix(flat_probe, weights[some], flat_modes, flat[some])

        self._share_views(work, len(out))

    def shift_each(self, spectra, fraction) -> None:
        """Multiply the spectra (B, M, n, n), in place, by the phases of moves by fraction (B, 2) px, one for each."""

        def work(some: slice) -> None:
            for j in range(some.start, some.stop):
                loops("shifts").shift(spectra[j], fraction[j : j + 1], spectra[j : j + 1])

        self._share_views(work, len(spectra))

    def behind(self, waves, rows, obj, corners, illum=None, name: str = "back"):
        """Return conj(O_j) waves_jm (B, M, n, n) in scratch ``name``; with ``illum`` of waves_jm - illum_jm O_j."""
        out = self.scratch(name, len(rows))

        def work(some: slice) -> None:
            seen = illum if illum is None else of_views(illum, some)
            loops("shifts").through_object(waves, rows[some], obj, corners[some], seen, out[some])

        self._share_views(work, len(out))
        return out

    def add_up_variation(self, waves, rows, obj, corners, illum, projected, modes, weights, of_obj=None) -> Variation:
        """Return what the views of a batch, on whole pixels, say of a probe that varies by modes with weights (B, K).

        waves (N, M, n, n) at ``rows`` are changes of exit waves, or with ``projected`` exit waves with the measured
        modulus. ``of_obj`` : a sum and a weight (H, W), to which what waves and illum say of the object is added too.
        """
        views, count, real = len(rows), len(modes), self._real
        # Memory that stays: large arrays that are made anew cost more than what is written into them.
        probe_sum, modes_sum = self._kept("probe", self._shape), self._kept("modes", modes.shape)
        power, square = (self._kept(name, modes.shape, real) for name in ("power", "square"))
        seen = self._kept("seen", self._shape[1:], real)
        for a in (probe_sum, seen, modes_sum):
            a[...] = 0
        np.square(modes.real, out=power)
        power += np.square(modes.imag, out=square)
        flat_modes, flat = (a.reshape(count, -1).view(real) for a in (modes, modes_sum))
        climb, curved, brightest = (np.empty(shape, real) for shape in ((views, count), (views, count), views))
        for some in chunks(views, self._piece(views)):
            part = of_views(illum, some)
            if of_obj is not None:
                self.add_to_object(waves, rows[some], corners[some], part, *of_obj)
            chi = self.behind(waves, rows[some], obj, corners[some], part if projected else None)
            light = self.let_through_each(obj, corners[some])
            probe_sum += chi.sum(axis=0)
            seen += light.sum(axis=0)
            first = np.ascontiguousarray(chi[:, 0]).reshape(len(chi), -1).view(real)
            products.add_mixed(flat, weights[some], first)
            climb[some] = products.inner(first, flat_modes)
            curved[some] = products.inner(light.reshape(len(light), -1), power.reshape(count, -1))
            brightest[some] = light.max(axis=(1, 2))
        return Variation(probe_sum, seen, modes_sum, climb, curved, brightest)

    def _kept(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return self.persistent(f"variation: {name}", shape, self._dtype if dtype is None else dtype)

    def along_modes(self, flat, modes, weights):
        """Return weights^T flat (K, P) and flat modes^T (B, K) of rows (B, P) and (K, P) of real numbers."""
        total = np.zeros_like(modes)
        products.add_mixed(total, weights, flat)
        return total, products.inner(flat, modes)

    def let_through_each(self, obj, corners):
        """Return |O_j|^2 of each view, (B, n, n)."""
        n = self._shape[-1]
        out = self._kept("each", (len(corners), n, n), self._real)

        def work(some: slice) -> None:
            loops("variation").let_through_each(obj, corners[some], out[some])

        self._share_views(work, len(out))
        return out

    def vary_one(self, modes, weights, square, back, obj, corners, of_modes: float, of_weights: float) -> None:
        """Move OPR modes (K, n, n) and the weights (K,) of one view, in place: see ``meaning.vary_one``."""
        loops("variation").vary_one(modes, weights, square, back, obj, *corners[0], of_modes, of_weights)
