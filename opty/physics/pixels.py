"""Pixels that are no measurement of light: dead, hot, saturated; found from sums over the scan."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

RING = np.ones((3, 3), bool)
RING[1, 1] = False
WIDE = np.ones((5, 5), bool)
WIDE[2, 2] = False
DEAD_BELOW = 20.0  # counts of the neighbours, all views together: a live pixel that sees none has a chance of exp(-20)
HOT_TIMES = 10.0
PLATEAU, PLATEAU_COUNTS = 10, 1000


def dead(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pixels without a count in any view where the median of the eight neighbours has at least 20, (n, n) bool.

    ``total`` : counts of all views (n, n); ``counts`` : pixels known to be good.
    """
    around = ndimage.median_filter(total, footprint=RING, mode="nearest")
    return (total == 0) & counts & (around >= DEAD_BELOW)


def hot(total: np.ndarray) -> np.ndarray:
    """Pixels with more than ten times the third brightest of the 24 around, and at least 20 counts, (n, n) bool."""
    around = ndimage.rank_filter(total, rank=-3, footprint=WIDE, mode="nearest")
    return (total >= DEAD_BELOW) & (total > HOT_TIMES * around)


def saturated(top: np.ndarray, ties: int, saturation: float | None) -> np.ndarray:
    """Pixels that reached ``saturation`` counts in a view; without one, the end of the type or a plateau, (n, n) bool.

    ``top`` : largest count of each pixel (n, n); ``ties`` : how often the largest of all was counted.
    """
    if saturation is not None:
        return top >= saturation
    if top.dtype.kind in "iu" and top.max() == np.iinfo(top.dtype).max:
        return top == top.max()
    return (top == top.max()) & bool(ties >= PLATEAU and top.max() >= PLATEAU_COUNTS)
