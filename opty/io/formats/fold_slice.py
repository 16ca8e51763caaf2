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

from opty.data.scan_grid import scan_grid
from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tree import Tree, number, numbers
from opty.io.formats import ptychi
from opty.io.prepare.frames import Frames
from opty.io.prepare.given_positions import GivenPositions, given_positions
from opty.io.prepare.options import Raw
from opty.io.prepare.raster import steps_of
from opty.io.prepare.reciprocal import of_frequency
from opty.io.reading import Format, blaming, measurement, real
from opty.remedies import option

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
    return set(POSITIONS) <= _names(ptychi.place_of_partner(file))


@contextmanager
def opened(file: Container, *, positions=None, scan_step=None) -> Iterator[Raw]:
    """Read ``dp`` (N, n, n), zero frequency in the centre, and the positions ppY, ppX [m] of the file beside it.

    ``positions`` is the path of that one where it is not beside, by its name, or takes its place. The view is at (row,
    column) = (-ppY, -ppX). MATLAB has the axes in reverse order: the patterns of a .mat, and of a pair whose ppX has
    two axes, as MATLAB writes a vector, are transposed. A .mat whose dp has four axes (n, n, rows, columns) is a scan
    on a grid of ``scan_step`` [m]. With ``lambda`` and ``dx`` in the file the pixel at the sample is dx; with dx alone
    positions are in pixels.

    Raises FormatError where the other file is missing.
    """
    other, given = _other(file, positions)
    with file.tree() as one, (file if other is None else other).tree() as two:
        with blaming(file):
            patterns, parameters = (one, two) if "dp" in file.names else (two, one)
            raw = _raw(patterns, parameters, scan_step)
            if given is not None:
                raw.positions, raw.unit = given.places, given.unit or "m"
        yield raw
    file.beside += [path for path in (other and other.path, given and given.path) if path]


def _other(file: Container, positions: Any) -> tuple[Container | None, GivenPositions | None]:
    """The other file of a pair, None where one file holds all; or the positions that take its place."""
    if isinstance(positions, (str, os.PathLike)) and {"dp", *POSITIONS} & _names(Path(positions)):
        return Container(positions), None
    given = None if positions is None else given_positions(positions)
    place = ptychi.place_of_partner(file)
    if "dp" in file.names:
        beside = place is not None and set(POSITIONS) <= _names(place) and not set(POSITIONS) <= file.names
        return (Container(place) if beside else None), given
    if "dp" not in _names(place):
        name = "its patterns" if place is None else place.name
        raise FormatError(f"{file.path} holds positions, and {name} is not beside it: load the file of the patterns")
    return Container(place), given


def _names(place: Path | None) -> frozenset[str]:
    """The names at the root of an HDF5 file; none where there is no such file."""
    try:
        return frozenset() if place is None or not place.is_file() else Container(place).names
    except (OSError, ValueError):
        return frozenset()


def _raw(patterns: Tree, parameters: Tree, scan_step: Any) -> Raw:
    data = patterns.need("patterns", "dp")
    frames, motors = Frames(data), [parameters.find(name) for name in POSITIONS]
    matlab = patterns.attribute(data, CLASS) is not None or any(m is not None and m.ndim == 2 for m in motors)
    sizes = {name: found for name in (WAVELENGTH, PIXEL) if (found := parameters.find(name)) is not None}
    pixel = number(sizes[PIXEL]) if PIXEL in sizes else None
    in_pixels = pixel is not None and WAVELENGTH not in sizes

    def places() -> np.ndarray:
        if motors[0] is None and motors[1] is None and len(frames.scan) == 2:
            return _grid(frames.scan, scan_step, matlab)
        where = _places(parameters)
        return where / pixel if in_pixels else where

    lengths: dict[str, Any] = {}
    if not in_pixels and pixel is not None:
        lengths = {"wavelength": lambda known: number(sizes[WAVELENGTH])} | of_frequency(1 / (data.shape[-1] * pixel))
    elif WAVELENGTH in sizes:
        lengths = {"wavelength": lambda known: number(sizes[WAVELENGTH])}
    return Raw(frames, places, "px" if in_pixels else "m", lengths, transpose=matlab)


def _places(parameters: Tree) -> np.ndarray:
    found: list[h5py.Dataset] = [parameters.need("positions", name) for name in POSITIONS]
    rows, columns = (-real(axis.name, numbers(axis)).reshape(-1) for axis in found)
    if len(rows) != len(columns):
        raise ValueError(f"there are {len(rows)} positions in /ppY and {len(columns)} in /ppX")
    return np.column_stack([rows, columns])


def _grid(scan: tuple[int, ...], scan_step: Any, matlab: bool) -> np.ndarray:
    """Positions of a scan on a grid; in a .mat the columns of the scan come first."""
    if scan_step is None:
        raise ValueError(f"it does not say the step of its scan: give {option('scan_step')} in metres")
    steps = np.broadcast_to(steps_of(scan_step), 2)
    shape = (int(scan[0]), int(scan[1]))
    return scan_grid(shape, steps[::-1])[:, ::-1] if matlab else scan_grid(shape, steps)


read: Any = measurement(opened)
FORMATS = (Format("fold_slice, PtychoShelves (dp, ppX, ppY)", recognise, read),)
