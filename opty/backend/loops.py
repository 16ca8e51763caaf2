"""What a batch goes through in a sweep, in few passes over its arrays: compiled by numba. ``plain`` says what each does.

Each function goes through the pixels row by row, with the rows as slices: LLVM then vectorises the loop over columns,
which it does not with four indices. None holds the interpreter's lock, and what is compiled is kept on disk.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

name = "numba"

# Products may be contracted, but not reordered: see _DARK. Values that are not finite stay so, for the watch to see.
_compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})

# A prediction below this share of what was measured counts as that: the ratio of the two stays finite, and the square
# of the step times the prediction is what was measured.
_DARK = 1e-30


@_compiled
def exit_waves(obj, corners, illum, waves):
    views, modes, n, _ = waves.shape
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, w = obj[top + r, left : left + n], illum[i, m, r], waves[j, m, r]
                for c in range(n):
                    w[c] = o[c] * p[c]


@_compiled
def reflect(obj, corners, illum, kept, rows, waves):
    views, modes, n, _ = waves.shape
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, k, w = obj[top + r, left : left + n], illum[i, m, r], kept[rows[j], m, r], waves[j, m, r]
                for c in range(n):
                    overlap = o[c] * p[c]
                    w[c] = overlap + (overlap - k[c])


@_compiled
def advance(obj, corners, illum, waves, kept, rows, beta, keep):
    views, modes, n, _ = waves.shape
    real = waves.real.dtype.type
    step, lean = real(beta), real(1 - keep)
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, k, w = obj[top + r, left : left + n], illum[i, m, r], kept[rows[j], m, r], waves[j, m, r]
                for c in range(n):
                    overlap = o[c] * p[c]
                    forth, back = w[c] - overlap, overlap - k[c]
                    k[c] = complex(
                        k[c].real + step * forth.real + lean * back.real,
                        k[c].imag + step * forth.imag + lean * back.imag,
                    )


@_compiled
def _phases(step, n, dtype):
    """exp(i step q), (n,) over FFT frequencies q in units of one: by multiplication, in double precision."""
    out = np.empty(n, dtype)
    factor, phase = complex(math.cos(step), math.sin(step)), 1.0 + 0.0j
    for k in range((n + 1) // 2):
        out[k] = phase
        phase *= factor
    phase = 1.0 + 0.0j
    for k in range(1, n // 2 + 1):
        phase *= complex(factor.real, -factor.imag)
        out[n - k] = phase
    return out


@_compiled
def shift(spectrum, fraction, out):
    views, modes, n, _ = out.shape
    for j in range(views):
        rows, cols = (
            _phases(-2 * math.pi * fraction[j, 0] / n, n, out.dtype),
            _phases(-2 * math.pi * fraction[j, 1] / n, n, out.dtype),
        )
        for m in range(modes):
            for r in range(n):
                s, w, row = spectrum[m, r], out[j, m, r], rows[r]
                for c in range(n):
                    w[c] = s[c] * (row * cols[c])


@_compiled
def add_shifted_back(spectra, fraction, total, low, high):
    modes, n, _ = total.shape
    for j in range(len(spectra)):
        rows, cols = (
            _phases(2 * math.pi * fraction[j, 0] / n, n, total.dtype),
            _phases(2 * math.pi * fraction[j, 1] / n, n, total.dtype),
        )
        for m in range(modes):
            for r in range(low, high):
                s, t, row = spectra[j, m, r], total[m, r], rows[r]
                for c in range(n):
                    t[c] += s[c] * (row * cols[c])


@_compiled
def through_object(waves, rows, obj, corners, illum, out):
    views, modes, n, _ = out.shape
    for j in range(views):
        top, left = corners[j, 0], corners[j, 1]
        for m in range(modes):
            for r in range(n):
                o, w, t = obj[top + r, left : left + n], waves[rows[j], m, r], out[j, m, r]
                if illum is None:
                    for c in range(n):
                        t[c] = w[c] * complex(o[c].real, -o[c].imag)
                else:
                    p = illum[min(j, illum.shape[0] - 1), m, r]
                    for c in range(n):
                        t[c] = (w[c] - p[c] * o[c]) * complex(o[c].real, -o[c].imag)


@_compiled
def put_modulus(waves, intensity, rows, mask, background, difference, misfits):
    views, modes, n, _ = waves.shape
    real = waves.real.dtype.type
    one, tiny, dark = real(1), np.finfo(waves.real.dtype).tiny, real(_DARK)
    ground = real(0) if difference else one
    factor, errors = np.empty(n, waves.real.dtype), np.empty(n, waves.real.dtype)
    for j in range(views):
        errors[:] = 0
        for r in range(n):
            counts = intensity[rows[j], r]
            if mask is not None:
                counting = mask[min(rows[j], mask.shape[0] - 1), r]
            if background is not None:
                more_light = background[r]
            if modes > 1:
                factor[:] = 0
                for m in range(modes):
                    w = waves[j, m, r]
                    for c in range(n):
                        factor[c] += w[c].real * w[c].real + w[c].imag * w[c].imag
                for c in range(n):
                    predicted, measured = factor[c], real(counts[c])
                    if background is not None:
                        predicted += more_light[c]
                    predicted = max(predicted, max(dark * measured, tiny))
                    step = math.sqrt(measured / predicted) - one
                    if mask is not None:
                        step = step if counting[c] else real(0)
                    errors[c] += step * predicted * step
                    factor[c] = ground + step
                for m in range(modes):
                    w = waves[j, m, r]
                    for c in range(n):
                        w[c] = complex(w[c].real * factor[c], w[c].imag * factor[c])
            else:  # the same in one loop, which is half as long
                w = waves[j, 0, r]
                for c in range(n):
                    a, b, measured = w[c].real, w[c].imag, real(counts[c])
                    predicted = a * a + b * b
                    if background is not None:
                        predicted += more_light[c]
                    predicted = max(predicted, max(dark * measured, tiny))
                    step = math.sqrt(measured / predicted) - one
                    if mask is not None:
                        step = step if counting[c] else real(0)
                    errors[c] += step * predicted * step
                    w[c] = complex(a * (ground + step), b * (ground + step))
        misfits[j] = errors.sum()


@_compiled
def power(illum, out):
    views, modes, n, _ = illum.shape
    for j in range(views):
        for r in range(n):
            total = out[j, r]
            total[:] = 0
            for m in range(modes):
                p = illum[j, m, r]
                for c in range(n):
                    total[c] += p[c].real * p[c].real + p[c].imag * p[c].imag


@_compiled
def add_to_object(waves, rows, corners, illum, light, obj_sum, obj_weight, low, high):
    views, n = len(rows), light.shape[2]
    modes = waves.shape[1]
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, light.shape[0] - 1)
        for r in range(max(0, low - top), min(n, high - top)):
            total, weight, more = obj_sum[top + r, left : left + n], obj_weight[top + r, left : left + n], light[i, r]
            for c in range(n):
                weight[c] += more[c]
            for m in range(modes):
                w, p = waves[rows[j], m, r], illum[i, m, r]
                for c in range(n):
                    total[c] += w[c] * complex(p[c].real, -p[c].imag)


@_compiled
def add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, low, high):
    modes, n, _ = probe_sum.shape
    for j in range(len(rows)):
        top, left = corners[j, 0], corners[j, 1]
        for r in range(low, high):
            o, weight = obj[top + r, left : left + n], probe_weight[r]
            for c in range(n):
                weight[c] += o[c].real * o[c].real + o[c].imag * o[c].imag
            for m in range(modes):
                w, total = waves[rows[j], m, r], probe_sum[m, r]
                for c in range(n):
                    total[c] += w[c] * complex(o[c].real, -o[c].imag)


@_compiled
def add_seen(obj, corners, probe_weight, low, high):
    n = len(probe_weight)
    for j in range(len(corners)):
        top, left = corners[j, 0], corners[j, 1]
        for r in range(low, high):
            o, weight = obj[top + r, left : left + n], probe_weight[r]
            for c in range(n):
                weight[c] += o[c].real * o[c].real + o[c].imag * o[c].imag


@_compiled
def largest(weight, low, high):
    most = np.zeros(weight.shape[1], weight.dtype)
    for r in range(low, high):
        row = weight[r]
        for c in range(len(row)):
            most[c] = max(most[c], row[c])
    return most.max()


@_compiled
def add_scaled(target, direction, weight, most, regularisation, step, low, high):
    real = weight.dtype.type
    ground, share, length = real(regularisation * most), real(1 - regularisation), real(step)
    tiny = np.finfo(weight.dtype).tiny
    for r in range(low, high):
        scale = weight[r]
        for c in range(len(scale)):
            scale[c] = length / max(ground + share * scale[c], tiny)
        for layer in range(len(target)):
            t, d = target[layer, r], direction[layer, r]
            for c in range(len(scale)):
                t[c] = complex(t[c].real + scale[c] * d[c].real, t[c].imag + scale[c] * d[c].imag)
            d[:] = 0
        scale[:] = 0


@_compiled
def merge(old, total, weight, held, ground, low, high):
    hold, one = weight.dtype.type(ground), weight.dtype.type(1)
    for r in range(low, high):
        w = weight[r]
        for layer in range(len(old)):
            o, t, h = old[layer, r], total[layer, r], held[layer, r]
            for c in range(len(w)):
                below = w[c] + hold
                known, scale = below > 0, one / below
                real, imag = scale * (t[c].real + hold * h[c].real), scale * (t[c].imag + hold * h[c].imag)
                o[c] = complex(real if known else o[c].real, imag if known else o[c].imag)


@_compiled
def update_both(obj, corners, probe, waves, alpha, obj_step, beta, probe_step):
    top, left = corners[0, 0], corners[0, 1]
    if len(probe) == 1:
        _update_one_mode(obj, top, left, probe[0], waves[0, 0], alpha, obj_step, beta, probe_step)
    else:
        _update_modes(obj, top, left, probe, waves[0], alpha, obj_step, beta, probe_step)


@_compiled
def _update_one_mode(obj, top, left, probe, waves, alpha, obj_step, beta, probe_step):
    n = len(probe)
    real = obj.real.dtype.type
    tiny = np.finfo(obj.real.dtype).tiny
    most, most_seen = np.zeros(n, obj.real.dtype), np.zeros(n, obj.real.dtype)
    for r in range(n):
        o, p = obj[top + r, left : left + n], probe[r]
        for c in range(n):
            most[c] = max(most[c], p[c].real * p[c].real + p[c].imag * p[c].imag)
            most_seen[c] = max(most_seen[c], o[c].real * o[c].real + o[c].imag * o[c].imag)
    ground, share, length = real(alpha * most.max()), real(1 - alpha), real(obj_step)
    ground_seen, share_seen, length_seen = real(beta * most_seen.max()), real(1 - beta), real(probe_step)
    for r in range(n):
        o, p, w = obj[top + r, left : left + n], probe[r], waves[r]
        for c in range(n):
            light = p[c].real * p[c].real + p[c].imag * p[c].imag
            seen = o[c].real * o[c].real + o[c].imag * o[c].imag
            along, back = w[c] * complex(p[c].real, -p[c].imag), w[c] * complex(o[c].real, -o[c].imag)
            scale = length / max(ground + share * light, tiny)
            scale_seen = length_seen / max(ground_seen + share_seen * seen, tiny)
            o[c] = complex(o[c].real + scale * along.real, o[c].imag + scale * along.imag)
            p[c] = complex(p[c].real + scale_seen * back.real, p[c].imag + scale_seen * back.imag)


@_compiled
def _update_modes(obj, top, left, probe, waves, alpha, obj_step, beta, probe_step):
    modes, n, _ = probe.shape
    real = obj.real.dtype.type
    light, tiny = np.zeros((n, n), obj.real.dtype), np.finfo(obj.real.dtype).tiny
    most, most_seen = np.zeros(n, obj.real.dtype), np.zeros(n, obj.real.dtype)
    for r in range(n):
        o, lit = obj[top + r, left : left + n], light[r]
        for m in range(modes):
            p = probe[m, r]
            for c in range(n):
                lit[c] += p[c].real * p[c].real + p[c].imag * p[c].imag
        for c in range(n):
            most[c] = max(most[c], lit[c])
            most_seen[c] = max(most_seen[c], o[c].real * o[c].real + o[c].imag * o[c].imag)
    ground, share, length = real(alpha * most.max()), real(1 - alpha), real(obj_step)
    ground_seen, share_seen, length_seen = real(beta * most_seen.max()), real(1 - beta), real(probe_step)
    along, scale = np.empty(n, obj.dtype), np.empty(n, obj.real.dtype)
    for r in range(n):
        o, lit = obj[top + r, left : left + n], light[r]
        along[:] = 0
        for c in range(n):
            seen = o[c].real * o[c].real + o[c].imag * o[c].imag
            scale[c] = length_seen / max(ground_seen + share_seen * seen, tiny)
            lit[c] = length / max(ground + share * lit[c], tiny)
        for m in range(modes):
            w, p = waves[m, r], probe[m, r]
            for c in range(n):
                along[c] += w[c] * complex(p[c].real, -p[c].imag)
                back = w[c] * complex(o[c].real, -o[c].imag)
                p[c] = complex(p[c].real + scale[c] * back.real, p[c].imag + scale[c] * back.imag)
        for c in range(n):
            o[c] = complex(o[c].real + lit[c] * along[c].real, o[c].imag + lit[c] * along[c].imag)
