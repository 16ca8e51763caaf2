"""Sums over the views of a batch, on a GPU: with atomics, or gathered in the order of the views."""

from __future__ import annotations

from opty.arrays.cuda import blocks, sizes, strided, tile_grid
from opty.kernels.gpu_base import GpuBase

MODES_AT_ONCE = 8  # modes that a thread can hold the sums of in its registers
_FILE = "accumulate/accumulate"


class GpuSums(GpuBase):
    """Sums for object and probe."""

    def add_to_object(self, waves, rows, corners, illum, obj_sum, obj_weight) -> None:
        """obj_sum (H, W) += sum_m conj(illum_jm) waves_jm and obj_weight += sum_m |illum_jm|^2, views in place."""
        self._come_back()
        n, (height, width) = self._shape[-1], obj_sum.shape
        gathers = self._gathers(len(rows), obj_sum)
        name = "add_to_object_in_order" if gathers else "add_to_object"
        grid = tile_grid(blocks(height, 2), width, 1) if gathers else tile_grid(n, n, len(rows))
        fields = (waves, rows, corners, *strided(illum), *sizes(len(rows), self._shape[0], n))
        self._launch(_FILE, name, grid, (*fields, obj_sum, obj_weight, *sizes(height, width)))

    def add_to_probe(self, waves, rows, obj, corners, probe_sum, probe_weight) -> None:
        """probe_sum (M, n, n) += conj(O_j) waves_jm and probe_weight (n, n) += |O_j|^2, over the views."""
        self._come_back()
        (modes, n, _), views = self._shape, len(rows)
        across = self._window_grid(1)[:2]
        slices = 1 if self._ordered else self._slices(views, across[0] * across[1] * modes)
        fields = (waves, rows, obj, *sizes(*obj.shape), corners, *sizes(views, modes, n), probe_sum, probe_weight)
        self._launch(_FILE, "add_to_probe", (*across, modes * slices), (*fields, *sizes(slices)))

    def add_to_both(self, waves, rows, corners, illum, obj, obj_sum, obj_weight, probe_sum, probe_weight) -> None:
        """What ``add_to_object`` and ``add_to_probe`` do, in one pass over the waves where that is possible."""
        (modes, n, _), views = self._shape, len(rows)
        if self._gathers(views, obj_sum) or modes > MODES_AT_ONCE:
            if self._half_way is not None and not self._ordered:
                self._pipeline.back_to_probe(self._half_way[0], obj, corners, probe_sum, probe_weight)
                self._half_way = None
                self.add_to_object(waves, rows, corners, illum, obj_sum, obj_weight)
                return
            self.add_to_object(waves, rows, corners, illum, obj_sum, obj_weight)
            self.add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight)
            return
        self._come_back()
        across = tile_grid(n, n, 1)[:2]
        slices = self._slices(views, across[0] * across[1])
        fields = (waves, rows, obj, corners, *strided(illum), *sizes(views, n), obj_sum, obj_weight)
        fields = (*fields, *sizes(*obj_sum.shape), probe_sum, probe_weight, *sizes(slices))
        self._launch(_FILE, "add_to_both", (*across, slices), fields, str(modes))
