"""Scan positions: (N, 2) float64, (row, column), in the unit in which the step is given (pixels or metres)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import scipy.spatial

from opty.physics.stage_travel import stage_travel

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def raster(shape: tuple[int, int], step: float, jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    """Raster scan, row by row, with random jitter against the raster-grid artefact.

    Parameters
    ----------
    shape : (rows, columns) of the grid.
    step : distance between neighbours [px or m].
    jitter : each coordinate moves by a uniform random amount between -jitter and +jitter [unit of step].
    seed : of the jitter.

    Returns
    -------
    (rows * columns, 2) float64; without jitter the first position is (0, 0).

    Raises
    ------
    ValueError : an empty grid, a step that is not positive, a negative jitter.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, "SciComPty simulator".
    """
    rows, columns = shape
    if rows < 1 or columns < 1:
        raise ValueError(f"shape is {tuple(shape)}; give at least one row and one column")
    _check_step(step)
    if jitter < 0:
        raise ValueError(f"jitter is {jitter!r}; give zero or more, in the unit of step")
    grid = np.indices((rows, columns)).reshape(2, -1).T * float(step)
    return grid + np.random.default_rng(seed).uniform(-jitter, jitter, grid.shape)


def fermat(views: int, step: float) -> np.ndarray:
    """Fermat spiral: r = c sqrt(k), angle = k times the golden angle. Even coverage without a lattice.

    Parameters
    ----------
    views : number of positions N.
    step : [px or m]; c = step / sqrt(pi), so that each view has the area step^2 that it has in a raster of that step.

    Returns
    -------
    (N, 2) float64, from the middle (0, 0) outwards.

    Raises
    ------
    ValueError : no view, or a step that is not positive.

    Source: Huang et al., Opt. Express 22, 12634 (2014).
    """
    if views < 1:
        raise ValueError(f"views is {views!r}; give at least one")
    _check_step(step)
    k = np.arange(views)
    radius = step / math.sqrt(math.pi) * np.sqrt(k)
    return radius[:, None] * np.stack([np.sin(k * GOLDEN_ANGLE), np.cos(k * GOLDEN_ANGLE)], axis=1)


def concentric(rings: int, step: float, first: int = 5) -> np.ndarray:
    """Concentric circles: ring k has radius k * step and first * k views, around one in the middle.

    Parameters
    ----------
    rings : number of circles.
    step : distance between circles [px or m]; with ``first`` = 6 also about that between neighbours on a circle.
    first : views on the first circle.

    Returns
    -------
    (1 + first * rings * (rings + 1) / 2, 2) float64, from the middle (0, 0) outwards.

    Raises
    ------
    ValueError : no ring, no view on it, or a step that is not positive.

    Source: Dierolf et al., New J. Phys. 12, 035017 (2010).
    """
    if rings < 1 or first < 1:
        raise ValueError(f"rings {rings!r}, first {first!r}: give at least one ring with one view")
    _check_step(step)
    found = [np.zeros((1, 2))]
    for k in range(1, rings + 1):
        angle = 2 * math.pi * np.arange(first * k) / (first * k)
        found.append(k * step * np.stack([np.sin(angle), np.cos(angle)], axis=1))
    return np.concatenate(found)


def lissajous(views: int, size: tuple[float, float], cycles: tuple[int, int] = (7, 8)) -> np.ndarray:
    """Lissajous figure: both axes swing, so that the stage never stops.

    row = size_0 / 2 sin(2 pi cycles_0 t), column = size_1 / 2 sin(2 pi cycles_1 t), t = (j + 1/2) / N.

    Parameters
    ----------
    views : number of positions N.
    size : (rows, columns) that the figure spans [px or m].
    cycles : of the two axes during the scan; without a common factor the figure does not repeat itself.

    Returns
    -------
    (N, 2) float64.

    Raises
    ------
    ValueError : no view, sizes or cycles that are not positive, cycles with a common factor.

    Source: Odstrcil et al., Opt. Express 26, 12585 (2018), for trajectories without a lattice.
    """
    if views < 1 or min(size) <= 0:
        raise ValueError(f"views {views!r}, size {tuple(size)}: give at least one view and two positive lengths")
    if min(cycles) < 1 or math.gcd(*cycles) != 1:
        raise ValueError(f"cycles is {tuple(cycles)}; give two whole numbers without a common factor, such as (7, 8)")
    t = (np.arange(views) + 0.5) / views
    return np.stack([size[axis] / 2 * np.sin(2 * math.pi * cycles[axis] * t) for axis in (0, 1)], axis=1)


def fly_lines(shape: tuple[int, int], step: float, pitch: float | None = None) -> np.ndarray:
    """Lines that are scanned without a stop, there and back; see ``travel`` for what moves during a view.

    Parameters
    ----------
    shape : (lines, views on each).
    step : along a line from view to view [px or m].
    pitch : from line to line; None: as ``step``.

    Returns
    -------
    (lines * views, 2) float64, in the order of time: every second line runs backwards.

    Raises
    ------
    ValueError : an empty grid, a step or a pitch that is not positive.
    """
    pitch = step if pitch is None else pitch
    _check_step(pitch)
    lines = raster(shape, step).reshape(*shape, 2) * [pitch / step, 1]
    lines[1::2] = lines[1::2, ::-1]
    return lines.reshape(-1, 2)


def travel(positions: np.ndarray, duty: float = 1.0, line: int | None = None) -> np.ndarray:
    """Say how far a stage that does not stop moves during each view, for ``Exposure(travel=)``.

    Half the way from the view before to the view after, times ``duty``; at the ends of lines the way to the neighbour.

    Parameters
    ----------
    positions : (N, 2) in the order of time.
    duty : share of the time between two views in which the detector counts, from 0 to 1.
    line : views on a line, at whose ends the detector waits; None: lines end where the stage turns by more than 60
        degrees into a step that it turns out of again, or jumps by more than twice the median step.

    Returns
    -------
    (N, 2) float64, in the unit of the positions.

    Raises
    ------
    ValueError : fewer than two views on a line, lines that do not fill the scan, a duty outside [0, 1].
    """
    return stage_travel(positions, duty, line)


def from_file(path: str, pixel: float = 1.0) -> np.ndarray:
    """Read positions from a file: NumPy (.npy), or text with two columns, (row, column).

    Parameters
    ----------
    path : of the file; lines of a text that start with # are left out, and commas may stand between the columns.
    pixel : edge of a pixel at the sample in the unit of the file, which turns metres into pixels.

    Returns
    -------
    (N, 2) float64.

    Raises
    ------
    ValueError : not two columns of numbers.
    """
    if Path(path).suffix == ".npy":
        found = np.load(path, allow_pickle=False)
    else:
        text = Path(path).read_text().replace(",", " ")
        found = np.loadtxt(text.splitlines(), ndmin=2)
    if found.ndim != 2 or found.shape[1] != 2 or not np.isfinite(found).all():
        raise ValueError(f"{path} holds an array of {found.shape}; positions are (N, 2), (row, column), finite")
    return found.astype(np.float64) / pixel


def grid(shape: tuple[int, int], n: int, step: float, jitter: float = 0.0) -> tuple[int, int]:
    """Return the (rows, columns) of the largest raster of n x n windows that an object of (H, W) holds [px].

    Raises ValueError for an object that holds no window.
    """
    _check_step(step)
    room = [size - n - 2 * math.ceil(jitter) for size in shape]
    if min(room) < 0:
        raise ValueError(f"an object of {shape[0]} x {shape[1]} holds no {n} x {n} window with {jitter} px of jitter")
    return int(room[0] / step) + 1, int(room[1] / step) + 1


def overlap(step: Any, diameter: Any) -> float:
    """Linear overlap of neighbouring views, 1 - step / diameter; negative where they do not touch.

    ``step`` and ``diameter`` of the beam in the same unit. Source: Bunk et al., Ultramicroscopy 108, 481 (2008).
    """
    _check_step(step)
    return 1 - step / diameter


def mean_overlap(positions: np.ndarray, diameter: float) -> float:
    """Linear overlap of a scan, 1 - step / diameter, the step being the median distance to the nearest neighbour.

    ``positions`` (N, 2) and ``diameter`` of the beam in the same unit. Raises ValueError for fewer than two views.
    """
    if len(positions) < 2:
        raise ValueError(f"{len(positions)} position has no neighbour: give at least two")
    return overlap(float(np.median(scipy.spatial.cKDTree(positions).query(positions, k=2)[0][:, 1])), diameter)


def step_for_overlap(fraction: Any, diameter: Any) -> float:
    """Step that gives a linear overlap (0 <= fraction < 1) to beams of a diameter; in the unit of ``diameter``."""
    if not 0 <= fraction < 1:
        raise ValueError(f"the overlap is {fraction!r}; give a fraction from 0 up to, but not, 1")
    return (1 - fraction) * diameter


def _check_step(step: Any) -> None:
    if not step > 0:
        raise ValueError(f"step is {step!r}; give a positive length")
