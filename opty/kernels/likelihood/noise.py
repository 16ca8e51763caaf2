"""The noise models of the likelihood: L of a pixel, its slope and its changes, each written once.

``predicted`` is Ihat > 0 and ``measured`` is I >= 0 [photons]; ``more`` is what a step adds to Ihat. The functions take
arrays, of NumPy or of CuPy, which NumPy's functions know. ``noise_writers`` makes of their text what numba compiles for
numbers and what CUDA compiles, so they may use + - * /, whole numbers, local names, TOO_DARK and the functions imported
here, with ``log_ratio``. Numba's cache of loops.py does not see changes in this file: delete it after one.

Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012), Eqs. 4 to 9; Favre-Nicolin et al., J. Appl. Cryst.
53, 1404 (2020) for the normalisations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy import log1p, maximum, minimum, sqrt

# The slope 1 - I / Ihat has no bound where a prediction is dark, and few such pixels would rule the search: below
# I / 4 it stays what it is there. On benchmark scan A the error after 200 iterations was 0.0023 with 3, 0.0072 with 16;
# with 1e3 photons a view, 4 was better than 16, 100 and 1e4 too.
TOO_DARK = 4


def log_ratio(predicted, measured):
    """Return log(Ihat / I), and log Ihat where I = 0."""
    lit = np.where(measured > 0, measured, 1)
    # log1p keeps the digits of a close fit; where hardly any light is predicted it would lose them all.
    close, far = log1p(maximum((predicted - measured) / lit, -0.5)), np.log(predicted / lit)
    return np.where(2 * predicted < measured, far, close)


def poisson_value(predicted, measured):
    """Return L = Ihat - I + I log(I / Ihat): counted photons."""
    return (predicted - measured) - measured * log_ratio(predicted, measured)


def poisson_slope(predicted, measured):
    """Return dL/dIhat = 1 - I / Ihat, where Ihat < I / 4 that at I / 4."""
    return 1 - minimum(measured / predicted, TOO_DARK)


def poisson_change(predicted, measured, more):
    """Return L(Ihat + more) - L(Ihat), L a straight line where Ihat < I / 4."""
    dark = measured / TOO_DARK
    gap = dark - predicted
    # What of the change lies on the curve; Ihat + more would round away the last steps of a close fit.
    gain = maximum(more, gap) - maximum(gap, 0)
    return gain - measured * log1p(gain / maximum(predicted, dark)) + (1 - TOO_DARK) * (more - gain)


def gaussian_value(predicted, measured):
    """Return L = (Ihat - I)^2 / (I + 1): intensities of variance I + 1."""
    return (predicted - measured) / (measured + 1) * (predicted - measured)


def gaussian_slope(predicted, measured):
    """Return dL/dIhat = 2 (Ihat - I) / (I + 1)."""
    return 2 * ((predicted - measured) / (measured + 1))


def gaussian_change(predicted, measured, more):
    """Return L(Ihat + more) - L(Ihat)."""
    return more * (more + 2 * (predicted - measured)) / (measured + 1)


def amplitude_value(predicted, measured):
    """Return L = 4 (sqrt I - sqrt Ihat)^2: amplitudes of variance 1/4, which counted photons nearly have."""
    step = sqrt(measured / predicted) - 1
    return 4 * (step * predicted * step)


def amplitude_slope(predicted, measured):
    """Return dL/dIhat = 4 - 4 sqrt(I / Ihat)."""
    return 4 - 4 * sqrt(measured / predicted)


def amplitude_change(predicted, measured, more):
    """Return L(Ihat + more) - L(Ihat)."""
    return 4 * more * (1 - 2 * sqrt(measured) / (sqrt(predicted) + sqrt(predicted + more)))


class Noise(NamedTuple):
    """A model: L of each pixel, its slope dL/dIhat, and its changes along a step."""

    value: Callable[[Any, Any], Any]
    slope: Callable[[Any, Any], Any]
    change: Callable[[Any, Any, Any], Any]


MODELS = {
    "poisson": Noise(poisson_value, poisson_slope, poisson_change),
    "gaussian": Noise(gaussian_value, gaussian_slope, gaussian_change),
    "amplitude": Noise(amplitude_value, amplitude_slope, amplitude_change),
}
NOISES = {name: number for number, name in enumerate(MODELS)}  # as kernels know the models
POISSON, GAUSSIAN, AMPLITUDE = NOISES.values()
OF_NUMBER = dict(enumerate(MODELS.values()))
