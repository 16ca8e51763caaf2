"""What a batch tells of its positions: compiled by numba."""

from __future__ import annotations

import numpy as np

from opty.kernels.compiled import compiled

_SUMS = 8


@compiled
def sense_slopes(waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed):
    """Sums over the window of each view, written at ``index`` (B,); sensed (N, 7) is that of ``signals.fit_numbers``.

    With S = sum_m |P_m|^2, a = sum_m conj(P_m) d_m, d the waves at ``rows``, s the differences of the object across two
    pixels and share = (light - S) / light: misfit = sum |d|^2, change = sum |a|^2, most = max S; sensed = the products
    of s0 with S share s0, S share s1, share a, those of s1, and sum S |O|^2. Sums run down the columns first.
    """
    modes, n, real = illum.shape[1], illum.shape[2], light.dtype
    tiny = np.finfo(light.dtype).tiny
    sums = np.empty((_SUMS, n), real)
    largest, power, re, im = np.empty(n, real), np.empty(n, real), np.empty(n, real), np.empty(n, real)
    none = np.zeros(n, obj.dtype)
    for j in range(len(rows)):
        top, left, i, k, at = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1), rows[j], index[j]
        sums[:] = 0
        largest[:] = 0
        squares, asked, weighed, s00, s01, s11, sa0, sa1 = (
            sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7],
        )  # fmt: skip
        for r in range(n):
            power[:] = 0
            re[:] = 0
            im[:] = 0
            for m in range(modes):
                p, d = illum[i, m, r], waves[k, m, r]
                for c in range(n):
                    power[c] += p[c].real * p[c].real + p[c].imag * p[c].imag
                    re[c] += p[c].real * d[c].real + p[c].imag * d[c].imag
                    im[c] += p[c].real * d[c].imag - p[c].imag * d[c].real
                    squares[c] += d[c].real * d[c].real + d[c].imag * d[c].imag
            around, o = light[top + r, left : left + n], obj[top + r, left : left + n]
            inside = 0 < r < n - 1
            below = obj[top + r + 1, left : left + n] if inside else none
            above = obj[top + r - 1, left : left + n] if inside else none
            for c in range(n):
                largest[c] = max(largest[c], power[c])
                asked[c] += re[c] * re[c] + im[c] * im[c]
                weighed[c] += power[c] * (o[c].real * o[c].real + o[c].imag * o[c].imag)
                share = max(around[c] - power[c], 0) / max(around[c], tiny)
                re[c] *= share
                im[c] *= share
                power[c] *= share
                y_re, y_im = below[c].real - above[c].real, below[c].imag - above[c].imag
                s00[c] += power[c] * (y_re * y_re + y_im * y_im)
                sa0[c] += y_re * re[c] + y_im * im[c]
            for c in range(1, n - 1):
                x_re, x_im = o[c + 1].real - o[c - 1].real, o[c + 1].imag - o[c - 1].imag
                y_re, y_im = below[c].real - above[c].real, below[c].imag - above[c].imag
                s11[c] += power[c] * (x_re * x_re + x_im * x_im)
                s01[c] += power[c] * (x_re * y_re + x_im * y_im)
                sa1[c] += x_re * re[c] + x_im * im[c]
        total = np.zeros(_SUMS)
        for q in range(_SUMS):
            for c in range(n):
                total[q] += sums[q, c]
        misfit[at], change[at], most[at] = total[0], total[1], largest.max()
        found = sensed[at]
        found[0], found[1], found[2] = total[3], total[4], total[6]
        found[3], found[4], found[5], found[6] = total[4], total[5], total[7], total[2]
