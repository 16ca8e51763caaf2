"""Stacks of detector images that are read piece by piece: from arrays, datasets, several files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from opty.data.lazy_frames import BLOCK, LazyFrames


class Frames:
    """Images (N, rows, columns) of an array or an HDF5 dataset whose first axes count the views.

    ``kinds`` : of dtypes that are read, counts without it; "biuf" for masks and weights.
    """

    def __init__(self, source: Any, kinds: str = "iuf"):
        if source.ndim < 3 or 0 in source.shape:
            raise ValueError(f"{_name(source)} has shape {tuple(source.shape)}; expected (views, rows, columns)")
        if source.dtype.kind not in kinds:
            raise ValueError(f"{_name(source)} has dtype {source.dtype}; expected counts (integers or floats)")
        self.source = source
        self.scan = tuple(source.shape[:-2])
        self.shape = (prod(self.scan), *source.shape[-2:])
        self.dtype = source.dtype

    @property
    def chunk(self) -> int:
        """Views in one chunk of the file, which is unpacked as a whole."""
        chunks = getattr(self.source, "chunks", None) or (1,) * len(self.scan)
        spans = (chunks[k] * prod(self.scan[k + 1 :]) for k in range(len(self.scan)) if chunks[k] > 1)
        return min(next(spans, 1), self.shape[0])

    @property
    def view_bytes(self) -> int:
        """Bytes of one view."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def preferred_block(self) -> int:
        """Views that are best read together: about 64 MiB, in whole chunks of the file."""
        fit = BLOCK // max(1, self.view_bytes)
        return max(self.chunk, fit // self.chunk * self.chunk)

    @property
    def in_memory(self) -> bool:
        """Whether the images are in memory already."""
        return isinstance(getattr(self, "source", None), np.ndarray)

    @property
    def piecewise(self) -> bool:
        """Whether some views can be read without unpacking nearly all."""
        return not isinstance(self.source, np.ndarray) and (self.chunk < self.shape[0] or not _packed(self.source))

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        """Read some views (B, rows, columns), in the order given."""
        if isinstance(self.source, np.ndarray):
            return self.source.reshape(self.shape)[choice]
        if len(self.scan) == 1 and isinstance(choice, slice):
            return self.source[choice]
        return in_runs(self.shape, self.dtype, np.arange(self.shape[0])[choice], self._put)

    def _put(self, out: np.ndarray, first: int) -> None:
        """Read consecutive views from number ``first`` on, line by line of a raster."""
        done = 0
        while done < len(out):
            place = np.unravel_index(first + done, self.scan)
            count = min(len(out) - done, self.scan[-1] - int(place[-1]))
            where = (*map(int, place[:-1]), slice(int(place[-1]), int(place[-1]) + count))
            self.source.read_direct(out, where, np.s_[done : done + count])
            done += count


def in_runs(
    shape: tuple[int, ...], dtype: Any, index: np.ndarray, put: Callable[[np.ndarray, int], None]
) -> np.ndarray:
    """Read views (B, rows, columns) by number, each once, consecutive ones together, in the order of the file.

    ``put(out, first)`` fills ``out`` with the views from number ``first`` on. HDF5 is far slower at a list of numbers.
    """
    wanted, place = np.unique(index, return_inverse=True)
    out = np.empty((len(wanted), *shape[1:]), dtype)
    cuts = [0, *(np.flatnonzero(np.diff(wanted) != 1) + 1).tolist(), len(wanted)]
    for a, b in pairwise(cuts):
        put(out[a:b], int(wanted[a]))
    return out if np.array_equal(place, np.arange(len(wanted))) else out[place]


class Joined(Frames):
    """Several stacks one after the other."""

    def __init__(self, parts: Sequence[Frames | LazyFrames]):
        sizes = {part.shape[1:] for part in parts}
        if len(sizes) > 1:
            raise ValueError(f"the parts hold frames of different sizes: {sorted(sizes)}")
        self.parts = parts
        self.starts = np.cumsum([0, *(len_ for len_, *_ in (part.shape for part in parts))])
        self.shape = (int(self.starts[-1]), *parts[0].shape[1:])
        self.scan = self.shape[:1]
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.scan = self.shape[:1]

    @property
    def chunk(self) -> int:
        return max(part.chunk for part in self.parts)

    @property
    def preferred_block(self) -> int:
        return max(part.preferred_block for part in self.parts)

    @property
    def piecewise(self) -> bool:
        """Whether some views can be read without unpacking nearly all: a part at most is unpacked as a whole."""
        if len(self.parts) > 1:
            return all(isinstance(part, LazyFrames) or not part.in_memory for part in self.parts)
        return isinstance(self.parts[0], LazyFrames) or self.parts[0].piecewise

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        index = np.arange(self.shape[0])[choice]
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        which = np.searchsorted(self.starts, index, side="right") - 1
        for k in np.unique(which):
            here = which == k
            out[here] = self.parts[k].read(index[here] - self.starts[k])
        return out


class Changed(Frames):
    """Frames to which a function is applied as they are read."""

    def __init__(self, frames: Frames, change: Callable[[np.ndarray], np.ndarray], dtype: Any):
        self.frames, self.change, self.dtype = frames, change, np.dtype(dtype)
        self.shape, self.scan = frames.shape, frames.scan

    @property
    def chunk(self) -> int:
        return self.frames.chunk

    @property
    def preferred_block(self) -> int:
        return self.frames.preferred_block

    @property
    def piecewise(self) -> bool:
        return self.frames.piecewise

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        return self.change(self.frames.read(choice)).astype(self.dtype, copy=False)


class Held(Frames):
    """Images (N, rows, columns) of any type in memory."""

    def __init__(self, images: np.ndarray):
        self.source, self.scan, self.shape, self.dtype = images, images.shape[:1], images.shape, images.dtype


class Pages(Frames):
    """Frames that a function reads by their numbers; ``chunk`` and ``piecewise`` as for Frames."""

    chunk, piecewise = 1, True

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        read: Callable[[np.ndarray], np.ndarray],
        chunk: int = 1,
        piecewise: bool = True,
    ):
        self.shape, self.dtype, self._read = tuple(shape), np.dtype(dtype), read
        self.scan = self.shape[:1]
        self.chunk, self.piecewise = chunk, piecewise

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        return self._read(np.arange(self.shape[0])[choice])


def blocks(frames: Frames, choice: slice | np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (place among the chosen views, images) piece by piece."""
    index = np.arange(frames.shape[0])[choice]
    step = frames.preferred_block
    for start in range(0, len(index), step):
        part = index[start : start + step]
        yield slice(start, start + len(part)), frames.read(plain(part))


def plain(index: np.ndarray) -> slice | np.ndarray:
    """Return a slice in place of consecutive numbers: HDF5 reads it many times faster."""
    if (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def _packed(source: Any) -> bool:
    return getattr(source, "compression", None) is not None


def _name(source: Any) -> str:
    return getattr(source, "name", None) or "the stack of frames"
