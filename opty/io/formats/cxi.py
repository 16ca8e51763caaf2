"""CXI files (HDF5; Maia, Nature Methods 9, 854 (2012)) as PyNX, CDTools and beamlines write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames
from opty.errors import warn_user
from opty.files.container import Container
from opty.files.tree import Tree, complexes, number, numbers
from opty.geometry import PLANCK_TIMES_C
from opty.io import writing
from opty.io.prepare.frames import Frames
from opty.io.prepare.options import Raw
from opty.io.prepare.quantities import length, of_photons, unit_of, wave
from opty.io.prepare.units import joules, metres
from opty.io.reading import Format, blaming, check_shapes, counted, measurement, real

DETECTOR, SOURCE = "entry_1/instrument_1/detector_1/", "entry_1/instrument_1/source_1/"
DATA = (DETECTOR + "data", "entry_1/data_1/data")
TRANSLATION = ("entry_1/sample_1/geometry_1/translation", "entry_1/data_1/translation", DETECTOR + "translation")
MASK = (DETECTOR + "mask", "entry_1/data_1/mask")
SENSITIVITY = DETECTOR + "qe_mask"  # of CDTools: what a model's intensities are multiplied by
DARK = (DETECTOR + "dark", DETECTOR + "data_dark")
ENERGY = (SOURCE + "energy", "entry_1/instrument_1/beam_1/energy")
WAVELENGTH = (SOURCE + "wavelength", "entry_1/instrument_1/beam_1/wavelength")
ILLUMINATION = SOURCE + "illumination"  # as SHARP and Nanosurveyor call it
PYNX_LACKS = ("probe",)
HAS_SIGNAL = 0x1000  # the one bit of a CXI mask that does not mark a bad pixel
USUAL_BASIS = np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]])  # columns: slow axis along -y, fast axis along -x


def recognise(file: Container) -> bool:
    """Whether this is HDF5 with the marks of a CXI file at its root."""
    return file.kind == "hdf5" and bool({"cxi_version", "entry_1"} & file.names)


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read intensities in the detector's own type, positions [m], geometry, mask and dark image.

    ``translation`` (N, 3), or (3, N) as PyNX has it, is that of the sample, (x, y, z) [m]; projected on the detector's
    axes and negated it is the (row, column) of the view: row = +y and column = +x for the usual ``basis_vectors``.
    Mask: 0 is good in the file, True is good in opty. ``dark`` (PyNX) or ``data_dark`` (CDTools) becomes the
    background. CXI has no place for the ``focus_to_sample`` distance [m] and the ``propagation`` ("far", "cone",
    "near"): they are options of the load. Both wavelength and energy may be there, or one of them. Attributes ``units``
    are obeyed; without them lengths are metres, and an energy joule, unless the number can only be eV.

    Raises FormatError, with the paths tried, for a missing dataset; ValueError for options that do not fit.
    """
    with file.tree() as tree:
        with blaming(file):
            data, translation = tree.need("intensities", *DATA), tree.need("translation", *TRANSLATION)
            moved = by_view(real(translation.name, numbers(translation)), len(data))
            check_shapes(file, data.name, data.shape, translation.name, moved.shape)
            basis = basis_vectors(tree)
            raw = Raw(
                counted(tree, data),
                row_column(moved, basis),
                unit=unit_of(tree, translation) or "m",
                positions_at=translation.name,
                lengths={
                    "wavelength": lambda known: wavelength(tree, file.path),
                    "energy": lambda known: of_photons(tree, tree.find(*ENERGY)),
                    "distance": lambda known: distance(tree),
                    "pixel_size": lambda known: pixel_size(tree, basis),
                },
                wanted={
                    "wavelength": f"no wavelength at {WAVELENGTH[0]}, and {tree.missing('energy', *ENERGY)}",
                    "distance": tree.missing("distance", DETECTOR + "distance", DETECTOR + "corner_position"),
                    "pixel_size": tree.missing("pixel size", DETECTOR + "x_pixel_size", DETECTOR + "basis_vectors"),
                },
                mask=lambda: mask(tree, data.shape),
                good=good,
                dark=lambda: dark(tree),
                flat=lambda: sensitivity(tree, data.shape[1:]),
                probe=illumination(tree, data.shape[1:]),
            )
        yield raw


def good(flags: np.ndarray) -> np.ndarray:
    """Return where a CXI mask does not mark a bad pixel."""
    return (flags.astype(np.int64) & ~HAS_SIGNAL) == 0


def wavelength(tree: Tree, path: Path) -> float | None:
    """Return the wavelength [m], None where the file has none; warn where it does not match the energy in the file."""
    by_length, by_energy = tree.find(*WAVELENGTH), tree.find(*ENERGY)
    if by_length is None:
        return None
    wavelength = wave(tree, by_length)
    if by_energy is None:
        return wavelength
    energy = number(by_energy) * joules(unit_of(tree, by_energy) or "J", by_energy.name)
    if abs(PLANCK_TIMES_C / energy / wavelength - 1) > 0.01:
        warn_user(
            f"{path}: the energy, {energy} J, belongs to a wavelength of {PLANCK_TIMES_C / energy:.5g} m, but the "
            f"file's wavelength is {wavelength} m; the wavelength is used",
            UserWarning,
        )
    return wavelength


def basis_vectors(tree: Tree) -> np.ndarray:
    """Return the slow (row) and fast (column) axis, columns of (3, 2) [m per pixel]; default: the usual ones."""
    found = tree.find(DETECTOR + "basis_vectors")
    if found is None:
        return USUAL_BASIS
    basis = real(found.name, found[()])
    basis = basis.T if basis.shape == (2, 3) else basis
    if basis.shape != (3, 2) or not (np.linalg.norm(basis, axis=0) > 0).all():
        raise ValueError(f"{found.name} is {basis.tolist()}; expected (3, 2), slow and fast axis")
    return basis


def pixel_size(tree: Tree, basis: np.ndarray) -> float | None:
    """Edge of a detector pixel [m], or None where the file has none; ValueError for pixels that are not square."""
    names = ("x_pixel_size", "y_pixel_size")
    found = [length(tree, d) for name in names if (d := tree.find(DETECTOR + name)) is not None]
    if not found and basis is USUAL_BASIS:
        return None
    sizes = found or np.linalg.norm(basis, axis=0).tolist()
    if max(sizes) > 1.001 * min(sizes):
        raise ValueError(f"the pixels are {sizes[0]} m x {sizes[1]} m; opty needs square ones: rebin them")
    return sizes[0]


def distance(tree: Tree) -> float | None:
    """Sample to detector [m], from ``distance`` or else along the beam from ``corner_position`` (x, y, z); or None."""
    if (found := tree.find(DETECTOR + "distance")) is not None:
        return length(tree, found)
    if (found := tree.find(DETECTOR + "corner_position")) is not None:
        corner = real(found.name, numbers(found)).reshape(-1)
        if corner.size != 3:
            raise ValueError(f"{found.name} has {corner.size} numbers; expected x, y, z")
        return abs(float(corner[2])) * metres(unit_of(tree, found) or "m", found.name)
    return None


def by_view(translation: np.ndarray, views: int) -> np.ndarray:
    """Translation (N, 3), also of a file that has it as (3, N), as PyNX reads and writes it."""
    shape = translation.shape
    if len(shape) != 2 or shape[0] not in (2, 3) or (shape[1] in (2, 3) and shape[0] == views):
        return translation
    return translation.T if shape[1] not in (2, 3) or shape[1] == views else translation


def illumination(tree: Tree, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the starting probe at the sample, of the size of the frames, if the file has one."""
    found = tree.find(ILLUMINATION)
    if found is None or found.shape[-2:] != tuple(shape):
        return None
    probe = complexes(found)
    return probe.reshape(-1, *shape) if probe.dtype.kind == "c" else None


def row_column(translation: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return the positions (N, 2) [m] of the views on a sample that was moved by ``translation``."""
    along = basis / np.linalg.norm(basis, axis=0)
    with np.errstate(invalid="ignore"):  # infinity times 0; the check of the positions names the view
        return 0.0 - translation @ along[: translation.shape[1]]


def mask(tree: Tree, shape: tuple[int, ...]) -> Frames | np.ndarray | None:
    """The mask as the file has it: one for each view, one for all, or None."""
    found = tree.find(*MASK)
    if found is None:
        return None
    if found.shape == tuple(shape):
        return Frames(found)
    flags = numbers(found)
    flags = flags[0] if flags.ndim == 3 and len(flags) == 1 else flags
    if flags.shape != tuple(shape[1:]):
        raise ValueError(f"{found.name} has shape {found.shape}; expected {tuple(shape[1:])} or {tuple(shape)}")
    return flags


def dark(tree: Tree) -> np.ndarray | None:
    """Dark image (rows, columns), the mean of a stack, or None."""
    found = tree.find(*DARK)
    if found is None:
        return None
    image = real(found.name, numbers(found))
    return image if image.ndim == 2 else image.reshape(-1, *image.shape[-2:]).mean(axis=0)


def flags(mask: np.ndarray | LazyFrames) -> np.ndarray | LazyFrames:
    """A mask as CXI has it, uint32: 0 where a pixel counts, else 1."""
    return mask.mapped(_flags, np.uint32) if isinstance(mask, LazyFrames) else _flags(mask)


def _flags(mask: np.ndarray) -> np.ndarray:
    return (~mask).astype(np.uint32)


def sensitivity(tree: Tree, shape: tuple[int, ...]) -> np.ndarray | None:
    """Sensitivity of each pixel (rows, columns), or None where there is none or it is one throughout."""
    found = tree.find(SENSITIVITY)
    if found is None:
        return None
    image = real(found.name, numbers(found))
    if image.shape != tuple(shape):
        raise ValueError(f"{found.name} has shape {image.shape}; expected {tuple(shape)}")
    return None if (image == 1).all() else image


def write(path: Path, data: PtychoData) -> None:
    """Write a measurement as CDTools and beamlines read it; masked pixels and counts as they are, positions in metres.

    A starting probe goes to ``source_1/illumination``.
    """
    writing.need_geometry(data, "CXI")
    with writing.created(path, data) as f:
        content(f, data)


def write_pynx(path: Path, data: PtychoData) -> None:
    """Write a measurement as PyNX reads it: translation (3, N), and a name of the instrument.

    Raises FormatError for a starting probe, which PyNX takes from another file.
    """
    writing.need_geometry(data, "PyNX's CXI")
    writing.no_place(data, "PyNX's CXI", *PYNX_LACKS)
    with writing.created(path, data) as f:
        content(f, data, by_axis=True)
        writing.put(f, "entry_1/instrument_1/name", "unknown")


def content(f: h5py.File, data: PtychoData, by_axis: bool = False) -> None:
    """Write the groups and datasets of a CXI file; ``by_axis`` : the translation as (3, N)."""
    put = writing.put
    put(f, "cxi_version", 160)
    put(f, "number_of_entries", 1)
    geometry, detector = data.geometry, f.create_group(DETECTOR)
    assert geometry is not None  # the writers need one
    writing.signed(detector, "data", data.intensities)
    put(detector, "distance", geometry.distance, units="m")
    for name in ("x_pixel_size", "y_pixel_size"):
        put(detector, name, geometry.pixel_size, units="m")
    put(detector, "basis_vectors", USUAL_BASIS * geometry.pixel_size)
    if data.mask is not None:
        writing.stack(detector, "mask", flags(data.mask))
    if data.background is not None:
        for name in ("dark", "data_dark"):
            put(detector, name, data.background)
    source = f.create_group(SOURCE)
    put(source, "wavelength", geometry.wavelength, units="m")
    put(source, "energy", geometry.photon_energy, units="J")
    if data.probe is not None:
        put(f, ILLUMINATION, data.probe)
    moved = writing.x_y_z(data)
    put(f, TRANSLATION[0], np.ascontiguousarray(moved.T) if by_axis else moved, units="m")
    f.create_group("entry_1/data_1")
    for link, target in ((DATA[1], DATA[0]), (TRANSLATION[1], TRANSLATION[0]), (TRANSLATION[2], TRANSLATION[0])):
        f[link] = h5py.SoftLink("/" + target)


read: Any = measurement(opened)
SUFFIXES = (".cxi", *writing.HDF5)
FORMATS = (
    Format("CXI (entry_1)", recognise, read, "cxi", write, suffixes=SUFFIXES),
    Format("CXI of PyNX", lambda file: False, read, "cxi-pynx", write_pynx, suffixes=SUFFIXES, lacks=PYNX_LACKS),
)
