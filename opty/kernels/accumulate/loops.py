"""Sums over the views of a batch, for object and probe: compiled by numba."""

from __future__ import annotations

from opty.kernels.compiled import compiled


@compiled
def power(illum, out):
    """out_j = sum_m |illum_jm|^2."""
    views, modes, n, _ = illum.shape
    for j in range(views):
        for r in range(n):
            total = out[j, r]
            total[:] = 0
            for m in range(modes):
                p = illum[j, m, r]
                for c in range(n):
                    total[c] += p[c].real * p[c].real + p[c].imag * p[c].imag


@compiled
def add_to_object(waves, rows, corners, illum, light, obj_sum, obj_weight, low, high):
    """obj_sum += sum_m conj(illum_jm) waves_jm and obj_weight += light_j, or where it is None the light of illum."""
    views, modes, n = len(rows), waves.shape[1], waves.shape[2]
    for j in range(views):
        top, left = corners[j, 0], corners[j, 1]
        i = min(j, illum.shape[0] - 1)
        for r in range(max(0, low - top), min(n, high - top)):
            total, weight = obj_sum[top + r, left : left + n], obj_weight[top + r, left : left + n]
            if light is not None:
                more = light[min(j, light.shape[0] - 1), r]
                for c in range(n):
                    weight[c] += more[c]
            for m in range(modes):
                w, p = waves[rows[j], m, r], illum[i, m, r]
                if light is None:
                    for c in range(n):
                        weight[c] += p[c].real * p[c].real + p[c].imag * p[c].imag
                for c in range(n):
                    total[c] += w[c] * complex(p[c].real, -p[c].imag)


@compiled
def add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, low, high):
    """probe_sum_m += conj(O_j) waves_jm and, unless it is None, probe_weight += |O_j|^2 over the views."""
    modes, n, _ = probe_sum.shape
    for j in range(len(rows)):
        top, left = corners[j, 0], corners[j, 1]
        for r in range(low, high):
            o = obj[top + r, left : left + n]
            if probe_weight is not None:
                weight = probe_weight[r]
                for c in range(n):
                    weight[c] += o[c].real * o[c].real + o[c].imag * o[c].imag
            for m in range(modes):
                w, total = waves[rows[j], m, r], probe_sum[m, r]
                for c in range(n):
                    total[c] += w[c] * complex(o[c].real, -o[c].imag)
