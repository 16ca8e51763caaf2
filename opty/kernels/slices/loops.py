"""Slices with free space between them: compiled by numba."""

from __future__ import annotations

import numpy as np

from opty.kernels.compiled import compiled


@compiled
def transfer(spectra, factor, back):
    """Multiply spectra (B, M, n, n), in place, by a transfer function (n, n); ``back`` : by its conjugate."""
    views, modes, n, _ = spectra.shape
    for j in range(views):
        for m in range(modes):
            for r in range(n):
                s, f = spectra[j, m, r], factor[r]
                if back:
                    for c in range(n):
                        s[c] = s[c] * complex(f[c].real, -f[c].imag)
                else:
                    for c in range(n):
                        s[c] = s[c] * f[c]


@compiled
def change(waves, obj, corners, met, obj_step):
    """waves_jm = O_j waves_jm + dO_j met_jm, in place."""
    views, modes, n, _ = waves.shape
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, met.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, d = obj[top + r, left : left + n], obj_step[top + r, left : left + n]
                w, p = waves[j, m, r], met[i, m, r]
                for c in range(n):
                    w[c] = w[c] * o[c] + p[c] * d[c]


@compiled
def products(waves, rows, through_obj, through_probe, sums):
    """Put uu, vv, uv, ur and vr of each view into sums: a column of a mode in its precision, all else in double."""
    views, modes, n, _ = through_obj.shape
    found = np.empty((5, n), waves.real.dtype)
    uu, vv, uv, ur, vr = found[0], found[1], found[2], found[3], found[4]
    sums[:] = 0
    for j in range(views):
        for m in range(modes):
            found[:] = 0
            for r in range(n):
                a, b, w = through_obj[j, m, r], through_probe[j, m, r], waves[rows[j], m, r]
                for c in range(n):
                    u, v, x = a[c], b[c], w[c]
                    uu[c] += u.real * u.real + u.imag * u.imag
                    vv[c] += v.real * v.real + v.imag * v.imag
                    uv[c] += u.real * v.real + u.imag * v.imag
                    ur[c] += u.real * x.real + u.imag * x.imag
                    vr[c] += v.real * x.real + v.imag * x.imag
            for q in range(5):
                for c in range(n):
                    sums[j, q] += found[q, c]


@compiled
def let_through(obj, corners, n, share):
    """share_j *= the mean of |O_j|^2 over the window of view j; sums run down the columns first."""
    seen = np.empty(n, obj.real.dtype)
    for j in range(len(corners)):
        top, left = corners[j, 0], corners[j, 1]
        seen[:] = 0
        for r in range(n):
            o = obj[top + r, left : left + n]
            for c in range(n):
                seen[c] += o[c].real * o[c].real + o[c].imag * o[c].imag
        share[j] *= seen.sum() / (n * n)
