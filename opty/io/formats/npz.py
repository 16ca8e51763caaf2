"""NumPy .npz files: tike and pty-chi (``data``, ``scan``, ``probe``), and opty's plain one (``diff``, ``pos``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.files.atomic import atomic
from opty.files.container import Container
from opty.io import writing
from opty.io.prepare.frames import Frames
from opty.io.prepare.options import Raw
from opty.io.reading import Format, blaming, check_shapes, measurement, real

LACKS = ("mask", "background")  # what the arrays of tike and pty-chi have no place for
NO_GEOMETRY = (*LACKS, "geometry")  # which is left out with a warning; positions are in pixels
NAMES = (("data", "scan"), ("diff", "pos"))  # of tike and pty-chi, and of opty's plain one


def is_tike(file: Container) -> bool:
    """Whether this is an npz with the keys ``data`` and ``scan``."""
    return file.kind == "npz" and set(NAMES[0]) <= file.names


@contextmanager
def open_tike(file: Container) -> Iterator[Raw]:
    """Read an npz of tike or pty-chi.

    ``data`` (1, N, n, n) has zero frequency in the corner and is brought to the centre, its dtype kept; ``scan``
    (1, N, 2) holds (row, column) in pixels; ``probe`` (..., M, n, n), centred in its array, becomes the starting
    probe. Axes of length one in front are dropped. ``psi``, an estimate of the object, has no place in a measurement
    and stays in the file.
    """
    arrays: dict[str, Any] = {name: file.array(name) for name in ("data", "scan", "probe") if name in file.names}
    with blaming(file):
        raw = tike_raw(file, arrays)
    yield raw


def tike_raw(file: Container, arrays: dict[str, Any]) -> Raw:
    """Return the measurement in the arrays of tike, from an npz or an HDF5 file."""
    data, scan = squeezed("data", arrays["data"], 3), squeezed("scan", arrays["scan"], 2)
    check_shapes(file, "data", data.shape[-3:], "scan", scan.shape)
    probe = squeezed("probe", arrays["probe"], 3) if "probe" in arrays else None
    return Raw(Frames(data), real("scan", scan), unit="px", probe=probe, corner=True)


def squeezed(key: str, array: Any, axes: int) -> Any:
    """Drop axes of length one in front until ``axes`` are left; those of a dataset stay, as Frames reads them so."""
    if array.ndim < 2 or any(size != 1 for size in array.shape[:-axes]):
        raise ValueError(
            f"{key!r} has shape {array.shape}; expected {axes} axes, and only axes of length one before them (one scan "
            "in a file)"
        )
    return array.reshape(array.shape[-axes:]) if isinstance(array, np.ndarray) else array


def write_tike(path: Path, data: PtychoData) -> None:
    """Write an npz as tike and pty-chi read it: ``data``, zero frequency in the corner; ``scan`` px; ``probe``.

    Raises FormatError for a mask or a background, for which there is no place.
    """
    writing.no_place(data, "tike's npz", *LACKS)
    with atomic(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **tike_arrays(data))


def tike_arrays(data: PtychoData) -> dict[str, np.ndarray]:
    """The arrays of tike."""
    out = {"data": np.fft.ifftshift(data.intensities, axes=(-2, -1))[None], "scan": data.positions_px[None]}
    if data.probe is not None:
        out["probe"] = data.probe[None, None, None]
    return out


def is_plain(file: Container) -> bool:
    """Whether this is an npz with the keys ``diff`` and ``pos``."""
    return file.kind == "npz" and set(NAMES[1]) <= file.names


@contextmanager
def open_plain(file: Container) -> Iterator[Raw]:
    """Read an npz of opty's own layout, which the benchmarks use.

    ``diff`` (N, n, n) has zero frequency in the centre; ``pos`` (N, 2) are the corners (row, column) of the windows in
    pixels; ``probe0`` (M, n, n) becomes the starting probe. With ``obj`` (H, W) in the file, ``obj``, ``probe`` and
    ``pos`` become the truth. ``obj0``, a starting object, is for ``PtychoState(obj=)`` and stays in the file.
    """
    axes = {"diff": 3, "pos": 2, "probe0": 3, "obj": 2, "probe": 3}
    arrays = {name: file.array(name) for name in axes if name in file.names}
    with blaming(file):
        arrays = {name: squeezed(name, array, axes[name]) for name, array in arrays.items()}
        check_shapes(file, "diff", arrays["diff"].shape, "pos", arrays["pos"].shape)
        positions, truth = real("pos", arrays["pos"]), None
        if "obj" in arrays:
            truth = {name: arrays[name] for name in ("obj", "probe") if name in arrays} | {"positions": positions}
        raw = Raw(Frames(arrays["diff"]), positions, unit="px", probe=arrays.get("probe0"), truth=truth)
    yield raw


read_tike: Any = measurement(open_tike)
read_plain: Any = measurement(open_plain)
FORMATS = (
    Format("tike npz (data, scan)", is_tike, read_tike, "tike", write_tike, suffixes=(".npz",), lacks=NO_GEOMETRY),
    Format("opty npz (diff, pos)", is_plain, read_plain),
)
