"""Stacks of images in TIFF files, read on demand, and only the frames that are really in the file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import tifffile

from opty.files.filters import DEFLATED

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # opty raises its own message instead
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Unreadable(ValueError):
    """A TIFF file that cannot be read; the message follows its path: "is a truncated or damaged TIFF file"."""


class LazyFrames:
    """The images (N, rows, columns) of one TIFF file; ``notes`` is its description, where that is JSON.

    All images of one size count, in the order of the file, however they were written: as one stack, page by page, each
    with a description or packed in another way. Smaller copies of images, marked as such, are left out. Raises
    Unreadable for images of several sizes or in colour.
    """

    def __init__(self, file: tifffile.TiffFile, size: int):
        self.file = file
        found = [series for series in file.series if not series.keyframe.is_reduced] or list(file.series)
        self.sets = [_Set(file, series, size) for series in found]
        if not self.sets:
            raise ValueError("it holds no image")
        shapes = [one.shape for one in self.sets]
        if len({shape[1:] for shape in shapes}) != 1:
            shown = " and ".join(f"{n} of {rows} x {columns}" for n, rows, columns in shapes[:3])
            more = " and more" * (len(shapes) > 3)
            raise Unreadable(f"is no stack of frames: it holds images of several sizes, {shown}{more}")
        self.dtype = np.result_type(*(one.dtype for one in self.sets))
        self.shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
        if sum(one.promised for one in self.sets if one.offset is not None) > size:
            raise ValueError(f"it promises {self.shape} of {self.dtype}, but is truncated or damaged")
        which = np.repeat(np.arange(len(self.sets)), [shape[0] for shape in shapes])
        within = np.concatenate([np.arange(shape[0]) for shape in shapes])
        if len(self.sets) > 1:  # images packed alike are one set, though others lie between them
            order = np.argsort(np.concatenate([one.pages for one in self.sets]), kind="stable")
            which, within = which[order], within[order]
        self.places = which, within

    @property
    def piecewise(self) -> bool:
        """Whether some images can be read without the others."""
        return all(one.piecewise for one in self.sets)

    @property
    def notes(self) -> dict[str, Any]:
        """The description of the first image, where that is JSON."""
        try:
            found = json.loads(self.file.pages.first.description)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def read(self, index: np.ndarray) -> np.ndarray:
        """Read some images (B, rows, columns)."""
        which, within = (place[index] for place in self.places)
        out = np.empty((len(which), *self.shape[1:]), self.dtype)
        try:
            for k in np.unique(which):
                out[which == k] = self.sets[k].read(within[which == k])
        except Unreadable:
            raise
        except Exception as error:
            raise Unreadable(f"is a truncated or damaged TIFF file: {error}") from error
        return out


class _Set:
    """Images (N, rows, columns) of one kind, as tifffile puts them together."""

    def __init__(self, file: tifffile.TiffFile, series: tifffile.TiffPageSeries, size: int):
        self.file, self.series = file, series
        if not series.axes.endswith("YX"):
            shown = f"its images have shape {series.shape} (axes {series.axes})"
            raise Unreadable(f"is no stack of frames: {shown}; expected grey ones")
        self.dtype = np.dtype(series.dtype)
        self.shape = (prod(series.shape[:-2]), *series.shape[-2:])
        if self.dtype.kind not in "iufb":
            raise Unreadable(f"is no stack of frames: its images hold {self.dtype}; expected counts")
        _check_packing(series.keyframe)
        self.offset = series.dataoffset
        self.promised = prod(self.shape) * self.dtype.itemsize
        held = DEFLATED * size if self.offset is None else size - self.offset
        if self.promised > held:
            raise ValueError(
                f"it promises {self.shape} of {self.dtype}, {self.promised} bytes, but is truncated or damaged"
            )
        if self.offset is None and len(series) not in (1, self.shape[0]):
            raise ValueError(f"it promises {self.shape[0]} images and holds {len(series)}")

    @property
    def pages(self) -> np.ndarray:
        """Number of the page (N,) that each image is on."""
        if len(self.series) != self.shape[0]:
            return np.full(self.shape[0], self.series.keyframe.index)
        return np.array([-1 if page is None else page.index for page in self.series])

    @property
    def piecewise(self) -> bool:
        return self.offset is not None or len(self.series) == self.shape[0]

    def read(self, index: np.ndarray) -> np.ndarray:
        """Read some images (B, rows, columns)."""
        return self._packed(index) if self.offset is None else self._plain(index, self.offset)

    def _packed(self, index: np.ndarray) -> np.ndarray:
        if len(self.series.pages) == 1:  # all in one page, as planes of one image
            found = self._page(0).reshape(self.shape)[index]
        else:
            found = np.stack([self._page(int(j)) for j in index])
        if found.shape[1:] != self.shape[1:]:
            raise ValueError(f"its images have shape {found.shape[1:]}, and {self.shape[1:]} was promised")
        return found

    def _page(self, number: int) -> np.ndarray:
        page = self.series.pages[number]
        if page is None:
            raise ValueError(f"its page {number} is missing")
        return page.asarray()

    def _plain(self, index: np.ndarray, offset: int) -> np.ndarray:
        frame = prod(self.shape[1:]) * self.dtype.itemsize
        stored = self.dtype.newbyteorder(self.file.byteorder)
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        for k, j in enumerate(index):
            self.file.filehandle.seek(offset + int(j) * frame)
            out[k] = np.frombuffer(self.file.filehandle.read(frame), stored).reshape(self.shape[1:])
        return out


def _check_packing(page: Any) -> None:
    """Raise Unreadable, which names the remedy, for a compression that tifffile decodes with another package."""
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError:
        name = getattr(page.compression, "name", page.compression)
        raise Unreadable(
            f"is packed with {name}, which needs the package imagecodecs: pip install imagecodecs"
        ) from None


def _check_chain(stream: BinaryIO, size: int) -> None:
    """Refuse directories that lead to one another in a ring, which the parser would follow for ever."""
    start = stream.read(16)
    order: Literal["little", "big"] = "little" if start[:2] == b"II" else "big"
    wide = start[2:4] in (b"+\0", b"\0+")
    width, entry, count = (8, 20, 8) if wide else (4, 12, 2)
    at, seen = int.from_bytes(start[8:16] if wide else start[4:8], order), set()
    while at:
        if at in seen or at >= size:
            raise ValueError(f"its directory at byte {at} is {'met again' if at in seen else 'beyond its end'}")
        seen.add(at)
        stream.seek(at)
        entries = int.from_bytes(stream.read(count), order)
        stream.seek(at + count + entries * entry)
        at = int.from_bytes(stream.read(width), order)
    stream.seek(0)


@contextmanager
def opened(stream: BinaryIO, path: Path) -> Iterator[LazyFrames]:
    """Open a TIFF file; any error of the parser becomes Unreadable."""
    try:
        size = stream.seek(0, 2)
        stream.seek(0)
        _check_chain(stream, size)
        file = tifffile.TiffFile(stream, name=str(path), _multifile=False)  # the name leads to no other file
        stack = LazyFrames(file, size)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"is a truncated or damaged TIFF file: {error}") from error
    with file:
        yield stack
