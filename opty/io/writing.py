"""Shared by the writers: what a format has no place for, suffixes, HDF5 datasets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames
from opty.errors import FormatError
from opty.files.atomic import atomic
from opty.files.sink import new_hdf5
from opty.remedies import here

if TYPE_CHECKING:
    pass

COMPACT = 60_000  # bytes: data in the header itself, which HDF5 protects with a checksum
CHUNK = 1 << 20
PACKED: dict[str, Any] = {"shuffle": True, "compression": "gzip", "compression_opts": 1}
_LENGTHS = "--wavelength, --distance and --pixel-size"
_LEFT_OUT = {"mask": ", or leave it out with --mask ignore"}  # fields that an option of the load leaves out
LAYOUT = {"libver": ("v110", "v110")}  # of HDF5: headers have checksums
COUNTS = "opty_counts"  # attribute of a stack: the type of the counts, where it was written in another
HDF5 = (".h5", ".hdf5")
OWN_SUFFIXES = (*HDF5, ".cxi")  # of opty's own files, which readers of CXI can read
MIDDLE = "opty_middle"  # attribute of the root: the middle of the scan (row, column) [m], where positions are about it


@contextmanager
def created(path: Path, data: PtychoData) -> Iterator[h5py.File]:
    """Write an HDF5 file, completely or not at all, with checksums over all bytes: reading detects a flipped bit.

    Parts of the geometry that other programs do not read are attributes of the root.
    """
    with atomic(path) as part, new_hdf5(part, **LAYOUT) as f:
        if data.geometry is not None and data.geometry.propagation != "far":
            note(f, opty_propagation=data.geometry.propagation)
            if data.geometry.focus_to_sample is not None:
                f.attrs["opty_focus_to_sample"] = data.geometry.focus_to_sample
        for name in ("voltage", "semi_angle"):
            if data.geometry is not None and (value := getattr(data.geometry, name)) is not None:
                f.attrs[f"opty_{name}"] = value
        yield f


def put(group: h5py.Group, name: str, value: Any, packed: bool = True, **attributes: Any) -> h5py.Dataset:
    """Write a number, a text or an array under a checksum; a large one deflated if ``packed``."""
    array = _text(value) if isinstance(value, str) else np.asarray(value)
    if array.nbytes > COMPACT:
        found = stack(group, name, array.reshape(-1) if array.ndim == 0 else array, packed=packed)
    else:
        parent, _, last = name.rpartition("/")
        where = group.require_group(parent) if parent else group
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_layout(h5py.h5d.COMPACT)
        settings.set_obj_track_times(False)  # one content, the same bytes
        space = h5py.h5s.create_simple(array.shape) if array.shape else h5py.h5s.create(h5py.h5s.SCALAR)
        made = h5py.h5d.create(where.id, last.encode(), h5py.h5t.py_create(array.dtype, logical=True), space, settings)
        found = h5py.Dataset(made)
        found[...] = array
    found.attrs.update(attributes)
    return found


def note(node: h5py.Group | h5py.Dataset, **texts: str) -> None:
    """Write texts as attributes in the header, under its checksum, and not in the heap of HDF5."""
    for name, value in texts.items():
        node.attrs[name] = _text(value)


def _text(value: str) -> np.ndarray:
    encoded = value.encode("utf-8")
    return np.array(encoded, h5py.string_dtype("utf-8", max(1, len(encoded))))


def create(
    group: h5py.Group, name: str, array: np.ndarray | LazyFrames, dtype: np.dtype | None = None, **options: Any
) -> h5py.Dataset:
    """Make a dataset of an array, or of frames in a file, which are copied block by block."""
    if not isinstance(array, LazyFrames):
        return group.create_dataset(name, data=array, dtype=dtype, **options)
    made = group.create_dataset(name, array.shape, array.dtype if dtype is None else dtype, **options)
    for views, images in array.blocks():
        made[views] = images
    return made


def stack(
    group: h5py.Group, name: str, array: np.ndarray | LazyFrames, dtype: np.dtype | None = None, packed: bool = True
) -> h5py.Dataset:
    """Write an array, one frame a chunk, with checksums; shuffled and deflated at the fastest level."""
    if array.ndim >= 3:
        chunks = (1,) * (array.ndim - 2) + array.shape[-2:]
    else:
        rows = max(1, CHUNK // max(1, array.nbytes // len(array)))
        chunks = (min(rows, len(array)), *array.shape[1:])
    options = PACKED if packed else {}
    return create(group, name, array, dtype, chunks=chunks, fletcher32=True, **options)


def signed(group: h5py.Group, name: str, counts: np.ndarray | LazyFrames) -> None:
    """Write counts (N, n, n) in a type that PyTorch supports, and note their original type.

    PyTorch lacks unsigned integers of two bytes and more: they become the smallest signed type that holds them.
    Raises ValueError for a count beyond int64.
    """
    if counts.dtype.kind != "u" or counts.dtype.itemsize == 1:
        stack(group, name, counts)
        return
    top = max(int(view.max()) for view in counts)
    if top > np.iinfo(np.int64).max:
        remedy = here("save as 'opty'", "write it with --format opty")
        raise ValueError(f"the largest count is {top}, more than a signed number holds: {remedy}")
    dtype = next(d for d in map(np.dtype, ("int16", "int32", "int64")) if top <= np.iinfo(d).max)
    note(stack(group, name, counts, dtype), **{COUNTS: counts.dtype.name})


def centred(f: h5py.File, positions: np.ndarray, pixel: float) -> np.ndarray:
    """Positions (N, 2) [m] about the middle of the scan, for programs that need it; ``f`` stores the middle.

    The middle is whole pixels from the first position, so that positions on whole pixels stay on whole pixels.
    """
    first = positions[0]
    middle = first + np.rint(((positions.min(axis=0) + positions.max(axis=0)) / 2 - first) / pixel) * pixel
    f.attrs[MIDDLE] = middle
    return positions - middle


def need_geometry(data: PtychoData, name: str) -> None:
    """Refuse a measurement in pixels where a format holds metres."""
    if data.geometry is None:
        raise ValueError(
            f"{name} holds lengths in metres, and this measurement is in pixels only: "
            + here("save it as 'tike' or 'opty'", "write it with --format tike or --format opty")
            + ", or give it a geometry: "
            + here("data.replace(geometry=opty.Geometry(...), positions=metres)", _LENGTHS)
        )


def no_place(data: PtychoData, name: str, *fields: str) -> None:
    """Refuse fields that a format cannot hold."""
    for field in fields:
        if getattr(data, field) is not None:
            remedy = here(
                f"save as 'cxi' or 'opty', or leave it out with data.replace({field}=None)",
                "write it with --format cxi or --format opty" + _LEFT_OUT.get(field, ""),
            )
            raise FormatError(f"{name} has no place for a {field}: {remedy}")


def x_y_z(data: PtychoData) -> np.ndarray:
    """Translation (N, 3) [m] of the sample for the positions: x = column, y = row."""
    return np.column_stack([data.positions[:, 1], data.positions[:, 0], np.zeros(data.views)])


def check_suffix(path: str | Path, suffixes: tuple[str, ...] = OWN_SUFFIXES, what: str = "a result of opty") -> None:
    """Refuse a suffix of another kind of file; by default, for a result or a measurement of opty."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        known, better = ", ".join(suffixes), path.with_suffix(suffixes[0])
        raise ValueError(f"{path} does not end with one of {known}, as {what} does: try {better}")
