"""How far scan positions are from the truth."""

from __future__ import annotations

import numpy as np

from opty.analysis.host import on_host


def position_error(positions, truth) -> float:
    """Mean distance between positions and truth, mean_j |f_j - g_j|, after the mean offset is taken off both.

    Parameters
    ----------
    positions, truth : (N, 2), in one unit [px]; the common offset cannot be measured and does not count.

    Returns
    -------
    float [unit of the positions].

    Raises
    ------
    ValueError : shapes other than (N, 2), or that differ.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement Eqs. 5 and 6.
    """
    positions, truth = on_host(positions, np.float64), on_host(truth, np.float64)
    if positions.shape != truth.shape or positions.ndim != 2 or positions.shape[1] != 2 or len(truth) == 0:
        raise ValueError(f"positions has shape {positions.shape}, truth {truth.shape}; both must be (N, 2)")
    difference = positions - truth
    return float(np.linalg.norm(difference - difference.mean(axis=0), axis=1).mean())
