"""Scans on a grid: positions of views that a scan generator took line by line, as 4D-STEM and rasters do."""

from __future__ import annotations

import math

import numpy as np


def scan_grid(shape: tuple[int, int], step, rotation: float = 0.0) -> np.ndarray:
    """Return the positions of a grid of views, line by line: view (i, j) is number i * columns + j.

    f_ij = R (i step_row, j step_column), R = [[cos, -sin], [sin, cos]] of the ``rotation``, (row, column).

    Parameters
    ----------
    shape : (rows, columns) of the scan.
    step : distance between neighbouring views, one number or (between rows, between columns); any unit of length.
    rotation : angle by which the axes of the scan are turned against those of the detector [rad], from the row axis
        (down) towards the column axis (right).

    Returns
    -------
    (rows * columns, 2) float64, (row, column) in the unit of the step, from 0 on without a rotation.

    Raises
    ------
    ValueError : a shape that is not two whole numbers from 1 on, steps that are not finite or 0.
    """
    counts = np.asarray(shape)
    if counts.shape != (2,) or counts.dtype.kind not in "iu" or not (counts >= 1).all():
        raise ValueError(f"shape is {shape!r}; give the scan's (rows, columns), whole numbers from 1 on")
    try:
        steps = np.broadcast_to(np.asarray(step, np.float64), 2)
    except (TypeError, ValueError):
        steps = np.zeros(2)
    if not (np.isfinite(steps) & (steps != 0)).all():
        raise ValueError(f"scan_step is {step!r}; give the distance between views, one number or (row, column), not 0")
    places = np.indices(tuple(counts)).reshape(2, -1).T * steps
    return rotated(places, rotation)


def rotated(positions: np.ndarray, rotation: float) -> np.ndarray:
    """Return positions (N, 2) turned by an angle [rad]: R f, R = [[cos, -sin], [sin, cos]], (row, column)."""
    if rotation == 0:
        return positions
    c, s = math.cos(rotation), math.sin(rotation)
    return positions @ np.array([[c, -s], [s, c]]).T
