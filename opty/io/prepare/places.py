"""The positions of the views, from the file or an option, converted to metres and matched with the frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.data.frame_order import frame_order
from opty.data.scan_grid import rotated, scan_grid
from opty.geometry import Geometry
from opty.io.prepare.units import metres as metres_of
from opty.io.prepare.units import quantity, unit_name
from opty.io.prepare.views import chosen
from opty.remedies import named, option

if TYPE_CHECKING:
    from opty.io.prepare.given_positions import GivenPositions
    from opty.io.prepare.options import Planned, Preparation, Raw

SIGNS = {None: (1, 1), "none": (1, 1), "rows": (-1, 1), "columns": (1, -1), "both": (-1, -1)}
PIXELS = ("px", "pixel", "pixels")


def check_options(options: Preparation) -> None:
    """Refuse options of the positions that make no sense, before any file is read."""
    if options.position_flip not in SIGNS:
        raise ValueError(f"position_flip is {options.position_flip!r}; choose 'rows', 'columns', 'both' or 'none'")
    if options.position_swap not in (None, True, False):
        raise ValueError(f"position_swap is {options.position_swap!r}; give True or False")
    scale_of(options)
    turn_of(options)
    if options.scan_step is not None and options.positions is not None:
        raise ValueError(f"{named('scan_step')} and {named('positions')} are given, of which one is enough")
    if options.position_unit is not None:
        _unit(options.position_unit, named("position_unit"))


def scale_of(options: Preparation) -> np.ndarray:
    """Return the factors (row, column) of the positions."""
    scale = options.position_scale
    found = np.asarray(1.0 if scale is None else scale)
    if found.dtype.kind not in "iuf" or found.shape not in ((), (2,)) or not (np.isfinite(found) & (found != 0)).all():
        raise ValueError(f"position_scale is {scale!r}; give one factor, or two, (row, column), none of them 0")
    return np.broadcast_to(found.astype(np.float64), 2)


def turn_of(options: Preparation) -> float:
    """Return the angle of the scan [rad]."""
    turn = options.scan_rotation
    return 0.0 if turn is None or _is(turn, "auto") else quantity("angle", "scan_rotation", turn)


@dataclass(frozen=True)
class Places:
    """Positions (N, 2) as found, their unit, and where they were found.

    The file says that they are turned by ``turn`` [rad], unless an option says by how much, and then moved by
    ``origin`` [m].
    """

    numbers: np.ndarray
    unit: Any
    where: str
    turn: float = 0.0
    origin: np.ndarray | None = None

    @property
    def factors(self) -> np.ndarray | None:
        """Factors (row, column) to metres, or None for pixels."""
        return _unit(self.unit, self.where)


def found(raw: Raw, options: Preparation, given: GivenPositions | None, known: Mapping[str, Any]) -> Places:
    """Return the positions of the option, or else of the file, and their unit.

    Without a unit they are in metres if lengths of the geometry are ``known``, else in pixels.
    """
    own = raw.step if given is None and raw.positions is None else None
    if options.scan_shape is not None and options.scan_step is None and own is None:
        raise ValueError(f"{named('scan_shape')} needs {named('scan_step')}, the distance between views")
    grid: tuple[Sequence[float], str] | None = None if own is None else (own, "m")
    if options.scan_step is not None:
        grid = _steps(options.scan_step, known)
    if grid is not None:
        steps, unit = grid
        numbers, where = scan_grid(_grid(raw, options), steps), "a scan on a grid"
    elif given is not None:
        numbers, unit = given.places, given.unit or ("m" if known else "px")
        where = str(given.path or named("positions"))
    else:
        numbers, unit, where = raw.positions, raw.unit, raw.positions_at
        numbers = np.asarray(numbers() if callable(numbers) else numbers)
    if raw.positions is None and given is None and options.scan_step is None and own is None:
        raise ValueError(
            f"the file has no positions: give the distance between views on a grid, {option('scan_step', '0.4nm')}, or "
            f"a file of them, {option('positions')}{raw.wanted.get('positions', '')}"
        )
    if numbers.ndim != 2 or numbers.shape[1] != 2:
        raise ValueError(f"there are {raw.frames.shape[0]} patterns, but positions have shape {numbers.shape}")
    unit = unit if options.position_unit is None else options.position_unit
    return Places(numbers, unit, where) if grid is None else Places(numbers, unit, where, raw.rotation, raw.origin)


def _steps(step: Any, known: Mapping[str, Any]) -> tuple[list[float], str]:
    """Return the steps (between rows, between columns) of a grid, and their unit."""
    both = list(step) if isinstance(step, (list, tuple, np.ndarray)) else [step]
    texts = [isinstance(one, str) for one in both]
    if len(both) not in (1, 2) or (any(texts) and not all(texts)):
        raise ValueError(f"scan_step is {step!r}; give one distance between views, or (between rows, between columns)")
    steps = [quantity("length", "scan_step", one) for one in both]
    return (steps * 2)[:2], "m" if known or any(texts) else "px"


def _grid(raw: Raw, options: Preparation) -> tuple[int, int]:
    """Return (rows, columns) of a scan on a grid."""
    scan = raw.frames.scan if options.scan_shape is None else tuple(options.scan_shape)
    if len(scan) != 2:
        raise ValueError(
            f"the file holds {raw.frames.shape[0]} frames in a row: give the shape of the scan, {option('scan_shape')}"
        )
    rows, columns = scan
    return rows, columns


def grid_of(raw: Raw, options: Preparation, choice: slice | np.ndarray) -> tuple[int, int]:
    """Return (rows, columns) of a scan on a grid of which all views are taken."""
    if len(np.arange(raw.frames.shape[0])[choice]) != raw.frames.shape[0]:
        raise ValueError(f"{option('scan_rotation', 'auto')} needs all views of the grid: leave {named('views')} out")
    return _grid(raw, options)


def taken(raw: Raw, options: Preparation, places: Places, leave_out: Any) -> slice | np.ndarray:
    """Decide which views are taken: those that have both a frame and a position, frame j at position j.

    Numbers count in the longer of the two. Raises ValueError for a view that one of them does not have.
    """
    frames, positions = raw.frames.shape[0], len(places.numbers)
    if options.frame_order is not None:
        return _in_order(frames, frame_order(options.frame_order, places.numbers), options, leave_out)
    choice = chosen(options.views, max(frames, positions), leave_out)
    last = int(np.arange(max(frames, positions))[choice].max())
    if last >= min(frames, positions):
        raise ValueError(
            raw.lacks(positions)
            or f"the file holds {frames} frames and {positions} positions, and view {last} is in one of them only: "
            f"choose others, as {option('views', f'0:{min(frames, positions)}')}"
        )
    return choice


def _in_order(frames: int, order: np.ndarray, options: Preparation, leave_out: Any) -> slice | np.ndarray:
    """Return the chosen frames that have a position."""
    some = min(frames, len(order))
    index = np.arange(some)[chosen(options.views, some, leave_out)]
    index = index[order[index] >= 0]
    if len(index) == 0:
        raise ValueError(f"{option('frame_order', options.frame_order)} leaves none of the chosen frames a position")
    return index


def check(raw: Raw, options: Preparation, places: Places) -> None:
    """Refuse frames and positions of different number, unless views are chosen from them."""
    views, count = raw.frames.shape[0], len(places.numbers)
    truth = (raw.truth or {}).get("positions")
    if truth is not None and np.shape(truth) != (views, 2):
        raise ValueError(f"there are {views} patterns, but true positions have shape {np.shape(truth)}")
    if (
        options.views is not None
        or options.frame_order is not None
        or not (options.leave_out is None or _is(options.leave_out, "empty"))
    ):
        return
    if lacks := raw.lacks(count):
        raise ValueError(lacks)
    if count != views:
        where = "" if places.where == "positions" else f" ({places.where})"
        raise ValueError(
            f"there are {views} patterns but {count} positions{where}: if frame j belongs to position j, choose the "
            f"views that both have, {option('views', f'0:{min(views, count)}')}"
        )


def metres(places: Places, options: Preparation, planned: Planned, edge: int) -> np.ndarray:
    """Return positions (N, 2) of the chosen views: in metres with lengths, else in pixels of the result.

    Axes are exchanged, signs flipped, units converted, then positions are scaled and rotated, in this order. ``edge`` :
    of the frames in the file [px].
    """
    numbers = places.numbers
    if options.frame_order is not None:
        numbers = numbers[frame_order(options.frame_order, numbers)]
    out = numbers[planned.choice].astype(np.float64)
    if options.position_swap:
        out = out[:, ::-1]
    if (signs := SIGNS[options.position_flip]) != (1, 1):
        out = out * signs
    factors = places.factors
    if factors is None:
        out = out * (Geometry(**planned.lengths).sample_pixel(edge) if planned.lengths else planned.cut.n / edge)
    elif (factors != 1.0).any():
        out = out * (factors[::-1] if options.position_swap else factors)
    if options.position_scale is not None:
        out = out * scale_of(options)
    out = rotated(out, places.turn if options.scan_rotation is None else turn_of(options))
    return out if places.origin is None or factors is None else out + places.origin


def _unit(unit: Any, where: str) -> np.ndarray | None:
    """Factors (row, column) from a unit of positions to metres, or None for pixels."""
    units = unit if isinstance(unit, tuple) else (unit, unit)
    if len(units) == 1:
        units = units * 2
    names = [one if isinstance(one, (int, float)) else unit_name(one) or "m" for one in units]
    if all(str(name).lower() in PIXELS for name in names):
        return None
    return np.array([metres_of(name, where) if isinstance(name, str) else float(name) for name in names])


def _is(value: Any, word: str) -> bool:
    return isinstance(value, str) and value == word
