"""LazyFrames: frames that stay in their file and are read on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NoReturn, Protocol

import numpy as np

from opty.data.prefetch import ahead
from opty.errors import SourceError
from opty.memory import free_memory, size

BLOCK = 64 << 20  # bytes to read at a time


class Readable(Protocol):
    """Where LazyFrames reads: images (N, rows, columns) of one dtype, best in blocks of ``preferred_block`` views."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def preferred_block(self) -> int: ...

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        """Read some views (B, rows, columns), in the order given."""
        ...


class LazyFrames:
    """Frames (N, n, n) that look like a read-only array, and are read piece by piece, on demand.

    ``frames[j]``, ``frames[3:20]``, ``frames[[4, 0]]`` and ``frames[mask]`` give NumPy arrays, also with indices of
    rows and columns after the first. ``blocks()`` goes through all views. Pickles hold the path, not the frames.

    Parameters
    ----------
    frames : the source. dtype : of the arrays that are read; default: the dtype of the source.
    hidden : (views, mask): in these views (N,) bool, pixels that the mask hides are read as zero.
    """

    ndim = 3

    def __init__(self, frames: Readable, dtype: Any = None, hidden: tuple[np.ndarray, Any] | None = None):
        self.frames, self.dtype, self.hidden = frames, np.dtype(frames.dtype if dtype is None else dtype), hidden
        self.shape = tuple(int(edge) for edge in frames.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Number of pixels of all views."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the frames would take in memory."""
        return self.size * self.dtype.itemsize

    @property
    def native(self) -> np.dtype:
        """Number type of the counts in the file; sums of them may need a larger one."""
        return getattr(self.frames, "native", self.dtype)

    @property
    def preferred_block(self) -> int:
        """Views that are best read at a time."""
        return self.frames.preferred_block

    @property
    def chunk(self) -> int:
        """Views in one chunk of the file, which is unpacked as a whole."""
        return getattr(self.frames, "chunk", 1)

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        """Read some views (B, n, n), in the order given."""
        images = self.frames.read(choice).astype(self.dtype, copy=False)
        if self.hidden is not None:
            views, mask = self.hidden
            index = np.arange(len(self))[choice]
            for k in np.flatnonzero(views[index]):
                images[k][~(mask if mask.ndim == 2 else mask[int(index[k])])] = 0
        return images

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (views, images) of all views in order; a thread reads the next block meanwhile."""
        step = self.preferred_block
        places = (slice(start, min(start + step, len(self))) for start in range(0, len(self), step))
        return ahead((place, self.read(place)) for place in places)

    def __iter__(self) -> Iterator[np.ndarray]:
        for _, images in self.blocks():
            yield from images

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis or first is None:
            raise IndexError("the first index of frames in a file chooses views: a number, a slice, or several numbers")
        if isinstance(first, slice):
            self._check_room(len(range(*first.indices(len(self)))))
            images = self.read(first)
        else:
            index = np.arange(len(self))[first]  # with the bounds of an array of that many views
            images = self.read(np.atleast_1d(index))
            images = images if np.ndim(index) else images[0]
        if not rest:
            return images
        return images[tuple(rest)] if images.ndim == 2 else images[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._check_room(len(self))
        out = np.empty(self.shape, self.dtype)
        for place, images in self.blocks():
            out[place] = images
        return out if dtype is None else out.astype(dtype, copy=False)

    def mapped(self, function: Callable[[np.ndarray], np.ndarray], dtype: Any) -> LazyFrames:
        """Return the frames with a function of a module applied to the images (B, n, n) as they are read."""
        return LazyFrames(Mapped(self, function, np.dtype(dtype)))

    def _check_room(self, views: int) -> None:
        """Raise MemoryError where the views do not fit in the free memory."""
        wanted = views * self.nbytes // len(self)
        free = free_memory() if wanted > BLOCK else None
        if free is not None and wanted > free:
            raise MemoryError(
                f"{views} frames of {self.shape[1]} x {self.shape[2]} {self.dtype} in the file take {size(wanted)} and "
                f"{size(free)} are free: take fewer (frames[3:20]), or go through blocks() of them"
            )

    def finalised(self, hidden: list[int], mask: Any, largest: float) -> LazyFrames:
        """Return the frames as a measurement holds them, once all of them have been checked: see ``counts.Counted``.

        In the views ``hidden``, masked pixels are read as zero. Sums of pixels get the type of the counts in the file,
        or the smallest type that holds the ``largest``.
        """
        dtype = self.dtype
        if self.native != dtype and dtype.kind in "iu":
            fits = largest <= np.iinfo(self.native).max
            dtype = self.native if fits else np.result_type(self.native, np.min_scalar_type(int(largest)))
        if not hidden:
            return self if dtype == self.dtype else LazyFrames(self.frames, dtype, self.hidden)
        views = np.zeros(len(self), bool)
        views[hidden] = True
        return LazyFrames(self if self.hidden else self.frames, dtype, (views, mask))

    def __repr__(self) -> str:
        return f"<LazyFrames: {self.shape} of {self.dtype}, {size(self.nbytes)}, read on demand from {self.frames!r}>"


class AbsentFrames(LazyFrames):
    """Frames that are missing: shape and type are known; reading any of them raises SourceError.

    Parameters
    ----------
    shape : (N, n, n). dtype : of the counts. reason : why they are missing. remedy : what the user can do.
    """

    frames: _Nothing

    def __init__(self, shape: tuple[int, ...], dtype: Any, reason: str, remedy: str):
        super().__init__(_Nothing(shape, np.dtype(dtype), reason, remedy))

    @property
    def reason(self) -> str:
        """Why the frames are missing."""
        return self.frames.reason

    @property
    def message(self) -> str:
        """Why the frames are missing, and what to do."""
        return self.frames.message

    def refuse(self) -> NoReturn:
        """Raise SourceError with the message."""
        raise SourceError(self.message)

    def _check_room(self, views: int) -> None:
        self.refuse()


class _Nothing:
    """The source of AbsentFrames: reading raises SourceError."""

    preferred_block = 1

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, reason: str, remedy: str):
        self.shape, self.dtype, self.reason = shape, dtype, reason
        self.message = f"the frames of the measurement are not here ({reason}); {remedy}"

    def read(self, choice: slice | np.ndarray) -> NoReturn:
        raise SourceError(self.message)

    def __repr__(self) -> str:
        return f"nothing, since they are not here ({self.reason})"


class Chosen:
    """Some of the views of other frames."""

    def __init__(self, whole: LazyFrames, index: np.ndarray):
        self.whole, self.index = whole, index
        self.shape, self.dtype, self.chunk = (len(index), *whole.shape[1:]), whole.dtype, whole.chunk
        self.native = whole.native

    @property
    def preferred_block(self) -> int:
        return self.whole.preferred_block

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        """Read some views (B, rows, columns), in the order given."""
        return self.whole.read(self.index[choice])

    def __repr__(self) -> str:
        return f"{len(self.index)} views of {self.whole!r}"


class Mapped:
    """Views of other frames to which a function is applied as they are read."""

    def __init__(self, whole: LazyFrames, function: Callable[[np.ndarray], np.ndarray], dtype: np.dtype):
        self.whole, self.function = whole, function
        self.shape, self.dtype, self.chunk, self.preferred_block = (
            whole.shape,
            dtype,
            whole.chunk,
            whole.preferred_block,
        )

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        """Read some views (B, rows, columns), in the order given."""
        return self.function(self.whole.read(choice))

    def __repr__(self) -> str:
        return f"{self.function.__name__} of {self.whole!r}"


def in_blocks(images: np.ndarray | LazyFrames) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (views, images) of all views in order, a block at a time, of an array or of frames in a file."""
    if isinstance(images, LazyFrames):
        yield from images.blocks()
        return
    step = max(1, BLOCK // max(1, prod(images.shape[1:]) * images.dtype.itemsize))
    for start in range(0, len(images), step):
        yield slice(start, min(start + step, len(images))), images[start : start + step]


def views_counting(mask: np.ndarray | LazyFrames) -> np.ndarray:
    """Return the number of views in which each pixel counts (n, n), of a mask for each view (N, n, n)."""
    return sum((some.sum(axis=0) for _, some in in_blocks(mask)), np.zeros(mask.shape[1:], int))


def some_views(images: np.ndarray | LazyFrames, keep: np.ndarray) -> np.ndarray | LazyFrames:
    """Return the views for which ``keep`` (N,) is true; frames in a file stay there."""
    return LazyFrames(Chosen(images, np.flatnonzero(keep))) if isinstance(images, LazyFrames) else images[keep]
