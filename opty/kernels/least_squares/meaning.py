"""Lengths of steps fitted to each view, and their averages: in NumPy."""

from __future__ import annotations

import numpy as np

from opty.kernels.likelihood.meaning import _overlap


def add_up_products(waves, rows, obj, corners, illum, obj_step, illum_step, sums) -> None:
    """Put uu, vv, uv, ur and vr of each view into sums (B, 5) float64, ab = Re sum conj(a) b.

    r = waves at ``rows``, u = illum_jm D_j, D = obj_step (H, W), v = illum_step_jm O_j.
    """
    n = illum.shape[-1]
    for j, ((r, c), row) in enumerate(zip(corners.tolist(), rows.tolist(), strict=True)):
        u = illum[min(j, len(illum) - 1)] * obj_step[r : r + n, c : c + n]
        v = illum_step[min(j, len(illum_step) - 1)] * obj[r : r + n, c : c + n]
        pairs = (u, u), (v, v), (u, v), (u, waves[row]), (v, waves[row])
        sums[j] = [_overlap(a, b).sum(dtype=np.float64) for a, b in pairs]


def add_light(corners, light, lengths, total, low: int, high: int) -> None:
    """total (H, W) += lengths_j light_j at the views' places; light (B or 1, n, n), lengths (B,)."""
    n, last = light.shape[-1], len(light) - 1
    for j, (r, c) in enumerate(corners.tolist()):
        first, end = max(low, r), min(high, r + n)
        if first < end:
            total[first:end, c : c + n] += lengths[j] * light[min(j, last), first - r : end - r]


def add_transmission(obj, corners, lengths, total, low: int, high: int) -> None:
    """total (n, n) += lengths_j |O_j|^2 over the views, lengths (B,)."""
    n = len(total)
    for j, (r, c) in enumerate(corners.tolist()):
        window = obj[r + low : r + high, c : c + n]
        total[low:high] += lengths[j] * (np.square(window.real) + np.square(window.imag))


def add_average(target, direction, total, weight, low: int, high: int) -> None:
    """target += direction total / weight, where there is weight; direction and weight become 0.

    target, direction (L, H, W) complex, total, weight (H, W) real.
    """
    share, lit = np.zeros_like(total[low:high]), weight[low:high] > 0
    np.divide(total[low:high], weight[low:high], out=share, where=lit)
    target[:, low:high] += direction[:, low:high] * share
    direction[:, low:high] = 0
    weight[low:high] = 0
