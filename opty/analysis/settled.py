"""Whether half scans have converged: what another run changes in both of them alike."""

from __future__ import annotations

import numpy as np
import scipy.fft

from opty.analysis.frc import spectrum, window


def settled(halves: np.ndarray, later: np.ndarray, frequency: float) -> float:
    """Return the share of the finest detail of two halves that another run leaves as it is, 0 to 1.

    1 - sqrt(max(C, 0)), C = Re sum D_1 conj(D_2) / Re sum L_1 conj(L_2) over the last fifth of the spatial frequencies
    up to ``frequency``, L the transforms of the halves after the other run, D what it changed. Noise that the run fits
    differs between the halves, and drops out of both sums; a detail that comes up slowly is the same in both.

    Parameters: halves, later : (2, h, w), all aligned with one of them; frequency [cycles / px].
    """
    soft = window(halves.shape[1:])
    now, then = (np.stack([spectrum(half, soft) for half in pair]) for pair in (halves, later))
    row, column = (scipy.fft.fftfreq(size) for size in soft.shape)
    distance = np.hypot(row[:, None], column)
    finest = (distance > 0.8 * frequency) & (distance <= frequency)
    changed, there = (float((pair[0] * pair[1].conj())[finest].real.sum()) for pair in (then - now, then))
    if not there > 0:
        return 0.0
    return float(np.clip(1 - np.sqrt(max(changed / there, 0.0)), 0, 1))
