"""Exit waves of a batch, and the step that kept waves take: in NumPy."""

from __future__ import annotations

import numpy as np


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
