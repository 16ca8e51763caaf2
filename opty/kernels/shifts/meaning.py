"""Probes moved by fractions of a pixel, and their adjoint: in NumPy."""

from __future__ import annotations

import numpy as np

from opty.physics.propagation import phase_ramp


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


def add_seen(obj, corners, probe_weight, low: int, high: int) -> None:
    """probe_weight (n, n) += |O_j|^2 over the views."""
    n = probe_weight.shape[-1]
    for r, c in corners.tolist():
        window = obj[r + low : r + high, c : c + n]
        probe_weight[low:high] += np.square(window.real) + np.square(window.imag)
