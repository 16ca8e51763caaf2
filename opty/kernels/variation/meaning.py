"""A probe that varies: exit waves, sums over views, and steps of what varies by one view, in NumPy."""

from __future__ import annotations

import numpy as np

from opty.kernels.exit_waves.meaning import exit_waves


def mix(probe, weights, modes, out) -> None:
    """out_jm (B, M, n, n) = probe_m (M, n, n), and in the first mode + sum_k weights_jk modes_k, modes (K, n, n).

    Complex images are given as real numbers, (n, 2 n).
    """
    out[...] = probe
    out[:, 0] += np.tensordot(weights, modes, 1)


def shine(probe, weights, modes, obj, corners, illum, waves) -> None:
    """waves_jm = illum_jm O_j of what ``mix`` makes, which is put into illum (B, M, n, n) unless that is None.

    probe (M, 2 n n) and modes (K, 2 n n) are real numbers, two for each pixel; obj, illum and waves are complex.
    """
    made = np.empty_like(waves) if illum is None else illum
    n = waves.shape[-1]
    mix(probe.reshape(-1, n, 2 * n), weights, modes.reshape(-1, n, 2 * n), made.view(probe.dtype))
    exit_waves(obj, corners, made, waves)


def let_through_each(obj, corners, out) -> None:
    """out_j (n, n) = |O_j|^2."""
    n = out.shape[-1]
    for seen, (r, c) in zip(out, corners.tolist(), strict=True):
        window = obj[r : r + n, c : c + n]
        seen[...] = np.square(window.real) + np.square(window.imag)


def add_said(
    fresh: bool,
    waves,
    rows,
    obj,
    corners,
    illum,
    weights,
    squares,
    modes,
    sums,
    light,
    climb,
    curved,
    brightest,
    low: int,
    high: int,
) -> None:
    """Add what rows ``low`` to ``high`` of the views say of a probe that varies, chi_jm = conj(O_j) waves_jm.

    fresh : the ``sums`` start at zero here.
    With illum (B or 1, M, n, n) chi_jm = conj(O_j) (waves_jm - illum_jm O_j); waves (N, M, n, n) at ``rows`` (B,).
    sums : sum_j chi_jm (M, n, n), sum_j |O_j|^2 (n, n), sum_j weights_jk chi_j0 (K, n, 2 n); light (K, n, n) or None:
    sum_j squares_jk |O_j|^2. climb, curved (B, K), brightest (B,) : Re <U_k, chi_j0>, sum |U_k|^2 |O_j|^2 and
    max |O_j|^2 of the rows. U are the modes (K, n, 2 n); like their sum real numbers, two for each pixel.
    """
    probe_sum, seen_sum, modes_sum = sums
    n, some = probe_sum.shape[-1], slice(low, high)
    for a in sums if fresh else ():
        a[..., some, :] = 0
    power = np.square(modes[:, some]).reshape(len(modes), high - low, n, 2).sum(axis=-1)
    for j, ((r, c), row) in enumerate(zip(corners.tolist(), rows.tolist(), strict=True)):
        window, chi = obj[r + low : r + high, c : c + n], waves[row, :, some]
        if illum is not None:
            chi = chi - illum[min(j, len(illum) - 1), :, some] * window
        chi = window.conj() * chi
        seen = np.square(window.real) + np.square(window.imag)
        first = chi[0].view(modes.dtype)
        probe_sum[:, some] += chi
        seen_sum[some] += seen
        modes_sum[:, some] += weights[j][:, None, None] * first
        if light is not None:
            light[:, some] += squares[j][:, None, None] * seen
        climb[j] = (modes[:, some] * first).sum(axis=(1, 2))
        curved[j] = (power * seen).sum(axis=(1, 2))
        brightest[j] = seen.max()


def move_modes(modes, along, lengths, low: int, high: int) -> None:
    """modes_k += lengths_k along_k, rows from ``low`` to ``high``, as real numbers (K, n, 2 n)."""
    modes[:, low:high] += lengths.astype(modes.dtype)[:, None, None] * along[:, low:high]


def vary_one(modes, weights, square, wave, obj, top, left, through: bool, of_modes, of_weights) -> None:
    """Move OPR modes U (K, n, 2 n), as real numbers, and the weights c (K,) of one view, in place.

    U_k += us c_k chi / [max |O|^2 (c_k^2 + <c_k^2>)] and c_k += cs Re <U_k, chi> / sum |U_k|^2 |O|^2, both from what
    they were. wave (n, n) is the residual, chi conj(O) times it, or without ``through`` chi, at the probe; square (K,)
    are the mean squares of all weights; of_modes, of_weights are us and cs.
    """
    n = len(wave)
    window = obj[top : top + n, left : left + n]
    back = (window.conj() * wave if through else wave).view(modes.dtype)
    seen = np.square(window.real) + np.square(window.imag)
    tiny = np.finfo(seen.dtype).tiny
    climb = (modes * back).sum(axis=(1, 2))
    curved = (np.square(modes) * np.repeat(seen, 2, axis=1)).sum(axis=(1, 2))
    lengths = of_modes * weights / np.maximum(seen.max() * (weights**2 + square), tiny)
    weights += of_weights * climb / np.maximum(curved, tiny)
    modes += lengths.astype(seen.dtype)[:, None, None] * back
