"""The phase of free space: the angular spectrum for each metre of the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def frequencies(geometry: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return q along rows (n, 1) and along columns (n,) [1/m] in FFT order."""
    q = np.fft.fftfreq(n, geometry.sample_pixel(n))
    return q[:, None], q


def phase_per_metre(geometry: Any, n: int, ratio: float = 1.0) -> np.ndarray:
    """Return 2 pi / lambda (sqrt(1 - lambda^2 q^2) - 1), (n, n) [rad/m] in FFT order.

    lambda is ``ratio`` times the wavelength of the geometry.
    Raises ValueError where pixels at the sample are finer than half the wavelength.
    """
    pixel = geometry.sample_pixel(n)
    wavelength = ratio * geometry.wavelength
    q = wavelength * np.fft.fftfreq(n, pixel)
    sine2 = q[:, None] ** 2 + q**2
    if sine2.max() >= 1:
        raise ValueError(
            f"pixels of {pixel:.3g} m at the sample are finer than half the wavelength {wavelength:.3g} m: "
            "check the units of the geometry"
        )
    return -2 * math.pi / wavelength * sine2 / (1 + np.sqrt(1 - sine2))  # without cancellation


def phase_per_pixel(geometry: Any, n: int, ratio: float = 1.0) -> np.ndarray:
    """Return the derivative of ``phase_per_metre`` by the logarithm of the pixel at the sample, (n, n) [rad/m]."""
    wavelength = ratio * geometry.wavelength
    q = wavelength * np.fft.fftfreq(n, geometry.sample_pixel(n))
    sine2 = q[:, None] ** 2 + q**2
    return 2 * math.pi / wavelength * sine2 / np.sqrt(1 - sine2)
