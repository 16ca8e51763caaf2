"""Sums over the views of a batch, on the CPU: threads share the rows, so that no two write one pixel."""

from __future__ import annotations

from opty.arrays.thread_pool import parallel_for
from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase


class CpuSums(CpuBase):
    """Sums for object and probe."""

    def add_to_object(self, waves, rows, corners, illum, obj_sum, obj_weight) -> None:
        """obj_sum (H, W) += sum_m conj(illum_jm) waves_jm and obj_weight += sum_m |illum_jm|^2, views in place."""
        light = self._light(illum, obj_weight) if len(illum) < len(rows) else None
        self._add_lit(waves, rows, corners, illum, light, obj_sum, obj_weight)

    def _add_lit(self, waves, rows, corners, illum, light, obj_sum, obj_weight) -> None:
        """Do so with the light (B or 1, n, n) that is added to obj_weight, None for that of illum."""
        args = waves, rows, corners, illum, light, obj_sum, obj_weight

        def work(low: int, high: int) -> None:
            loops("accumulate").add_to_object(*args, low, high)

        self._share_rows(work, len(obj_sum), self._values(len(rows)))

    def add_to_probe(self, waves, rows, obj, corners, probe_sum, probe_weight) -> None:
        """probe_sum (M, n, n) += conj(O_j) waves_jm and probe_weight (n, n) += |O_j|^2, over the views.

        ``probe_weight`` : None for the sum alone, on a CPU only.
        """

        def work(low: int, high: int) -> None:
            loops("accumulate").add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, low, high)

        self._share_rows(work, self._shape[-1], self._values(len(rows)))

    def add_to_both(self, waves, rows, corners, illum, obj, obj_sum, obj_weight, probe_sum, probe_weight) -> None:
        """What ``add_to_object`` and ``add_to_probe`` do, shared by the threads together."""
        do, light = loops("accumulate"), self._light(illum, obj_weight)
        on_object = waves, rows, corners, illum, light, obj_sum, obj_weight
        on_probe = waves, rows, obj, corners, probe_sum, probe_weight
        values = self._values(len(rows))
        both = (do.add_to_object, on_object, len(obj_sum)), (do.add_to_probe, on_probe, len(probe_weight))

        def work(piece: tuple) -> None:
            add, args, band = piece
            add(*args, band.start, band.stop)

        pieces = [(add, args, band) for add, args, length in both for band in self._bands(length, values)]
        parallel_for(work, pieces, self._threads)
