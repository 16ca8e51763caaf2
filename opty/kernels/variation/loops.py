"""A probe that varies: exit waves, sums over views, and steps by one view: compiled by numba.

Complex rows are gone through as rows of real numbers (2 n,) where that says the same: the loops need no shuffles then.
"""

from __future__ import annotations

import numpy as np

from opty.kernels.compiled import compiled, compiled_with_sums

_ROWS = (
    8  # of modes that are read at a time: long enough to be fetched ahead, few enough for the first cache (measured)
)


@compiled
def mix(probe, weights, modes, out):
    """out_jm = probe_m, and in the first mode + sum_k weights_jk modes_k: complex images as real numbers (n, 2 n)."""
    views, states, n, width = out.shape
    for r in range(n):  # all views of a row, for which the modes stay in the cache
        for j in range(views):
            for m in range(states):
                o, p = out[j, m, r], probe[m, r]
                for c in range(width):
                    o[c] = p[c]
                for k in range(len(modes) if m == 0 else 0):
                    u, w = modes[k, r], weights[j, k]
                    for c in range(width):
                        o[c] += w * u[c]


@compiled
def shine(probe, weights, modes, obj, corners, illum, waves):
    """waves_jm = illum_jm O_j of what ``mix`` makes, which is put into illum (B, M, n, n) unless that is None."""
    views, states, n, _ = waves.shape
    some = np.empty(_ROWS * n, waves.dtype)
    flat = some.view(probe.dtype)
    for first in range(0, n, _ROWS):
        end = min(n, first + _ROWS)
        low, high = 2 * n * first, 2 * n * end
        for j in range(views):
            top, left = corners[j, 0], corners[j, 1]
            for m in range(states):
                p = probe[m, low:high]
                for c in range(high - low):
                    flat[c] = p[c]
                for k in range(len(modes) if m == 0 else 0):
                    u, more = modes[k, low:high], weights[j, k]
                    for c in range(high - low):
                        flat[c] += more * u[c]
                for r in range(first, end):
                    o, w, made = obj[top + r, left : left + n], waves[j, m, r], some[(r - first) * n :]
                    for c in range(n):
                        w[c] = o[c] * made[c]
                    if illum is not None:
                        kept = illum[j, m, r]
                        for c in range(n):
                            kept[c] = made[c]


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


@compiled_with_sums
def add_said(
    fresh, waves, rows, obj, corners, illum, weights, squares, modes, sums, light, climb, curved, brightest, low, high
):
    """Add what rows ``low`` to ``high`` of the views say of a probe that varies: see the meaning."""
    probe_sum, seen_sum, modes_sum = sums
    states, n, _ = probe_sum.shape
    count, real = len(modes), modes.dtype
    number, first, chi = real.type, np.empty(n, waves.dtype), np.empty(n, waves.dtype)
    flat, twice, most = first.view(real), np.empty(2 * n, real), np.zeros((len(rows), n), real)
    # Rows of modes lie a power of two apart, so that they push one another out of the first cache; copies do not.
    of_modes, gained = np.empty((count, 2 * n), real), np.empty((count, 2 * n), real)
    lit = np.zeros((0 if light is None else count, 2 * n), real)  # each pixel twice
    climb[:], curved[:] = 0, 0
    for r in range(low, high):
        total = seen_sum[r]
        if fresh:
            total[:] = 0
            for m in range(states):
                probe_sum[m, r, :] = 0
        for k in range(count):
            u, held, more = modes[k, r], of_modes[k], gained[k]
            for c in range(2 * n):
                held[c] = u[c]
                more[c] = 0
        for j in range(len(rows)):
            o, largest = obj[corners[j, 0] + r, corners[j, 1] : corners[j, 1] + n], most[j]
            for c in range(n):
                seen = o[c].real * o[c].real + o[c].imag * o[c].imag
                total[c] += seen
                twice[2 * c] = seen
                twice[2 * c + 1] = seen
                largest[c] = max(largest[c], seen)
            for m in range(states):
                w, t, back = waves[rows[j], m, r], probe_sum[m, r], first if m == 0 else chi
                if illum is None:
                    for c in range(n):
                        value = w[c] * complex(o[c].real, -o[c].imag)
                        back[c] = value
                        t[c] += value
                else:
                    p = illum[min(j, illum.shape[0] - 1), m, r]
                    for c in range(n):
                        value = (w[c] - p[c] * o[c]) * complex(o[c].real, -o[c].imag)
                        back[c] = value
                        t[c] += value
            for k in range(count):
                u, t, w, along, below = of_modes[k], gained[k], weights[j, k], number(0), number(0)
                for c in range(2 * n):
                    along += u[c] * flat[c]
                    below += u[c] * u[c] * twice[c]
                    t[c] += w * flat[c]
                climb[j, k] += along
                curved[j, k] += below
                if light is not None:
                    t, w = lit[k], squares[j, k]
                    for c in range(2 * n):
                        t[c] += w * twice[c]
        for k in range(count):
            t, more = modes_sum[k, r], gained[k]
            if fresh:
                for c in range(2 * n):
                    t[c] = more[c]
            else:
                for c in range(2 * n):
                    t[c] += more[c]
            if light is not None:
                t, more = light[k, r], lit[k]
                for c in range(n):
                    t[c] += more[2 * c]
                more[:] = 0
    for j in range(len(rows)):
        brightest[j] = most[j].max()


@compiled
def move_modes(modes, along, lengths, low, high):
    """modes_k += lengths_k along_k, rows from ``low`` to ``high``, as real numbers (K, n, 2 n)."""
    for k in range(len(modes)):
        length = modes.dtype.type(lengths[k])
        for r in range(low, high):
            u, a = modes[k, r], along[k, r]
            for c in range(len(u)):
                u[c] += length * a[c]


@compiled_with_sums
def vary_one(modes, weights, square, wave, obj, top, left, through, of_modes, of_weights):
    """Move OPR modes and the weights (K,) of one view, in place: see the meaning."""
    count, n, real = len(modes), len(wave), modes.dtype
    tiny, number, back = np.finfo(real).tiny, real.type, np.empty(n, wave.dtype)
    flat, twice, most = back.view(real), np.empty(2 * n, real), np.zeros(n, real)
    along, below, lengths = np.zeros(count), np.zeros(count), np.empty(count, real)
    for r in range(n):
        o = obj[top + r, left : left + n]
        for c in range(n):
            most[c] = max(most[c], o[c].real * o[c].real + o[c].imag * o[c].imag)
    largest = most.max()
    for k in range(count):
        lengths[k] = of_modes * weights[k] / max(largest * (weights[k] * weights[k] + square[k]), tiny)
    for r in range(n):
        o, w = obj[top + r, left : left + n], wave[r]
        for c in range(n):
            light = o[c].real * o[c].real + o[c].imag * o[c].imag
            twice[2 * c] = light
            twice[2 * c + 1] = light
            back[c] = w[c] * complex(o[c].real, -o[c].imag) if through else w[c]
        for k in range(count):
            u, step, a, b = modes[k, r], lengths[k], number(0), number(0)
            for c in range(2 * n):
                value = u[c]
                a += value * flat[c]
                b += value * value * twice[c]
                u[c] = value + step * flat[c]
            along[k] += a
            below[k] += b
    for k in range(count):
        weights[k] += of_weights * along[k] / max(below[k], tiny)
