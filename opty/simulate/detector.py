"""Photon counting: from expected intensities to what a detector reads out."""

from __future__ import annotations

import numpy as np


def count(intensity, photons=None, *, seed=0, dtype="uint32", read_noise=0.0) -> np.ndarray:
    """Count photons: Poisson statistics, then read-out noise, then the range of the detector's number type.

    Parameters
    ----------
    intensity : (n, n) or (N, n, n) real, expected intensity [photons, or any unit where ``photons`` is given].
    photons : mean number of photons per view to scale the whole stack to; None where it is in photons already.
    seed : an integer, or a numpy Generator to continue.
    dtype : of the result. Integers are rounded and saturate at the largest number of the type (a 16-bit counter at
        65535); floats are not rounded.
    read_noise : standard deviation of Gaussian noise added to each pixel [photons]. Negative readings become 0, as a
        threshold does.

    Returns
    -------
    the shape of ``intensity``, of ``dtype`` [photons].

    Raises
    ------
    ValueError : no light to scale, a dose that is not positive, a negative noise; TypeError : a dtype without a range.
    """
    intensity, dtype = np.asarray(intensity), np.dtype(dtype)
    if dtype.kind not in "iuf":
        raise TypeError(f"dtype is {dtype}; give an integer or a float type")
    if read_noise < 0:
        raise ValueError(f"read_noise is {read_noise!r}; give a standard deviation in photons, zero or more")
    scale = 1.0 if photons is None else _scale(intensity, photons)
    largest = np.iinfo(dtype).max if dtype.kind in "iu" else np.inf
    rng = np.random.default_rng(seed)
    counted = np.empty(intensity.shape, dtype)
    stack = counted.reshape(-1, *intensity.shape[-2:])
    # View by view: the random numbers of a view do not depend on how many are counted at once.
    for j, expected in enumerate(intensity.reshape(stack.shape)):
        reading = rng.poisson(expected * scale).astype(np.float64)
        if read_noise:
            reading += rng.normal(0, read_noise, reading.shape)
        stack[j] = np.clip(np.rint(reading) if dtype.kind in "iu" else reading, 0, largest)
    return counted


def _scale(intensity: np.ndarray, photons: float) -> float:
    total = intensity.sum(dtype=np.float64)
    if not (photons > 0 and total > 0):
        raise ValueError(f"photons={photons!r} and {total:g} of intensity: a dose needs both to be positive")
    views = len(intensity) if intensity.ndim == 3 else 1
    return photons * views / total
