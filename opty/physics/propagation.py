"""From the sample to the detector: one interface for far field, cone beam and near field.

Every propagator is unitary, so its adjoint is its inverse. Waves travel in FFT order (far field, cone beam) or as the
detector sees them (near field); ``Propagator.to_kernel_order`` brings data into that order, once.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from opty.geometry import Geometry


def phase_ramp(fraction: Any, n: int, xp: Any, dtype: Any) -> tuple[Any, Any]:
    """Return exp(-2 pi i f . q) over FFT frequencies as factors (B, n, 1) and (B, 1, n) for shifts f (B, 2) [px]."""
    q = xp.fft.fftfreq(n).astype(np.float64)
    turns = (-2j * np.pi) * fraction[:, :, None] * q
    ramps = xp.exp(turns).astype(dtype)
    return ramps[:, 0, :, None], ramps[:, 1, None, :]


class Propagator:
    """Unitary propagation of exit waves (B, M, n, n) to the detector, and back.

    Far field: Psi = F psi. Cone beam: the same times the phase exp(i pi ps^2 q^2 / lambda (1/fd - 1/z)) on the detector
    (Guzzi et al. 2022, supplement). Near field: the angular spectrum over the effective distance (Paganin 2006,
    sec. 1.8); there the wave of view j is moved back by the fraction of a pixel by which its probe was moved, because
    the detector stands still while the sample moves.
    """

    def __init__(self, geometry: Geometry | None, n: int, backend: ModuleType, dtype: Any):
        self.backend = backend
        self.kind = "far" if geometry is None else geometry.propagation
        self.phase: Any = None
        if geometry is not None and self.kind != "far":
            make = _cone_phase if self.kind == "cone" else _fresnel_transfer
            self.phase = backend.asarray(make(geometry, n), dtype=dtype)

    def to_kernel_order(self, a: Any) -> Any:
        """Bring detector arrays (..., n, n) from centred order into the order of the waves."""
        return a if self.kind == "near" else np.fft.ifftshift(a, axes=(-2, -1))

    def from_kernel_order(self, a: Any) -> Any:
        """Undo ``to_kernel_order``."""
        return a if self.kind == "near" else np.fft.fftshift(a, axes=(-2, -1))

    def forward(self, waves: Any, fraction: Any = None, overwrite: bool = False, threads: int = 1) -> Any:
        """Return the detector waves of exit waves; ``fraction`` (B, 2) px is the shift of each probe, or None."""
        out = self.backend.fft2(waves, overwrite, threads)
        if self.kind == "cone":
            out *= self.phase
        elif self.kind == "near":
            out *= self._transfer(waves, fraction)
            out = self.backend.ifft2(out, True, threads)
        return out

    def adjoint(self, waves: Any, fraction: Any = None, overwrite: bool = False, threads: int = 1) -> Any:
        """Return the exit waves of detector waves: the adjoint, and the inverse, of ``forward``."""
        if self.kind == "far":
            return self.backend.ifft2(waves, overwrite, threads)
        if self.kind == "cone":
            return self.backend.ifft2(waves * self.phase.conj(), True, threads)
        out = self.backend.fft2(waves, overwrite, threads)
        out *= self._transfer(waves, fraction).conj()
        return self.backend.ifft2(out, True, threads)

    def to_modulus(self, waves: Any, fraction: Any = None, threads: int = 1) -> Any:
        """Bring waves, in their own memory where transforms can, to where their modulus is that at the detector.

        Phases at the detector itself, those of a cone beam, are left out: no modulus shows them, and ``from_modulus``
        leaves them out too.
        """
        if self.kind == "near":
            return self.forward(waves, fraction, True, threads)
        return self.backend.fft2(waves, True, threads)

    def from_modulus(self, waves: Any, fraction: Any = None, threads: int = 1) -> Any:
        """Undo ``to_modulus``."""
        if self.kind == "near":
            return self.adjoint(waves, fraction, True, threads)
        return self.backend.ifft2(waves, True, threads)

    def _transfer(self, waves: Any, fraction: Any) -> Any:
        if fraction is None:
            return self.phase
        row, col = phase_ramp(-fraction, waves.shape[-1], self.backend.xp, waves.dtype)
        return (self.phase * row * col)[:, None]


def _cone_phase(geometry: Geometry, n: int) -> np.ndarray:
    assert geometry.focus_to_sample is not None  # a cone beam has a focus: Geometry sees to it
    fd = geometry.focus_to_sample + geometry.distance
    x = np.fft.ifftshift(np.arange(n) - n // 2) * geometry.pixel_size
    curvature = np.pi / geometry.wavelength * (1 / fd - 1 / geometry.distance)
    return np.exp(1j * curvature * (x[:, None] ** 2 + x**2))


def _fresnel_transfer(geometry: Geometry, n: int) -> np.ndarray:
    """Angular spectrum without the constant phase; evanescent waves, for which pixels are too fine, are refused."""
    q = np.fft.fftfreq(n, geometry.sample_pixel(n))
    sine2 = (geometry.wavelength * q[:, None]) ** 2 + (geometry.wavelength * q) ** 2
    if sine2.max() >= 1:
        raise ValueError(
            f"pixels of {geometry.sample_pixel(n):.3g} m at the sample are finer than half the wavelength "
            f"{geometry.wavelength:.3g} m: check the units of the geometry"
        )
    # sqrt(1 - s) - 1 without cancellation for the tiny angles of X-rays
    path = -sine2 / (1 + np.sqrt(1 - sine2))
    return np.exp(2j * np.pi / geometry.wavelength * geometry.effective_distance * path)
