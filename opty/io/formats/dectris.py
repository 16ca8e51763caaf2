"""HDF5 of DECTRIS' detectors (Eiger, Arina) and of NXmx: a master with frames in numbered parts, or in one dataset.

Source: DECTRIS EIGER documentation, HDF5 file writer; NeXus application definition NXmx, class NXdetector (pixel_mask);
a file of an Arina for the names in STEM Metadata.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.files.container import Container
from opty.files.tree import Tree, numbers
from opty.io.prepare.frames import Frames
from opty.io.prepare.parts import part_names, read_parts
from opty.io.prepare.raw import Raw
from opty.io.prepare.units import joules, metres, wavelength
from opty.io.reading import Format, blaming, measurement
from opty.remedies import option

ENTRY, DATA = "entry", "entry/data"
DETECTOR, BEAM = "entry/instrument/detector", "entry/instrument/beam"
SPECIFIC = f"{DETECTOR}/detectorSpecific"
DISTANCE = (f"{DETECTOR}/detector_distance", f"{DETECTOR}/distance")
WAVELENGTH = (f"{BEAM}/incident_wavelength", f"{ENTRY}/sample/beam/incident_wavelength")
ENERGY = (f"{BEAM}/incident_energy", f"{SPECIFIC}/photon_energy")
MASK = (f"{SPECIFIC}/pixel_mask", f"{DETECTOR}/pixel_mask")
CUTOFF, SATURATION = f"{SPECIFIC}/countrate_correction_count_cutoff", f"{DETECTOR}/saturation_value"
MICROSCOPE = "STEM Metadata"  # group of the third file of an Arina, <stem>.h5
FAULTS = 0xFFFF  # bits of a pixel mask that reject a pixel: gap, dead, under and over responding, noisy, user's


@dataclass(frozen=True)
class Microscope:
    """What the third file of an Arina tells: the scan's shape, its step [m], the voltage [V]; None where not set."""

    path: Path
    shape: tuple[int, int] | None
    step: tuple[float, float] | None
    voltage: float | None


def recognise(file: Container) -> bool:
    """Whether this is HDF5 with numbered frames at entry/data, or says that it is NXmx, or lies beside a master."""
    if file.kind != "hdf5" or ENTRY not in file.names:
        return MICROSCOPE in file.names and _master(file.path).is_file()
    with file.tree() as tree, blaming(file):
        return bool(part_names(tree, DATA)) or tree.text(f"{ENTRY}/definition") == "NXmx"


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read frames of DECTRIS or NXmx; their positions are an option, or a grid.

    Frames are at entry/data/data_000001, data_000002, ..., each mostly a link to a file of the master's name beside it,
    or at entry/data/data. Wavelength, distance, pixel size and beam centre are used where they are set (0 is not).
    A pixel counts where none of the lower 16 bits of its pixel_mask is set, and where its count stays below the
    count-rate cut-off (not above saturation_value) and the largest number of its type in all views.

    An Arina writes shape and step of the scan and the voltage into a third file, <stem>.h5, which may be given too.

    Raises FormatError that names a part that is missing, unless there is a position for each frame or views are chosen.
    """
    if ENTRY not in file.names:
        file.path = _master(file.path)
    stem = re.sub(r"_?master$", "", file.path.stem)
    microscope = _microscope(file.path, stem)
    with file.tree() as tree:
        tree.own = re.compile(re.escape(stem) + r"_?data_\d+\.(h5|hdf5|nxs)")
        with blaming(file):
            raw = _raw(tree, microscope)
        yield raw
    file.beside += [] if microscope is None else [microscope.path]


def good(flags: np.ndarray) -> np.ndarray:
    """Where a pixel mask of NXdetector rejects no pixel."""
    return (flags.astype(np.int64) & FAULTS) == 0


def _raw(tree: Tree, microscope: Microscope | None) -> Raw:
    frames, lacks = _frames(tree)
    beam: dict[str, Any] = {}
    if microscope is not None:
        frames.scan = microscope.shape or frames.scan
        beam = {} if microscope.voltage is None else {"voltage": microscope.voltage}
    return Raw(
        frames,
        None,
        lengths=beam
        | {
            "wavelength": lambda known: _wavelength(tree),
            "distance": lambda known: _length(tree, *DISTANCE),
            "pixel_size": lambda known: _pixel_size(tree),
        },
        wanted={
            "positions": f", or {option('mapping')}, which says where they are",
            "wavelength": _wanted(tree, "wavelength", *WAVELENGTH, *ENERGY),
            "distance": _wanted(tree, "distance", *DISTANCE),
            "pixel_size": _wanted(tree, "pixel size", f"{DETECTOR}/x_pixel_size"),
        },
        mask=lambda: _mask(tree, frames.shape[1:]),
        good=good,
        centre=lambda known: _centre(tree),
        cutoff=_cutoff(tree, frames.dtype),
        lacks=lacks,
        step=None if microscope is None else microscope.step,
    )


def _frames(tree: Tree) -> tuple[Frames, Callable[[int], str | None]]:
    if part_names(tree, DATA):
        return read_parts(tree, DATA)
    return Frames(tree.need("frames", f"{DATA}/data", f"{DETECTOR}/data")), lambda views: None


def _master(path: Path) -> Path:
    """Return where the master is beside a third file of an Arina."""
    return path.with_name(f"{path.stem}_master{path.suffix}")


def _microscope(path: Path, stem: str) -> Microscope | None:
    """Read the third file of an Arina, <stem>.h5, if there is one: "Pixel Size" is in nm, "High Tension" in V."""
    place = path.with_name(f"{stem}.h5")
    if not place.is_file() or place == path:
        return None
    with Container(place).tree() as tree:
        group = tree.node(MICROSCOPE)
        if group is None:
            return None

        def value(name: str) -> float | None:
            found = np.asarray(tree.attribute(group, name, 0.0)).reshape(-1)
            number = float(found[0]) if found.size and found.dtype.kind in "iuf" else 0.0
            return number if math.isfinite(number) and number > 0 else None

        step, rows, columns = (value(name) for name in ("Pixel Size", "NumPixelsY", "NumPixelsX"))
        return Microscope(
            place,
            (int(rows), int(columns)) if rows and columns else None,
            (step * 1e-9, step * 1e-9) if step else None,
            value("High Tension"),
        )


def _value(tree: Tree, *paths: str) -> tuple[float, h5py.Dataset] | None:
    """The first number that is set, and where it is; detectors write 0 for a value that was not set."""
    for path in paths:
        if (found := tree.find(path)) is not None and found.dtype.kind in "iuf" and found.size:
            values = numbers(found).reshape(-1)
            value = float(str(values[0]))
            if math.isfinite(value) and value > 0 and (values == values[0]).all():
                return value, found
    return None


def _length(tree: Tree, *paths: str, usual: str = "m") -> float | None:
    if (found := _value(tree, *paths)) is None:
        return None
    return found[0] * metres(tree.attribute(found[1], "units", usual), found[1].name)


def _wavelength(tree: Tree) -> float | None:
    """Wavelength [m]: angstrom and eV without a unit, as in files of DECTRIS."""
    if (length := _length(tree, *WAVELENGTH, usual="angstrom")) is not None:
        return length
    if (energy := _value(tree, *ENERGY)) is None:
        return None
    value, found = energy
    return wavelength(value * joules(tree.attribute(found, "units", "eV"), found.name), found.name)


def _pixel_size(tree: Tree) -> float | None:
    sizes = [s for name in "xy" if (s := _length(tree, f"{DETECTOR}/{name}_pixel_size")) is not None]
    if sizes and max(sizes) > 1.001 * min(sizes):
        raise ValueError(f"the pixels are {sizes[0]} m x {sizes[1]} m; opty needs square ones: rebin them")
    return sizes[0] if sizes else None


def _wanted(tree: Tree, what: str, *paths: str) -> str:
    """Return why a length is unknown: the dataset is missing, or its value was not set."""
    found = tree.find(*paths)
    if found is None:
        return tree.missing(what, *paths)
    return f"{found.name} is {np.asarray(found[()]).reshape(-1)[:4].tolist()}, which is not set"


def _mask(tree: Tree, shape: tuple[int, ...]) -> np.ndarray | None:
    found = tree.find(*MASK)
    if found is None:
        return None
    flags = numbers(found)
    if flags.size != np.prod(shape) or flags.shape[-2:] != tuple(shape) or flags.dtype.kind not in "iu":
        raise ValueError(f"{found.name} has shape {found.shape} and dtype {found.dtype}; expected flags {tuple(shape)}")
    return flags.reshape(shape)


def _centre(tree: Tree) -> tuple[float, float] | None:
    """Beam centre (row, column) [px]."""
    row, column = (_value(tree, f"{DETECTOR}/beam_center_{name}") for name in "yx")
    return None if row is None or column is None else (row[0], column[0])


def _cutoff(tree: Tree, dtype: np.dtype) -> float | None:
    """Return the smallest number that is no valid count."""
    limits = [float(np.iinfo(dtype).max)] if dtype.kind == "u" else []
    if (cutoff := _value(tree, CUTOFF)) is not None:
        limits.append(cutoff[0])
    if (saturation := _value(tree, SATURATION)) is not None:
        limits.append(np.nextafter(saturation[0], np.inf) if dtype.kind == "f" else math.floor(saturation[0]) + 1.0)
    return min(limits, default=None)


read: Any = measurement(opened)
FORMATS = (Format("DECTRIS master, NXmx (HDF5)", recognise, read),)
