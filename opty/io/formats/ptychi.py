"""HDF5 with the arrays of tike, and the pairs of pty-chi: patterns in one file, positions and probe in another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.data import PtychoData
from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tree import Tree, numbers
from opty.io import writing
from opty.io.formats.npz import LACKS, NO_GEOMETRY, tike_arrays, tike_raw
from opty.io.prepare.given_positions import given_positions
from opty.io.prepare.options import Raw
from opty.io.prepare.units import ELECTRON_VOLT, wavelength_as_of_photons
from opty.io.reading import Format, blaming, counted, measurement, middle, real
from opty.remedies import option

POSITIONS = ("probe_position_y_m", "probe_position_x_m")
PIXELS = ("pixel_height_m", "pixel_width_m")
ENERGY = ("photon_energy_eV", "probe_energy_eV")  # attributes of the root, by Ptychodus; the second is the older name
DISTANCE, FOCUS, FAR = "detector_object_distance_m", "focus_object_distance_m", "far_field"


def is_tike(file: Container) -> bool:
    """Whether this is HDF5 with ``data`` and ``scan`` at its root."""
    return file.kind == "hdf5" and {"data", "scan"} <= file.names


@contextmanager
def open_tike(file: Container) -> Iterator[Raw]:
    """Read HDF5 with the arrays of tike at its root: see the npz of the same names."""
    with file.tree() as tree:
        with blaming(file):
            found = {name: tree.find(name) for name in ("data", "scan", "probe")}
            arrays = {name: a if name == "data" else a[()] for name, a in found.items() if a is not None}
            for name in ("data", "scan"):
                tree.need(name, name)
            raw = tike_raw(file, arrays)
        yield raw


def write_tike(path: Path, data: PtychoData) -> None:
    """Write HDF5 with the arrays of tike at its root. Raises FormatError for a mask or a background."""
    writing.no_place(data, "tike's HDF5", *LACKS)
    with writing.created(path, data) as f:
        for name, array in tike_arrays(data).items():
            writing.stack(f, name, array)


def is_pair(file: Container) -> bool:
    """Whether this is HDF5 with ``dp``, or with the positions that go with it."""
    return file.kind == "hdf5" and ("dp" in file.names or set(POSITIONS) <= file.names)


@contextmanager
def open_pair(file: Container, *, positions: Any = None) -> Iterator[Raw]:
    """Read a pair of pty-chi (and Ptychodus): ``dp`` (N, n, n), zero frequency in the centre, and its parameters.

    The parameters, ``probe_position_y_m``, ``probe_position_x_m`` [m] (centres of the views) and ``probe``, lie in the
    file beside, scan_para.hdf5 for scan_dp.hdf5, or at ``positions``, which may also give the positions alone (see
    ``given_positions``), [m], or [px] without energy and distance. The pixel at the sample is an attribute of
    ``object`` or of ``probe``. Where energy [eV] and distance [m] are attributes of the root, as Ptychodus writes them,
    the detector's pixel follows from it; else positions become pixels by it.
    """
    given = None
    if positions is not None and not _is_half(positions):
        positions, given = None, given_positions(positions)
    other = _partner(file, positions)
    with file.tree() as one, other.tree() as two:
        with blaming(file):
            patterns, parameters = (one, two) if "dp" in file.names else (two, one)
            raw = _raw(patterns, parameters)
            if given is not None:
                raw.positions, raw.unit = given.places, given.unit or raw.unit
        yield raw
    file.beside += [path for path in (other.path, given and given.path) if path]


def _is_half(positions: Any) -> bool:
    """Whether this is the path of one of the two files, and not positions alone."""
    return isinstance(positions, (str, os.PathLike)) and bool({"dp", *POSITIONS} & names_of(Path(positions)))


def _partner(file: Container, positions: Any) -> Container:
    """Find the other file of a pair."""
    if {"dp", *POSITIONS} <= file.names:
        return Container(file.path)
    if positions is not None:
        return Container(positions)
    place = place_of_partner(file)
    if place is None or not place.is_file():
        name = "" if place is None else f" {place.name},"
        raise FormatError(
            f"{file.path} is one file of a pair of pty-chi, and the other,{name} is not beside it: give its path, "
            f"{option('positions')}, or, to go on from the result that it holds, its measurement, {option('data')}"
        )
    return Container(place)


def names_of(place: Path | None) -> frozenset[str]:
    """Return the names at the root of an HDF5 file; none where there is no such file."""
    try:
        return frozenset() if place is None or not place.is_file() else Container(place).names
    except (OSError, ValueError):
        return frozenset()


def place_of_partner(file: Container) -> Path | None:
    """The path of the other file of a pair, scan_para.hdf5 for scan_dp.hdf5; None where the name contains neither."""
    mine, its = ("dp", "para") if "dp" in file.names else ("para", "dp")
    if mine not in file.path.stem:
        return None
    stem, _, end = file.path.stem.rpartition(mine)
    return file.path.with_name(f"{stem}{its}{end}{file.path.suffix}")


def _raw(patterns: Tree, parameters: Tree) -> Raw:
    data = patterns.need("patterns", "dp")
    metres = []
    for name in POSITIONS:
        found = parameters.need("positions", name)
        metres.append(real(found.name, numbers(found)).reshape(-1))
    frames = counted(patterns, data)
    if len(metres[0]) != len(metres[1]):
        raise ValueError(f"/dp holds {frames.shape[0]} patterns but there are {[len(a) for a in metres]} positions")
    probe = parameters.find("probe")
    if probe is not None and (probe.dtype.kind != "c" or probe.ndim < 2):
        raise ValueError(f"/probe has shape {probe.shape} and dtype {probe.dtype}; expected complex (..., modes, n, n)")
    probe = None if probe is None else probe[()].reshape(-1, *probe.shape[-3:])[0]
    pixel, where = pixel_of(parameters), np.column_stack(metres) + middle(parameters)
    lengths = _lengths(parameters, pixel, frames.shape[-1])
    return Raw(frames, where if lengths else where / pixel, "m" if lengths else "px", lengths, probe=probe)


def _lengths(parameters: Tree, pixel: float, n: int) -> dict[str, Any]:
    """The geometry, from the attributes of Ptychodus and the pixel at the sample [m]; empty where these are missing."""
    root = parameters.file
    newer, older, distance = (parameters.attribute(root, name) for name in (*ENERGY, DISTANCE))
    energy = older if newer is None else newer
    if energy is None or distance is None or not float(energy) or not float(distance):  # 0: not filled in
        return {}
    out: dict[str, Any] = {
        "wavelength": lambda known: wavelength_as_of_photons(
            float(energy) * ELECTRON_VOLT, f"the attribute {ENERGY[0]}"
        ),
        "distance": float(distance),
    }
    if parameters.attribute(root, FAR, True):
        return out | {"pixel_size": lambda known: known["wavelength"] * known["distance"] / (n * pixel)}
    focus = float(parameters.attribute(root, FOCUS, 0.0))
    out |= {"propagation": "near"} | ({"focus_to_sample": focus} if focus else {})

    def magnified(known: dict[str, Any]) -> float:
        before = known.get("focus_to_sample")
        return pixel if before is None else pixel * (before + known["distance"]) / before

    return out | {"pixel_size": magnified}


def pixel_of(parameters: Tree) -> float:
    """Return the pixel at the sample [m], square, of the object or else of the probe; ValueError without one."""
    for name in ("object", "probe"):
        node = parameters.find(name)
        sizes = (
            [] if node is None else [float(v) for key in PIXELS if (v := parameters.attribute(node, key)) is not None]
        )
        if sizes and min(sizes) > 0 and max(sizes) <= 1.001 * min(sizes):
            return sizes[0]
    raise ValueError(f"no pixel size: neither /object nor /probe has the attributes {' and '.join(PIXELS)} (square)")


def write_pair(path: Path, data: PtychoData) -> None:
    """Write a pair of pty-chi: patterns at ``path``, the name of which must hold "dp", and parameters beside it.

    Raises ValueError for another name, FormatError for a mask or a background.
    """
    writing.no_place(data, "pty-chi's HDF5", *LACKS)
    (parameters,) = _parameters(path)
    with writing.created(parameters, data) as f:
        _write_parameters(f, data)
    with writing.created(path, data) as f:
        writing.signed(f, "dp", data.intensities)


def _parameters(path: Path) -> tuple[Path]:
    """The file of the parameters, beside that of the patterns."""
    stem, found, end = path.stem.rpartition("dp")
    if not found:
        raise ValueError(f"{path.name} must have 'dp' in its name, as scan_dp.hdf5: the positions go to scan_para.hdf5")
    return (path.with_name(f"{stem}para{end}{path.suffix}"),)


def _write_parameters(f: h5py.File, data: PtychoData) -> None:
    """Write what Ptychodus loads as a product; pty-chi puts position 0 into the middle of its object."""
    pixel, put = data.pixel or 1.0, writing.put
    square: dict[str, Any] = dict.fromkeys(PIXELS, pixel)
    for name, axis in zip(POSITIONS, writing.centred(f, data.positions_px * pixel, pixel).T, strict=True):
        put(f, name, axis)
    put(f, "probe_position_indexes", np.arange(data.views))
    if data.probe is not None:
        put(f, "probe", data.probe[None], **square)
    height, width = (int(np.ptp(axis)) + data.n + 2 for axis in data.positions_px.T)
    blank = writing.stack(f, "object", np.ones((1, height, width), np.complex64))
    blank.attrs.update({**square, "center_x_m": 0.0, "center_y_m": 0.0})
    put(f, "object_layer_spacing_m", np.zeros(0))
    f.attrs[FAR] = True
    if (geometry := data.geometry) is not None:
        f.attrs.update({ENERGY[0]: geometry.photon_energy / ELECTRON_VOLT, DISTANCE: geometry.distance})
        f.attrs.update({FOCUS: geometry.focus_to_sample or 0.0, FAR: geometry.propagation != "near"})


read_tike: Any = measurement(open_tike)
read_pair: Any = measurement(open_pair)
FORMATS = (
    Format(
        "tike HDF5 (data, scan)", is_tike, read_tike, "tike-hdf5", write_tike, suffixes=writing.HDF5, lacks=NO_GEOMETRY
    ),
    Format(
        "pty-chi HDF5 (dp, para)",
        is_pair,
        read_pair,
        "ptychi",
        write_pair,
        suffixes=writing.HDF5,
        lacks=LACKS,
        beside=_parameters,
    ),
)
