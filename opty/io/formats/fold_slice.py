"""Pairs of fold_slice and PtychoShelves: patterns in data_roi0_dp.hdf5, positions in data_roi0_para.hdf5; or one .mat.

Source: fold_slice (github.com/yijiang1/fold_slice), scans/positions/hdf5_pos.m and its scripts that prepare data;
MATLAB's MAT-file 7.3, which is HDF5 with the axes in reverse order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tree import Tree, number, numbers
from opty.io.formats import ptychi
from opty.io.prepare.frames import Frames, Pages
from opty.io.prepare.given_positions import GivenPositions, given_positions
from opty.io.prepare.lengths import RECIPROCAL
from opty.io.prepare.raw import Raw
from opty.io.reading import Format, blaming, measurement, real

POSITIONS = ("ppY", "ppX")  # [m], of the sample: the view has the opposite sign
WAVELENGTH, PIXEL = "lambda", "dx"  # [m], the second at the sample
CLASS = "MATLAB_class"  # attribute of every dataset in a .mat


def recognise(file: Container) -> bool:
    """Whether this is HDF5 with ppX and ppY, or with dp and such a file beside it, or dp in a .mat."""
    if file.kind != "hdf5":
        return False
    if set(POSITIONS) <= file.names:
        return True
    if "dp" not in file.names or set(ptychi.POSITIONS) <= file.names:
        return False
    with file.tree() as tree, blaming(file):
        data = tree.find("dp")
        if data is not None and tree.attribute(data, CLASS) is not None:
            return True
    return set(POSITIONS) <= ptychi.names_of(ptychi.place_of_partner(file))


@contextmanager
def opened(file: Container, *, positions: Any = None) -> Iterator[Raw]:
    """Read ``dp`` (N, n, n), zero frequency in the centre, and the positions ppY, ppX [m] of the file beside it.

    ``positions`` is the path of the other file if it has another name or folder, or gives the positions instead.
    The view is at (row, column) = (-ppY, -ppX). MATLAB has the axes in reverse order: the patterns of a .mat,
    and of a pair whose ppX has two axes, as MATLAB writes a vector, are transposed. A .mat whose dp has four axes
    (n, n, rows, columns) is a scan on a grid. With ``lambda`` and ``dx`` in the file the pixel at the sample is dx;
    with dx alone positions are in pixels.

    Raises FormatError where the other file is missing.
    """
    other, given = _other(file, positions)
    with file.tree() as one, (file if other is None else other).tree() as two:
        with blaming(file):
            patterns, parameters = (one, two) if "dp" in file.names else (two, one)
            raw = _raw(patterns, parameters)
            if given is not None:
                raw.positions, raw.unit = given.places, given.unit or "m"
        yield raw
    file.beside += [path for path in (other and other.path, given and given.path) if path]


def _other(file: Container, positions: Any) -> tuple[Container | None, GivenPositions | None]:
    """The other file of a pair, None where one file holds all; or the positions that take its place."""
    if isinstance(positions, (str, os.PathLike)) and {"dp", *POSITIONS} & ptychi.names_of(Path(positions)):
        return Container(Path(positions)), None
    given = None if positions is None else given_positions(positions)
    place = ptychi.place_of_partner(file)
    if "dp" in file.names:
        if place is None or set(POSITIONS) <= file.names or not set(POSITIONS) <= ptychi.names_of(place):
            return None, given
        return Container(place), given
    if place is None or "dp" not in ptychi.names_of(place):
        name = "its patterns" if place is None else place.name
        raise FormatError(f"{file.path} holds positions, and {name} is not beside it: load the file of the patterns")
    return Container(place), given


def _raw(patterns: Tree, parameters: Tree) -> Raw:
    data = patterns.need("patterns", "dp")
    frames, motors = Frames(data), [parameters.find(name) for name in POSITIONS]
    matlab = patterns.attribute(data, CLASS) is not None or any(m is not None and m.ndim == 2 for m in motors)
    sizes = {name: found for name in (WAVELENGTH, PIXEL) if (found := parameters.find(name)) is not None}
    pixel = number(sizes[PIXEL]) if PIXEL in sizes else None
    in_pixels = pixel is not None and WAVELENGTH not in sizes

    def places() -> np.ndarray:
        where = _places(parameters)
        return where / pixel if in_pixels else where

    lengths: dict[str, Any] = {}
    if WAVELENGTH in sizes:
        lengths["wavelength"] = lambda known: number(sizes[WAVELENGTH])
        if pixel is not None:
            lengths[RECIPROCAL] = f"{1 / (data.shape[-1] * pixel)} 1/m"
    on_a_grid = motors[0] is None and motors[1] is None and len(frames.scan) == 2
    frames = _by_rows(frames) if on_a_grid and matlab else frames
    return Raw(frames, None if on_a_grid else places, "px" if in_pixels else "m", lengths, transpose=matlab)


def _places(parameters: Tree) -> np.ndarray:
    found: list[h5py.Dataset] = [parameters.need("positions", name) for name in POSITIONS]
    rows, columns = (-real(axis.name, numbers(axis)).reshape(-1) for axis in found)
    if len(rows) != len(columns):
        raise ValueError(f"there are {len(rows)} positions in /ppY and {len(columns)} in /ppX")
    return np.column_stack([rows, columns])


def _by_rows(frames: Frames) -> Frames:
    """The frames of a grid line by line; in a .mat its columns come first."""
    columns, rows = frames.scan
    number_in_file = np.arange(rows * columns).reshape(columns, rows).T.reshape(-1)
    pages = Pages(frames.shape, frames.dtype, lambda index: frames.read(number_in_file[index]), frames.chunk)
    pages.scan, pages.piecewise = (rows, columns), frames.piecewise
    return pages


read: Any = measurement(opened)
FORMATS = (Format("fold_slice, PtychoShelves (dp, ppX, ppY)", recognise, read),)
