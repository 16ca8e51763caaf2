"""A PtychoData in opty's HDF5 files: written and read exactly, in a layout that CXI readers can read.

/                                             attributes: creator, opty_version, opty_format, holds
/cxi_version, /number_of_entries
/entry_1/instrument_1/detector_1/             data (N, n, n), mask (0 = good), dark, distance, pixels, basis_vectors
/entry_1/instrument_1/source_1/               wavelength, energy
/entry_1/sample_1/geometry_1/translation      (N, 3) m, of the sample: x, y, z  (with a geometry)
/entry_1/data_1/                              links to data and translation
/entry_1/measurement/                         positions (row, column) as in PtychoData, geometry, photons of each
                                              view, background, probe, truth, source (JSON) if the data are elsewhere;
                                              attributes brightest and dtype of the frames, mask = "linked" if the
                                              source has the mask of each view too, absent = why there are neither
                                              data nor a source
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import h5py
import numpy as np

from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames
from opty.errors import FormatError
from opty.files.container import Container
from opty.geometry import Geometry
from opty.io.formats import cxi
from opty.io.prepare.frames import Frames
from opty.io.prepare.options import Raw
from opty.io.reading import Format, blaming, measurement
from opty.io.writing import note, put, stack
from opty.memory import free_memory, size

VERSION = 1
DETECTOR, OWN = "entry_1/instrument_1/detector_1", "entry_1/measurement"


def is_opty(file: Container, holds: str) -> bool:
    """Whether an HDF5 file was written by opty and holds "data" or a "result"."""
    return file.kind == "hdf5" and file.attrs.get("creator") == "opty" and file.attrs.get("holds") == holds


def recognise(file: Container) -> bool:
    """Whether this is a measurement that opty saved."""
    return is_opty(file, "data")


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read a measurement that ``opty.save(path, data)`` wrote, exactly as it was."""
    check_version(file)
    with file.hdf5() as f:
        with blaming(file):
            detector, fields = need(f, DETECTOR), _all_but_images(f)
            geometry, mask = fields.get("geometry"), detector.get("mask")
            raw = Raw(
                Frames(need(detector, "data")),
                fields["positions"],
                unit="px" if geometry is None else "m",
                lengths={} if geometry is None else _known(geometry),
                mask=mask if mask is None else Frames(mask) if mask.ndim == 3 else mask[()],
                good=lambda flags: flags == 0,
                dark=fields.get("background"),
                probe=fields.get("probe"),
                truth=fields.get("truth"),
            )
        yield raw


def check_version(file: Container) -> None:
    """Refuse a file of a later format than this version of opty reads, and links to other files."""
    found = int(file.attrs.get("opty_format", 0))
    if found > VERSION:
        raise FormatError(
            f"{file.path} was written by opty {file.attrs.get('opty_version')} in file format {found}; this opty reads "
            f"format {VERSION}: update opty"
        )
    with file.tree() as tree, blaming(file):
        tree.check_all()


def write_head(f: h5py.File, holds: str) -> None:
    """Write the marks by which opty and readers of CXI recognise the file."""
    try:
        version = metadata.version("opty-ptycho")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        version = "unknown"
    note(f, creator="opty", opty_version=version, holds=holds)
    f.attrs["opty_format"] = VERSION
    put(f, "cxi_version", 160)
    put(f, "number_of_entries", 1)
    f.create_group(
        "entry_1/data_1"
    )  # made by a link, the group would store the time, and the bytes would differ each time


def write(f: h5py.File, data: PtychoData, source: dict[str, Any] | None = None) -> None:
    """Write a measurement with its intensities; with a ``source``, only the link; absent ones, only the reason."""
    own, detector = f.create_group(OWN), f.create_group(DETECTOR)
    put(own, "photons", data.photons())
    own.attrs["brightest"] = data.brightest
    note(own, dtype=data.intensities.dtype.str)
    write_about(f, data, linked=source is not None or data.absent is not None)
    if source is not None:
        put(own, "source", json.dumps(source))
    elif data.absent is not None:
        note(own, absent=data.absent)
    else:
        stack(detector, "data", data.intensities)
        f["entry_1/data_1/data"] = h5py.SoftLink(f"/{DETECTOR}/data")


def write_about(f: h5py.File, data: Any, linked: bool = False) -> None:
    """Write all of a measurement, or of an experiment, but intensities and photons; the two groups must exist.

    A mask that stays in the file of the frames is not written to a result that is ``linked`` to it.
    """
    own, detector = f[OWN], f[DETECTOR]
    if isinstance(data.mask, LazyFrames) and linked:
        note(own, mask="linked")
    elif data.mask is not None:
        stack(detector, "mask", cxi.flags(data.mask))
    if data.geometry is not None:
        _write_geometry(f, data)
    put(own, "positions", data.positions, units="pixel" if data.geometry is None else "m")
    for name in ("background", "probe"):
        if getattr(data, name) is not None:
            put(own, name, getattr(data, name), packed=False)
    if data.background is not None:
        put(detector, "dark", data.background, packed=False)
    for name, array in (data.truth or {}).items():
        put(own, f"truth/{name}", array, packed=False)


def read_fields(f: h5py.File) -> dict[str, Any]:
    """Read the fields of PtychoData but its intensities."""
    fields, detector = _all_but_images(f), need(f, DETECTOR)
    if "mask" in detector:
        fields["mask"] = detector["mask"][()] == 0
    return fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class FramesKept:
    """The record of the frames in a result file."""

    photons: np.ndarray  # (N,) of each view
    dtype: str
    brightest: float  # NaN where the file does not have it
    here: bool  # the frames are in the file itself
    source: dict[str, Any] | None  # of the frames, if they are elsewhere
    mask_linked: bool  # the mask is in the file of the frames
    absent: str | None  # why the frames are neither here nor at a source


def read_kept_frames(f: h5py.File) -> FramesKept:
    """Read the record of the frames in a result file, without the frames."""
    own = need(f, OWN)
    return FramesKept(
        photons=need(f, f"{OWN}/photons")[()],
        dtype=text(own.attrs.get("dtype", "<f4")),
        brightest=float(own.attrs.get("brightest", np.nan)),
        here="data" in need(f, DETECTOR),
        source=json.loads(own["source"][()]) if "source" in own else None,
        mask_linked=text(own.attrs.get("mask")) == "linked",
        absent=text(own.attrs.get("absent")),
    )


def read_frames(f: h5py.File) -> np.ndarray:
    """Read the frames of a file; MemoryError where they do not fit in memory."""
    found = need(need(f, DETECTOR), "data")
    wanted, free = found.nbytes, free_memory()
    if free is not None and wanted > free:
        raise MemoryError(f"the result holds its frames, {size(wanted)}, and {size(free)} are free")
    return found[()]


def _all_but_images(f: h5py.File) -> dict[str, Any]:
    own = need(f, OWN)
    fields: dict[str, Any] = {"positions": need(own, "positions")[()]}
    if "geometry" in own:
        attributes = {name: text(value) for name, value in own["geometry"].attrs.items()}
        lengths: dict[str, Any] = {name: v if isinstance(v, str) else float(v) for name, v in attributes.items()}
        fields["geometry"] = Geometry(**lengths)
    fields |= {name: own[name][()] for name in ("background", "probe") if name in own}
    if "truth" in own:
        fields["truth"] = {name: own["truth"][name][()] for name in own["truth"]}
    return fields


def need(group: h5py.Group, path: str) -> Any:
    """Return the node at a path in a file of opty; ValueError, with the names that exist, where there is none."""
    if path not in group:
        held = ", ".join(sorted(map(str, group))) or "nothing"
        raise ValueError(f"there is no {group.name.rstrip('/')}/{path}: {group.name} holds {held}")
    return group[path]


def text(value: Any) -> Any:
    """An attribute, texts as str."""
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _write_geometry(f: h5py.File, data: Any) -> None:
    geometry = data.geometry
    known = _known(geometry)
    group = f.create_group(f"{OWN}/geometry")
    note(group, propagation=known.pop("propagation"))
    group.attrs.update(known)
    detector, source = f[DETECTOR], f.create_group("entry_1/instrument_1/source_1")
    put(detector, "distance", geometry.distance)
    for name in ("x_pixel_size", "y_pixel_size"):
        put(detector, name, geometry.pixel_size)
    put(detector, "basis_vectors", cxi.USUAL_BASIS * geometry.pixel_size)
    put(source, "wavelength", geometry.wavelength)
    put(source, "energy", geometry.photon_energy)
    x_y_z = np.column_stack([data.positions[:, 1], data.positions[:, 0], np.zeros(data.views)])
    first, *links = cxi.TRANSLATION
    put(f, first, x_y_z)
    for link in links:
        f[link] = h5py.SoftLink(f"/{first}")


def _known(geometry: Geometry) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(geometry).items() if value is not None}


read: Any = measurement(opened)
FORMATS = (Format("opty data (HDF5)", recognise, read),)
