"""NumPy .npz files: tike and pty-chi (``data``, ``scan``, ``probe``), and opty's plain one (``diff``, ``pos``)."""

from __future__ import annotations

import numpy as np

from opty.data import PtychoData
from opty.errors import FormatError
from opty.io.container import Container
from opty.io.reading import Format, blaming, check_shapes, record_with
from opty.io.views import chosen, taken


def is_tike(file: Container) -> bool:
    """Whether this is an npz with the keys ``data`` and ``scan``."""
    return file.kind == "npz" and {"data", "scan"} <= file.names


def read_tike(file: Container, *, views=None) -> PtychoData:
    """Read an npz of tike or pty-chi.

    ``data`` (1, N, n, n) has zero frequency in the corner and is brought to the centre, its dtype kept; ``scan``
    (1, N, 2) holds (row, column) in pixels; ``probe`` (..., M, n, n), centred in its array, becomes the starting
    probe. Axes of length one in front are dropped. ``psi``, an estimate of the object, has no place in a measurement
    and stays in the file.
    """
    data, scan = _array(file, "data", 3), _array(file, "scan", 2)
    check_shapes(file, "data", data.shape, "scan", scan.shape)
    choice = chosen(views, len(data))
    probe = _array(file, "probe", 3) if "probe" in file.names else None
    centred = np.fft.fftshift(taken(data, choice), axes=(-2, -1))
    with blaming(file):
        return PtychoData(centred, taken(scan, choice), probe=probe, source=record_with(file, views=views))


def is_plain(file: Container) -> bool:
    """Whether this is an npz with the keys ``diff`` and ``pos``."""
    return file.kind == "npz" and {"diff", "pos"} <= file.names


def read_plain(file: Container, *, views=None) -> PtychoData:
    """Read an npz of opty's own layout, which the benchmarks use.

    ``diff`` (N, n, n) has zero frequency in the centre; ``pos`` (N, 2) are the corners (row, column) of the windows in
    pixels; ``probe0`` (M, n, n) becomes the starting probe. With ``obj`` (H, W) in the file, ``obj``, ``probe`` and
    ``pos`` become the truth. ``obj0``, a starting object, is for ``PtychoState(obj=)`` and stays in the file.
    """
    data, pos = _array(file, "diff", 3), _array(file, "pos", 2)
    check_shapes(file, "diff", data.shape, "pos", pos.shape)
    choice = chosen(views, len(data))
    start = _array(file, "probe0", 3) if "probe0" in file.names else None
    truth = None
    if "obj" in file.names:
        truth = {"obj": _array(file, "obj", 2), "positions": taken(pos, choice).astype(np.float64)}
        if "probe" in file.names:
            truth["probe"] = _array(file, "probe", 3)
    with blaming(file):
        source = record_with(file, views=views)
        return PtychoData(taken(data, choice), taken(pos, choice), probe=start, truth=truth, source=source)


FORMATS = (Format("tike npz (data, scan)", is_tike, read_tike), Format("opty npz (diff, pos)", is_plain, read_plain))


def _array(file: Container, key: str, axes: int) -> np.ndarray:
    """Read an array and drop axes of length one in front until ``axes`` are left."""
    array = file.array(key)
    if array.ndim < 2 or any(size != 1 for size in array.shape[:-axes]):
        raise FormatError(
            f"{file.path}: {key!r} has shape {array.shape}; expected {axes} axes, and only axes of length one before "
            "them (one scan in a file)"
        )
    return array.reshape(array.shape[-axes:])
