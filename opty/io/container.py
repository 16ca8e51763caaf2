"""A file seen from outside: which container it is (HDF5, npz, ...), what its top level names are, and access to both.

Compressed files (bz2, gzip) are unwrapped in memory. Nothing is ever unpickled.
"""

from __future__ import annotations

import bz2
import difflib
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from opty.errors import FormatError

HDF5 = b"\x89HDF\r\n\x1a\n"
MARKS = ("creator", "holds", "opty_format", "opty_version")
ZIP = b"PK\x03\x04"
WRAPPINGS = {b"BZh": ("bz2", bz2.decompress), b"\x1f\x8b": ("gzip", gzip.decompress)}
FAMILIAR = {
    b"\x93NUMPY": "a single NumPy array (.npy)",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"MATLAB 5": "a MATLAB file of version 5",
    b"CDF": "a NetCDF file of version 3",
    b"\xfd7zXZ": "an xz archive: unpack it first",
    b"\x80\x02}": "a Python pickle, which opty never runs",
    b"\x80\x03": "a Python pickle, which opty never runs",
    b"\x80\x04\x95": "a Python pickle, which opty never runs",
    b"\x80\x05\x95": "a Python pickle, which opty never runs",
}
LAYOUTS = {"ptychogram": "PtyLab data", "chunks": "prepared PtyPy data (.ptyd)", "content": "a PtyPy result (.ptyr)"}


class Container:
    """A file opened for a first look.

    ``kind`` is "hdf5", "npz" or "other"; ``names`` the keys of an npz or the names at the root of an HDF5 file;
    ``attrs`` opty's marks among the attributes of that root; ``wrapping`` "bz2", "gzip" or None.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError : the file cannot be opened.
    FormatError : it is empty or truncated.
    """

    def __init__(self, path):
        self.path = Path(path).absolute()
        self.wrapping: str | None = None
        self._payload: bytes | None = None
        self.head = self._unwrapped(_first_bytes(self.path))
        self.names: frozenset[str] = frozenset()
        self.attrs: dict[str, object] = {}
        if self.head.startswith(HDF5) or (self._payload is None and h5py.is_hdf5(self.path)):
            self.kind = "hdf5"
            self._look_at_root()
        elif self.head.startswith(ZIP):
            self.kind = "npz"
            self.names = self._members()
        else:
            self.kind = "other"

    def _look_at_root(self) -> None:
        try:
            with self.hdf5() as file:
                self.names = frozenset(file)
                self.attrs = {name: file.attrs[name] for name in MARKS if name in file.attrs}
        except TypeError as error:  # h5py's word for a type of data that makes no sense
            raise FormatError(f"{self.path} is truncated or damaged HDF5: {error}") from error

    def _unwrapped(self, head: bytes) -> bytes:
        for magic, (name, unpack) in WRAPPINGS.items():
            if head.startswith(magic):
                try:
                    self._payload = unpack(self.path.read_bytes())
                except (EOFError, ValueError, OSError, zlib.error) as error:
                    raise FormatError(f"{self.path} is truncated or damaged {name} data: {error}") from error
                self.wrapping, head = name, self._payload[:64]
        if len(head) < 8:
            raise FormatError(
                f"{self.path} is {'empty' if not head else f'truncated: it holds only {len(head)} bytes'}"
            )
        return head

    def _stream(self):
        return str(self.path) if self._payload is None else io.BytesIO(self._payload)

    @contextmanager
    def hdf5(self) -> Iterator[h5py.File]:
        """Open as HDF5 for reading; what breaks off meanwhile becomes a FormatError that says so."""
        try:
            with h5py.File(self._stream(), "r") as file:
                yield file
        except BlockingIOError as error:
            error.add_note(f"another program is writing {self.path}; try again when it has finished")
            raise
        except (OSError, KeyError, RuntimeError) as error:
            raise FormatError(f"{self.path} is truncated or damaged HDF5: {error}") from error

    def _members(self) -> frozenset[str]:
        with self._zip_errors(), zipfile.ZipFile(self._stream()) as archive:
            return frozenset(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))

    def array(self, key: str) -> np.ndarray:
        """Read an array of an npz; FormatError where it is a pickle or damaged."""
        try:
            with self._zip_errors(), np.load(self._stream(), allow_pickle=False) as archive:
                array = archive[key]
        except ValueError as error:
            if isinstance(error, FormatError):
                raise
            reason = "holds Python objects (a pickle), which opty never runs" if "pickle" in str(error) else error
            raise FormatError(f"{self.path}: array {key!r} {reason}") from error
        if not isinstance(array, np.ndarray):
            raise FormatError(f"{self.path}: {key!r} is no NumPy array")
        return array

    @contextmanager
    def _zip_errors(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise FormatError(f"{self.path} is a truncated or damaged npz (zip) file: {error}") from error

    def looks(self) -> str:
        """Describe what the file looks like, for the error about a format that is not known."""
        if self.kind == "npz":
            return f"an npz (zip) file with the arrays {_listed(self.names)}"
        if self.kind == "hdf5":
            hint = next((f"; it looks like {text}" for name, text in LAYOUTS.items() if name in self.names), "")
            return f"an HDF5 file with {_listed(self.names)} at its root{hint}"
        for magic, text in FAMILIAR.items():
            if self.head.startswith(magic):
                return text
        start = self.head[:16]
        return f"{'text' if _printable(self.head) else 'binary data'} that starts with {start!r}"


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}{_neighbours(path)}")
    with path.open("rb") as file:
        return file.read(64)


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor a folder {path.parent})"
    names = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
    close = difflib.get_close_matches(path.name, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _listed(names: frozenset[str]) -> str:
    shown = sorted(names)[:12]
    return (", ".join(shown) if shown else "nothing") + (", ..." if len(names) > len(shown) else "")


def _printable(head: bytes) -> bool:
    try:
        return all(c.isprintable() or c.isspace() for c in head.decode("utf-8", errors="strict"))
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
