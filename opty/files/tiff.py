"""Stacks of images in TIFF files, read with care: the frames that are really in the file, and only those asked for."""

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

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # opty says in one sentence what is wrong
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Damaged(ValueError):
    """A TIFF file that cannot be read."""


class Stack:
    """The images (N, rows, columns) of one TIFF file; ``notes`` is what its description tells, where that is JSON.

    Raises ValueError where the file is damaged, or holds images of several sizes or in colour.
    """

    def __init__(self, file: tifffile.TiffFile, size: int):
        self.file = file
        if len(file.series) != 1:
            raise ValueError(f"it holds {len(file.series)} sets of images of different kinds; expected one stack")
        series = file.series[0]
        if not series.axes.endswith("YX"):
            raise ValueError(f"its images have shape {series.shape} (axes {series.axes}); expected grey ones")
        self.dtype = np.dtype(series.dtype)
        self.shape = (prod(series.shape[:-2]), *series.shape[-2:])
        if self.dtype.kind not in "iufb":
            raise ValueError(f"its images hold {self.dtype}; expected counts")
        self.offset = series.dataoffset
        promised = prod(self.shape) * self.dtype.itemsize
        held = DEFLATED * size if self.offset is None else size - self.offset
        if promised > held:
            raise ValueError(f"it promises {self.shape} of {self.dtype}, {promised} bytes, but is truncated or damaged")
        if self.offset is None and len(series) not in (1, self.shape[0]):
            raise ValueError(f"it promises {self.shape[0]} images and holds {len(series)}")

    @property
    def piecewise(self) -> bool:
        """Whether some images can be read without the others."""
        return self.offset is not None or len(self.file.series[0]) == self.shape[0]

    @property
    def notes(self) -> dict[str, Any]:
        """What the description of the first image tells, where that is JSON."""
        try:
            found = json.loads(self.file.pages.first.description)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def read(self, index: np.ndarray) -> np.ndarray:
        """Read some images (B, rows, columns)."""
        try:
            return self._pages(index) if self.offset is None else self._plain(index)
        except Exception as error:
            raise Damaged(f"is a truncated or damaged TIFF file: {error}") from error

    def _pages(self, index: np.ndarray) -> np.ndarray:
        if len(self.file.series[0].pages) == 1:  # all in one page, as planes of one image
            found = self.file.series[0].pages[0].asarray().reshape(self.shape)[index]
        else:
            found = np.stack([self.file.series[0].pages[int(j)].asarray() for j in index])
        if found.shape[1:] != self.shape[1:]:
            raise ValueError(f"its images have shape {found.shape[1:]}, and {self.shape[1:]} was promised")
        return found

    def _plain(self, index: np.ndarray) -> np.ndarray:
        frame = prod(self.shape[1:]) * self.dtype.itemsize
        stored = self.dtype.newbyteorder(self.file.byteorder)
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        for k, j in enumerate(index):
            self.file.filehandle.seek(self.offset + int(j) * frame)
            out[k] = np.frombuffer(self.file.filehandle.read(frame), stored).reshape(self.shape[1:])
        return out


def _check_chain(stream: BinaryIO, size: int) -> None:
    """Refuse directories that lead to one another in a ring, through which the parser would go for ever."""
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
def opened(stream: BinaryIO, path: Path) -> Iterator[Stack]:
    """Open a TIFF file; whatever the parser of its hundred tags runs into becomes a Damaged error."""
    try:
        size = stream.seek(0, 2)
        stream.seek(0)
        _check_chain(stream, size)
        file = tifffile.TiffFile(stream, name=str(path))
        stack = Stack(file, size)
    except Exception as error:
        raise Damaged(f"is a truncated or damaged TIFF file: {error}") from error
    with file:
        yield stack
