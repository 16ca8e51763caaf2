"""Positions of the views of a scan that its generator took line by line, where the file of the frames has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opty.data.scan_grid import scan_grid
from opty.errors import FormatError
from opty.io.prepare.units import quantity
from opty.remedies import here, option


@dataclass(frozen=True)
class Raster:
    """What a file tells of its scan: (rows, columns), and steps [m] between rows and columns; None where it does not.

    ``otherwise`` : what else the user can do about it.
    """

    shape: tuple[int, ...] | None = None
    step: tuple[float, float] | None = None
    otherwise: str = ""


def placed(path: Path, views: int, told: Raster, scan_shape: Any, scan_step: Any) -> np.ndarray:
    """Return the positions (N, 2) [m] of a grid, line by line, of a shape and steps given or of the file.

    A scan that broke off has fewer frames than its shape. Raises FormatError where neither says shape and steps, or
    where the shape is too small.
    """
    shape = told.shape if scan_shape is None else _shape(scan_shape)
    give, instead = here("scan_shape=(rows, columns)", "--scan-shape ROWS,COLUMNS"), f"or {option('positions')}"
    if shape is None or len(shape) != 2:
        raise FormatError(
            f"{path} does not say where its {views} frames were taken: give {option('positions')}, or {give} and "
            f"{option('scan_step')} of a scan on a grid{told.otherwise}"
        )
    if shape[0] * shape[1] < views:
        said = "the file tells of" if scan_shape is None else f"{option('scan_shape', tuple(shape))} means"
        scan = f"a scan of {shape[0]} x {shape[1]}"
        raise FormatError(f"{path} holds {views} frames, and {said} {scan}: give {give} that fits, {instead}")
    if scan_step is None and told.step is None:
        give = f"{option('scan_step')} in metres"
        raise FormatError(f"{path} does not say the step of its scan: give {give}, {instead}{told.otherwise}")
    return scan_grid((int(shape[0]), int(shape[1])), told.step if scan_step is None else steps_of(scan_step))


def steps_of(value: Any) -> float | tuple[float, ...]:
    """Steps [m] of an option: one number or text with a unit, or two."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(quantity("length", "scan_step", one) for one in value)
    return quantity("length", "scan_step", value)


def _shape(value: Any) -> Sequence[int]:
    found = np.asarray(value)
    if found.shape != (2,) or found.dtype.kind not in "iu" or (found < 1).any():
        raise ValueError(f"scan_shape is {value!r}; give (rows, columns), two whole numbers from 1 on")
    return tuple(int(edge) for edge in found)
