"""The Fourier modulus constraint on detector waves: in NumPy."""

from __future__ import annotations

import numpy as np


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
