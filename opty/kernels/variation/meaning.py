"""A probe that varies: the probe of each view, and the steps of OPR modes and weights by one view, in NumPy."""

from __future__ import annotations

import numpy as np


def mix(probe, weights, modes, out) -> None:
    """out_jm (B, M, n, n) = probe_m (M, n, n), and in the first mode + sum_k weights_jk modes_k, modes (K, n, n)."""
    out[...] = probe
    out[:, 0] += np.tensordot(weights, modes, 1)


def let_through_each(obj, corners, out) -> None:
    """out_j (n, n) = |O_j|^2."""
    n = out.shape[-1]
    for seen, (r, c) in zip(out, corners.tolist(), strict=True):
        window = obj[r : r + n, c : c + n]
        seen[...] = np.square(window.real) + np.square(window.imag)


def vary_one(modes, weights, square, back, obj, top, left, of_modes, of_weights) -> None:
    """Move OPR modes U (K, n, n) and the weights c (K,) of one view, in place.

    U_k += us c_k chi / [max |O|^2 (c_k^2 + <c_k^2>)] and c_k += cs Re <U_k, chi> / sum |U_k|^2 |O|^2, both from what
    they were. back (n, n) is chi, conj(O) times the residual, at the probe; square (K,) are the mean squares of all
    weights; of_modes, of_weights are us and cs.
    """
    n = len(back)
    window = obj[top : top + n, left : left + n]
    seen = np.square(window.real) + np.square(window.imag)
    tiny = np.finfo(seen.dtype).tiny
    climb = (modes.real * back.real + modes.imag * back.imag).sum(axis=(1, 2))
    curved = ((np.square(modes.real) + np.square(modes.imag)) * seen).sum(axis=(1, 2))
    lengths = of_modes * weights / np.maximum(seen.max() * (weights**2 + square), tiny)
    weights += of_weights * climb / np.maximum(curved, tiny)
    modes += lengths.astype(seen.dtype)[:, None, None] * back
