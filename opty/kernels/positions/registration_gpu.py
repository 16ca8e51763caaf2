"""The sub-pixel shift between two images on a GPU, for many pairs at once: four steps, and buffers that stay.

What is found is what ``opty.operators.position.registration`` finds. Once a batch of a size has been worked on, another
one allocates nothing and nothing waits for the device, so that it can be captured in a CUDA graph. All work goes into
CuPy's current stream.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import cupy as xp
import numpy as np
from cupy.cuda import cufft
from cupyx.scipy.fft import get_fft_plan

from opty.arrays import cuda
from opty.arrays.cuda import blocks, sizes
from opty.kernels.positions.correlation_peaks import NEWTON, REACH, ROUNDING, near_waves, reach_of, soft_disc

PLANS = 16  # sizes of batches whose transforms stay planned
_IMAGE, _COLUMNS, _VIEW = (1024,), (64,), (32, 16)  # threads for an image, for columns of it, for a view
_ROWS = 8  # of a spectrum, at least, that a thread adds up
_FILLING = 256  # blocks that keep any present device busy


class Registration:
    """Finds the shifts of images (n, n), of a complex dtype, against others: see the class of that name for NumPy.

    ``generation`` changes when a buffer or a plan makes way for another one.
    """

    def __init__(self, n: int, dtype: Any):
        self._n, self._dtype = n, np.dtype(dtype)
        real = self._dtype.type(0).real.dtype
        self._type, self._reach = cuda.REALS[cuda.code_of(real)], reach_of(n)
        mask = soft_disc(n).astype(real)
        self._mask, self._weight = xp.asarray(mask), np.float64(mask.sum(dtype=np.float64))
        self._near = xp.asarray(near_waves(n), dtype=self._dtype)
        self._seen, self._parts = xp.empty(0, np.int32), xp.empty(0, self._dtype)
        self._plans: OrderedDict[int, Any] = OrderedDict()
        self.generation = 0

    def peaks(self, images, rows, out) -> None:
        """Put the shift of images (B, 2, n, n), of each pair the first against the second, at ``rows`` (B,) of ``out``.

        The images are overwritten; rows are int64, out (any, 2) px is float64, all C-contiguous.
        """
        views, n = len(images), self._n
        if not views:
            return  # cuFFT has no plan for that
        across = blocks(n, *_COLUMNS)
        slices = max(1, min(blocks(n, _ROWS), blocks(_FILLING, across * views)))
        self._make_buffers(2 * views, views * slices * len(self._near) * n)
        fields = (images, self._mask, *sizes(2 * views, n * n), self._weight, np.float64(ROUNDING), self._seen)
        self._launch("contrast", (min(2 * views, cuda.MAX_BLOCKS),), _IMAGE, fields)
        self._transform(images)
        most = cuda.MAX_BLOCKS, cuda.MAX_GRID_YZ, cuda.MAX_GRID_YZ
        grid = tuple(min(size, limit) for size, limit in zip((across, slices, views), most, strict=True))
        fields = (images, self._near, *sizes(self._reach, views, n, slices), self._parts)
        self._launch("near_rows", grid, _COLUMNS, fields, str(REACH))
        fields = (images, self._near, self._parts, self._seen, rows)
        fields = (*fields, *sizes(self._reach, views, n, slices, NEWTON), out)
        self._launch("peak", (min(views, cuda.MAX_BLOCKS),), _VIEW, fields, str(REACH))

    def _make_buffers(self, images: int, parts: int) -> None:
        if len(self._seen) < images:
            self._seen = xp.empty(images, np.int32)
            self.generation += 1
        if len(self._parts) < parts:
            self._parts = xp.empty(parts, self._dtype)
            self.generation += 1

    def _transform(self, images) -> None:
        """Transform images (B, 2, n, n) in place; the sums are left as they are."""
        count, images = len(images), images.reshape(-1, self._n, self._n)
        if count not in self._plans:
            self._plans[count] = get_fft_plan(images, axes=(1, 2))
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
                self.generation += 1
        self._plans.move_to_end(count)
        self._plans[count].fft(images, images, cufft.CUFFT_FORWARD)

    def _launch(self, name: str, grid: tuple, block: tuple, fields: tuple, *types: str) -> None:
        cuda.launch("positions/registration", name, (self._type, *types), grid, block, fields)
