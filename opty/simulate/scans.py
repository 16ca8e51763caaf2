"""Scan positions: (N, 2) float64, (row, column), in the unit in which the step is given (pixels or metres)."""

from __future__ import annotations

import math

import numpy as np

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def raster(shape, step, jitter=0.0, seed=0) -> np.ndarray:
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


def fermat(views, step) -> np.ndarray:
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


def overlap(step, diameter) -> float:
    """Linear overlap of neighbouring views, 1 - step / diameter; negative where they do not touch.

    ``step`` and ``diameter`` of the beam in the same unit. Source: Bunk et al., Ultramicroscopy 108, 481 (2008).
    """
    _check_step(step)
    return 1 - step / diameter


def step_for_overlap(fraction, diameter) -> float:
    """Step that gives a linear overlap (0 <= fraction < 1) to beams of a diameter; in the unit of ``diameter``."""
    if not 0 <= fraction < 1:
        raise ValueError(f"the overlap is {fraction!r}; give a fraction from 0 up to, but not, 1")
    return (1 - fraction) * diameter


def _check_step(step) -> None:
    if not step > 0:
        raise ValueError(f"step is {step!r}; give a positive length")
