"""Where data came from: the record that lets a result point to its measurement instead of holding a copy of it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames
from opty.errors import FormatError, warn_user
from opty.files.fingerprint import changed, fingerprint
from opty.memory import size

_read: dict[int, tuple[weakref.ref, tuple]] = {}  # memory that load() filled: id of its owner -> layout


def record(path: Path, options: Mapping[str, Any], beside: Iterable[Path] = ()) -> dict[str, Any]:
    """Describe a file and the options it is loaded with: path, options, and a fingerprint to know it again by.

    ``beside`` are other files that were read with it (linked ones, a mask); they have fingerprints too.
    """
    given = {name: value for name, value in options.items() if value is not None}
    others = {str(other): fingerprint(other) for other in beside}
    return {"path": str(path), "options": given, **fingerprint(path)} | ({"beside": others} if others else {})


def remember(data: PtychoData) -> PtychoData:
    """Note that the intensities are, unchanged, what the file in ``data.source`` gave; return the data."""
    owner = _owner(data.intensities)
    key = id(owner)
    layout = (data.source["path"], _layout(data.intensities))
    _read[key] = (weakref.ref(owner, lambda _: _read.pop(key, None)), layout)
    return data


def can_link(data: PtychoData) -> bool:
    """Whether a result may point to the source: the data are still what was read, and the file still is as it was.

    Frames that stay in the file have no other place, whatever became of it; absent ones neither.
    """
    if data.source is None or "size" not in data.source:
        return False
    if data.absent is not None:
        return True
    ref, layout = _read.get(id(_owner(data.intensities)), (lambda: None, None))
    if ref() is None or layout != (data.source["path"], _layout(data.intensities)):
        return False
    if isinstance(data.intensities, LazyFrames):
        return True
    files = {data.source["path"]: data.source, **data.source.get("beside", {})}
    return all(Path(path).is_file() and not changed(Path(path), known) for path, known in files.items())


def warn_of_copies(why: str, count: int) -> None:
    """Say that results will hold copies of ``count`` bytes of frames that were meant to stay in their file."""
    warn_user(f"{why} no result can point to the frames: each will hold a copy of them, {size(count)}", UserWarning)


def same_file(one, other) -> bool:
    """Whether two paths lead to one existing file."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def find(known: Mapping[str, Any], result: Path) -> Path:
    """Find the measurement of a result: where it was, or beside the result; FormatError says why neither has it."""
    there = Path(known["path"])
    places = list(dict.fromkeys((there, result.parent / there.name)))
    tried = [_differs(place, known) for place in places]
    others = [_differs(Path(other), print_) for other, print_ in known.get("beside", {}).items()]
    if None in tried and not any(others):
        return places[tried.index(None)]
    tried = [*([] if None in tried else tried), *filter(None, others)]
    raise FormatError("; ".join(tried))


def is_same(place: Path, known: Mapping[str, Any]) -> bool:
    """Whether a file is the one that a result points to, in another place; files beside it are where they were."""
    beside = known.get("beside", {}).items()
    return _differs(place, known) is None and all(_differs(Path(other), print_) is None for other, print_ in beside)


def _differs(place: Path, known: Mapping[str, Any]) -> str | None:
    """Say why a file is not the one that is known, or return None."""
    if not place.is_file():
        return f"{place}: no such file"
    difference = changed(place, known)
    return difference and f"{place} has changed since: {difference}"


def _owner(a: np.ndarray | LazyFrames) -> np.ndarray | LazyFrames:
    return a.base if isinstance(a, np.ndarray) and isinstance(a.base, np.ndarray) else a


def _layout(a: np.ndarray | LazyFrames) -> tuple:
    if isinstance(a, LazyFrames):
        return (a.shape,)
    return a.__array_interface__["data"][0], a.shape, a.strides, a.dtype.str
