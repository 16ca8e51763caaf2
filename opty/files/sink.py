"""Writing HDF5 when the disk may be full: the failure is an OSError, where the HDF5 library would end the process.

When HDF5 1.14 closes a file it repeats the writes that failed, and crashes (seen with h5py 3.16). So the failure is
hidden from the library, all later writes are dropped, and the error is raised once the file is closed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[h5py.File]:
    """Open a new HDF5 file for writing; OSError at the end of the block where the disk did not take all of it.

    ``options`` are those of h5py.File.
    """
    with open(path, "w+b", buffering=0) as raw:
        sink = _Sink(raw)
        try:
            with h5py.File(sink, "w", **options) as file:
                yield file
        finally:
            if sink.failed is not None:
                raise OSError(sink.failed.errno, sink.failed.strerror, str(path)) from sink.failed


class _Sink(io.RawIOBase):
    """A file that keeps its first failure and drops every write after it."""

    def __init__(self, raw: io.FileIO):
        self._raw = raw
        self.failed: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self.failed is None:
                left = left[self._raw.write(left) :]
        except OSError as error:
            self.failed = error
        return size

    def readinto(self, buffer: Any) -> int:
        if self.failed is None:
            return self._raw.readinto(buffer)
        buffer[:] = bytes(len(buffer))
        return len(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def truncate(self, size: int | None = None) -> int:
        if self.failed is None:
            try:
                return self._raw.truncate(size)
            except OSError as error:
                self.failed = error
        return self.tell() if size is None else size
