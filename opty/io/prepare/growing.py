"""Measurements that another program still writes (HDF5's SWMR): only complete views are read."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from opty.errors import FormatError
from opty.files.container import Container
from opty.io.prepare.frames import Frames
from opty.io.prepare.preparation import Preparation
from opty.io.prepare.raw import Raw
from opty.io.prepare.views import chosen
from opty.remedies import option


def check(file: Container, raw: Raw, options: Preparation) -> None:
    """Refuse a file that grows, unless the chosen ``views`` are complete; the frames are then read into memory.

    Raises FormatError, with the number of complete views.
    """
    if not file.growing:
        return
    raw.whole = "another program still writes it: its frames can only be read into memory"
    complete = complete_views(raw)
    names = ", ".join(sorted(str(path) for path in file.growing))
    names += " (if none does, it ended before it closed the file: h5clear -s repairs it)"
    ready = f"its first {complete} views are complete" if complete else "no view in it is complete"
    remedy = ": wait until it has finished" + (f", or give {option('views', f'0:{complete}')}" if complete else "")
    if options.views is None:
        raise FormatError(f"another program still writes {names}; {ready}{remedy}")
    taken = np.arange(raw.frames.shape[0])[chosen(options.views, raw.frames.shape[0], None)]
    if taken.max() >= complete:
        raise FormatError(f"another program still writes {names} and has no view {taken.max()} yet; {ready}{remedy}")


def complete_views(raw: Raw) -> int:
    """Return the number of views, from the first on, of which frame and position are in the file."""
    complete = _written(raw.frames)
    return min(complete, len(raw.positions)) if isinstance(raw.positions, np.ndarray) else complete


def may_grow(raw: Raw) -> bool:
    """Say whether the frames in a file can become more, or are not all there."""
    data: Any = getattr(raw.frames, "source", None)
    limit = getattr(data, "maxshape", None)
    return (limit is not None and limit[0] != data.shape[0]) or complete_views(raw) < raw.frames.shape[0]


def _written(frames: Frames) -> int:
    """Return the number of frames, from the first on, that are in the file: HDF5 reads missing ones as zeros."""
    data: Any = getattr(frames, "source", None)
    if getattr(data, "chunks", None) is None or data.is_virtual:
        return frames.shape[0]
    tiles = prod(-(-edge // chunk) for edge, chunk in zip(data.shape[-2:], data.chunks[-2:], strict=True))
    found = np.zeros(data.shape[:-2], int)

    def note(chunk: Any) -> None:
        start = chunk.chunk_offset[:-2]
        found[tuple(slice(a, a + step) for a, step in zip(start, data.chunks[:-2], strict=True))] += 1

    data.id.chunk_iter(note)  # asking for one after the other would take a time that grows with their square
    missing = np.flatnonzero(found.reshape(-1) < tiles)
    return int(missing[0]) if len(missing) else frames.shape[0]
