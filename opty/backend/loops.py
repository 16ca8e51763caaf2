"""What a batch goes through in a sweep, in few passes over its arrays: compiled by numba. ``plain`` says what each does.

Each function goes through the pixels row by row, with the rows as slices: LLVM then vectorises the loop over columns,
which it does not with four indices. None holds the interpreter's lock, and what is compiled is kept on disk.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

name = "numba"

# Sums may be taken in any order and products contracted; values that are not finite stay so, for the watch to see.
_compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})


@_compiled
def exit_waves(obj, corners, illum, waves):
    views, modes, n, _ = waves.shape
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, w = obj[top + r, left : left + n], illum[i, m, r], waves[j, m, r]
                for c in range(n):
                    w[c] = o[c] * p[c]


@_compiled
def reflect(obj, corners, illum, kept, rows, waves):
    views, modes, n, _ = waves.shape
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, k, w = obj[top + r, left : left + n], illum[i, m, r], kept[rows[j], m, r], waves[j, m, r]
                for c in range(n):
                    overlap = o[c] * p[c]
                    w[c] = overlap + (overlap - k[c])


@_compiled
def advance(obj, corners, illum, waves, kept, rows, beta, keep):
    views, modes, n, _ = waves.shape
    real = waves.real.dtype.type
    step, lean = real(beta), real(1 - keep)
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, k, w = obj[top + r, left : left + n], illum[i, m, r], kept[rows[j], m, r], waves[j, m, r]
                for c in range(n):
                    overlap = o[c] * p[c]
                    forth, back = w[c] - overlap, overlap - k[c]
                    k[c] = complex(
                        k[c].real + step * forth.real + lean * back.real,
                        k[c].imag + step * forth.imag + lean * back.imag,
                    )


@_compiled
def put_modulus(waves, intensity, rows, mask, background, difference, misfits):
    views, modes, n, _ = waves.shape
    real = waves.real.dtype.type
    floor = real(math.sqrt(np.finfo(waves.real.dtype).tiny))
    ground = real(0) if difference else real(1)
    factor = np.empty(n, waves.real.dtype)
    for j in range(views):
        misfits[j] = 0
        for r in range(n):
            if background is None:
                factor[:] = 0
            else:
                factor[:] = background[r]
            for m in range(modes):
                w = waves[j, m, r]
                for c in range(n):
                    factor[c] += w[c].real * w[c].real + w[c].imag * w[c].imag
            counts, misfit = intensity[rows[j], r], real(0)
            if mask is None:
                for c in range(n):
                    amplitude = math.sqrt(factor[c])
                    step = math.sqrt(real(counts[c])) - amplitude
                    misfit += step * step
                    factor[c] = ground + step / max(amplitude, floor)
            else:
                counting = mask[min(rows[j], mask.shape[0] - 1), r]
                for c in range(n):
                    amplitude = math.sqrt(factor[c])
                    step = math.sqrt(real(counts[c])) - amplitude
                    step = step if counting[c] else real(0)
                    misfit += step * step
                    factor[c] = ground + step / max(amplitude, floor)
            misfits[j] += misfit
            for m in range(modes):
                w = waves[j, m, r]
                for c in range(n):
                    w[c] = complex(w[c].real * factor[c], w[c].imag * factor[c])


@_compiled
def power(illum, out):
    views, modes, n, _ = illum.shape
    for j in range(views):
        for r in range(n):
            total = out[j, r]
            total[:] = 0
            for m in range(modes):
                p = illum[j, m, r]
                for c in range(n):
                    total[c] += p[c].real * p[c].real + p[c].imag * p[c].imag


@_compiled
def add_to_object(waves, rows, corners, illum, light, obj_sum, obj_weight, low, high):
    views, n = len(rows), light.shape[2]
    modes = waves.shape[1]
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, light.shape[0] - 1)
        for r in range(max(0, low - top), min(n, high - top)):
            total, weight, more = obj_sum[top + r, left : left + n], obj_weight[top + r, left : left + n], light[i, r]
            for c in range(n):
                weight[c] += more[c]
            for m in range(modes):
                w, p = waves[rows[j], m, r], illum[i, m, r]
                for c in range(n):
                    total[c] += w[c] * complex(p[c].real, -p[c].imag)


@_compiled
def add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, low, high):
    modes, n, _ = probe_sum.shape
    for j in range(len(rows)):
        top, left = corners[j, 0], corners[j, 1]
        for r in range(low, high):
            o, weight = obj[top + r, left : left + n], probe_weight[r]
            for c in range(n):
                weight[c] += o[c].real * o[c].real + o[c].imag * o[c].imag
            for m in range(modes):
                w, total = waves[rows[j], m, r], probe_sum[m, r]
                for c in range(n):
                    total[c] += w[c] * complex(o[c].real, -o[c].imag)


@_compiled
def largest(weight, low, high):
    most = np.zeros(weight.shape[1], weight.dtype)
    for r in range(low, high):
        row = weight[r]
        for c in range(len(row)):
            most[c] = max(most[c], row[c])
    return most.max()


@_compiled
def add_scaled(target, direction, weight, most, regularisation, step, low, high):
    real = weight.dtype.type
    ground, share, length = real(regularisation * most), real(1 - regularisation), real(step)
    tiny = np.finfo(weight.dtype).tiny
    for r in range(low, high):
        scale = weight[r]
        for c in range(len(scale)):
            scale[c] = length / max(ground + share * scale[c], tiny)
        for layer in range(len(target)):
            t, d = target[layer, r], direction[layer, r]
            for c in range(len(scale)):
                t[c] = complex(t[c].real + scale[c] * d[c].real, t[c].imag + scale[c] * d[c].imag)
            d[:] = 0
        scale[:] = 0


@_compiled
def update_both(obj, corners, probe, waves, alpha, obj_step, beta, probe_step):
    modes, n, _ = probe.shape
    real = obj.real.dtype.type
    top, left = corners[0, 0], corners[0, 1]
    light, tiny = np.zeros((n, n), obj.real.dtype), np.finfo(obj.real.dtype).tiny
    most, most_seen = np.zeros(n, obj.real.dtype), np.zeros(n, obj.real.dtype)
    for r in range(n):
        o, lit = obj[top + r, left : left + n], light[r]
        for m in range(modes):
            p = probe[m, r]
            for c in range(n):
                lit[c] += p[c].real * p[c].real + p[c].imag * p[c].imag
        for c in range(n):
            most[c] = max(most[c], lit[c])
            most_seen[c] = max(most_seen[c], o[c].real * o[c].real + o[c].imag * o[c].imag)
    ground, share, length = real(alpha * most.max()), real(1 - alpha), real(obj_step)
    ground_seen, share_seen, length_seen = real(beta * most_seen.max()), real(1 - beta), real(probe_step)
    step, scale = np.empty(n, obj.dtype), np.empty(n, obj.real.dtype)
    for r in range(n):
        o, lit = obj[top + r, left : left + n], light[r]
        step[:] = 0
        for c in range(n):
            seen = o[c].real * o[c].real + o[c].imag * o[c].imag
            scale[c] = length_seen / max(ground_seen + share_seen * seen, tiny)
            lit[c] = length / max(ground + share * lit[c], tiny)
        for m in range(modes):
            w, p = waves[0, m, r], probe[m, r]
            for c in range(n):
                step[c] += w[c] * complex(p[c].real, -p[c].imag)
            if probe_step != 0:
                for c in range(n):
                    back = w[c] * complex(o[c].real, -o[c].imag)
                    p[c] = complex(p[c].real + scale[c] * back.real, p[c].imag + scale[c] * back.imag)
        if obj_step != 0:
            for c in range(n):
                o[c] = complex(o[c].real + lit[c] * step[c].real, o[c].imag + lit[c] * step[c].imag)
