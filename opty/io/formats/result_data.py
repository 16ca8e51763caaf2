"""The measurement of a result: in the file, linked, given in its place, or absent.

A result always opens: object, probe, positions, history, geometry and recipe are in the file. Only operations that need
frames fail if these are missing, with the reason and the remedy.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.data import FIELDS, PtychoData, absent_measurement
from opty.data.lazy_frames import AbsentFrames
from opty.errors import warn_user
from opty.files.container import Container
from opty.io import source
from opty.io.formats import measurement
from opty.io.reading import blaming
from opty.remedies import here

if TYPE_CHECKING:
    from opty.io.formats.kept import Kept

# Errors of a measurement that is missing, changed, damaged, too large, or packed by a plugin that is not installed.
_UNREADABLE = (OSError, ValueError, TypeError, ImportError, MemoryError, RuntimeError)


def measurement_of(file: Container, kept: Kept, data: Any = None, stream: bool | None = None) -> PtychoData:
    """Return the measurement of a result.

    Parameters
    ----------
    data : PtychoData to use in place of what the file holds or points to; or the path of a measurement.
    stream : whether frames that are in another file stay there.

    Raises TypeError or ValueError for ``data`` that do not fit; warns where they hold other photons than the result was
    made from. Without ``data``, a measurement in another file that cannot be read is absent, and no error.
    """
    if isinstance(data, (str, os.PathLike)):
        data = _loaded(Path(data), file, kept, stream)
    if data is not None:
        return _checked(data, file, kept)
    if kept.frames.absent is not None:
        return _absent(file, kept, kept.frames.absent)
    if kept.frames.source is None:
        return _embedded(file, kept)
    try:
        return _linked(source.find(kept.frames.source, file.path), file, kept, stream)
    except _UNREADABLE as error:
        return _absent(file, kept, str(error))


def _embedded(file: Container, kept: Kept) -> PtychoData:
    """Read the frames in the result; absent where they do not fit in memory, an error where damaged."""
    try:
        with file.hdf5() as f, blaming(file):
            frames = measurement.read_frames(f)
    except MemoryError as error:
        return _absent(file, kept, str(error))
    with blaming(file):
        return PtychoData(frames, **kept.fields)


def _linked(place: Path, file: Container, kept: Kept, stream: bool | None) -> PtychoData:
    """Load the measurement as it was loaded for the result; fields that the result holds take precedence."""
    from opty.io.registry import load

    known = kept.frames.source
    assert known is not None
    found = load(place, **known["options"], stream=stream)
    fields = dict.fromkeys(FIELDS[1:]) | kept.fields | {"source": {**known, "path": str(place)}}
    if kept.frames.mask_linked or _same(found.mask, fields["mask"]):
        fields["mask"] = found.mask  # the counts were checked with this mask: no second check
    with blaming(file):
        return source.remember(found.replace(**fields))


def _same(a: Any, b: Any) -> bool:
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)


def _absent(file: Container, kept: Kept, reason: str) -> PtychoData:
    """Return the measurement without its frames; the link to the source is kept for the next file."""
    remedy = "give the measurement: " + here(f"opty.load({file.path.name!r}, data='NEWPATH')", "--data NEWPATH")
    about, n = kept.frames, kept.leaves["probe"].shape[-1]
    shape = (len(about.photons), n, n)
    with blaming(file):
        frames = AbsentFrames(shape, about.dtype, reason, remedy)
        mask = AbsentFrames(shape, bool, reason, remedy) if about.mask_linked else kept.fields.get("mask")
        rest = dict.fromkeys(FIELDS[2:]) | kept.fields | {"source": about.source}
        return absent_measurement(frames, about.photons, about.brightest, mask, rest)


def _loaded(path: Path, file: Container, kept: Kept, stream: bool | None) -> PtychoData:
    """Load the replacement of the measurement, with the options of the result or without any.

    The same file in another place counts as the linked one. For another file the photons of the views decide, since it
    may have been cropped, or its views chosen, before it was written.
    """
    known = kept.frames.source
    if known is not None and source.is_same(path, known):
        return _linked(path, file, kept, stream)
    options = {} if known is None else known["options"]
    tried = [_try_load(path, way, stream) for way in ([options, {}] if options else [{}])]
    found = [data for data in tried if isinstance(data, PtychoData)]
    if not found:
        (first, *rest) = tried
        raise rest[0] if rest and isinstance(first, TypeError) else first  # type: ignore[misc]  # all are exceptions
    return next((data for data in found if _agrees(data, kept)), found[0])


def _try_load(path: Path, options: dict[str, Any], stream: bool | None) -> PtychoData | Exception:
    from opty.io.registry import load

    try:
        found = load(path, **options, stream=stream)
    except _UNREADABLE as error:
        return error
    data = found if isinstance(found, PtychoData) else found.data
    if data.absent is not None:
        return ValueError(f"{path} is a result and has no frames either ({data.absent}): name the measurement")
    return data


def _agrees(data: PtychoData, kept: Kept) -> bool:
    photons = kept.frames.photons
    fits = (data.views, data.n) == (len(photons), kept.leaves["probe"].shape[-1])
    return fits and np.allclose(data.photons(), photons, rtol=1e-6)


def _checked(data: Any, file: Container, kept: Kept) -> PtychoData:
    """Return data that were given, if they fit the result."""
    if not isinstance(data, PtychoData):
        raise TypeError(f"data is a {type(data).__name__}; give a PtychoData, or the path of a measurement")
    n, views = kept.leaves["probe"].shape[-1], len(kept.frames.photons)
    if (data.views, data.n) != (views, n):
        raise ValueError(
            f"data holds {data.views} views of {data.n} x {data.n}; {file.path} was made from {views} "
            f"views of {n} x {n}"
        )
    if not _agrees(data, kept):
        warn_user(f"data hold other photons than those that {file.path} was made from", UserWarning)
    return data
