"""Scans on a grid: positions of views that a scan generator took line by line, as 4D-STEM and rasters do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from opty.remedies import option


def scan_grid(shape: tuple[int, int], step: float | Sequence[float], rotation: float = 0.0) -> np.ndarray:
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
    ValueError : a shape that is not two positive whole numbers, steps that are not finite or 0.
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


def laid_out(
    intensities: Any, positions: Any, mask: Any, step: float | Sequence[float] | None = None, rotation: float = 0.0
) -> tuple[Any, Any, Any]:
    """Lay the views of a grid (rows, columns, n, n) out in a row: intensities (N, n, n), positions (N, 2), mask.

    Positions are made from the ``step`` where none are given. Raises ValueError where both or neither are, and for a
    step of frames that are on no grid.
    """
    shape = np.shape(intensities) if not hasattr(intensities, "shape") else tuple(intensities.shape)
    if len(shape) != 4:
        if step is not None or rotation:
            raise ValueError(
                f"scan_step and scan_rotation are for a grid, intensities of shape (rows, columns, n, n), not {shape}"
            )
        if positions is None:
            raise ValueError("there are no positions: give one (row, column) for each view")
        return intensities, positions, mask
    count = shape[0] * shape[1]
    if (positions is None) == (step is None):
        raise ValueError(
            f"intensities has shape {shape}, views on a grid: give either the distance between them, "
            f"{option('scan_step')}, or positions ({count}, 2)"
        )
    if step is not None:
        positions = scan_grid(shape[:2], step, rotation)
    elif rotation:
        raise ValueError(f"scan_rotation turns a grid made from {option('scan_step')}; turn positions that are given")
    elif np.shape(positions) == (*shape[:2], 2):
        positions = np.reshape(positions, (count, 2))
    if mask is not None and np.shape(mask) == shape:
        mask = np.reshape(mask, (count, *shape[2:]))
    flat = (
        intensities.reshape(count, *shape[2:])
        if hasattr(intensities, "reshape")
        else np.reshape(intensities, (count, *shape[2:]))
    )
    return flat, positions, mask


def rotated(positions: np.ndarray, rotation: float) -> np.ndarray:
    """Return positions (N, 2) turned by an angle [rad]: R f, R = [[cos, -sin], [sin, cos]], (row, column)."""
    if rotation == 0:
        return positions
    c, s = math.cos(rotation), math.sin(rotation)
    return positions @ np.array([[c, -s], [s, c]]).T


def grid_shape(positions: np.ndarray, tolerance: float = 1e-3) -> tuple[int, int] | None:
    """Return (rows, columns) of positions (N, 2) that ``scan_grid`` could have made, turned or not; None of others.

    ``tolerance`` : how far a view may be from its place, in parts of the larger step.
    """
    steps = np.diff(positions, axis=0)
    if len(steps) < 2:
        return None
    size = np.linalg.norm(steps[0])
    new = np.flatnonzero(np.linalg.norm(steps - steps[0], axis=1) > 0.5 * size) + 1
    columns = int(new[0]) if len(new) else len(positions)
    if columns < 2 or len(positions) % columns or len(positions) == columns:
        return None
    rows = len(positions) // columns
    i, j = np.divmod(np.arange(len(positions)), columns)
    down = positions[columns] - positions[0]
    expected = positions[0] + i[:, None] * down + j[:, None] * steps[0]
    far = np.abs(positions - expected).max() > tolerance * max(size, np.linalg.norm(down))
    return None if far else (rows, columns)


def grid_of_step(positions: np.ndarray, tolerance: float = 1e-3) -> tuple[tuple[int, int], float, float] | None:
    """Return shape, step and rotation [rad] with which ``scan_grid`` makes positions (N, 2), up to where they begin.

    None where they are on no grid, or on one whose rows and columns are not at a right angle and of one step, to
    ``tolerance`` of it.
    """
    if (shape := grid_shape(positions, tolerance)) is None:
        return None
    rows, columns = shape
    places = positions.reshape(rows, columns, 2)
    down = (places[-1, 0] - places[0, 0]) / (rows - 1)
    right = (places[0, -1] - places[0, 0]) / (columns - 1)
    step = float(np.linalg.norm(down))
    if np.abs(right - [-down[1], down[0]]).max() > tolerance * step:
        return None
    return shape, step, math.atan2(down[1], down[0])
