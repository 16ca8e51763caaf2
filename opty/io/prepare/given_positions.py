"""The option ``positions``: an array, or a file that has the positions in place of the file of the frames."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opty.errors import FormatError
from opty.files.container import Container
from opty.files.table import read_table
from opty.files.tree import numbers
from opty.io.prepare.images import split
from opty.io.prepare.quantities import unit_of

ROWS, COLUMNS = ("row", "y"), ("column", "x")


@dataclass(frozen=True)
class GivenPositions:
    """Positions (N, 2) of an option, their unit where their file says it, and that file, if any."""

    places: np.ndarray
    unit: str | None
    path: Path | None


def given_positions(value: Any) -> GivenPositions:
    """Take an option's array, or read NPY, "file.h5:/path", or a text table with two columns.

    (N, 2) or (N, 3) are (row, column) of each view, and (2, N) is transposed. The columns of a table are row and
    column, in this order or as the line above them names them: row, column, or y, x. Raises FormatError for others.
    """
    if not isinstance(value, (str, os.PathLike)):
        return GivenPositions(_places(np.asarray(value), "positions"), None, None)
    path, inside = split(os.fspath(value))
    file = Container(path) if path.suffix.lower() not in (".txt", ".csv", ".dat", ".spec") else None
    if file is None or file.kind == "other":
        table = read_table(path)
        return GivenPositions(_of_table(table), None, path)
    if file.kind == "npy":
        return GivenPositions(_places(file.npy(), path.name), None, path)
    if file.kind == "hdf5":
        with file.tree() as tree:
            try:
                found = tree.need("positions", inside or "/positions")
                return GivenPositions(_places(numbers(found), found.name), unit_of(tree, found), path)
            except ValueError as error:
                raise FormatError(f"{path}: {error}; give {str(path) + ':/path'!r}") from error
    raise FormatError(f"{path} is {file.looks()}; expected positions: NPY, CSV, or HDF5 as 'file.h5:/path'")


def _of_table(table) -> np.ndarray:
    if table.names is None:
        return _places(table.values, table.path.name)
    names = [name.lower() for name in table.names]
    for row, column in zip(ROWS, COLUMNS, strict=True):
        if row in names and column in names:
            return table.values[:, [names.index(row), names.index(column)]]
    raise FormatError(
        f"{table.path} has the columns {', '.join(table.names)}, none of them row and column, or y and x: say which in "
        "a mapping"
    )


def _places(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind in "iuf" and array.ndim == 2:
        if array.shape[1] not in (2, 3) and array.shape[0] == 2:
            array = array.T
        if array.shape[1] in (2, 3):
            return array[:, :2].astype(np.float64)
    raise FormatError(f"{name} has shape {array.shape} and dtype {array.dtype}; expected positions (views, 2)")
