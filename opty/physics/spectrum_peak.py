"""Where the spectrum of an image has its peak, to a small fraction of a pixel: the phase ramp of the image."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

_ROUNDS = 30  # Newton steps; from next to the peak a few do
_REACH = 0.75  # pixels of the spectrum that the steps may go from where they begin
_ENOUGH = 1e-7  # pixels of the spectrum: the last step


def spectrum_peak(image: Any, weight: Any, backend: ModuleType, threads: int = 1) -> np.ndarray:
    """Return the peak (2,) float64 of |sum_r W(r) O(r) exp(-2 pi i k . r)| over k [turns / px].

    First on the pixels of the transform, then by Newton steps on the logarithm of the sum itself. An image times
    exp(2 pi i k0 . r) has its peak moved by just k0.

    Parameters: image (H, W) complex, weight (H, W) real from 0 on; backend of their arrays.
    """
    xp = backend.xp
    wave = image * weight
    height = xp.abs(backend.fft2(wave.astype(image.dtype)[None], True, threads)[0])
    place = np.unravel_index(int(backend.to_host(height.argmax())), height.shape)
    size = np.array(image.shape)
    start = np.array([np.fft.fftfreq(n)[i] for n, i in zip(size, place, strict=True)])
    k = start
    for _ in range(_ROUNDS):
        step = _newton(wave, k, backend)
        moved = np.clip(k + step, start - _REACH / size, start + _REACH / size)
        k, last = moved, np.abs(moved - k) * size
        if last.max() < _ENOUGH:
            break
    return k


def _newton(wave: Any, k: np.ndarray, backend: ModuleType) -> np.ndarray:
    """Return the Newton step (2,) to the maximum of log |c(k)|^2; a short one uphill where that is not concave."""
    xp = backend.xp
    sides = []
    for turns, size in zip(k, wave.shape, strict=True):
        r = np.arange(size) - size // 2
        factors = np.stack([np.ones(size), -2j * np.pi * r, -4 * np.pi**2 * r**2], axis=1)
        sides.append(xp.asarray(np.exp(-2j * np.pi * turns * r)[:, None] * factors))
    moments = backend.to_host((sides[0].T @ wave.astype(np.complex128)) @ sides[1])
    c = moments[0, 0]
    if c == 0:
        return np.zeros(2)
    row, col = moments[1, 0] / c, moments[0, 1] / c
    slope = 2 * np.array([row.real, col.real])
    mixed = (moments[1, 1] / c - row * col).real
    curve = 2 * np.array(
        [[(moments[2, 0] / c - row**2).real, mixed], [mixed, (moments[0, 2] / c - col**2).real]], dtype=np.float64
    )
    if curve[0, 0] < 0 and np.linalg.det(curve) > 0:
        return -np.linalg.solve(curve, slope)
    return 0.1 / np.array(wave.shape) * np.sign(slope)
