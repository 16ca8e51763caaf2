"""How far a stage that does not stop moves during each view, from where the views lie."""

from __future__ import annotations

import numpy as np

_TURN = 0.5  # cosine of the angle between two steps below which the stage has turned
_JUMP = 2.0  # median steps above which the stage has jumped


def stage_travel(positions: np.ndarray, duty: float = 1.0, line: int | None = None) -> np.ndarray:
    """Return by how far the stage moves during each view, (N, 2) float64 in the unit of the positions.

    Half the way from the view before to the view after, times ``duty``; at the ends of lines the way to the one
    neighbour on the line.

    Parameters
    ----------
    positions : (N, 2) in the order of time.
    duty : share of the time between two views in which the detector counts, from 0 to 1.
    line : views on a line; None: lines end where the stage turns by more than 60 degrees, or jumps by more than twice
        the median step.

    Raises ValueError for fewer than two views on a line, lines that do not fill the scan, a duty outside [0, 1].
    """
    positions = np.asarray(positions, dtype=np.float64)
    if not 0 <= duty <= 1:
        raise ValueError(f"duty is {duty!r}; give a share of the time from 0 to 1")
    if line is None:
        return duty * _along_lines(positions)
    if line < 2 or len(positions) % line:
        raise ValueError(f"line is {line!r} for {len(positions)} positions; give a divisor of that, from 2 on")
    return duty * np.gradient(positions.reshape(-1, line, 2), axis=1).reshape(-1, 2)


def turns(positions: np.ndarray) -> float:
    """Return the share of views (N, 2) at which a stage turns by more than 60 degrees; two thirds in random order."""
    return float(_turned(np.diff(np.asarray(positions, np.float64), axis=0)).mean()) if len(positions) > 2 else 0.0


def _turned(steps: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(steps, axis=1)
    return (steps[:-1] * steps[1:]).sum(axis=1) < _TURN * length[:-1] * length[1:]


def _along_lines(positions: np.ndarray) -> np.ndarray:
    """Return half the way from view to view of one path whose turns and jumps end lines."""
    if len(positions) < 2:
        raise ValueError(f"{len(positions)} position tells no direction: give two views or more, or travel itself")
    steps = np.diff(positions, axis=0)
    length = np.linalg.norm(steps, axis=1)
    turned = _turned(steps)
    # The way from one line to the next turns at both of its ends, one along a line at one of them at most.
    across = length > _JUMP * np.median(length)
    across[1:-1] |= turned[:-1] & turned[1:]
    ends = np.concatenate([[True], across, [True]])  # where no way along the line leads into a view, or out of it
    into, out = np.concatenate([steps[:1], steps]), np.concatenate([steps, steps[-1:]])
    share = np.where(ends[:-1] == ends[1:], 0.5, np.where(ends[:-1], 0.0, 1.0))[:, None]
    return share * into + (1 - share) * out
