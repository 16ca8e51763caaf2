"""An HDF5 file that may meet a full disk: the failure is an OSError, where the HDF5 library would end the process.

HDF5 1.14 writes again what could not be written when it closes a file, and crashes (seen with h5py 3.16). Here it never
learns of the failure: what comes after it is thrown away, and the error is raised once the library is done.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py


@contextmanager
def new_hdf5(path: Path, **options) -> Iterator[h5py.File]:
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
    """A file whose first failure is kept, and after which writing goes nowhere."""

    def __init__(self, raw: io.FileIO):
        self._raw = raw
        self.failed: OSError | None = None

    def write(self, data) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self.failed is None:
                left = left[self._raw.write(left) :]
        except OSError as error:
            self.failed = error
        return size

    def readinto(self, buffer) -> int:
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
