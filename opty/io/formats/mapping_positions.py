"""What the table [positions] of a mapping says: an array or two motors, in the file or in another one, on a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from opty.data.scan_grid import rotated
from opty.files.container import Container
from opty.files.table import Table, read_table
from opty.files.tree import Tree, numbers
from opty.io.formats.mapping_files import Files, entry_of, text
from opty.io.prepare.frames import Frames
from opty.io.prepare.places import Places
from opty.io.prepare.quantities import unit_of
from opty.io.prepare.units import metres, quantity, unit_name
from opty.io.reading import real

Found = tuple[np.ndarray, "str | None", str]  # numbers, their unit, and where they are


def positions_of(files: Files, table: Mapping[str, Any], frames: Frames) -> Places:
    """Return positions (N, 2), (row, column), as the file or another one has them, and their units.

    Motors with one value a line and one a column are laid out on the grid of the frames. Rows with one ``index`` are
    averaged. ``scale`` and ``rotation`` are applied, in metres.
    """
    if "path" in table or ("row" not in table and "column" not in table):
        values, unit, where = _array(files, table)
        units = (unit, unit)
    else:
        parts = [_motor(files, table, name) for name in ("row", "column")]
        row, column = _on_the_grid(parts[0][0], parts[1][0], frames, table.get("fast", "column"))
        values, units, where = np.column_stack([row, column]), (parts[0][1], parts[1][1]), parts[0][2]
    if "index" in table:
        values = _averaged(values, _index(files, table))
    pixels = bool(table.get("pixels"))
    given: tuple[str, str] = ("px", "px") if pixels else (units[0] or "m", units[1] or "m")
    if "scale" in table or "rotation" in table:
        factors = np.ones(2) if pixels else np.array([metres(unit, where) for unit in given])
        values = rotated(values * factors * _scale(table.get("scale", 1)), _angle(table.get("rotation", 0)))
        given = given if pixels else ("m", "m")
    return Places(values, given, where)


def _source(files: Files, table: Mapping[str, Any], entry: Mapping[str, Any]) -> list[Tree] | Table | np.ndarray:
    """Return the source of positions: HDF5 files, one after the other, a table of text, or an NPY."""
    name = entry.get("file", table.get("file"))
    if name is None:
        return [files.tree]
    if len(paths := files.paths(name)) > 1:
        return [files.opened(path) for path in paths]
    path = files.one(name)
    kind = Container(path).kind if path.suffix.lower() not in (".txt", ".csv", ".dat", ".spec") else "other"
    if kind == "hdf5":
        return [files.opened(path)]
    return Container(path).npy() if kind == "npy" else read_table(path, table.get("scan"))


def _read(trees: list[Tree], what: str, path: str) -> Found:
    """Read a dataset of each file, put one after the other."""
    found = [tree.need(what, path) for tree in trees]
    values = [numbers(one) for one in found]
    if len({one.shape[1:] for one in values}) > 1 or (len(values) > 1 and not values[0].ndim):
        shapes = ", ".join(str(one.shape) for one in values)
        raise ValueError(
            f"{found[0].name} of {len(found)} files has the shapes {shapes}; expected one row for each view"
        )
    whole = values[0] if len(values) == 1 else np.concatenate(values)
    return whole, unit_of(trees[0], found[0]), found[0].name


def _array(files: Files, table: Mapping[str, Any]) -> Found:
    """Read an array of all axes, (N, axes) or (axes, N)."""
    source = _source(files, table, {})
    unit = unit_name(table.get("unit"))
    if isinstance(source, list):
        values, own, where = _read(source, "positions", text(table, "path"))
        values, unit = real(where, values), unit or own
    else:
        values = source.values if isinstance(source, Table) else source
        where = str(table["file"])
        values = real(where, values)
    names = str(table.get("axes", "row column")).split()
    if values.ndim == 2 and values.shape[0] == len(names) and values.shape[1] != len(names):
        values = values.T
    if values.ndim != 2 or values.shape[1] != len(names) or not {"row", "column"} <= set(names):
        said = f"{where} has shape {values.shape}, and the mapping's axes are {' '.join(names)!r}"
        raise ValueError(f"{said}: name each column, as in axes = 'column row z'")
    signs = table.get("signs", [1] * len(names))
    if not isinstance(signs, list) or len(signs) != len(names):
        raise ValueError(f"the mapping has signs = {signs!r}; expected one for each of the axes {' '.join(names)!r}")
    return np.column_stack([values[:, names.index(n)] * signs[names.index(n)] for n in ("row", "column")]), unit, where


def _motor(files: Files, table: Mapping[str, Any], name: str) -> Found:
    """Read one motor, of any shape, as a row of numbers."""
    entry = entry_of(name, table.get(name))
    source = _source(files, table, entry)
    unit = unit_name(entry.get("unit"))
    if isinstance(source, list):
        values, own, where = _read(source, f"{name} positions", text(entry, "path"))
        unit = unit or own
    elif isinstance(source, Table):
        if not isinstance(entry.get("column"), (str, int)):
            raise ValueError(
                f"the mapping has {name} = {dict(entry)!r}; name the column of {source.path.name}: column = ..."
            )
        values, where = source.column(entry["column"]), f"{source.path.name}, column {entry['column']}"
    else:
        raise ValueError(f"an NPY holds all axes: name them, as in axes = 'row column', in place of {name} = ...")
    return real(where, values).reshape(-1) * entry.get("sign", 1), unit, where


def _on_the_grid(row: np.ndarray, column: np.ndarray, frames: Frames, fast: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both motors at each view; ``fast`` is the one that moves from view to view."""
    if fast not in ("row", "column"):
        raise ValueError(f"the mapping has fast = {fast!r}; expected 'row' or 'column'")
    if len(row) == len(column):
        if len(row) == frames.shape[0] or len(row) ** 2 != frames.shape[0]:
            return row, column
    elif len(row) * len(column) != frames.shape[0] or 1 in (len(row), len(column)):
        raise ValueError(f"there are {len(row)} row positions and {len(column)} column positions")
    if len(frames.scan) == 2 and len(row) != len(column):  # the shape of the scan says which one is fast
        fast = "column" if frames.scan == (len(row), len(column)) else "row"
    if fast == "column":
        return np.repeat(row, len(column)), np.tile(column, len(row))
    return np.tile(row, len(column)), np.repeat(column, len(row))


def _index(files: Files, table: Mapping[str, Any]) -> np.ndarray:
    """Read the number of the view that each row of positions belongs to."""
    entry = entry_of("index", table["index"])
    source = _source(files, table, entry)
    if isinstance(source, list):
        values, _, where = _read(source, "index", text(entry, "path"))
        return real(where, values).reshape(-1)
    if isinstance(source, Table) and isinstance(entry.get("column"), (str, int)):
        return source.column(entry["column"])
    raise ValueError(f"the mapping has index = {dict(entry)!r}; name a column of a table, or a path")


def _averaged(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the mean of the rows of each view, in the order of their numbers."""
    if len(index) != len(values):
        raise ValueError(f"there are {len(values)} positions but {len(index)} numbers of views")
    _, place, count = np.unique(index, return_inverse=True, return_counts=True)
    out = np.zeros((len(count), 2))
    np.add.at(out, place, values)
    return out / count[:, None]


def _scale(scale: Any) -> np.ndarray:
    found = np.asarray(scale)
    if found.dtype.kind not in "iuf" or found.shape not in ((), (2,)) or not (found != 0).all():
        raise ValueError(f"the mapping has scale = {scale!r}; expected one factor, or [row, column]")
    return np.broadcast_to(found.astype(np.float64), 2)


def _angle(angle: Any) -> float:
    return quantity("angle", "rotation", angle)
