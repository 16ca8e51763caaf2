"""Lengths of steps fitted to each view, and their averages: compiled by numba."""

from __future__ import annotations

import numpy as np

from opty.kernels.compiled import compiled


@compiled
def add_up_products(waves, rows, obj, corners, illum, obj_step, illum_step, sums):
    """Put uu, vv, uv, ur and vr of each view into sums: a column of a mode in its precision, all else in double."""
    _, modes, n, _ = illum.shape
    products = np.empty((5, n), waves.real.dtype)
    uu, vv, uv, ur, vr = products[0], products[1], products[2], products[3], products[4]
    sums[:] = 0
    for j in range(len(rows)):
        top, left = corners[j, 0], corners[j, 1]
        i, k = min(j, illum.shape[0] - 1), min(j, illum_step.shape[0] - 1)
        for m in range(modes):
            products[:] = 0
            for r in range(n):
                o, d = obj[top + r, left : left + n], obj_step[top + r, left : left + n]
                p, e, w = illum[i, m, r], illum_step[k, m, r], waves[rows[j], m, r]
                for c in range(n):
                    u, v, x = p[c] * d[c], e[c] * o[c], w[c]
                    uu[c] += u.real * u.real + u.imag * u.imag
                    vv[c] += v.real * v.real + v.imag * v.imag
                    uv[c] += u.real * v.real + u.imag * v.imag
                    ur[c] += u.real * x.real + u.imag * x.imag
                    vr[c] += v.real * x.real + v.imag * x.imag
            for q in range(5):  # a column of a mode in its own precision, all else in double
                for c in range(n):
                    sums[j, q] += products[q, c]


@compiled
def add_light(corners, light, lengths, total, low, high):
    """total (H, W) += lengths_j light_j at the views' places."""
    n = light.shape[2]
    for j in range(len(corners)):
        top, left, i, length = corners[j, 0], corners[j, 1], min(j, light.shape[0] - 1), total.dtype.type(lengths[j])
        for r in range(max(0, low - top), min(n, high - top)):
            t, more = total[top + r, left : left + n], light[i, r]
            for c in range(n):
                t[c] += length * more[c]


@compiled
def add_transmission(obj, corners, lengths, total, low, high):
    """total (n, n) += lengths_j |O_j|^2 over the views."""
    n = len(total)
    for j in range(len(corners)):
        top, left, length = corners[j, 0], corners[j, 1], total.dtype.type(lengths[j])
        for r in range(low, high):
            o, t = obj[top + r, left : left + n], total[r]
            for c in range(n):
                t[c] += length * (o[c].real * o[c].real + o[c].imag * o[c].imag)


@compiled
def add_average(target, direction, total, weight, low, high):
    """target += direction total / weight, where there is weight; direction and weight become 0."""
    zero = weight.dtype.type(0)
    for r in range(low, high):
        share, light = total[r], weight[r]
        for layer in range(len(target)):
            t, d = target[layer, r], direction[layer, r]
            for c in range(len(light)):
                scale = share[c] / light[c] if light[c] > 0 else zero
                t[c] = complex(t[c].real + scale * d[c].real, t[c].imag + scale * d[c].imag)
            d[:] = 0
        light[:] = 0
