"""The slope of a likelihood on detector waves, and its changes along a step: in NumPy."""

from __future__ import annotations

import numpy as np

from opty.kernels.likelihood.noise import OF_NUMBER


def put_slope(waves, intensity, rows, mask, background, noise: int, misfits, values) -> None:
    """Multiply detector waves by the slope w dL/dIhat of L = -log likelihood, in place.

    waves, intensity, rows, mask, background: as for ``put_modulus`` of the detector. misfits (B,) float64 =
    sum w (sqrt I - sqrt Ihat)^2 and values (B,) float64 = sum w L of each view.
    """
    model = OF_NUMBER[noise]
    for j, row in enumerate(rows.tolist()):
        predicted, measured = _light(waves[j], background), intensity[row].astype(waves.real.dtype)
        slope, value = model.slope(predicted, measured), model.value(predicted, measured)
        step = np.sqrt(measured) - np.sqrt(predicted)
        if mask is not None:
            counting = mask[min(row, len(mask) - 1)]
            slope, value, step = slope * counting, value * counting, step * counting
        misfits[j] = np.vdot(step, step)
        values[j] = value.sum(dtype=np.float64)
        waves[j] *= slope


def _light(waves, background):
    """Return Ihat (n, n) of the detector waves (M, n, n) of a view."""
    light = np.square(waves.real).sum(axis=0) + np.square(waves.imag).sum(axis=0)
    if background is not None:
        light += background
    return np.maximum(light, np.finfo(light.dtype).tiny ** 0.5, out=light)


def along(obj, corners, illum, obj_step, illum_step, waves) -> None:
    """Form what a step t makes of exit waves: waves (3, B, M, n, n) = P O, P dO + dP O, dP dO; factors of 1, t, t^2.

    obj_step dO as obj, illum_step dP as illum, both (B or 1, M, n, n).
    """
    n = waves.shape[-1]
    for j, (r, c) in enumerate(corners.tolist()):
        window, change = obj[r : r + n, c : c + n], obj_step[r : r + n, c : c + n]
        seen, step = illum[min(j, len(illum) - 1)], illum_step[min(j, len(illum_step) - 1)]
        np.multiply(seen, window, out=waves[0, j])
        np.multiply(seen, change, out=waves[1, j])
        waves[1, j] += step * window
        np.multiply(step, change, out=waves[2, j])


def add_up_changes(waves, intensity, rows, mask, background, noise: int, trials, changes) -> None:
    """Put sum w [L(t) - L(0)] of each view at the trial steps t (3,) into changes (B, 3) float64.

    waves (3, B, M, n, n): the detector waves of what ``along`` made.
    """
    for j, row in enumerate(rows.tolist()):
        first, second, third = waves[:, j]
        predicted, measured = _light(first, background), intensity[row].astype(waves.real.dtype)
        terms = (
            2 * _overlap(first, second),
            _overlap(second, second) + 2 * _overlap(first, third),
            2 * _overlap(second, third),
            _overlap(third, third),
        )
        least = predicted * (np.finfo(predicted.dtype).eps - 1)  # rounding can make no intensity negative
        for k, t in enumerate(trials):
            more = t * (terms[0] + t * (terms[1] + t * (terms[2] + t * terms[3])))
            change = OF_NUMBER[noise].change(predicted, measured, np.maximum(more, least))
            if mask is not None:
                change *= mask[min(row, len(mask) - 1)]
            changes[j, k] = change.sum(dtype=np.float64)


def add_up_changes_to(there, waves, intensity, rows, mask, background, noise: int, changes) -> None:
    """Put sum w [L(there) - L(waves)] of each view into changes (B,) float64, of detector waves (B, M, n, n)."""
    for j, row in enumerate(rows.tolist()):
        predicted, measured = _light(waves[j], background), intensity[row].astype(waves.real.dtype)
        step = there[j] - waves[j]
        more = 2 * _overlap(waves[j], step) + _overlap(step, step)
        least = predicted * (np.finfo(predicted.dtype).eps - 1)
        change = OF_NUMBER[noise].change(predicted, measured, np.maximum(more, least))
        if mask is not None:
            change *= mask[min(row, len(mask) - 1)]
        changes[j] = change.sum(dtype=np.float64)


def _overlap(a, b):
    """Return Re sum_m conj(a_m) b_m, (n, n)."""
    return (a.real * b.real + a.imag * b.imag).sum(axis=0)
