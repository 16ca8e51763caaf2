"""Slices with free space between them, on the CPU."""

from __future__ import annotations

import numpy as np

from opty.kernels.accumulate.cpu import CpuSums
from opty.kernels.compiled import loops
from opty.kernels.cpu_base import of_views, store
from opty.kernels.likelihood.noise import NOISES


class CpuSlices(CpuSums):
    """What only slices need; on a GPU it is done step by step.

    obj (L, H, W); ``transfers`` : transfer functions (n, n) of the L - 1 gaps; ``incident`` : L - 1 arrays
    (B, M, n, n), the waves that meet the second slice and those behind it.
    """

    def project_through(self, obj, corners, illum, transfers, frames, difference, incident, waves, fraction=None):
        """Do what ``project`` does, and fill ``incident``."""

        def work(obj, corners, illum, frames, waves, fraction, misfits, *incident) -> None:
            self._through(obj, corners, illum, transfers, incident, waves)
            self._put_modulus(waves, frames, difference, fraction, misfits)

        self._in_pieces(work, obj, corners, illum, frames, waves, fraction, *incident)

    def slope_through(
        self, obj, corners, illum, transfers, frames, noise, incident, waves, values, index, fraction=None
    ):
        """Do what ``follow_slope`` does, and fill ``incident``."""

        def work(obj, corners, illum, frames, waves, fraction, misfits, index, *incident) -> None:
            self._through(obj, corners, illum, transfers, incident, waves)
            there, found = self._propagator.to_modulus(waves, fraction), np.empty(len(index))
            loops("likelihood").put_slope(there, *frames, NOISES[noise], misfits, found)
            values[index] = found
            store(waves, self._propagator.from_modulus(there, fraction))

        self._in_pieces(work, obj, corners, illum, frames, waves, fraction, index, *incident)

    def through(self, obj, corners, illum, transfers, incident, waves) -> None:
        """Fill ``incident``, and the exit waves."""

        def work(some: slice) -> None:
            part = [one[some] for one in incident]
            self._through(obj, corners[some], of_views(illum, some), transfers, part, waves[some])

        self._share_views(work, len(waves))

    def across(self, waves, transfer, back: bool) -> None:
        """Bring waves (B, M, n, n) across a gap, or back, in place: F^-1 T F, or its adjoint."""

        def work(some: slice) -> None:
            self._across(waves[some], transfer, back)

        self._share_views(work, len(waves))

    def let_through(self, obj, corners, share) -> None:
        """share_j *= the mean of |O_j|^2 over the window of view j."""
        loops("slices").let_through(obj, corners, self._shape[-1], share)

    def change_behind(self, waves, obj, corners, met, obj_step) -> None:
        """waves_jm = O_j waves_jm + dO_j met_jm, in place."""

        def work(some: slice) -> None:
            loops("slices").change(waves[some], obj, corners[some], of_views(met, some), obj_step)

        self._share_views(work, len(waves))

    def products_of(self, waves, rows, through_obj, through_probe):
        """Return uu, vv, uv, ur, vr of each view, (B, 5): r = waves at rows, u and v (B, M, n, n)."""
        out = np.empty((len(rows), 5))

        def work(some: slice) -> None:
            loops("slices").products(waves, rows[some], through_obj[some], through_probe[some], out[some])

        self._share_views(work, len(rows))
        return out

    def add_to_slice(self, waves, rows, corners, met, obj_sum, obj_weight, share) -> None:
        """Do what ``add_to_object`` does under waves that meet a slice, with the weight of view j times share_j."""
        light = self._light(met, obj_weight) * share[:, None, None]
        self._add_lit(waves, rows, corners, met, light, obj_sum, obj_weight)

    def to_detector(self, obj, corners, illum, transfers, incident, waves, fraction=None) -> None:
        """Fill detector waves (B, M, n, n), or others of their modulus; ``incident`` is memory to work in."""

        def work(some: slice) -> None:
            self._bring(obj, corners[some], of_views(illum, some), transfers, incident, waves, fraction, some)

        self._share_views(work, len(waves))

    def changes_to(
        self, obj, corners, illum, transfers, incident, frames, noise, waves, there, out, index, fraction=None
    ) -> None:
        """Put sum w [L - L(0)] of each view into out (N,), L(0) that of the detector waves ``there``.

        ``incident`` and ``waves`` are memory to work in.
        """

        def work(some: slice) -> None:
            self._bring(obj, corners[some], of_views(illum, some), transfers, incident, waves, fraction, some)
            part, found = frames._replace(rows=frames.rows[some]), np.empty(some.stop - some.start)
            loops("likelihood").add_up_changes_to(waves[some], there[some], *part, NOISES[noise], found)
            out[index[some]] = found

        self._share_views(work, len(waves))

    def _bring(self, obj, corners, illum, transfers, incident, waves, fraction, some: slice) -> None:
        """Do what ``to_detector`` does with some views, of which corners and illum are given."""
        self._through(obj, corners, illum, transfers, [one[some] for one in incident], waves[some])
        moved = None if fraction is None else fraction[some]
        store(waves[some], self._propagator.to_modulus(waves[some], moved))

    def _through(self, obj, corners, illum, transfers, incident, waves) -> None:
        met = illum
        for layer, transfer, behind in zip(obj, transfers, incident, strict=False):
            self.exit_waves(layer, corners, met, behind)
            self._across(behind, transfer, False)
            met = behind
        self.exit_waves(obj[-1], corners, met, waves)

    def _across(self, waves, transfer, back: bool) -> None:
        transform = self._propagator.backend
        there = transform.fft2(waves, True)
        loops("slices").transfer(there, transfer, back)
        store(waves, transform.ifft2(there, True))
