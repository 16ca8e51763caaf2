"""CXI files (HDF5; Maia, Nature Methods 9, 854 (2012)) as PyNX, CDTools and beamlines write them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from opty.data import PtychoData
from opty.errors import warn_user
from opty.geometry import PLANCK_TIMES_C, Geometry
from opty.io.container import Container
from opty.io.reading import Format, blaming, check_shapes, record_with
from opty.io.views import chosen, taken

DETECTOR, SOURCE = "entry_1/instrument_1/detector_1/", "entry_1/instrument_1/source_1/"
DATA = (DETECTOR + "data", "entry_1/data_1/data")
TRANSLATION = ("entry_1/sample_1/geometry_1/translation", "entry_1/data_1/translation", DETECTOR + "translation")
MASK = (DETECTOR + "mask", "entry_1/data_1/mask")
ENERGY = (SOURCE + "energy", "entry_1/instrument_1/beam_1/energy")
WAVELENGTH = (SOURCE + "wavelength", "entry_1/instrument_1/beam_1/wavelength")
HAS_SIGNAL = 0x1000  # the one bit of a CXI mask that finds no fault with the pixel
USUAL_BASIS = np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]])  # columns: slow axis along -y, fast axis along -x
JOULES_MAX = 1e-12  # 6 MeV: an energy above it is not in joule


def recognise(file: Container) -> bool:
    """Whether this is HDF5 with the marks of a CXI file at its root."""
    return file.kind == "hdf5" and bool({"cxi_version", "entry_1"} & file.names)


def read(file: Container, *, focus_to_sample=None, propagation="far", views=None) -> PtychoData:
    """Read intensities in the detector's own type, positions [m], geometry, mask and dark image.

    ``translation`` (N, 3) is that of the sample, (x, y, z) [m]; projected on the detector's axes and negated it is the
    (row, column) of the view: row = +y and column = +x for the usual ``basis_vectors``. Mask: 0 is good in the file,
    True is good in opty. ``dark`` becomes the background. CXI has no place for the ``focus_to_sample`` distance [m]
    and the ``propagation`` ("far", "cone", "near"): they are options of the load. Both wavelength and energy may be
    there, or one of them.

    Raises FormatError that names the paths where something was looked for; ValueError for options that do not fit.
    """
    with file.hdf5() as f:
        with blaming(file):
            data, translation = _need(f, DATA, "intensities"), _need(f, TRANSLATION, "translation")
            check_shapes(file, data.name, data.shape, translation.name, translation.shape)
            basis = _basis(f)
            lengths = {
                "wavelength": _wavelength(f, file.path),
                "distance": _distance(f),
                "pixel_size": _pixel_size(f, basis),
            }
        focus_to_sample = None if focus_to_sample is None else float(focus_to_sample)
        geometry = Geometry(**lengths, focus_to_sample=focus_to_sample, propagation=propagation)
        choice = chosen(views, len(data))
        with blaming(file):
            return PtychoData(
                taken(data, choice),
                taken(_row_column(translation[()], basis), choice),
                geometry,
                _mask(f, data.shape, choice),
                _dark(f),
                source=record_with(file, views=views, focus_to_sample=focus_to_sample, propagation=propagation),
            )


FORMATS = (Format("CXI (entry_1)", recognise, read),)


def _find(f: h5py.File, paths: tuple[str, ...]) -> h5py.Dataset | None:
    for path in paths:
        if isinstance(found := f.get(path), h5py.Dataset):
            return found
    return None


def _need(f: h5py.File, paths: tuple[str, ...], what: str) -> h5py.Dataset:
    found = _find(f, paths)
    if found is None:
        raise ValueError(f"no {what} at {paths[0]}; nor at {', '.join(paths[1:])}")
    return found


def _length(found: h5py.Dataset) -> float:
    """Read a positive number; float32 means its shortest decimal, 1.12 and not 1.1200000047683716."""
    value = np.asarray(found[()])
    if value.size == 0 or value.dtype.kind not in "iuf" or not (value == value.flat[0]).all():
        raise ValueError(f"{found.name} holds {value!r}; expected one number")
    number = float(str(value.flat[0]))
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{found.name} is {number}; expected a positive number")
    return number


def _wavelength(f: h5py.File, path: Path) -> float:
    """Wavelength [m] from the file's wavelength or, failing that, from its energy [J]."""
    by_length, by_energy = _find(f, WAVELENGTH), _find(f, ENERGY)
    if by_length is None and by_energy is None:
        raise ValueError(f"no wavelength at {WAVELENGTH[0]}, and no energy at {ENERGY[0]}")
    if by_energy is None:
        return _length(by_length)
    energy = _length(by_energy)
    if by_length is None:
        if energy > JOULES_MAX:
            raise ValueError(f"{by_energy.name} is {energy}, which is not in joule as CXI has it")
        return PLANCK_TIMES_C / energy
    wavelength = _length(by_length)
    if abs(PLANCK_TIMES_C / energy / wavelength - 1) > 0.01:
        warn_user(
            f"{path}: the energy, {energy} J, belongs to a wavelength of {PLANCK_TIMES_C / energy:.5g} m, but the "
            f"file's wavelength is {wavelength} m; the wavelength is used",
            UserWarning,
        )
    return wavelength


def _basis(f: h5py.File) -> np.ndarray:
    """The detector's slow (row) and fast (column) axis, columns of (3, 2) [m per pixel]; the usual ones if not told."""
    found = _find(f, (DETECTOR + "basis_vectors",))
    if found is None:
        return USUAL_BASIS
    basis = np.asarray(found[()], np.float64)
    if basis.shape != (3, 2) or not (np.linalg.norm(basis, axis=0) > 0).all():
        raise ValueError(f"{found.name} is {basis.tolist()}; expected (3, 2), slow and fast axis")
    return basis


def _pixel_size(f: h5py.File, basis: np.ndarray) -> float:
    paths = (DETECTOR + "x_pixel_size", DETECTOR + "y_pixel_size")
    found = [_length(d) for path in paths if (d := _find(f, (path,))) is not None]
    if not found and basis is USUAL_BASIS:
        raise ValueError(f"no pixel size at {paths[0]}, {paths[1]} or {DETECTOR}basis_vectors")
    sizes = found or np.linalg.norm(basis, axis=0).tolist()
    if max(sizes) > 1.001 * min(sizes):
        raise ValueError(f"the pixels are {sizes[0]} m x {sizes[1]} m; opty needs square ones: rebin them")
    return sizes[0]


def _distance(f: h5py.File) -> float:
    """Sample to detector [m], from ``distance`` or else along the beam from ``corner_position`` (x, y, z)."""
    if (found := _find(f, (DETECTOR + "distance",))) is not None:
        return _length(found)
    if (found := _find(f, (DETECTOR + "corner_position",))) is not None:
        return abs(float(np.asarray(found[()]).reshape(3)[2]))
    raise ValueError(f"no distance at {DETECTOR}distance, nor a {DETECTOR}corner_position")


def _row_column(translation: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Positions (N, 2) [m] of the views on a sample that was moved by ``translation``."""
    along = basis / np.linalg.norm(basis, axis=0)
    return 0.0 - translation.astype(np.float64) @ along[: translation.shape[1]]


def _mask(f: h5py.File, shape: tuple[int, ...], choice) -> np.ndarray | None:
    found = _find(f, MASK)
    if found is None:
        return None
    if found.ndim == 3 and found.shape[0] == shape[0]:
        flags = taken(found, choice)
    else:
        flags = found[()].reshape(found.shape[-2:]) if found.ndim == 3 and found.shape[0] == 1 else found[()]
    return (flags.astype(np.int64) & ~HAS_SIGNAL) == 0


def _dark(f: h5py.File) -> np.ndarray | None:
    found = _find(f, (DETECTOR + "dark",))
    if found is None:
        return None
    return found[()] if found.ndim == 2 else found[()].mean(0, dtype=np.float64)
