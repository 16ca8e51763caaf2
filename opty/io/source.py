"""The source of data: the record with which a result points to its measurement instead of holding a copy of it."""

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
    """Describe a file and the options it is loaded with: path, options, and a fingerprint by which it is recognised.

    ``beside`` : other files that were read with it (linked ones, a mask), recorded with fingerprints too.
    """
    given = {name: value for name, value in options.items() if value is not None}
    others = {str(other): fingerprint(other) for other in beside}
    return {"path": str(path), "options": given, **fingerprint(path)} | ({"beside": others} if others else {})


def remember(data: PtychoData) -> PtychoData:
    """Note that the intensities are unchanged from the file in ``data.source``; return the data."""
    assert data.source is not None  # load() has set it
    owner = _owner(data.intensities)
    key = id(owner)
    layout = (data.source["path"], _layout(data.intensities))
    _read[key] = (weakref.ref(owner, lambda _: _read.pop(key, None)), layout)
    return data


def can_link(data: PtychoData) -> bool:
    """Return whether a result may point to the source: neither the data nor the file have changed since it was read.

    Results always point to the source of frames that stay in their file, and of absent ones.
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
    """Warn that results will hold copies of frames, of ``count`` bytes, that were to stay in their file."""
    warn_user(f"{why} no result can point to the frames: each will hold a copy of them, {size(count)}", UserWarning)


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one existing file."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def find(known: Mapping[str, Any], result: Path) -> Path:
    """Find the measurement of a result, at its recorded path or beside the result; FormatError if it is at neither."""
    there = Path(known["path"])
    places = list(dict.fromkeys((there, result.parent / there.name)))
    tried = [_differs(place, known) for place in places]
    others = [_differs(Path(other), print_) for other, print_ in known.get("beside", {}).items()]
    if None in tried and not any(others):
        return places[tried.index(None)]
    failures = [*([] if None in tried else tried), *others]
    raise FormatError("; ".join(failure for failure in failures if failure))


def is_same(place: Path, known: Mapping[str, Any]) -> bool:
    """Return whether a file is the one that a result points to, also moved, with the same files beside it."""
    beside = known.get("beside", {}).items()
    return _differs(place, known) is None and all(_differs(Path(other), print_) is None for other, print_ in beside)


def _differs(place: Path, known: Mapping[str, Any]) -> str | None:
    """Return why a file is not the recorded one, or None."""
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
