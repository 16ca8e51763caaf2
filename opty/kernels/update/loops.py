"""Steps of object and probe along sums over views: compiled by numba."""

from __future__ import annotations

import numpy as np

from opty.kernels.compiled import compiled


@compiled
def largest(weight, low, high):
    """Return the largest value of rows of weight, column by column first."""
    most = np.zeros(weight.shape[1], weight.dtype)
    for r in range(low, high):
        row = weight[r]
        for c in range(len(row)):
            most[c] = max(most[c], row[c])
    return most.max()


@compiled
def add_scaled(target, direction, weight, most, regularisation, step, low, high):
    """target += step direction / [regularisation most + (1 - regularisation) weight]; direction, weight become 0."""
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


@compiled
def divide(direction, weight, most, regularisation, low, high):
    """direction /= regularisation most + (1 - regularisation) weight."""
    real = weight.dtype.type
    ground, share, one = real(regularisation * most), real(1 - regularisation), real(1)
    tiny = np.finfo(weight.dtype).tiny
    for r in range(low, high):
        light = weight[r]
        for layer in range(len(direction)):
            d = direction[layer, r]
            for c in range(len(light)):
                scale = one / max(ground + share * light[c], tiny)
                d[c] = complex(scale * d[c].real, scale * d[c].imag)


@compiled
def merge(old, total, weight, held, ground, low, high):
    """old = (total + ground held) / (weight + ground), as it is where that is 0 / 0."""
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


@compiled
def update_both(obj, corners, probe, illum, waves, alpha, obj_step, beta, probe_step):
    """Steps of object and probe along the residual of one view, both from what they were; illum None is the probe."""
    top, left = corners[0, 0], corners[0, 1]
    if len(probe) > 1:
        _update_modes(obj, top, left, probe, illum, waves[0], alpha, obj_step, beta, probe_step)
    elif illum is None:
        _update_one_mode(obj, top, left, probe[0], None, waves[0, 0], alpha, obj_step, beta, probe_step)
    else:
        _update_one_mode(obj, top, left, probe[0], illum[0], waves[0, 0], alpha, obj_step, beta, probe_step)


@compiled
def _update_one_mode(obj, top, left, probe, illum, waves, alpha, obj_step, beta, probe_step):
    """The same for one mode (n, n), in one pass after that for the largest weights."""
    n = len(probe)
    real = obj.real.dtype.type
    tiny = np.finfo(obj.real.dtype).tiny
    most, most_seen = np.zeros(n, obj.real.dtype), np.zeros(n, obj.real.dtype)
    for r in range(n):
        o, p = obj[top + r, left : left + n], probe[r] if illum is None else illum[r]
        for c in range(n):
            most[c] = max(most[c], p[c].real * p[c].real + p[c].imag * p[c].imag)
            most_seen[c] = max(most_seen[c], o[c].real * o[c].real + o[c].imag * o[c].imag)
    ground, share, length = real(alpha * most.max()), real(1 - alpha), real(obj_step)
    ground_seen, share_seen, length_seen = real(beta * most_seen.max()), real(1 - beta), real(probe_step)
    for r in range(n):
        o, t, w = obj[top + r, left : left + n], probe[r], waves[r]
        p = t if illum is None else illum[r]
        for c in range(n):
            light = p[c].real * p[c].real + p[c].imag * p[c].imag
            seen = o[c].real * o[c].real + o[c].imag * o[c].imag
            along, back = w[c] * complex(p[c].real, -p[c].imag), w[c] * complex(o[c].real, -o[c].imag)
            scale = length / max(ground + share * light, tiny)
            scale_seen = length_seen / max(ground_seen + share_seen * seen, tiny)
            o[c] = complex(o[c].real + scale * along.real, o[c].imag + scale * along.imag)
            t[c] = complex(t[c].real + scale_seen * back.real, t[c].imag + scale_seen * back.imag)


@compiled
def _update_modes(obj, top, left, probe, illum, waves, alpha, obj_step, beta, probe_step):
    """The same for modes (M, n, n): the light is added up first, and kept."""
    modes, n, _ = probe.shape
    real = obj.real.dtype.type
    light, tiny = np.zeros((n, n), obj.real.dtype), np.finfo(obj.real.dtype).tiny
    most, most_seen = np.zeros(n, obj.real.dtype), np.zeros(n, obj.real.dtype)
    for r in range(n):
        o, lit = obj[top + r, left : left + n], light[r]
        for m in range(modes):
            p = probe[m, r] if illum is None else illum[m, r]
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
            w, t = waves[m, r], probe[m, r]
            p = t if illum is None else illum[m, r]
            for c in range(n):
                along[c] += w[c] * complex(p[c].real, -p[c].imag)
                back = w[c] * complex(o[c].real, -o[c].imag)
                t[c] = complex(t[c].real + scale[c] * back.real, t[c].imag + scale[c] * back.imag)
        for c in range(n):
            o[c] = complex(o[c].real + lit[c] * along[c].real, o[c].imag + lit[c] * along[c].imag)
