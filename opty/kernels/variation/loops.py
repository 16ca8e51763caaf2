"""A probe that varies: the probe of each view, and steps of what varies by one view: compiled by numba."""

from __future__ import annotations

import numpy as np

from opty.kernels.compiled import compiled


@compiled
def mix(probe, weights, modes, out):
    """out_jm = probe_m, and in the first mode + sum_k weights_jk modes_k: complex images as real numbers (n, 2 n)."""
    views, states, n, width = out.shape
    for j in range(views):
        for m in range(states):
            for r in range(n):
                o, p = out[j, m, r], probe[m, r]
                for c in range(width):
                    o[c] = p[c]
                for k in range(len(modes) if m == 0 else 0):
                    u, w = modes[k, r], weights[j, k]
                    for c in range(width):
                        o[c] += w * u[c]


@compiled
def let_through_each(obj, corners, out):
    """out_j (n, n) = |O_j|^2."""
    views, n, _ = out.shape
    for j in range(views):
        top, left = corners[j, 0], corners[j, 1]
        for r in range(n):
            o, seen = obj[top + r, left : left + n], out[j, r]
            for c in range(n):
                seen[c] = o[c].real * o[c].real + o[c].imag * o[c].imag


@compiled
def vary_one(modes, weights, square, back, obj, top, left, of_modes, of_weights):
    """Move OPR modes (K, n, n) and the weights (K,) of one view, in place; sums run down the columns first."""
    count, n, real = len(modes), len(back), obj.real.dtype
    tiny = np.finfo(real).tiny
    climb, curved, most = np.zeros((count, n), real), np.zeros((count, n), real), np.zeros(n, real)
    seen = np.empty(n, real)
    for r in range(n):
        o, b = obj[top + r, left : left + n], back[r]
        for c in range(n):
            seen[c] = o[c].real * o[c].real + o[c].imag * o[c].imag
            most[c] = max(most[c], seen[c])
        for k in range(count):
            u, along, light = modes[k, r], climb[k], curved[k]
            for c in range(n):
                along[c] += u[c].real * b[c].real + u[c].imag * b[c].imag
            for c in range(n):
                light[c] += seen[c] * (u[c].real * u[c].real + u[c].imag * u[c].imag)
    largest = most.max()
    for k in range(count):
        total, below = 0.0, 0.0
        for c in range(n):
            total += climb[k, c]
            below += curved[k, c]
        weight = weights[k]
        length = modes.real.dtype.type(of_modes * weight / max(largest * (weight * weight + square[k]), tiny))
        weights[k] = weight + of_weights * total / max(below, tiny)
        for r in range(n):
            u, b = modes[k, r], back[r]
            for c in range(n):
                u[c] = complex(u[c].real + length * b[c].real, u[c].imag + length * b[c].imag)
