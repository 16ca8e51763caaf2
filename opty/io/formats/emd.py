"""EMD files (HDF5) of py4DSTEM and NCEM: a data cube (scan rows, scan columns, rows, columns) with its axes beside it.

Source: EMD 1.0 as py4DSTEM 0.14 writes it (emdfile; Savitzky et al., Microsc. Microanal. 27, 712 (2021)); the EMD 0.2
of NCEM, emdatasets.com/format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from opty.files.container import Container
from opty.files.tree import Tree, numbers
from opty.io.prepare.frames import Frames
from opty.io.prepare.lengths import RECIPROCAL
from opty.io.prepare.raw import Raw
from opty.io.prepare.units import LENGTHS, metres
from opty.io.reading import Format, blaming, measurement
from opty.remedies import option

TYPE, ARRAYS = "emd_group_type", ("array", "1")
DEPTH = 5  # groups in groups
MOST = 500  # groups that are looked at
ANGLES = ("rad", "mrad")
INVERSE = re.compile(r"1/(\w+)|(\w+)\^?-1")


def recognise(file: Container) -> bool:
    """Whether this is HDF5 with a group that EMD marks as an array with four axes."""
    if file.kind != "hdf5":
        return False
    with file.tree() as tree, blaming(file):
        return bool(_cubes(tree))


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read the frames of a data cube, line by line, on a grid; or give positions.

    The step of the scan is that of the first two axes, where they have a unit of length; the pixel is that of the last
    two, where they have an angle (mrad) or a spatial frequency (1/nm, A^-1). The wavelength is not in the file.

    Raises FormatError for a file with more than one data cube, and axes whose pixels are not square.
    """
    with file.tree() as tree:
        with blaming(file):
            cubes = _cubes(tree)
            if len(cubes) != 1:
                shown = ", ".join(cubes)
                raise ValueError(f"it holds the data cubes {shown}: say which in a mapping, {option('mapping')}")
            raw = _raw(tree, cubes[0])
        yield raw


def _cubes(tree: Tree) -> list[str]:
    """Paths of the groups that hold an array with four axes."""
    found: list[str] = []
    waiting = [("", 0)]
    for path, depth in waiting:  # grows meanwhile
        group = tree.node(path or "/")
        if not isinstance(group, h5py.Group) or len(waiting) > MOST:
            continue
        if str(tree.attribute(group, TYPE, "")) in ARRAYS:
            data = tree.find(f"{path}/data")
            found += [path] if data is not None and data.ndim == 4 else []
        elif depth < DEPTH:
            own = [name for name in tree.names(path or "/") if _own(group, name)]
            waiting += [(f"{path}/{name}", depth + 1) for name in own]
    return found


def _own(group: h5py.Group, name: str) -> bool:
    """Whether a name in a group is no link to another place."""
    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _raw(tree: Tree, cube: str) -> Raw:
    data = tree.need("data cube", f"{cube}/data")
    if data.ndim != 4:
        raise ValueError(f"{data.name} has shape {data.shape}; expected (scan rows, scan columns, rows, columns)")
    frames = Frames(data)
    steps = [_step(_axis(tree, cube, k)) for k in (0, 1)]
    step = None if steps[0] is None or steps[1] is None else (steps[0], steps[1])
    lengths = _lengths(tree, cube)
    wanted = {"wavelength": _no_wavelength(), "positions": f", or {option('mapping')}, which says where they are"}
    return Raw(frames, None, lengths=lengths, wanted=wanted, step=step)


def _no_wavelength() -> str:
    return f"no wavelength in an EMD file (a mapping can read it from where it is, {option('mapping')})"


def _axis(tree: Tree, cube: str, k: int) -> tuple[float, str] | None:
    """Return the step along an axis and its unit; None where the file has none."""
    first = 0 if "dim0" in tree.names(cube) else 1
    found = tree.find(f"{cube}/dim{k + first}")
    if found is None or found.dtype.kind not in "iuf" or found.ndim != 1 or found.size < 2:
        return None
    values = numbers(found).astype(np.float64)
    step = float(values[1] - values[0])
    unit = re.sub(r"[\[\]_\s]", "", str(tree.attribute(found, "units", "")))
    return (step, unit) if np.isfinite(step) and step else None


def _step(axis: tuple[float, str] | None) -> float | None:
    """A step of the scan [m]."""
    if axis is None or axis[1].lower() not in LENGTHS:
        return None
    return axis[0] * metres(axis[1], "the axis of the scan")


def _lengths(tree: Tree, cube: str) -> dict[str, Any]:
    """The geometry that makes square pixels of the last two axes."""
    axes = [_axis(tree, cube, k) for k in (2, 3)]
    if axes[0] is None or axes[1] is None or axes[0][1] != axes[1][1]:
        return {}
    sizes, unit = sorted(abs(axis[0]) for axis in axes if axis is not None), axes[0][1]
    if sizes[1] > 1.001 * sizes[0]:
        raise ValueError(f"the pixels of {cube} are {sizes[0]} x {sizes[1]} {unit}; opty needs square ones: rebin them")
    match = INVERSE.fullmatch(unit)
    if unit.lower() not in ANGLES and (match is None or (match[1] or match[2]).lower() not in LENGTHS):
        return {}
    return {RECIPROCAL: f"{sizes[0]} {unit if match is None else f'1/{match[1] or match[2]}'}"}


read: Any = measurement(opened)
FORMATS = (Format("EMD data cube (py4DSTEM, NCEM)", recognise, read),)
