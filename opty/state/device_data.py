"""The measurement on the device, in the order of the waves, converted once and shared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.arrays.ranks import ALONE, Alone
from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames, views_counting
from opty.geometry import Geometry
from opty.kernels import numpy_backend
from opty.kernels.operands import MeasuredFrames
from opty.physics.propagation import Propagator
from opty.state.streaming import StreamedFrames

if TYPE_CHECKING:
    from opty.state.views import Batch


class DeviceData:
    """Intensities (N, n, n) in their native type, mask and background, on one backend, in kernel order.

    Frames that stay in their file, and those that the device does not hold, come batch by batch: ``intensity`` (and
    ``mask``, where there is one for each view) is a Supply then. ``photons`` is the sum of all unmasked intensities, by
    which the misfit is normalised; ``view_photons`` (N,) that of each view. All of it is made when it is first needed.

    Over several ranks ``data`` are the views of this one, and ``whole`` those of all, of which nothing is read here;
    ``photons``, ``pixels`` and ``seen`` count all.
    """

    def __init__(
        self,
        data: PtychoData,
        backend: ModuleType,
        dtype: Any,
        *,
        whole: PtychoData | None = None,
        ranks: Alone = ALONE,
    ):
        self.data, self.whole, self.ranks = data, data if whole is None else whole, ranks
        self.backend, self.dtype = backend, dtype
        self._buffer: Any = None  # of the frames of a scan that grows
        self.propagator = Propagator(data.geometry, data.n, backend, dtype)
        self._other: tuple[Any, Propagator] | None = None
        order = self.propagator.to_kernel_order
        real = np.dtype(dtype).type(0).real.dtype
        self.background = None if data.background is None else backend.asarray(order(data.background).astype(real))
        self.view_photons = data.photons()
        self.photons = float(self.whole.photons().sum())
        self.brightest = float(self.whole.photons().max())

    def propagator_of(self, geometry: Geometry | None) -> Propagator:
        """Return the propagator of a geometry with other lengths; the last one is kept."""
        if self.propagator.kind != "near":
            return self.propagator  # at its detector no modulus shows them
        if self._other is None or self._other[0] != geometry:
            self._other = geometry, Propagator(geometry, self.data.n, self.backend, self.dtype)
        return self._other[1]

    def extended(self, data: PtychoData) -> DeviceData:
        """Return the measurement with more views, of which the first ones are these; only the others are converted.

        On the device the frames lie in a buffer that is made twice as large when it is full.
        """
        new = DeviceData(data, self.backend, self.dtype)
        old, views = self.data.views, data.views
        if "intensity" not in self.__dict__ or not self.resident or not self.backend.holds(2 * data.intensities.nbytes):
            return new
        added = self.backend.asarray(self._for_kernels(data.intensities[old:]))
        buffer = self._buffer
        if buffer is None or len(buffer) < views:
            buffer = self.backend.xp.empty((2 * views, *added.shape[1:]), added.dtype)
            buffer[:old] = self.intensity
        buffer[old:views] = added
        new._buffer, new.intensity = buffer, buffer[:views]
        return new

    @cached_property
    def for_all(self) -> DeviceData:
        """The measurement of all ranks, for one process: itself where this has all views."""
        return self if self.ranks.size == 1 else DeviceData(self.whole, self.backend, self.dtype)

    @cached_property
    def intensity(self) -> Any:
        """Intensities (N, n, n) of all views."""
        return self._held(self.data.intensities)

    @cached_property
    def mask(self) -> Any:
        """Mask (n, n) or (N, n, n), or None."""
        return None if self.data.mask is None else self._held(self.data.mask)

    @cached_property
    def _masks(self) -> Any:
        return self.mask[None] if self.mask is not None and self.mask.ndim == 2 else self.mask

    def _held(self, images: np.ndarray | LazyFrames) -> Any:
        """Copy images to the device, or wrap them for streaming."""
        if isinstance(images, LazyFrames) or (images.ndim == 3 and not self.backend.holds(images.nbytes)):
            return StreamedFrames(images, self._for_kernels, self.backend)
        return self.backend.asarray(self._for_kernels(images))

    def _for_kernels(self, images: np.ndarray) -> np.ndarray:
        """Return detector images (..., n, n) in the order and a type that the kernels take."""
        if images.dtype.kind == "f" and images.dtype.itemsize not in (4, 8):
            images = images.astype(np.float32)  # half and long doubles have no kernels
        if not images.dtype.isnative:
            images = images.astype(images.dtype.newbyteorder("="))
        return np.ascontiguousarray(self.propagator.to_kernel_order(images))

    @cached_property
    def seen(self) -> Any:
        """The number of views in which each pixel counts (n, n), in kernel order; None where all count in all."""
        mask = self.data.mask
        if mask is None:
            return None
        flat = isinstance(mask, np.ndarray) and mask.ndim == 2
        counting = np.multiply(mask, self.whole.views) if flat else views_counting(mask)
        if not flat:
            counting = self.ranks.total(counting, numpy_backend)
        return self.backend.asarray(self.propagator.to_kernel_order(counting))

    @property
    def view_count(self) -> int:
        """The number of views of all ranks."""
        return self.whole.views

    @cached_property
    def pixels(self) -> int:
        """The number of unmasked pixels of all views; waits for a GPU once."""
        return self.whole.views * self.data.n**2 if self.seen is None else int(self.seen.sum())

    @contextmanager
    def along(self, batches: list[np.ndarray]) -> Iterator[None]:
        """Read ahead, in this thread's block, of a sweep over ``batches``: the numbers (B,) of the views of each."""
        supplies = [images for images in (self.intensity, self.mask) if isinstance(images, StreamedFrames)]
        for supply in supplies:
            supply.follow(batches)
        try:
            yield
        finally:
            for supply in supplies:
                supply.leave()

    def intensity_of(self, index: Any) -> Any:
        """Intensities (B, n, n) of some views."""
        return self.intensity[index]

    def mask_of(self, index: Any) -> Any:
        """Mask (n, n) or (B, n, n) of some views, or None."""
        return self.mask if self.mask is None or self.mask.ndim == 2 else self.mask[index]

    @cached_property
    def resident(self) -> bool:
        """Whether all frames and masks are on the device, each at its own address."""
        return not isinstance(self.intensity, StreamedFrames) and not isinstance(self.mask, StreamedFrames)

    def frames(self, batch: Batch) -> MeasuredFrames:
        """Return the measurement of the views of a batch for fused steps; no copy where all views are on the device."""
        background = batch.store.leaves.get("background")
        if self.resident:
            return MeasuredFrames(self.intensity, batch.leaves["index"], self._masks, background)
        mask = self.mask_of(batch.selection)
        mask = mask[None] if mask is not None and mask.ndim == 2 else mask
        rows = self.backend.xp.arange(batch.size, dtype=np.int64)
        return MeasuredFrames(self.intensity_of(batch.selection), rows, mask, background)
