"""Steps of object and probe along sums over views: in NumPy."""

from __future__ import annotations

import numpy as np

from opty.kernels.accumulate.meaning import power


def largest(weight, low: int, high: int) -> float:
    """Return the largest value of rows of weight (H, W)."""
    return weight[low:high].max() if high > low else 0.0


def add_scaled(target, direction, weight, most: float, regularisation: float, step: float, low: int, high: int) -> None:
    """target += step direction / [regularisation most + (1 - regularisation) weight]; direction and weight become 0.

    target, direction (L, H, W) complex, weight (H, W) real, ``most`` its largest value.
    """
    real = weight.dtype.type
    scale = weight[low:high]
    scale *= real(1 - regularisation)
    scale += real(regularisation * most)
    np.maximum(scale, np.finfo(real).tiny, out=scale)
    np.divide(real(step), scale, out=scale)
    direction[:, low:high] *= scale
    target[:, low:high] += direction[:, low:high]
    direction[:, low:high] = 0
    scale[...] = 0


def divide(direction, weight, most: float, regularisation: float, low: int, high: int) -> None:
    """direction /= regularisation most + (1 - regularisation) weight, ``most`` the largest value of weight.

    direction (L, H, W) complex, weight (H, W) real, which stays as it is.
    """
    real = weight.dtype.type
    scale = weight[low:high] * real(1 - regularisation) + real(regularisation * most)
    direction[:, low:high] *= 1 / np.maximum(scale, np.finfo(real).tiny)


def merge(old, total, weight, held, ground: float, low: int, high: int) -> None:
    """old = (total + ground held) / (weight + ground), as it is where that is 0 / 0.

    old, total, held (L, H, W) complex, weight (H, W) real; held may be old itself.
    """
    real = weight.dtype.type
    below = weight[low:high] + real(ground)
    known = below > 0
    new = total[:, low:high] + real(ground) * held[:, low:high]
    np.divide(new, below, out=old[:, low:high], where=known)


def update_both(
    obj, corners, probe, illum, waves, alpha: float, obj_step: float, beta: float, probe_step: float
) -> None:
    """Steps of object and probe along the residual ``waves`` (1, M, n, n) of one view, both from what they were.

    O += obj_step sum_m conj(A_m) waves_m / [alpha max(S) + (1 - alpha) S], S = sum_m |A_m|^2, in the window of the
    view, A ``illum`` (M, n, n) or with None the probe P itself, and P_m += probe_step conj(O) waves_m / [beta max(T)
    + (1 - beta) T], T = |O|^2. A step of 0 leaves its part as it is.
    """
    (r, c), n = corners[0].tolist(), probe.shape[-1]
    window = obj[r : r + n, c : c + n]
    light, seen = np.empty((2, 1, n, n), window.real.dtype)
    lit = probe if illum is None else illum
    power(lit[None], light)
    power(window[None, None], seen)
    back = window.conj() * waves[0]
    if obj_step:
        direction = (lit.conj() * waves[0]).sum(axis=0, keepdims=True)
        add_scaled(window[None], direction, light[0], light.max(), alpha, obj_step, 0, n)
    if probe_step:
        add_scaled(probe, back, seen[0], seen.max(), beta, probe_step, 0, n)
