"""Write a measurement into files view by view, as it is made: CXI (HDF5), or a TIFF stack with positions in NPY."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

from opty.data import PtychoData
from opty.data.lazy_frames import in_blocks
from opty.files.sink import new_hdf5
from opty.io import atomic
from opty.io.formats import measurement, tiff_npy
from opty.io.writing import LAYOUT, PACKED
from opty.io.writing import put as put_
from opty.simulate.experiment import Experiment

HDF5, TIFF = (".cxi", ".h5", ".hdf5"), (".tif", ".tiff")
_IMAGES = ("mask", "background")  # of the detector, that a TIFF stack has beside it
Put = Callable[[slice, np.ndarray], None]


def write(
    source: Experiment | PtychoData, *paths: Any, progress: bool = False, position_swap: bool = False
) -> list[Path]:
    """Write an experiment, or what was measured, into one or more files; each is whole, or not there at all.

    The views of an ``Experiment`` are taken on the way: no more than a few of them are in memory at a time, however
    many the scan has. The file extension chooses the format:

    .cxi, .h5, .hdf5 : HDF5 in the layout of CXI, with the truth and all other fields; see ``opty.load``.
    .tif, .tiff : a stack (N, n, n), and beside it <name>.npy with the positions (N, 2) float64, (row, column) [m]: the
        files of SciComPty. Where there are, <name>_mask.npy (n, n) bool, True where a pixel counts, and
        <name>_background.npy (n, n) too. The truth is left out.

    Parameters
    ----------
    source : ``Experiment`` or PtychoData.
    paths : of the files.
    progress : show a bar.
    position_swap : the positions beside a TIFF stack are (column, row), for programs that take the first column as x,
        such as PyNX in Listing 2 of Guzzi et al. 2022. ``opty.load`` puts them right: the TIFF says so.

    Returns
    -------
    the paths of all files written.

    Raises
    ------
    ValueError : an ending that names no format, a TIFF stack without a geometry or of data with a starting probe;
    TypeError : a source of another type; OSError : no such folder, no permission, a full disk.
    """
    if not isinstance(source, (Experiment, PtychoData)):
        raise TypeError(f"source is a {type(source).__name__}; give an Experiment or a PtychoData")
    targets = check_paths(paths)
    stacks = [path for path in targets if not _is_hdf5(path)]
    if stacks and source.geometry is None:
        raise ValueError(f"{stacks[0]}: positions beside a TIFF stack are metres; give the experiment a geometry")
    if stacks and source.probe is not None:
        raise ValueError(f"{stacks[0]}: a TIFF stack has no place for a starting probe; write .cxi")
    with ExitStack() as stack:
        puts = [
            stack.enter_context(_cxi(p, source) if _is_hdf5(p) else _tiff(p, source, position_swap)) for p in targets
        ]
        for views, patterns in _patterns(source, progress):
            for put in puts:
                put(views, patterns)
    return targets + [beside for path in stacks for beside in _beside(path, source, position_swap)]


def check_paths(paths: Any) -> list[Path]:
    """Return the paths of files to write; ValueError for an ending that names no format, and for a file named twice."""
    paths = [Path(path) for path in paths]
    if not paths:
        raise ValueError("no file is named to write into")
    for path in paths:
        if path.suffix.lower() not in HDF5 + TIFF:
            raise ValueError(f"{path} ends with none of {', '.join(HDF5 + TIFF)}, which choose the format")
    if len(set(paths)) < len(paths):
        raise ValueError(f"a file is named twice in {', '.join(map(str, paths))}")
    return paths


def companions(path: Path) -> list[Path]:
    """Return the files that may be written beside one of ``paths``."""
    if _is_hdf5(path):
        return []
    return [path.with_suffix(".npy"), *(path.with_name(f"{path.stem}_{name}.npy") for name in _IMAGES)]


def _is_hdf5(path: Path) -> bool:
    return path.suffix.lower() in HDF5


def _patterns(source: Experiment | PtychoData, progress: bool) -> Iterator[tuple[slice, np.ndarray]]:
    if isinstance(source, Experiment):
        yield from source.patterns(progress)
    else:
        yield from in_blocks(source.intensities)


@contextmanager
def _cxi(path: Path, source: Experiment | PtychoData) -> Iterator[Put]:
    """Open an HDF5 file that ``opty.load`` and readers of CXI know, and yield what puts views into it."""
    with atomic(path) as part, new_hdf5(part, **LAYOUT) as f:
        measurement.write_head(f, "data")
        own, detector = f.create_group(measurement.OWN), f.create_group(measurement.DETECTOR)
        n, photons = source.n, np.zeros(source.views)
        options = {"chunks": (1, n, n), "fletcher32": True, **PACKED}
        data = detector.create_dataset("data", (source.views, n, n), _dtype(source), **options)
        f["entry_1/data_1/data"] = h5py.SoftLink(f"/{measurement.DETECTOR}/data")
        measurement.write_about(f, source)

        def put(views: slice, patterns: np.ndarray) -> None:
            data[views] = patterns
            mask = 1 if source.mask is None else source.mask if source.mask.ndim == 2 else source.mask[views]
            counted = patterns if source.mask is None else patterns * mask
            photons[views] = counted.sum(axis=(1, 2), dtype=np.float64)

        yield put
        put_(own, "photons", photons)


@contextmanager
def _tiff(path: Path, source: Experiment | PtychoData, swap: bool) -> Iterator[Put]:
    """Open a TIFF stack, write the files beside it, and yield the function that appends views."""
    assert source.geometry is not None  # of a stack; write() refuses it without one
    shape, dtype = (source.views, source.n, source.n), _dtype(source)
    geometry = {name: value for name, value in dataclasses.asdict(source.geometry).items() if value is not None}
    noted = {"positions": "m"} | ({"columns": tiff_npy.SWAPPED} if swap else {})
    metadata = {"axes": "QYX", tiff_npy.OWN: geometry | noted}
    with ExitStack() as beside, atomic(path) as part:
        for name, array in _beside(path, source, swap).items():
            np.save(beside.enter_context(atomic(name)), array, allow_pickle=False)
        tifffile.imwrite(part, shape=shape, dtype=dtype, photometric="minisblack", metadata=metadata)
        with tifffile.TiffFile(part) as tif:
            start, dtype = tif.series[0].dataoffset, dtype.newbyteorder(tif.byteorder)
        with part.open("r+b") as file:

            def put(views: slice, patterns: np.ndarray) -> None:
                file.seek(start + views.start * patterns[0].nbytes)
                file.write(np.ascontiguousarray(patterns, dtype).data)

            yield put


def _beside(path: Path, source: Experiment | PtychoData, swap: bool) -> dict[Path, np.ndarray]:
    """The files that go with a TIFF stack."""
    arrays = [source.positions[:, :: -1 if swap else 1], *(getattr(source, name) for name in _IMAGES)]
    return {name: array for name, array in zip(companions(path), arrays, strict=True) if array is not None}


def _dtype(source: Experiment | PtychoData) -> np.dtype:
    return source.dtype if isinstance(source, Experiment) else source.intensities.dtype
