"""Slices with free space between them, in NumPy."""

from __future__ import annotations

import numpy as np


def transfer(spectra, factor, back: bool) -> None:
    """Multiply spectra (B, M, n, n), in place, by a transfer function (n, n); ``back`` : by its conjugate."""
    spectra *= factor.conj() if back else factor


def change(waves, obj, corners, met, obj_step) -> None:
    """waves_jm = O_j waves_jm + dO_j met_jm, in place; met (B or 1, M, n, n)."""
    n, last = waves.shape[-1], len(met) - 1
    for j, (r, c) in enumerate(corners.tolist()):
        waves[j] *= obj[r : r + n, c : c + n]
        waves[j] += obj_step[r : r + n, c : c + n] * met[min(j, last)]


def products(waves, rows, through_obj, through_probe, sums) -> None:
    """Put uu, vv, uv, ur and vr of each view into sums (B, 5): u, v (B, M, n, n) and r the waves at ``rows``."""
    for j, (u, v, row) in enumerate(zip(through_obj, through_probe, rows.tolist(), strict=True)):
        pairs = (u, u), (v, v), (u, v), (u, waves[row]), (v, waves[row])
        sums[j] = [(a.real * b.real + a.imag * b.imag).sum(dtype=np.float64) for a, b in pairs]


def let_through(obj, corners, n: int, share) -> None:
    """share_j *= the mean of |O_j|^2 over the window of view j."""
    for j, (r, c) in enumerate(corners.tolist()):
        window = obj[r : r + n, c : c + n]
        share[j] *= (np.square(window.real) + np.square(window.imag)).mean()
