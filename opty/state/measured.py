"""The measurement as the steps see it: on the device, in the order of the waves, converted once and shared."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.propagate import Propagator


class Measured:
    """Intensities (N, n, n) in their native type, mask and background, on one backend, in kernel order.

    ``photons`` is the sum of all unmasked intensities, by which the misfit is normalised; ``view_photons`` (N,) that of
    each view.
    """

    def __init__(self, data: PtychoData, backend: ModuleType, dtype: Any):
        self.data = data
        self.backend = backend
        self.propagator = Propagator(data.geometry, data.n, backend, dtype)
        order = self.propagator.to_kernel_order
        intensities = data.intensities
        if intensities.dtype.kind == "f" and intensities.dtype.itemsize not in (4, 8):
            intensities = intensities.astype(np.float32)  # half and long doubles have no kernels
        self.intensity = backend.asarray(order(intensities))
        self.mask = None if data.mask is None else backend.asarray(np.ascontiguousarray(order(data.mask)))
        real = np.dtype(dtype).type(0).real.dtype
        self.background = None if data.background is None else backend.asarray(order(data.background).astype(real))
        self.view_photons = data.photons()
        self.photons = float(self.view_photons.sum())

    def intensity_of(self, index: Any) -> Any:
        """Intensities (B, n, n) of some views."""
        return self.intensity[index]

    def mask_of(self, index: Any) -> Any:
        """Mask (n, n) or (B, n, n) of some views, or None."""
        return self.mask if self.mask is None or self.mask.ndim == 2 else self.mask[index]
