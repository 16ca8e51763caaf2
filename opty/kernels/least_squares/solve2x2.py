"""Two unknowns for each view, fitted together: written once, with the array module ``xp``."""

from __future__ import annotations

import numpy as np


def lengths_from(xp, uu, vv, uv, ur, vr, ridge: float):
    """Return (B, 2) real a, b that minimise |r - a u - b v|^2 + ridge (a^2 + b^2) (|u|^2 + |v|^2) / 2 for each view.

    Given are Re <u, u>, <v, v>, <u, v>, <u, r> and <v, r>, each (B,).
    """
    more = ridge * (uu + vv) / 2
    uu, vv = uu + more, vv + more
    return solved(xp, (uu, vv, uv), (ur, vr))


def solved(xp, square, right):
    """Return (B, 2) real x with [[a, c], [c, b]] x = (u, v) from square (a, b, c) and right (u, v), each (B,).

    Where the two unknowns cannot be told apart they share the step that fits them as one.
    """
    (a, b, c), (u, v) = square, right
    det = a * b - c * c
    solvable = det > 1e-12 * a * b
    det = xp.where(solvable, det, 1)
    both = xp.stack([(b * u - c * v) / det, (a * v - c * u) / det], axis=1)
    power = xp.maximum(a + b, np.finfo(np.float64).tiny)
    return xp.where(solvable[:, None], both, xp.stack([u / power, v / power], axis=1))
