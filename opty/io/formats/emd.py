"""EMD files (HDF5) of py4DSTEM and NCEM: a data cube (scan rows, scan columns, rows, columns) with its axes beside it.

Source: EMD 1.0 as py4DSTEM 0.14 writes and reads it (emdfile; Savitzky et al., Microsc. Microanal. 27, 712 (2021));
the EMD 0.2 of NCEM, emdatasets.com/format, and 0.5 of Prismatic (datacube in place of data).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames
from opty.data.scan_grid import grid_of_step
from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tree import Tree, numbers
from opty.io import writing
from opty.io.prepare.frames import Frames
from opty.io.prepare.lengths import RECIPROCAL
from opty.io.prepare.raw import Raw
from opty.io.prepare.units import LENGTHS, metres
from opty.io.reading import Format, blaming, measurement, middle
from opty.remedies import here, option

TYPE, ARRAYS = "emd_group_type", ("array", "1")
DATA = ("data", "datacube")
CALIBRATION = "metadatabundle/calibration"  # below the root of a tree: what py4DSTEM itself goes by
STEP, OWN_LENGTHS = "opty_step", ("opty_distance", "opty_pixel_size")  # [m], attributes of a cube that opty wrote
DEPTH = 5  # groups in groups
MOST = 500  # groups that are looked at
ANGLES = ("rad", "mrad")
LACKS = ("mask", "background", "probe")
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
    two, where they have an angle (mrad) or a spatial frequency (1/nm, A^-1). py4DSTEM's calibration, where there is
    one, comes before the axes, and tells of the rotation of the scan (R = rotation of the scan against the detector,
    opty's scan_rotation is -QR_rotation; QR_flip transposes the patterns), the beam centre and the aperture. The
    wavelength is not in the file.

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
            data = tree.find(*(f"{path}/{name}" for name in DATA))
            found += [path] if data is not None and data.ndim == 4 else []
        elif depth < DEPTH:
            own = [name for name in tree.names(path or "/") if _belongs(group, name)]
            waiting += [(f"{path}/{name}", depth + 1) for name in own]
    return found


def _belongs(group: h5py.Group, name: str) -> bool:
    """Whether a name in a group is no link to another place."""
    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _raw(tree: Tree, cube: str) -> Raw:
    data = tree.need("data cube", *(f"{cube}/{name}" for name in DATA))
    if data.ndim != 4:
        raise ValueError(f"{data.name} has shape {data.shape}; expected (scan rows, scan columns, rows, columns)")
    frames, known = Frames(data), _calibration(tree, cube)
    ours = _own(tree, cube, STEP)
    step = (ours, ours) if ours else _step([known.get("R")] * 2) or _step([_axis(tree, cube, k) for k in (0, 1)])
    semi_angle = known.get("semi_angle")
    wanted = {"wavelength": _no_wavelength(), "positions": f", or {option('mapping')}, which says where they are"}
    return Raw(
        frames,
        None,
        lengths=_lengths(tree, cube, known.get("Q")) | ({} if semi_angle is None else {"semi_angle": semi_angle}),
        wanted=wanted,
        step=step,
        rotation=known.get("rotation", 0.0),
        origin=middle(tree),
        transpose=known.get("transpose", False),
        centre=known.get("centre"),
    )


def _calibration(tree: Tree, cube: str) -> dict[str, Any]:
    """Read what py4DSTEM was told of scan and camera: steps with units, angles [rad], the beam centre [px]."""
    root = f"{cube.strip('/').partition('/')[0]}/{CALIBRATION}"

    def value(name: str) -> float | None:
        found = tree.find(f"{root}/{name}")
        if found is None or found.dtype.kind not in "iufb" or found.size != 1:
            return None
        number = float(numbers(found).reshape(-1)[0])
        return number if math.isfinite(number) else None

    out: dict[str, Any] = {}
    for space, size_name, unit_name in (("R", "R_pixel_size", "R_pixel_units"), ("Q", "Q_pixel_size", "Q_pixel_units")):
        size, unit = value(size_name), tree.text(f"{root}/{unit_name}")
        if size and unit:
            out[space] = (size, unit)
    if angle := value("QR_rotation"):
        out["rotation"] = -angle
    if value("QR_flip"):
        out["transpose"] = True
    if (semi_angle := value("convergence_semiangle_mrad")) is not None and semi_angle > 0:
        out["semi_angle"] = semi_angle * 1e-3
    row, column = value("qx0_mean"), value("qy0_mean")
    if row and column:
        out["centre"] = (row, column)
    return out


def _own(tree: Tree, cube: str, name: str) -> float | None:
    """A positive number in an attribute of the cube that opty wrote."""
    group = tree.node(cube)
    value = np.asarray(0.0 if group is None else tree.attribute(group, name, 0.0))
    number = float(value) if value.dtype.kind == "f" and value.shape == () else 0.0
    return number if math.isfinite(number) and number > 0 else None


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


def _step(axes: list[tuple[float, str] | None]) -> tuple[float, float] | None:
    """Steps of the scan [m], from the steps along its axes and their units."""
    steps = [axis[0] * metres(axis[1], "the axis of the scan") for axis in axes if axis and axis[1].lower() in LENGTHS]
    return (steps[0], steps[1]) if len(steps) == 2 else None


def _lengths(tree: Tree, cube: str, known: tuple[float, str] | None) -> dict[str, Any]:
    """The geometry that makes square pixels of the last two axes; ``known`` : py4DSTEM's pixel and its unit."""
    distance, pixel = (_own(tree, cube, name) for name in OWN_LENGTHS)
    if distance is not None and pixel is not None:
        return {"distance": distance, "pixel_size": pixel}
    axes = [_axis(tree, cube, k) for k in (2, 3)] if known is None or _reciprocal(*known) is None else [known, known]
    if axes[0] is None or axes[1] is None or axes[0][1] != axes[1][1]:
        return {}
    sizes, unit = sorted(abs(axis[0]) for axis in axes if axis is not None), axes[0][1]
    if sizes[1] > 1.001 * sizes[0]:
        raise ValueError(f"the pixels of {cube} are {sizes[0]} x {sizes[1]} {unit}; opty needs square ones: rebin them")
    text = _reciprocal(sizes[0], unit)
    return {} if text is None else {RECIPROCAL: text}


def _reciprocal(size: float, unit: str) -> str | None:
    """An angle or a spatial frequency as the option of the same name has it; None for pixels and other units."""
    match = INVERSE.fullmatch(unit)
    if unit.lower() not in ANGLES and (match is None or (match[1] or match[2]).lower() not in LENGTHS):
        return None
    return f"{abs(size)} {unit if match is None else f'1/{match[1] or match[2]}'}"


def write(path: Path, data: PtychoData) -> None:
    """Write a scan on a square grid as a data cube of py4DSTEM 0.14, with its calibration.

    The step is in A, the pixel in A^-1, the aperture in mrad. Raises FormatError for positions that are on no such grid
    and for a mask, a background or a starting probe; ValueError for a measurement that is not of electrons.
    """
    writing.no_place(data, "an EMD data cube", *LACKS)
    geometry = data.geometry
    if geometry is None or geometry.voltage is None or geometry.propagation != "far":
        raise ValueError(
            "an EMD data cube is of electrons in the far field, and this measurement is not: "
            + here("save as 'cxi' or 'opty', or give a voltage", "write it with --format cxi, or give --voltage")
        )
    grid = grid_of_step(data.positions)
    if grid is None:
        raise FormatError(
            "an EMD data cube holds the shape, the step and the rotation of a scan on a square grid, line by line, and "
            "these positions are on none: "
            + here("save as 'cxi' or 'opty'", "write it with --format cxi or --format opty")
        )
    shape, step, rotation = grid
    with writing.created(path, data) as f:
        f.attrs.update({TYPE: "file", "version_major": 1, "version_minor": 0, "authoring_program": "opty"})
        f.attrs[writing.MIDDLE] = data.positions[0]
        root = _group(f, "datacube_root", "root", "Root")
        cube = _group(root, "datacube", "array", "DataCube")
        own = zip((STEP, *OWN_LENGTHS), (step, geometry.distance, geometry.pixel_size), strict=True)
        cube.attrs.update(dict(own))
        _write_frames(cube, data.intensities, shape)
        frequency = geometry.pixel_size / (geometry.wavelength * geometry.distance)  # of a pixel [1/m]
        for k, name in enumerate(("Rx", "Ry", "Qx", "Qy")):
            size, unit = (step * 1e10, "A") if name[0] == "R" else (frequency * 1e-10, "A^-1")
            writing.put(cube, f"dim{k}", np.array([0.0, size])).attrs.update({"name": name, "units": unit})
        numbers = {"R_pixel_size": step * 1e10, "Q_pixel_size": frequency * 1e-10, "QR_rotation": -rotation}
        if geometry.semi_angle is not None:
            numbers["convergence_semiangle_mrad"] = geometry.semi_angle * 1e3
        _write_calibration(root, numbers | {"QR_rotation_degrees": math.degrees(-rotation)})


def _write_calibration(root: h5py.Group, values: dict[str, float]) -> None:
    """Write what py4DSTEM itself goes by, and not by the axes."""
    bundle = root.create_group("metadatabundle")
    bundle.attrs[TYPE] = "metadatabundle"
    known = _group(bundle, "calibration", "metadata", "Calibration")
    for name, value in values.items():
        writing.put(known, name, value, type="number")
    writing.put(known, "QR_flip", False, type="bool")
    writing.put(known, "R_pixel_units", "A", type="string")
    writing.put(known, "Q_pixel_units", "A^-1", type="string")
    writing.put(known, "_root_treepath", "", type="string")
    targets = known.create_group("_target_paths")  # arrays whose axes py4DSTEM sets when it reads the file
    targets.attrs.update({"type": "list_of_strings", "length": 1})
    writing.put(targets, "0", "/datacube")


def _group(parent: h5py.Group, name: str, kind: str, python_class: str) -> h5py.Group:
    """Make a group; py4DSTEM wants these words as strings of variable length."""
    group = parent.create_group(name)
    group.attrs.update({TYPE: kind, "python_class": python_class})
    return group


def _write_frames(cube: h5py.Group, frames: np.ndarray | LazyFrames, shape: tuple[int, int]) -> None:
    edges = frames.shape[1:]
    options: dict[str, Any] = {"chunks": (1, 1, *edges), "fletcher32": True, **writing.PACKED}
    made = cube.create_dataset("data", (*shape, *edges), frames.dtype, **options)
    made.attrs["units"] = "pixel intensity"
    for line in range(shape[0]):
        made[line] = frames[line * shape[1] : (line + 1) * shape[1]]


read: Any = measurement(opened)
SUFFIXES = (*writing.HDF5, ".emd")
FORMATS = (Format("EMD data cube (py4DSTEM, NCEM)", recognise, read, "emd", write, suffixes=SUFFIXES, lacks=LACKS),)
