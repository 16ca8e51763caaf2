"""What the counts of a view say of its place: the curvature of its misfit, and the noise of the slope."""

from __future__ import annotations

import numpy as np

from opty.model.views import Windows
from opty.operators.fourier import intensity_of
from opty.operators.position.signals import norms, other_light
from opty.state.views import Batch, memory_batch

EVIDENCE_NUMBERS = 7


def window_slopes(window):
    """Return the changes of object windows (B, n, n), or (B, L, n, n), for a view that moves by one pixel along rows,
    and along columns: central differences, zero at the rim.
    """
    along_rows, along_columns = window * 0, window * 0
    along_rows[..., 1:-1, :] = (window[..., 2:, :] - window[..., :-2, :]) / 2
    along_columns[..., 1:-1] = (window[..., 2:] - window[..., :-2]) / 2
    return along_rows, along_columns


def measured_evidence(s, number: np.ndarray, light):
    """Return the evidence (B, 7) float64 of views ``number`` (B,), object and probe as they stand.

    With A the predicted amplitude at the detector, dA_a its change for a step of one pixel of the part of the object
    that other views light as well, and r = sqrt(I) - A: M_aa, M_ab, M_bb of M = sum dA dA; N_aa, N_ab, N_bb of N = sum
    dA dA r^2, which is the variance of the slope sum dA r; and the misfit sum r^2. Masked pixels do not count.

    ``light`` (H, W) is that of all views on the object.
    """
    out = s.xp.empty((len(number), EVIDENCE_NUMBERS), np.float64)
    size = memory_batch(s.store)
    for first in range(0, len(number), size):
        some = slice(first, first + size)
        out[some] = _evidence(s, Batch.at(s.store, number[some]), light)
    return out


def _evidence(s, b, light):
    xp, tiny = s.xp, np.finfo(s.real_dtype).tiny
    share, _ = other_light(s, b, light)
    share = share if b.patches.ndim == 3 else share[:, None]
    there = b.at_detector(b.exit_waves(), True)
    amplitude = xp.sqrt(intensity_of(s, b, there))
    residual = xp.sqrt(s.measured.intensity_of(b.selection).astype(s.real_dtype)) - amplitude
    changes = []
    for slope in window_slopes(b.patches):
        slope *= share
        moved = b.at_detector(b.tangent({"obj": Windows(slope)}), True)
        change = b.seen((there.real * moved.real + there.imag * moved.imag).sum(axis=1))
        changes.append(change / xp.maximum(amplitude, tiny))
    if (mask := s.measured.mask_of(b.selection)) is not None:
        for a in (*changes, residual):
            a *= mask
    rows, columns = (a.reshape(b.size, -1) for a in changes)
    squares = (residual * residual).reshape(b.size, -1)
    pairs = (rows * rows, rows * columns, columns * columns)
    sums = [pair.sum(axis=1, dtype=np.float64) for pair in pairs]
    sums += [(pair * squares).sum(axis=1, dtype=np.float64) for pair in pairs]
    return xp.stack([*sums, norms(residual)], axis=1)
