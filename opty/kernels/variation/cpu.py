"""A probe that varies, on the CPU: the probe of each view, and the steps of OPR modes and weights by one view."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from opty.arrays.thread_pool import chunks, parallel_for
from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase, of_views
from opty.kernels.variation import products

_BAND = 32  # rows of the modes that are worked on at a time: they and their sums stay in a core's cache (measured)


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

    def add_up_variation(
        self, waves, rows, obj, corners, illum, projected, modes, weights, of_obj=None, light=None, sums=None
    ) -> Variation:
        """Return what the views of a batch, on whole pixels, say of a probe that varies by modes with weights (B, K).

        waves (N, M, n, n) at ``rows`` are changes of exit waves, or with ``projected`` exit waves with the measured
        modulus. ``of_obj`` : a sum and a weight (H, W), to which what waves and illum say of the object is added too.
        ``sums`` : of the probe, |O_j|^2 and the modes, to which is added; None for those of the batch alone.
        ``light`` : an array (K, n, n), to which squares (B, K) of the weights times |O_j|^2 are added, and the squares.
        """
        views, count, n, real = len(rows), len(modes), self._shape[-1], self._real
        found = sums
        if found is None:  # memory that stays: arrays that are made anew cost more than what is written into them
            shapes = (("probe", self._shape, None), ("seen", self._shape[1:], real), ("modes", modes.shape, None))
            found = tuple(self._kept(*one) for one in shapes)
        probe_sum, seen, modes_sum = found
        flat, into = modes.view(real), (probe_sum, seen, modes_sum.view(real))
        more, squares = (None, weights) if light is None else light
        bands = chunks(n, _BAND)  # whatever the number of threads: sums over a view are made of theirs
        climb, curved, brightest = (
            np.empty((len(bands), *shape)) for shape in ((views, count), (views, count), (views,))
        )
        for some in chunks(views, self._piece(views)):
            part = of_views(illum, some)
            if of_obj is not None:
                self.add_to_object(waves, rows[some], corners[some], part, *of_obj)
            fresh = sums is None and some.start == 0
            args = fresh, waves, rows[some], obj, corners[some], part if projected else None
            args += weights[some], squares[some]

            def work(k: int, args=args, some=some) -> None:
                each = climb[k, some], curved[k, some], brightest[k, some]
                loops("variation").add_said(*args, flat, into, more, *each, bands[k].start, bands[k].stop)

            parallel_for(work, range(len(bands)), self._threads)
        each = (a.astype(real) for a in (climb.sum(axis=0), curved.sum(axis=0), brightest.max(axis=0)))
        return Variation(probe_sum, seen, modes_sum, *each)

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

    def vary_one(self, modes, weights, square, wave, obj, corners, through, of_modes: float, of_weights: float) -> None:
        """Move OPR modes (K, n, n) and the weights (K,) of one view, in place: see ``meaning.vary_one``."""
        args = modes.view(self._real), weights, square, wave, obj, *corners[0], through, of_modes, of_weights
        loops("variation").vary_one(*args)

    def move_modes(self, modes, along, lengths) -> None:
        """modes_k += lengths_k along_k, of modes and their directions (K, n, n)."""

        def work(low: int, high: int) -> None:
            loops("variation").move_modes(modes.view(self._real), along.view(self._real), lengths, low, high)

        self._share_rows(work, modes.shape[1], modes.size)

    def update_seen(self, obj, corners, probe, illum, waves, alpha, obj_step, beta, probe_step) -> None:
        """Do what ``update_both`` does, where the view saw illum (1, M, n, n) in the place of the probe."""
        loops("update").update_both(obj, corners, probe, illum[0], waves, alpha, obj_step, beta, probe_step)
