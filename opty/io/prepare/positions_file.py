"""Positions of the views in a file of their own: NPY, HDF5, text with two columns."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tree import Tree, numbers
from opty.io.prepare.images import split
from opty.io.prepare.units import metres

MOTORS = ("/sample_motors/sample_y_pos", "/sample_motors/sample_x_pos")  # Elettra's TwinMic: (row, column) [um]
COLUMNS = ({"row", "rows", "y"}, {"column", "columns", "col", "x"})
KINDS = "NPY, text, or HDF5 as 'FILE.h5:/PATH'"
LARGEST = 64 << 20  # bytes of a text
HEADER = re.compile(r"\W*([A-Za-z]+)(?:[_ ]*[\[(]?([A-Za-zµμÅå]+)[\])]?)?\W*")


def read_positions(where: Any) -> tuple[np.ndarray, Path]:
    """Read positions (N, 2), (row, column) in metres, and return them with the path of their file.

    ``where`` is the path of an NPY, of a text whose two columns are row and column (a first line may name them, in any
    order, and their unit: ``x_um,y_um``), or "FILE.h5:/PATH" of an HDF5 dataset, whose attribute ``units`` is obeyed.
    (N, 2), (N, 3) (the third is dropped) and (2, N) are taken. Without a path in it HDF5 must be of TwinMic:
    /sample_motors/sample_y_pos and sample_x_pos in micrometres.

    Raises FormatError that says what the file holds instead; FileNotFoundError where there is none.
    """
    path, inside = split(os.fspath(where))
    file = Container(path)
    try:
        return arranged(_found(file, inside), path.name), path
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error


def _found(file: Container, inside: str) -> np.ndarray:
    if file.kind == "npy":
        return file.npy()
    if file.kind == "other":
        return _in_text(file)
    if file.kind != "hdf5":
        raise ValueError(f"this is {file.looks()}; expected positions: {KINDS}")
    with file.tree() as tree:
        return _in_hdf5(tree, inside)


def arranged(array: np.ndarray, name: str) -> np.ndarray:
    """Return positions (N, 2) float64 from (N, 2), (N, 3) or (2, N); ValueError for anything else."""
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has dtype {array.dtype}; expected positions, numbers (views, 2)")
    if array.ndim == 2 and array.shape[1] not in (2, 3) and array.shape[0] == 2:
        array = array.T
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise ValueError(f"{name} has shape {array.shape}; expected positions (views, 2)")
    return array[:, :2].astype(np.float64)


def holds_motors(file: Container) -> bool:
    """Whether this is HDF5 with the motors of TwinMic."""
    if file.kind != "hdf5" or "sample_motors" not in file.names:
        return False
    with file.tree() as tree:
        return all(name.rpartition("/")[2] in tree.names("/sample_motors") for name in MOTORS)


def _in_hdf5(tree: Tree, inside: str) -> np.ndarray:
    if inside:
        found = tree.need("positions", inside)
        return numbers(found) * _unit(tree, found, "m")
    motors = [tree.need("positions (give their path, as FILE.h5:/PATH)", path) for path in MOTORS]
    axes = [numbers(motor).reshape(-1) * _unit(tree, motor, "um") for motor in motors]
    if len(axes[0]) != len(axes[1]):
        raise ValueError(f"there are {len(axes[0])} positions in {MOTORS[0]} and {len(axes[1])} in {MOTORS[1]}")
    return np.column_stack(axes)


def _unit(tree: Tree, found: h5py.Dataset, usual: str) -> float:
    return metres(tree.attribute(found, "units", usual), found.name)


def _in_text(file: Container) -> np.ndarray:
    """Positions (N, 2) [m] in lines of text; commas, semicolons, tabs or blanks stand between the columns."""
    with file.stream() as stream:
        raw = stream.read(LARGEST + 1)
    try:
        text = raw.decode("utf-8-sig") if len(raw) <= LARGEST else "\0"
    except UnicodeDecodeError:
        text = "\0"
    lines = [line for line in text.splitlines() if line.strip()]
    if "\0" in text or not lines:
        raise ValueError(f"this is {file.looks()}; expected positions: {KINDS}")
    named = _named(lines[0])
    rows = [_cells(line) for line in lines[named is not None :] if not line.lstrip().startswith("#")]
    counts = sorted({len(row) for row in rows})
    if len(counts) != 1 or (named is None and counts != [2]):
        found = " or ".join(map(str, counts)) or "no"
        raise ValueError(f"lines of {found} columns; expected two, row and column, or a first line such as x_um,y_um")
    try:
        values = np.array([[float(cell) for cell in row] for row in rows])
    except ValueError as error:
        raise ValueError(f"expected numbers, and a first line at most that names them: {error}") from None
    if named is None:
        return values
    if max(index for index, _ in named) >= values.shape[1]:
        raise ValueError(f"the first line names columns that are not there: {lines[0].strip()!r}")
    return np.column_stack([values[:, index] * factor for index, factor in named])


def _cells(line: str) -> list[str]:
    between = r"[,;\t]" if re.search(r"[,;\t]", line.strip()) else r"\s+"
    return [cell.strip() for cell in re.split(between, line.strip(",;\t "))]


def _named(line: str) -> list[tuple[int, float]] | None:
    """Where the columns row and column are in a first line that names them, and what makes metres of them."""
    cells = [HEADER.fullmatch(cell) for cell in _cells(line.lstrip("# "))]
    out = []
    for words in COLUMNS:
        found = [k for k, match in enumerate(cells) if match and match[1].lower() in words]
        if len(found) != 1:
            return None
        unit = cells[found[0]][2]  # type: ignore[index]  # a match, by the line above
        out.append((found[0], 1.0 if unit is None else metres(unit, f"the column {line.strip()!r}")))
    return out
