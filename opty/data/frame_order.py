"""Which position each frame of a scan belongs to, where the two are in a different order."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

GRIDS = ("rows", "snake", "columns", "column-snake")  # how frames are taken on a grid
WORDS = (*GRIDS, "reversed")
SHIFT = re.compile(r"shift:([+-]?\d+)(?:@(\d+))?")
NEAR = 0.4  # of the smaller step: root of the mean square by which positions may be off the grid that they are on


def frame_order(order: Any, positions: np.ndarray) -> np.ndarray:
    """Return the number of the position of each frame, (N,) int, -1 for a frame that has none.

    Parameters
    ----------
    order : how the frames were taken. "rows", "snake", "columns", "column-snake": on the grid of the positions, line by
        line or there and back; "reversed": the last first; "shift:1": frame j belongs to position j + 1, "shift:-1" to
        j - 1, "shift:1@32" from frame 32 on, as where one frame was lost.
    positions : (N, 2), in any unit.

    Raises
    ------
    ValueError : another text, a shift that leaves no frame, or an order on a grid of positions that are on none.
    """
    count = len(positions)
    numbers = np.arange(count)
    found = SHIFT.fullmatch(order) if isinstance(order, str) else None
    if found is not None:
        shift, first = int(found[1]), int(found[2] or 0)
        out = np.where(numbers >= first, numbers + shift, numbers)
        if shift < 0 and first:  # frames that came twice: those before keep their positions
            out[(numbers >= first) & (out < first)] = -1
        out[(out < 0) | (out >= count)] = -1
        if first >= count or (out < 0).all():
            raise ValueError(f"frame_order is {order!r}, and the scan has the views 0 to {count - 1}")
        return out
    if order == "reversed":
        return numbers[::-1].copy()
    if order not in GRIDS:
        raise ValueError(
            f"frame_order is {order!r}; choose {', '.join(map(repr, WORDS))}, or a shift such as 'shift:1', "
            "'shift:-1' or, from frame 32 on, 'shift:1@32'"
        )
    places = grid_places(positions)
    if places is None:
        raise ValueError(f"frame_order is {order!r}, and the {count} positions are on no grid of lines")
    places = places.T if order.startswith("column") else places
    if order.endswith("snake"):
        places = places.copy()
        places[1::2] = places[1::2, ::-1]
    return places.reshape(-1)


def grid_places(positions: np.ndarray) -> np.ndarray | None:
    """Return the numbers (rows, columns) of positions (N, 2) on a grid, whose lines follow each other; None of others.

    The lines may run all in one direction or there and back, and positions may be off their places by a part of a step.
    """
    count = len(positions)
    best, found = NEAR, None
    for rows in range(2, count // 2 + 1):
        if count % rows:
            continue
        for back in (False, True):
            places = np.arange(count).reshape(rows, count // rows)
            if back:
                places = places.copy()
                places[1::2] = places[1::2, ::-1]
            off = _off(positions[places])
            if off < best:
                best, found = off, places
    return found


def _off(places: np.ndarray) -> float:
    """Return how far positions (rows, columns, 2) are off a regular grid, in parts of its smaller step."""
    rows, columns = np.indices(places.shape[:2]).reshape(2, -1)
    axes = np.column_stack([np.ones(len(rows)), rows, columns])
    flat = places.reshape(-1, 2)
    fit, *_ = np.linalg.lstsq(axes, flat, rcond=None)
    step = min(np.linalg.norm(fit[1]), np.linalg.norm(fit[2]))
    across = abs(fit[1][0] * fit[2][1] - fit[1][1] * fit[2][0])  # the two steps lie along different lines
    if step == 0 or across < 0.3 * np.linalg.norm(fit[1]) * np.linalg.norm(fit[2]):
        return np.inf
    return float(np.sqrt(((flat - axes @ fit) ** 2).sum(axis=1).mean()) / step)
