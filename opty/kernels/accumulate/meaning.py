"""Sums over the views of a batch, for object and probe: in NumPy."""

from __future__ import annotations

import numpy as np


def power(illum, out) -> None:
    """out_j = sum_m |illum_jm|^2, (B or 1, n, n) real."""
    np.square(illum[:, 0].real, out=out)
    out += np.square(illum[:, 0].imag)
    for m in range(1, illum.shape[1]):
        out += np.square(illum[:, m].real)
        out += np.square(illum[:, m].imag)


def add_to_object(waves, rows, corners, illum, light, obj_sum, obj_weight, low: int, high: int) -> None:
    """obj_sum += sum_m conj(illum_jm) waves_jm and obj_weight += light_j at the views' places, waves at ``rows``.

    obj_sum (H, W) complex, obj_weight (H, W) real; light (B or 1, n, n) as ``power`` makes it, None to make it here.
    """
    n = waves.shape[-1]
    if light is None:
        light = np.empty((len(illum), n, n), obj_weight.dtype)
        power(illum, light)
    for j, ((r, c), row) in enumerate(zip(corners.tolist(), rows.tolist(), strict=True)):
        first, end, i = max(low, r), min(high, r + n), min(j, len(illum) - 1)
        if first >= end:
            continue
        part = slice(first - r, end - r)
        seen = illum[i, :, part].conj()
        seen *= waves[row, :, part]
        obj_sum[first:end, c : c + n] += seen[0] if len(seen) == 1 else seen.sum(axis=0)
        obj_weight[first:end, c : c + n] += light[min(j, len(light) - 1), part]


def add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, low: int, high: int) -> None:
    """probe_sum_m += conj(O_j) waves_jm and probe_weight += |O_j|^2 over the views, waves at ``rows``.

    probe_sum (M, n, n) complex, probe_weight (n, n) real or None.
    """
    n = probe_sum.shape[-1]
    for (r, c), row in zip(corners.tolist(), rows.tolist(), strict=True):
        window = obj[r + low : r + high, c : c + n]
        probe_sum[:, low:high] += window.conj() * waves[row, :, low:high]
        if probe_weight is not None:
            probe_weight[low:high] += np.square(window.real) + np.square(window.imag)
