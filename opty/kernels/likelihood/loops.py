"""The slope of a likelihood on detector waves, and its changes along a step: compiled by numba."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import overload

from opty.kernels.compiled import compiled
from opty.kernels.likelihood.noise import GAUSSIAN, POISSON, TOO_DARK


def _log(q, x):
    """log q, where x = q - 1 has all its digits."""
    return math.log1p(x) if abs(x) < 0.5 else math.log(q)


_ROOT_HALF = 0x3F3504F3  # the bits of sqrt(1/2): what lies above and below a power of two by less than sqrt(2) is its


def _log_single(q, x):
    """The same in single precision, to 2 ulp, and 20 times as fast: there is no vector log for LLVM to call.

    q = 2^e m with m within sqrt(2) of 1, and log m = 2 artanh[(m - 1) / (m + 1)]. No q that is not finite comes out
    finite in a sum with q itself.
    """
    bits = np.float32(q).view(np.int32)
    e = (bits - np.int32(_ROOT_HALF)) >> np.int32(23)
    m = np.int32(bits - (e << np.int32(23))).view(np.float32)
    f = x if e == 0 else m - np.float32(1)
    s = f / (np.float32(2) + f)
    z = s * s
    series = np.float32(2 / 5) + z * (np.float32(2 / 7) + z * np.float32(2 / 9))
    return np.float32(e) * np.float32(math.log(2)) + s * (np.float32(2) + z * (np.float32(2 / 3) + z * series))


@overload(_log, jit_options={"error_model": "numpy"}, inline="always")
def _compiled_log(q, x):
    return _log_single if q == types.float32 else _log


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


@compiled
def _poisson_row(predicted, measured, values):
    one, most = predicted.dtype.type(1), predicted.dtype.type(TOO_DARK)
    for c in range(len(predicted)):
        p, i = predicted[c], measured[c]
        ratio, excess = i / p, p - i
        step = math.sqrt(ratio) - one
        scale = one / (i if i > 0 else one)
        values[c] = excess - i * _log(p * scale, excess * scale)
        measured[c] = one - min(ratio, most)
        predicted[c] = step * p * step


@compiled
def _gaussian_row(predicted, measured, values):
    one, two = predicted.dtype.type(1), predicted.dtype.type(2)
    for c in range(len(predicted)):
        p, i = predicted[c], measured[c]
        excess, step = p - i, math.sqrt(i / p) - one
        share = excess / (i + one)
        values[c] = share * excess
        measured[c] = two * share
        predicted[c] = step * p * step


@compiled
def _amplitude_row(predicted, measured, values):
    one, four = predicted.dtype.type(1), predicted.dtype.type(4)
    for c in range(len(predicted)):
        p, i = predicted[c], measured[c]
        step = math.sqrt(i / p) - one
        error = step * p * step
        values[c] = four * error
        measured[c] = -four * step
        predicted[c] = error


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


@compiled
def _poisson_change(predicted, measured, more, out):
    real = predicted.dtype.type
    one, zero, share, steepest = real(1), real(0), real(1 / TOO_DARK), real(1 - TOO_DARK)
    floor = real(math.sqrt(np.finfo(predicted.dtype).tiny))
    for c in range(len(predicted)):
        p, i, step = predicted[c], measured[c], more[c]
        dark = max(i * share, floor)
        gap = dark - p
        gain = max(step, gap) - max(gap, zero)
        grown = gain / max(p, dark)
        out[c] = gain - i * _log(one + grown, grown) + steepest * (step - gain)


@compiled
def _gaussian_change(predicted, measured, more, out):
    one, two = predicted.dtype.type(1), predicted.dtype.type(2)
    for c in range(len(predicted)):
        p, i, step = predicted[c], measured[c], more[c]
        out[c] = step * (step + two * (p - i)) / (i + one)


@compiled
def _amplitude_change(predicted, measured, more, out):
    one, two, four = predicted.dtype.type(1), predicted.dtype.type(2), predicted.dtype.type(4)
    for c in range(len(predicted)):
        p, i, step = predicted[c], measured[c], more[c]
        out[c] = four * step * (one - two * math.sqrt(i) / (math.sqrt(p) + math.sqrt(p + step)))


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
                if noise == POISSON:
                    _poisson_change(predicted, measured, more, change)
                elif noise == GAUSSIAN:
                    _gaussian_change(predicted, measured, more, change)
                else:
                    _amplitude_change(predicted, measured, more, change)
                if mask is not None:
                    counting = mask[min(rows[j], mask.shape[0] - 1), r]
                    for c in range(n):
                        change[c] = change[c] if counting[c] else real(0)
                for c in range(n):
                    total[c] += change[c]
        for k in range(len(trials)):
            changes[j, k] = sums[k].sum()
