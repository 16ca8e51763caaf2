"""What a batch goes through in a sweep, in few passes over its arrays: in NumPy.

``loops`` has the same functions, compiled by numba; these are what they mean, and what runs where numba is not
installed. Arrays are C-contiguous; nothing is returned where nothing is said; all outputs are written in place.

obj (H, W) complex; corners (B, 2) int, the windows' first pixels; illum (B or 1, M, n, n), the probe as each view sees
it; waves (B, M, n, n); rows (B,) int, where the views stand in arrays of more views than those of the batch. ``low``
and ``high`` bound the rows (of object or probe) that a call may write, so that several threads share the work without
sharing a pixel: each pixel adds its views in ascending order, whatever the number of threads.
"""

from __future__ import annotations

import numpy as np

from opty.physics.propagation import phase_ramp

name = "numpy"


def exit_waves(obj, corners, illum, waves) -> None:
    """waves_jm = illum_jm O_j."""
    n, last = waves.shape[-1], len(illum) - 1
    for j, (r, c) in enumerate(corners.tolist()):
        np.multiply(illum[min(j, last)], obj[r : r + n, c : c + n], out=waves[j])


def reflect(obj, corners, illum, kept, rows, waves) -> None:
    """waves_jm = 2 illum_jm O_j - kept_jm, kept (N, M, n, n) at ``rows``."""
    exit_waves(obj, corners, illum, waves)
    waves *= 2
    for j, row in enumerate(rows.tolist()):
        waves[j] -= kept[row]


def advance(obj, corners, illum, waves, kept, rows, beta: float, share: float) -> None:
    """kept_jm = share kept_jm + (1 - share) illum_jm O_j + beta waves_jm, kept at ``rows``."""
    n, last = waves.shape[-1], len(illum) - 1
    for j, ((r, c), row) in enumerate(zip(corners.tolist(), rows.tolist(), strict=True)):
        new = illum[min(j, last)] * obj[r : r + n, c : c + n]
        if share:
            new *= 1 - share
            new += share * kept[row]
        new += beta * waves[j]
        kept[row] = new


def shift(spectrum, fraction, out) -> None:
    """out_jm = spectrum_m exp(-2 pi i f_j . q): moves by fraction f (B, 2) px; spectrum (M, n, n), out (B, M, n, n)."""
    for j, (row, col) in enumerate(zip(*phase_ramp(fraction, out.shape[-1], np, out.dtype), strict=True)):
        np.multiply(spectrum, row, out=out[j])
        out[j] *= col


def add_shifted_back(spectra, fraction, total, low: int, high: int) -> None:
    """total (M, n, n) += sum_j spectra_jm exp(2 pi i f_j . q), the adjoint of ``shift``."""
    for j, (row, col) in enumerate(zip(*phase_ramp(-fraction, total.shape[-1], np, total.dtype), strict=True)):
        moved = spectra[j, :, low:high] * row[low:high]
        moved *= col
        total[:, low:high] += moved


def through_object(waves, rows, obj, corners, illum, out) -> None:
    """out_jm = conj(O_j) waves_jm, waves at ``rows``; with illum (B or 1, M, n, n) of waves_jm - illum_jm O_j."""
    n = out.shape[-1]
    for j, ((r, c), row) in enumerate(zip(corners.tolist(), rows.tolist(), strict=True)):
        window, wave = obj[r : r + n, c : c + n], waves[row]
        if illum is not None:
            wave = wave - illum[min(j, len(illum) - 1)] * window
        np.multiply(window.conj(), wave, out=out[j])


def put_modulus(waves, intensity, rows, mask, background, difference: bool, misfits) -> None:
    """Put the measured modulus on detector waves; misfits (B,) float64 = sum w (sqrt I - sqrt Ihat)^2 of each view.

    waves: Psi, overwritten by Psi sqrt(I / Ihat), or by that minus Psi if ``difference``; intensity (N, n, n) any real
    dtype, at ``rows``; mask (N or 1, n, n) bool or None: where False the wave stays as it is; background (n, n) real or
    None: incoherent intensity added to Ihat = sum_m |Psi_m|^2. A floor on sqrt(Ihat) far below one photon guards the
    division, so that bright data are not biased.
    """
    real = waves.real.dtype
    floor = np.finfo(real).tiny ** 0.5
    for j, row in enumerate(rows.tolist()):
        power = np.square(waves[j].real)
        power += np.square(waves[j].imag)
        power = power[0] if len(power) == 1 else power.sum(axis=0)
        if background is not None:
            power += background
        amplitude = np.sqrt(power, out=power)
        step = np.sqrt(intensity[row], dtype=real)
        step -= amplitude
        if mask is not None:
            step *= mask[min(row, len(mask) - 1)]
        misfits[j] = np.vdot(step, step)
        np.maximum(amplitude, floor, out=amplitude)
        step /= amplitude
        if not difference:
            step += 1
        waves[j] *= step


def power(illum, out) -> None:
    """out_j = sum_m |illum_jm|^2, (B or 1, n, n) real."""
    np.square(illum[:, 0].real, out=out)
    out += np.square(illum[:, 0].imag)
    for m in range(1, illum.shape[1]):
        out += np.square(illum[:, m].real)
        out += np.square(illum[:, m].imag)


def add_to_object(waves, rows, corners, illum, light, obj_sum, obj_weight, low: int, high: int) -> None:
    """obj_sum += sum_m conj(illum_jm) waves_jm and obj_weight += light_j at the views' places, waves at ``rows``.

    obj_sum (H, W) complex, obj_weight (H, W) real; light (B or 1, n, n) as ``power`` makes it.
    """
    n, last = light.shape[-1], len(light) - 1
    for j, ((r, c), row) in enumerate(zip(corners.tolist(), rows.tolist(), strict=True)):
        first, end, i = max(low, r), min(high, r + n), min(j, last)
        if first >= end:
            continue
        part = slice(first - r, end - r)
        seen = illum[i, :, part].conj()
        seen *= waves[row, :, part]
        obj_sum[first:end, c : c + n] += seen[0] if len(seen) == 1 else seen.sum(axis=0)
        obj_weight[first:end, c : c + n] += light[i, part]


def add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, low: int, high: int) -> None:
    """probe_sum_m += conj(O_j) waves_jm and probe_weight += |O_j|^2 over the views, waves at ``rows``.

    probe_sum (M, n, n) complex, probe_weight (n, n) real.
    """
    n = probe_weight.shape[-1]
    for (r, c), row in zip(corners.tolist(), rows.tolist(), strict=True):
        window = obj[r + low : r + high, c : c + n]
        probe_sum[:, low:high] += window.conj() * waves[row, :, low:high]
        probe_weight[low:high] += np.square(window.real) + np.square(window.imag)


def add_seen(obj, corners, probe_weight, low: int, high: int) -> None:
    """probe_weight (n, n) += |O_j|^2 over the views."""
    n = probe_weight.shape[-1]
    for r, c in corners.tolist():
        window = obj[r + low : r + high, c : c + n]
        probe_weight[low:high] += np.square(window.real) + np.square(window.imag)


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


def merge(old, total, weight, held, ground: float, low: int, high: int) -> None:
    """old = (total + ground held) / (weight + ground), as it is where that is 0 / 0.

    old, total, held (L, H, W) complex, weight (H, W) real; held may be old itself.
    """
    real = weight.dtype.type
    below = weight[low:high] + real(ground)
    known = below > 0
    new = total[:, low:high] + real(ground) * held[:, low:high]
    np.divide(new, below, out=old[:, low:high], where=known)


def update_both(obj, corners, probe, waves, alpha: float, obj_step: float, beta: float, probe_step: float) -> None:
    """Steps of object and probe along the residual ``waves`` (1, M, n, n) of one view, both from what they were.

    O += obj_step sum_m conj(P_m) waves_m / [alpha max(S) + (1 - alpha) S], S = sum_m |P_m|^2, in the window of the
    view, and P_m += probe_step conj(O) waves_m / [beta max(T) + (1 - beta) T], T = |O|^2. A step of 0 leaves its part
    as it is.
    """
    (r, c), n = corners[0].tolist(), probe.shape[-1]
    window = obj[r : r + n, c : c + n]
    light, seen = np.empty((2, 1, n, n), window.real.dtype)
    power(probe[None], light)
    power(window[None, None], seen)
    back = window.conj() * waves[0]
    if obj_step:
        direction = (probe.conj() * waves[0]).sum(axis=0, keepdims=True)
        add_scaled(window[None], direction, light[0], light.max(), alpha, obj_step, 0, n)
    if probe_step:
        add_scaled(probe, back, seen[0], seen.max(), beta, probe_step, 0, n)
