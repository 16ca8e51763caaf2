"""The option ``positions``: an array, or a file with positions that replace those in the file of the frames."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opty.errors import FormatError
from opty.files.container import Container
from opty.files.table import Table, read_table
from opty.files.tree import Tree, numbers
from opty.io.prepare.images import split
from opty.io.prepare.quantities import unit_of

NAMES = ({"row": "row", "rows": "row", "y": "y"}, {"column": "row", "columns": "row", "col": "row", "x": "y"})
NAMED = re.compile(r"([A-Za-z]+)(?:[\s_]*[(\[]?([A-Za-zµμÅå]+)[)\]]?)?")  # x, x_um, x (um), x [um]
MOTORS = ("sample_motors/sample_y_pos", "sample_motors/sample_x_pos")  # Elettra's TwinMic: (row, column) [um]


@dataclass(frozen=True)
class GivenPositions:
    """Positions (N, 2) of an option, their unit if their file gives one, and that file, if any."""

    places: np.ndarray
    unit: Any
    path: Path | None


def given_positions(value: Any) -> GivenPositions:
    """Take an option's array, or read NPY, "file.h5:/path", the HDF5 of TwinMic, or a text table with two columns.

    (N, 2) or (N, 3) are (row, column) of each view, and (2, N) is transposed. The columns of a table are row and
    column, in this order or as the line above them names them: row, column, or y, x, with a unit or without (x_um).
    Raises FormatError for others.
    """
    if not isinstance(value, (str, os.PathLike)):
        return GivenPositions(_places(np.asarray(value), "positions"), None, None)
    path, inside = split(os.fspath(value))
    file = Container(path) if path.suffix.lower() not in (".txt", ".csv", ".dat", ".spec") else None
    if file is None or file.kind == "other":
        return _of_table(read_table(path))
    if file.kind == "npy":
        return GivenPositions(_places(file.npy(), path.name), None, path)
    if file.kind == "hdf5":
        with file.tree() as tree:
            try:
                if not inside and holds_motors(file):
                    return GivenPositions(*_of_motors(tree), path)
                found = tree.need("positions", inside or "/positions")
                return GivenPositions(_places(numbers(found), found.name), unit_of(tree, found), path)
            except ValueError as error:
                raise FormatError(f"{path}: {error}; give {str(path) + ':/path'!r}") from error
    raise FormatError(f"{path} is {file.looks()}; expected positions: NPY, CSV, or HDF5 as 'file.h5:/path'")


def holds_motors(file: Container) -> bool:
    """Whether this is HDF5 with the motors of TwinMic."""
    if file.kind != "hdf5" or "sample_motors" not in file.names:
        return False
    with file.tree() as tree:
        return {name.rpartition("/")[2] for name in MOTORS} <= set(tree.names("sample_motors"))


def _of_motors(tree: Tree) -> tuple[np.ndarray, tuple[str, str]]:
    motors = [tree.need("positions", name) for name in MOTORS]
    axes = [numbers(motor).reshape(-1) for motor in motors]
    if len(axes[0]) != len(axes[1]):
        raise ValueError(f"there are {len(axes[0])} positions in /{MOTORS[0]} and {len(axes[1])} in /{MOTORS[1]}")
    units = [unit_of(tree, motor) or "um" for motor in motors]
    return _places(np.column_stack(axes), motors[0].name), (units[0], units[1])


def _of_table(table: Table) -> GivenPositions:
    if table.names is None:
        return GivenPositions(_places(table.values, table.path.name), None, table.path)
    words = [NAMED.fullmatch(name.strip()) for name in table.names]
    which, units, kinds = [], [], set()
    for known in NAMES:
        found = [k for k, word in enumerate(words) if word and word[1].lower() in known]
        if len(found) != 1 or (word := words[found[0]]) is None:
            raise FormatError(
                f"{table.path} has the columns {', '.join(table.names)}, none of them row and column, or y and x, or "
                "more than one: say which in a mapping"
            )
        which.append(found[0])
        units.append(word[2])
        kinds.add(known[word[1].lower()])
    if len(kinds) != 1 or (None in units and units != [None, None]):
        raise FormatError(f"{table.path} has the columns {', '.join(table.names)}: name both alike, as x_um, y_um")
    return GivenPositions(table.values[:, which], None if units[0] is None else tuple(units), table.path)


def _places(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind in "iuf" and array.ndim == 2:
        if array.shape[1] not in (2, 3) and array.shape[0] == 2:
            array = array.T
        if array.shape[1] in (2, 3):
            return array[:, :2].astype(np.float64)
    raise FormatError(f"{name} has shape {array.shape} and dtype {array.dtype}; expected positions (views, 2)")
