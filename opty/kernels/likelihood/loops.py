"""The slope of a likelihood on detector waves, and its changes along a step: compiled by numba."""

from __future__ import annotations

import math

import numpy as np

from opty.kernels.compiled import compiled
from opty.kernels.likelihood.noise import GAUSSIAN, POISSON
from opty.kernels.likelihood.noise_numbers import (
    amplitude_change,
    amplitude_slope,
    amplitude_value,
    gaussian_change,
    gaussian_slope,
    gaussian_value,
    poisson_change,
    poisson_slope,
    poisson_value,
    squared_step,
)


@compiled
def _light(waves, j, r, background, out):
    """out (n,) = Ihat of a row of detector waves (B, M, n, n), above a floor."""
    n, floor = len(out), out.dtype.type(math.sqrt(np.finfo(out.dtype).tiny))
    if background is not None:
        more = background[r]
        for c in range(n):
            out[c] = more[c]
    else:
        out[:] = 0
    for m in range(waves.shape[1]):
        w = waves[j, m, r]
        for c in range(n):
            out[c] += w[c].real * w[c].real + w[c].imag * w[c].imag
    for c in range(n):
        out[c] = max(out[c], floor)


# A row's predicted intensities become the squared steps of the misfit, the measured ones the slope.


@compiled
def _poisson_row(predicted, measured, values):
    """L, slopes and squared steps of a row, for counted photons."""
    for c in range(len(predicted)):
        p, i = predicted[c], measured[c]
        values[c], measured[c], predicted[c] = poisson_value(p, i), poisson_slope(p, i), squared_step(p, i)


@compiled
def _gaussian_row(predicted, measured, values):
    """L, slopes and squared steps of a row, for intensities of variance I + 1."""
    for c in range(len(predicted)):
        p, i = predicted[c], measured[c]
        values[c], measured[c], predicted[c] = gaussian_value(p, i), gaussian_slope(p, i), squared_step(p, i)


@compiled
def _amplitude_row(predicted, measured, values):
    """L, slopes and squared steps of a row, for amplitudes."""
    for c in range(len(predicted)):
        p, i = predicted[c], measured[c]
        values[c], measured[c], predicted[c] = amplitude_value(p, i), amplitude_slope(p, i), squared_step(p, i)


@compiled
def put_slope(waves, intensity, rows, mask, background, noise, misfits, values):
    """Multiply detector waves by the slope of the likelihood; a view's sums by columns, in double precision."""
    views, modes, n, _ = waves.shape
    real = waves.real.dtype.type
    rooms = np.empty((3, n), waves.real.dtype)
    predicted, measured, value = rooms[0], rooms[1], rooms[2]
    error, slope = predicted, measured
    sums, squares = np.empty(n), np.empty(n)
    for j in range(views):
        sums[:] = 0
        squares[:] = 0
        for r in range(n):
            _light(waves, j, r, background, predicted)
            counts = intensity[rows[j], r]
            for c in range(n):
                measured[c] = counts[c]
            if noise == POISSON:
                _poisson_row(predicted, measured, value)
            elif noise == GAUSSIAN:
                _gaussian_row(predicted, measured, value)
            else:
                _amplitude_row(predicted, measured, value)
            if mask is not None:
                counting = mask[min(rows[j], mask.shape[0] - 1), r]
                for c in range(n):
                    slope[c] = slope[c] if counting[c] else real(0)
                    value[c] = value[c] if counting[c] else real(0)
                    error[c] = error[c] if counting[c] else real(0)
            for c in range(n):
                sums[c] += value[c]
                squares[c] += error[c]
            for m in range(modes):
                w = waves[j, m, r]
                for c in range(n):
                    w[c] = complex(w[c].real * slope[c], w[c].imag * slope[c])
        values[j], misfits[j] = sums.sum(), squares.sum()


@compiled
def along(obj, corners, illum, obj_step, illum_step, waves):
    """waves (3, B, M, n, n) = P O, P dO + dP O, dP dO."""
    _, views, modes, n, _ = waves.shape
    for j in range(views):
        top, left = corners[j, 0], corners[j, 1]
        i, k = min(j, illum.shape[0] - 1), min(j, illum_step.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, d = obj[top + r, left : left + n], obj_step[top + r, left : left + n]
                p, e = illum[i, m, r], illum_step[k, m, r]
                first, second, third = waves[0, j, m, r], waves[1, j, m, r], waves[2, j, m, r]
                for c in range(n):
                    first[c] = p[c] * o[c]
                for c in range(n):
                    second[c] = p[c] * d[c] + e[c] * o[c]
                for c in range(n):
                    third[c] = e[c] * d[c]


@compiled
def _expand(waves, j, r, terms):
    """terms (4, n) = the factors of t, t^2, t^3 and t^4 in a row of sum_m |first + t second + t^2 third|^2."""
    two, a, b, c, d = terms.dtype.type(2), terms[0], terms[1], terms[2], terms[3]
    terms[:] = 0
    for m in range(waves.shape[2]):
        first, second, third = waves[0, j, m, r], waves[1, j, m, r], waves[2, j, m, r]
        for x in range(len(a)):
            u, v = first[x], second[x]
            a[x] += two * (u.real * v.real + u.imag * v.imag)
        for x in range(len(b)):
            u, v, w = first[x], second[x], third[x]
            b[x] += v.real * v.real + v.imag * v.imag + two * (u.real * w.real + u.imag * w.imag)
        for x in range(len(c)):
            v, w = second[x], third[x]
            c[x] += two * (v.real * w.real + v.imag * w.imag)
        for x in range(len(d)):
            w = third[x]
            d[x] += w.real * w.real + w.imag * w.imag


# The changes of a row, for what a step adds to its predicted intensities.


@compiled
def _poisson_changes(predicted, measured, more, out):
    """L(Ihat + more) - L(Ihat) of a row, for counted photons."""
    for c in range(len(predicted)):
        out[c] = poisson_change(predicted[c], measured[c], more[c])


@compiled
def _gaussian_changes(predicted, measured, more, out):
    """L(Ihat + more) - L(Ihat) of a row, for intensities of variance I + 1."""
    for c in range(len(predicted)):
        out[c] = gaussian_change(predicted[c], measured[c], more[c])


@compiled
def _amplitude_changes(predicted, measured, more, out):
    """L(Ihat + more) - L(Ihat) of a row, for amplitudes."""
    for c in range(len(predicted)):
        out[c] = amplitude_change(predicted[c], measured[c], more[c])


@compiled
def _add_changes(predicted, measured, more, noise, mask, view, r, change, total):
    """Add the changes of row r of a view to ``total``, where pixels count; ``change`` is room for a row."""
    if noise == POISSON:
        _poisson_changes(predicted, measured, more, change)
    elif noise == GAUSSIAN:
        _gaussian_changes(predicted, measured, more, change)
    else:
        _amplitude_changes(predicted, measured, more, change)
    if mask is not None:
        counting = mask[min(view, mask.shape[0] - 1), r]
        for c in range(len(change)):
            change[c] = change[c] if counting[c] else change.dtype.type(0)
    for c in range(len(change)):
        total[c] += change[c]


@compiled
def add_up_changes(waves, intensity, rows, mask, background, noise, trials, changes):
    """Put sum w [L(t) - L(0)] of each view into changes; sums column by column, in double precision."""
    _, views, _, n, _ = waves.shape
    real = waves.real.dtype.type
    rooms = np.empty((4, n), waves.real.dtype)
    predicted, measured, more, change = rooms[0], rooms[1], rooms[2], rooms[3]
    terms, sums = np.empty((4, n), waves.real.dtype), np.empty((len(trials), n))
    first, second, third, fourth = terms[0], terms[1], terms[2], terms[3]
    least = real(np.finfo(waves.real.dtype).eps) - real(1)
    for j in range(views):
        sums[:] = 0
        for r in range(n):
            _light(waves[0], j, r, background, predicted)
            _expand(waves, j, r, terms)
            counts = intensity[rows[j], r]
            for c in range(n):
                measured[c] = counts[c]
            for k in range(len(trials)):
                t, total = real(trials[k]), sums[k]
                for c in range(n):
                    step = t * (first[c] + t * (second[c] + t * (third[c] + t * fourth[c])))
                    more[c] = max(step, predicted[c] * least)
                _add_changes(predicted, measured, more, noise, mask, rows[j], r, change, total)
        for k in range(len(trials)):
            changes[j, k] = sums[k].sum()


@compiled
def add_up_changes_to(there, waves, intensity, rows, mask, background, noise, changes):
    """Put sum w [L(there) - L(waves)] of each view into changes; sums column by column, in double precision."""
    views, modes, n, _ = waves.shape
    real = waves.real.dtype.type
    rooms = np.empty((4, n), waves.real.dtype)
    predicted, measured, more, change = rooms[0], rooms[1], rooms[2], rooms[3]
    total, two = np.empty(n), real(2)
    least = real(np.finfo(waves.real.dtype).eps) - real(1)
    for j in range(views):
        total[:] = 0
        for r in range(n):
            _light(waves, j, r, background, predicted)
            more[:] = 0
            for m in range(modes):
                u, v = waves[j, m, r], there[j, m, r]
                for c in range(n):
                    real_step, imag_step = v[c].real - u[c].real, v[c].imag - u[c].imag
                    more[c] += real_step * (two * u[c].real + real_step) + imag_step * (two * u[c].imag + imag_step)
            counts = intensity[rows[j], r]
            for c in range(n):
                measured[c] = counts[c]
                more[c] = max(more[c], predicted[c] * least)
            _add_changes(predicted, measured, more, noise, mask, rows[j], r, change, total)
        changes[j] = total.sum()
