"""The Fourier modulus constraint on detector waves: compiled by numba."""

from __future__ import annotations

import math

import numpy as np

from opty.kernels.compiled import compiled

# A prediction below this share of what was measured counts as that: the ratio of the two stays finite, and the square
# of the step times the prediction is what was measured.
_DARK = 1e-30


@compiled
def put_modulus(waves, intensity, rows, mask, background, difference, misfits):
    """Put the measured modulus on detector waves: a step is sqrt(I / Ihat) - 1, and keeps the digits of a close fit."""
    views, modes, n, _ = waves.shape
    real = waves.real.dtype.type
    one, tiny, dark = real(1), np.finfo(waves.real.dtype).tiny, real(_DARK)
    ground = real(0) if difference else one
    factor, errors = np.empty(n, waves.real.dtype), np.empty(n, waves.real.dtype)
    for j in range(views):
        errors[:] = 0
        for r in range(n):
            counts = intensity[rows[j], r]
            if mask is not None:
                counting = mask[min(rows[j], mask.shape[0] - 1), r]
            if background is not None:
                more_light = background[r]
            if modes > 1:
                factor[:] = 0
                for m in range(modes):
                    w = waves[j, m, r]
                    for c in range(n):
                        factor[c] += w[c].real * w[c].real + w[c].imag * w[c].imag
                for c in range(n):
                    predicted, measured = factor[c], real(counts[c])
                    if background is not None:
                        predicted += more_light[c]
                    predicted = max(predicted, max(dark * measured, tiny))
                    step = math.sqrt(measured / predicted) - one
                    if mask is not None:
                        step = step if counting[c] else real(0)
                    errors[c] += step * predicted * step
                    factor[c] = ground + step
                for m in range(modes):
                    w = waves[j, m, r]
                    for c in range(n):
                        w[c] = complex(w[c].real * factor[c], w[c].imag * factor[c])
            else:  # the same in one loop, which is half as long
                w = waves[j, 0, r]
                for c in range(n):
                    a, b, measured = w[c].real, w[c].imag, real(counts[c])
                    predicted = a * a + b * b
                    if background is not None:
                        predicted += more_light[c]
                    predicted = max(predicted, max(dark * measured, tiny))
                    step = math.sqrt(measured / predicted) - one
                    if mask is not None:
                        step = step if counting[c] else real(0)
                    errors[c] += step * predicted * step
                    w[c] = complex(a * (ground + step), b * (ground + step))
        misfits[j] = errors.sum()
