"""NXcxi_ptycho, the NeXus application definition for ptychography, which is valid CXI as well.

Source: https://manual.nexusformat.org, contributed definition NXcxi_ptycho.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.data import PtychoData
from opty.files.container import Container
from opty.files.tree import Tree, numbers
from opty.io import writing
from opty.io.formats import cxi
from opty.io.prepare.frames import Frames
from opty.io.prepare.options import Raw
from opty.io.prepare.quantities import length, of_photons, unit_of, wave
from opty.io.prepare.units import metres
from opty.io.reading import Format, blaming, counted, measurement, real

DEFINITIONS = ("NXcxi_ptycho", "NXptycho")
ENERGY = ("incident_beam_energy", "energy", "incident_energy")
WAVELENGTH = ("incident_wavelength", "wavelength")
MASK = ("pixel_mask", "mask")
LACKS = ("background",)
MOTORS = (("x", "horizontal", "sample_x"), ("y", "vertical", "sample_y"))


def recognise(file: Container) -> bool:
    """Whether an entry of this HDF5 file says that it follows the definition."""
    if file.kind != "hdf5" or file.attrs.get("creator") == "opty":
        return False
    with file.tree() as tree, blaming(file):
        return _entry(tree, file.names) is not None


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read intensities, positions [m], geometry, beam centre and mask of an NXcxi_ptycho entry.

    Data of a raster scan (slow, fast, rows, columns) are laid out in a row. Positions are positions of the sample: from
    ``translation`` (N, 3), or from the motors in NXtransformations along their vectors; row = +y and column = +x.
    A motor has one value for each view, or for each line or column of a raster. Attributes ``units`` are obeyed;
    without them lengths are metres, and an energy is accepted where only one unit is possible. ``pixel_mask``: 0
    is good.
    """
    with file.tree() as tree:
        with blaming(file):
            entry = _entry(tree, file.names)
            assert entry is not None  # see ``recognise``
            raw = _raw(tree, entry)
        yield raw


def _entry(tree: Tree, names: Iterable[str]) -> str | None:
    for name in sorted(names):
        if tree.text(f"{name}/definition") in DEFINITIONS:
            return name
    return None


def _raw(tree: Tree, entry: str) -> Raw:
    instrument = _child(tree, entry, "NXinstrument", "instrument_1")
    detector = _child(tree, instrument, "NXdetector", "detector_1")
    beam = _child(tree, instrument, "NXbeam", "beam_1")
    data = tree.need("intensities", f"{detector}/data", f"{entry}/data_1/data")
    frames = counted(tree, data)
    translation, unit = _translation(tree, entry, detector, frames)
    return Raw(
        frames,
        cxi.row_column(translation, cxi.USUAL_BASIS),
        unit=unit,
        lengths={
            "wavelength": lambda known: _wavelength(tree, beam),
            "energy": lambda known: of_photons(tree, tree.find(*(f"{beam}/{name}" for name in ENERGY))),
            "distance": lambda known: _lengthy(tree, f"{detector}/distance"),
            "pixel_size": lambda known: _pixel_size(tree, detector),
        },
        wanted={
            "wavelength": tree.missing("energy", *(f"{beam}/{name}" for name in (*ENERGY, *WAVELENGTH))),
            "distance": tree.missing("distance", f"{detector}/distance"),
            "pixel_size": tree.missing("pixel size", f"{detector}/x_pixel_size", f"{detector}/y_pixel_size"),
        },
        mask=lambda: _mask(tree, detector, frames),
        probe=cxi.illumination(tree, frames.shape[1:]),
        good=cxi.good,
        centre=lambda known: _centre(tree, detector, known.get("pixel_size")),
    )


def _child(tree: Tree, group: str, kind: str, usual: str) -> str:
    """Path of the first child of an NX_class, or of the usual name."""
    for name in tree.names(group):
        child = tree.node(f"{group}/{name}")
        if isinstance(child, h5py.Group) and tree.attribute(child, "NX_class") == kind:
            return f"{group}/{name}"
    return f"{group}/{usual}"


def _lengthy(tree: Tree, path: str) -> float | None:
    """Read a length, with its unit, in metres."""
    found = tree.find(path)
    return None if found is None else length(tree, found)


def _pixel_size(tree: Tree, detector: str) -> float | None:
    sizes = [s for name in ("x", "y") if (s := _lengthy(tree, f"{detector}/{name}_pixel_size")) is not None]
    if sizes and max(sizes) > 1.001 * min(sizes):
        raise ValueError(f"the pixels are {sizes[0]} m x {sizes[1]} m; opty needs square ones: rebin them")
    return sizes[0] if sizes else None


def _wavelength(tree: Tree, beam: str) -> float | None:
    found = tree.find(*(f"{beam}/{name}" for name in WAVELENGTH))
    return None if found is None else wave(tree, found)


def _translation(tree: Tree, entry: str, detector: str, frames: Frames) -> tuple[np.ndarray, str]:
    """Translation (N, 3) of the sample and its unit, from the array or from the motors."""
    sample = _child(tree, entry, "NXsample", "sample_1")
    paths = [f"{sample}/geometry_1/translation", f"{detector}/translation", f"{entry}/data_1/translation"]
    if (found := tree.find(*paths)) is not None:
        values = real(found.name, numbers(found))
        if values.ndim < 2 or values.shape[-1] not in (2, 3):
            raise ValueError(f"{found.name} has shape {found.shape}; expected (views, 3): x, y, z")
        values = values.reshape(-1, values.shape[-1])
        unit = unit_of(tree, found) or "m"
        return values if values.shape[1] == 3 else np.column_stack([values, np.zeros(len(values))]), unit
    motors = _child(tree, sample, "NXtransformations", "transformations")
    parts, units = [], set()
    for axis, names in enumerate(MOTORS):
        motor = tree.need(f"{names[0]} motor", *(f"{motors}/{name}" for name in names), *paths)
        vector = np.asarray(tree.attribute(motor, "vector", np.eye(3)[axis]), np.float64).reshape(-1)
        if vector.size != 3:
            raise ValueError(f"{motor.name} has the vector {vector.tolist()}; expected x, y, z")
        along = _on_the_grid(real(motor.name, numbers(motor)), axis, frames, motor.name)
        units.add(unit_of(tree, motor) or "m")
        parts.append((along[:, None] * vector, unit_of(tree, motor) or "m", motor.name))
    if {len(part) for part, *_ in parts} != {len(parts[0][0])}:
        raise ValueError(f"the motors have {' and '.join(str(len(part)) for part, *_ in parts)} positions")
    if len(units) == 1:
        return parts[0][0] + parts[1][0], units.pop()
    return sum((part * metres(unit, where) for part, unit, where in parts), np.zeros(3)), "m"


def _on_the_grid(values: np.ndarray, axis: int, frames: Frames, name: str) -> np.ndarray:
    """A motor's value at each view: one for each, or one for each line or column of a raster, or one for all.

    Where lines and columns are equal in number, x belongs to the first axis of the scan, as in the definition.
    """
    if len(frames.scan) == 1 or values.size == frames.shape[0]:
        values = values.reshape(-1)
        return np.broadcast_to(values, frames.scan) if values.size == 1 else values
    fits = [k for k, count in enumerate(frames.scan) if values.size == count]
    if not fits and values.size != 1:
        raise ValueError(f"{name} has shape {values.shape}, which does not go with a scan of {frames.scan}")
    shape = [1] * len(frames.scan)
    if fits:
        shape[axis if axis in fits else fits[0]] = -1
    return np.broadcast_to(values.reshape(shape), frames.scan).reshape(-1)


def _mask(tree: Tree, detector: str, frames: Frames) -> Frames | np.ndarray | None:
    found = tree.find(*(f"{detector}/{name}" for name in MASK))
    if found is None:
        return None
    if found.shape == (*frames.scan, *frames.shape[1:]) and frames.shape[0] > 1 and found.dtype.kind in "iu":
        return Frames(found)
    flags = numbers(found).reshape(-1, *frames.shape[1:]) if found.size % np.prod(frames.shape[1:]) == 0 else None
    if flags is None or len(flags) not in (1, frames.shape[0]):
        raise ValueError(f"{found.name} has shape {found.shape}; expected {frames.shape[1:]}")
    return flags[0] if len(flags) == 1 else Frames(flags)


def _centre(tree: Tree, detector: str, pixel: float | None) -> tuple[float, float] | None:
    """Beam centre (row, column) [px]."""
    out = []
    for name in "yx":
        found = tree.find(f"{detector}/beam_center_{name}")
        if found is None:
            return None
        unit, value = str(tree.attribute(found, "units", "m")), float(numbers(found).reshape(-1)[0])
        if unit.lower() not in ("pixel", "pixels", "px"):
            if pixel is None:
                return None
            value = value * metres(unit, found.name) / pixel
        out.append(value)
    return out[0], out[1]


def write(path: Path, data: PtychoData) -> None:
    """Write a measurement as NXcxi_ptycho: SI units, and the attributes by which NeXus viewers plot it."""
    writing.need_geometry(data, "NXcxi_ptycho")
    writing.no_place(data, "NXcxi_ptycho", *LACKS)
    with writing.created(path, data) as f:
        cxi.content(f, data)
        _annotate(f, data)


def _annotate(f: h5py.File, data: PtychoData) -> None:
    put, entry, geometry = writing.put, f["entry_1"], data.geometry
    assert geometry is not None  # see ``write``
    f.attrs["default"] = "entry_1"
    put(entry, "definition", DEFINITIONS[0])
    put(entry, "title", "ptychographic scan, written by opty")
    detector = entry["instrument_1/detector_1"]
    beam = entry["instrument_1"].create_group("beam_1")
    for name in ("energy", "incident_beam_energy"):
        put(beam, name, geometry.photon_energy, units="J")
    if data.mask is not None:
        detector["pixel_mask"] = h5py.SoftLink("mask")
    for name in "xy":
        put(detector, f"beam_center_{name}", data.n // 2 * geometry.pixel_size, units="m")
    motors = entry["sample_1"].create_group("transformations")
    for axis, name in enumerate("xy"):
        others = {"units": "m", "vector": np.eye(3)[axis], "transformation_type": "translation", "depends_on": "."}
        put(motors, name, data.positions[:, 1 - axis], **others)
    plot = entry.create_group("data")
    plot["data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    for name in "xy":
        plot[name] = h5py.SoftLink(f"/entry_1/sample_1/transformations/{name}")
        plot.attrs[f"{name}_indices"] = 0
    plot.attrs.update({"signal": "data", "axes": np.array([b"x", b".", b"."])})
    detector.attrs.update({"signal": "data", "axes": np.array([b"translation", b".", b"."])})
    detector["translation"].attrs.update({"axes": "translation:y:x", "interpretation": "image"})
    detector["data"].attrs.update({"interpretation": "image", "units": "counts"})
    entry.attrs["default"] = "data"
    classes = {"": "entry", "instrument_1": "instrument", "sample_1": "sample", "data": "data", "data_1": "collection"}
    classes |= {"instrument_1/detector_1": "detector", "instrument_1/beam_1": "beam", "instrument_1/source_1": "source"}
    classes |= {"sample_1/transformations": "transformations", "sample_1/geometry_1": "collection"}
    for place, kind in classes.items():
        entry[place or "/entry_1"].attrs["NX_class"] = f"NX{kind}"


read: Any = measurement(opened)
FORMATS = (
    Format(
        "NXcxi_ptycho (NeXus)", recognise, read, "nexus", write, suffixes=(".nxs", ".cxi", *writing.HDF5), lacks=LACKS
    ),
)
