"""PtyLab's HDF5 files: everything at the root, metres, MATLAB's 1 x 1 arrays for numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.files.container import Container
from opty.files.tree import Tree, number, numbers
from opty.io import writing
from opty.io.prepare.frames import Frames
from opty.io.prepare.options import Raw
from opty.io.reading import Format, blaming, measurement, middle, real

NAMES = {"wavelength": "wavelength", "distance": "zo", "pixel_size": "dxd"}
LACKS = ("mask", "background")
FLIPS = {0: None, 1: "columns", 2: "rows", 3: "both"}


def recognise(file: Container) -> bool:
    """Whether this is HDF5 with a ptychogram at its root."""
    return file.kind == "hdf5" and "ptychogram" in file.names


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read ``ptychogram`` (N, n, n), ``encoder`` (N, 2) [m] (row, column), ``wavelength``, ``zo``, ``dxd`` [m].

    An encoder of shape (2, N) is transposed, as PtyLab does. ``orientation`` (0 to 7, PtyPy's: 4 transposes, then 2
    flips rows and 1 columns) is applied to the patterns, after which the zero frequency is at n // 2. A ``probe`` in
    the file becomes the starting probe.
    """
    with file.tree() as tree:
        with blaming(file):
            raw = _raw(tree)
        yield raw


def _raw(tree: Tree) -> Raw:
    data, encoder = tree.need("patterns", "ptychogram"), tree.need("positions", "encoder")
    frames, positions = Frames(data), real(encoder.name, numbers(encoder))
    if positions.ndim == 2 and positions.shape[0] == 2 and positions.shape[1] != 2:
        positions = positions.T
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ValueError(
            f"/encoder has shape {positions.shape} and /ptychogram {data.shape}: expected one (row, column) a pattern"
        )
    orientation = _orientation(tree)
    transpose, flip = orientation >= 4, FLIPS[orientation % 4]
    return Raw(
        frames,
        positions + middle(tree),
        positions_at=encoder.name,
        lengths={name: partial(_length, tree, path) for name, path in NAMES.items()},
        wanted={name: tree.missing(name.replace("_", " "), path) for name, path in NAMES.items()},
        probe=_probe(tree, data.shape[-1]),
        transpose=transpose,
        flip=flip,
        centre=_centre(frames.shape[1:], transpose, flip),
    )


def _length(tree: Tree, path: str, known: dict) -> float | None:
    found = tree.find(path)
    return None if found is None else number(found)


def _orientation(tree: Tree) -> int:
    found = tree.find("orientation")
    if found is None:
        return 0
    value = numbers(found)
    if value.size != 1 or value.flat[0] not in range(8):
        raise ValueError(f"/orientation is {value.tolist()}; expected one of 0 to 7")
    return int(value.flat[0])


def _centre(shape: tuple[int, ...], transpose: bool, flip: str | None) -> tuple[int, int] | None:
    """Return where the zero frequency is before the patterns are transposed and flipped; then it is at n // 2."""
    if flip is None:
        return None
    flipped = {"rows": (True, False), "columns": (False, True), "both": (True, True)}[flip]
    flipped = flipped[::-1] if transpose else flipped
    row, column = (edge - 1 - edge // 2 if f else edge // 2 for edge, f in zip(shape, flipped, strict=True))
    return row, column


def _probe(tree: Tree, n: int) -> np.ndarray | None:
    """Probe modes (M, n, n), of the first wavelength and slice, or None."""
    found = tree.find("probe")
    if found is None or found.dtype.kind != "c" or found.ndim < 2 or found.shape[-2:] != (n, n):
        return None
    probe = np.asarray(found[()])
    if probe.ndim == 6:  # wavelengths, objects, modes, slices, rows, columns
        probe = probe[0, 0, :, 0]
    return probe.reshape(-1, n, n)


def write(path: Path, data: PtychoData) -> None:
    """Write a measurement as PtyLab reads it, the diameter of the starting probe included.

    Raises FormatError for a mask or a background, for which there is no place.
    """
    writing.need_geometry(data, "PtyLab's HDF5")
    writing.no_place(data, "PtyLab's HDF5", *LACKS)
    put, pixel = writing.put, data.pixel
    assert pixel is not None
    with writing.created(path, data) as f:
        writing.stack(f, "ptychogram", data.intensities)
        put(f, "encoder", writing.centred(f, data.positions, pixel))  # PtyLab puts 0 into the middle of its object
        for name, there in NAMES.items():
            put(f, there, getattr(data.geometry, name))
        put(f, "orientation", 0)
        if data.probe is not None:
            put(f, "probe", data.probe[None, None, :, None])
            put(f, "entrancePupilDiameter", _diameter(data.probe) * pixel)


def _diameter(probe: np.ndarray) -> float:
    """Diameter [px] of the uniform disc with the probe's second moment."""
    power = (np.abs(probe) ** 2).sum(axis=0, dtype=np.float64)
    rows, columns = np.indices(power.shape)
    mean = [(axis * power).sum() / power.sum() for axis in (rows, columns)]
    spread = ((rows - mean[0]) ** 2 + (columns - mean[1]) ** 2) * power
    return float(np.sqrt(8 * spread.sum() / power.sum()))


read: Any = measurement(opened)
FORMATS = (Format("PtyLab HDF5", recognise, read, "ptylab", write, suffixes=writing.HDF5, lacks=LACKS),)
