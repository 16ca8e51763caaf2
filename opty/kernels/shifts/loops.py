"""Probes moved by fractions of a pixel, and their adjoint: compiled by numba."""

from __future__ import annotations

import math

import numpy as np

from opty.kernels.compiled import compiled


@compiled
def _phases(step, n, dtype):
    """exp(i step q), (n,) over FFT frequencies q in units of one: by multiplication, in double precision."""
    out = np.empty(n, dtype)
    factor, phase = complex(math.cos(step), math.sin(step)), 1.0 + 0.0j
    for k in range((n + 1) // 2):
        out[k] = phase
        phase *= factor
    phase = 1.0 + 0.0j
    for k in range(1, n // 2 + 1):
        phase *= complex(factor.real, -factor.imag)
        out[n - k] = phase
    return out


@compiled
def shift(spectrum, fraction, out):
    """out_jm = spectrum_m exp(-2 pi i f_j . q); the phases of an axis by multiplication, in double precision."""
    views, modes, n, _ = out.shape
    for j in range(views):
        rows, cols = (
            _phases(-2 * math.pi * fraction[j, 0] / n, n, out.dtype),
            _phases(-2 * math.pi * fraction[j, 1] / n, n, out.dtype),
        )
        for m in range(modes):
            for r in range(n):
                s, w, row = spectrum[m, r], out[j, m, r], rows[r]
                for c in range(n):
                    w[c] = s[c] * (row * cols[c])


@compiled
def add_shifted_back(spectra, fraction, total, low, high):
    """total (M, n, n) += sum_j spectra_jm exp(2 pi i f_j . q), rows from ``low`` to ``high``."""
    modes, n, _ = total.shape
    for j in range(len(spectra)):
        rows, cols = (
            _phases(2 * math.pi * fraction[j, 0] / n, n, total.dtype),
            _phases(2 * math.pi * fraction[j, 1] / n, n, total.dtype),
        )
        for m in range(modes):
            for r in range(low, high):
                s, t, row = spectra[j, m, r], total[m, r], rows[r]
                for c in range(n):
                    t[c] += s[c] * (row * cols[c])


@compiled
def through_object(waves, rows, obj, corners, illum, out):
    """out_jm = conj(O_j) waves_jm, or with illum of waves_jm - illum_jm O_j."""
    views, modes, n, _ = out.shape
    for j in range(views):
        top, left = corners[j, 0], corners[j, 1]
        for m in range(modes):
            for r in range(n):
                o, w, t = obj[top + r, left : left + n], waves[rows[j], m, r], out[j, m, r]
                if illum is None:
                    for c in range(n):
                        t[c] = w[c] * complex(o[c].real, -o[c].imag)
                else:
                    p = illum[min(j, illum.shape[0] - 1), m, r]
                    for c in range(n):
                        t[c] = (w[c] - p[c] * o[c]) * complex(o[c].real, -o[c].imag)


@compiled
def add_seen(obj, corners, probe_weight, low, high):
    """probe_weight (n, n) += |O_j|^2 over the views."""
    n = len(probe_weight)
    for j in range(len(corners)):
        top, left = corners[j, 0], corners[j, 1]
        for r in range(low, high):
            o, weight = obj[top + r, left : left + n], probe_weight[r]
            for c in range(n):
                weight[c] += o[c].real * o[c].real + o[c].imag * o[c].imag
