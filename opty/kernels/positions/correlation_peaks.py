"""What the search for the shift between two images is made of, wherever it runs: numbers, the mask, the waves."""

from __future__ import annotations

import math

import numpy as np

REACH = 6  # px: farther peaks are found a step at a time, as the positions follow
ROUNDING = 1e-5  # of the mean, in single precision
NEWTON = 3  # steps; each about doubles the digits, and the search starts within half a pixel


def reach_of(n: int) -> int:
    """Return how many whole pixels up and down are looked at in images (n, n)."""
    return min(REACH, n // 4)


def near_waves(n: int) -> np.ndarray:
    """Return exp(i g q) (2 reach + 1, n), g the whole pixels from -reach to reach: a partial transform."""
    reach = reach_of(n)
    return np.exp(1j * np.outer(np.arange(-reach, reach + 1), 2 * np.pi * np.fft.fftfreq(n)))


def soft_disc(n: int) -> np.ndarray:
    """Return the radial weight (n, n): falling softly from 1 to 0 at half the half-diagonal (Guzzi et al. 2022)."""
    x = np.arange(n) - (n - 1) / 2
    radius = np.hypot(x[:, None], x) / (n / 2 * math.sqrt(2))
    return 1 / (1 + np.exp((radius - 0.5) / 0.05))
