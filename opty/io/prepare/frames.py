"""Stacks of detector images that are read piece by piece: from arrays, datasets, several files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from opty.io.prepare.views import taken

BLOCK = 64 << 20  # bytes to read at a time


class Frames:
    """Images (N, rows, columns) of an array or an HDF5 dataset whose first axes count the views."""

    def __init__(self, source: Any):
        if source.ndim < 3 or 0 in source.shape:
            raise ValueError(f"{_name(source)} has shape {tuple(source.shape)}; expected (views, rows, columns)")
        if source.dtype.kind not in "iuf":
            raise ValueError(f"{_name(source)} has dtype {source.dtype}; expected counts (integers or floats)")
        self.source = source
        self.scan = tuple(source.shape[:-2])
        self.shape = (prod(self.scan), *source.shape[-2:])
        self.dtype = source.dtype

    @property
    def together(self) -> int:
        """Views that are best read together: what 64 MB hold, but whole chunks of the file."""
        chunks = getattr(self.source, "chunks", None)
        least = chunks[0] * prod(self.scan[1:]) if chunks else 1
        fit = BLOCK // max(1, prod(self.shape[1:]) * self.dtype.itemsize)
        return max(least, fit // least * least)

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        """Read some views (B, rows, columns), in the order asked for."""
        if len(self.scan) == 1:
            return taken(self.source, choice)
        index = np.arange(self.shape[0])[choice]
        lines = np.unique(index // prod(self.scan[1:]))
        first, last = int(lines[0]), int(lines[-1]) + 1
        block = self.source[first:last].reshape(-1, *self.shape[1:])
        return block[index - first * prod(self.scan[1:])]


class Joined(Frames):
    """Several stacks one after the other."""

    def __init__(self, parts: Sequence[Frames]):
        sizes = {part.shape[1:] for part in parts}
        if len(sizes) > 1:
            raise ValueError(f"the parts hold frames of different sizes: {sorted(sizes)}")
        self.parts = parts
        self.starts = np.cumsum([0, *(len_ for len_, *_ in (part.shape for part in parts))])
        self.shape = (int(self.starts[-1]), *parts[0].shape[1:])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    @property
    def together(self) -> int:
        return max(part.together for part in self.parts)

    def read(self, choice):
        index = np.arange(self.shape[0])[choice]
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        which = np.searchsorted(self.starts, index, side="right") - 1
        for k in np.unique(which):
            here = which == k
            out[here] = self.parts[k].read(index[here] - self.starts[k])
        return out


class Pages(Frames):
    """Frames that a function reads by their numbers."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, read: Callable[[np.ndarray], np.ndarray]):
        self.shape, self.dtype, self._read = tuple(shape), np.dtype(dtype), read

    @property
    def together(self) -> int:
        return max(1, BLOCK // max(1, prod(self.shape[1:]) * self.dtype.itemsize))

    def read(self, choice):
        return self._read(np.arange(self.shape[0])[choice])


def blocks(frames: Frames, choice: slice | np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (place among the chosen views, images) piece by piece."""
    index = np.arange(frames.shape[0])[choice]
    step = frames.together
    for start in range(0, len(index), step):
        part = index[start : start + step]
        yield slice(start, start + len(part)), frames.read(_plain(part))


def _plain(index: np.ndarray) -> slice | np.ndarray:
    """A slice in place of consecutive numbers: HDF5 reads it many times faster."""
    if (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def _name(source: Any) -> str:
    return getattr(source, "name", None) or "the stack of frames"
