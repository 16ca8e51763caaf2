"""The kind of a file (HDF5, npz, npy, TIFF, a folder), the names at its top level, and access to its contents.

Compressed files (bz2, gzip) are unwrapped in memory. Nothing is ever unpickled.
"""

from __future__ import annotations

import bz2
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import h5py
import numpy as np

from opty.errors import FormatError
from opty.files import npy, tiff
from opty.files.filters import DEFLATED
from opty.files.hdf5 import open_hdf5
from opty.files.superblock import SIGNATURE
from opty.files.tree import Tree
from opty.words import near

MARKS = (
    "creator",
    "holds",
    "opty_format",
    "opty_version",
    "opty_propagation",
    "opty_focus_to_sample",
    "opty_voltage",
    "opty_semi_angle",
)
SLOTS = 20011  # of HDF5's chunk cache, a prime
ZIP = b"PK\x03\x04"
WRAPPINGS = {b"BZh": ("bz2", bz2.BZ2Decompressor), b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(wbits=31))}
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


class Container:
    """A file opened for a first look.

    ``kind`` is "hdf5", "npz", "npy", "tiff", "folder" or "other"; ``names`` the keys of an npz or the names at the root
    of an HDF5 file; ``attrs`` opty's marks among the attributes of that root; ``wrapping`` "bz2", "gzip" or None.
    ``links`` are the names of other files that links in it may lead to; ``beside`` the other files that were read
    together with it; ``growing`` those of all these that another program still writes (SWMR); ``chunk_cache`` the
    bytes of unpacked chunks that HDF5 keeps (None: its own default).

    Raises
    ------
    FileNotFoundError, PermissionError : the file cannot be opened.
    FormatError : it is empty or truncated.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).absolute()
        self.wrapping: str | None = None
        self._payload: bytes | None = None
        self.names: frozenset[str] = frozenset()
        self.attrs: dict[str, Any] = {}
        self.links: str | Iterable[str] | None = None
        self.chunk_cache: int | None = None
        self.beside: list[Path] = []
        self.growing: set[Path] = set()
        if self.path.is_dir():
            self.kind, self.head = "folder", b""
            return
        self.head = self._unwrapped(_first_bytes(self.path))
        if self.head.startswith(SIGNATURE) or (self._payload is None and h5py.is_hdf5(self.path)):
            self.kind = "hdf5"
            self._look_at_root()
        elif self.head.startswith(ZIP):
            self.kind = "npz"
            self.names = self._members()
        elif self.head.startswith(npy.MAGIC):
            self.kind = "npy"
        elif self.head.startswith(tiff.MAGIC):
            self.kind = "tiff"
        else:
            self.kind = "other"

    def _look_at_root(self) -> None:
        try:
            with self.tree() as tree:
                self.names = frozenset(tree.names("/"))
                found = {name: tree.attribute(tree.file, name) for name in MARKS}
                self.attrs = {name: value for name, value in found.items() if value is not None}
        except (TypeError, ValueError) as error:  # h5py raises these for an invalid type of data
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{self.path} is truncated or damaged HDF5: {error}") from error

    def _unwrapped(self, head: bytes) -> bytes:
        for magic, (name, unpacker) in WRAPPINGS.items():
            if head.startswith(magic):
                try:
                    self._payload = _unpacked(self.path.read_bytes(), unpacker)
                except (EOFError, ValueError, OSError, zlib.error) as error:
                    raise FormatError(f"{self.path} is truncated or damaged {name} data: {error}") from error
                self.wrapping, head = name, self._payload[:64]
        if len(head) < 8:
            raise FormatError(
                f"{self.path} is {'empty' if not head else f'truncated: it holds only {len(head)} bytes'}"
            )
        return head

    def _stream(self) -> str | io.BytesIO:
        return str(self.path) if self._payload is None else io.BytesIO(self._payload)

    @contextmanager
    def hdf5(self) -> Iterator[h5py.File]:
        """Open as HDF5 for reading; an error while reading becomes a FormatError."""
        try:
            file, growing = open_hdf5(self._stream(), self.path, **self._cache())
            if growing:
                self.growing.add(self.path)
            with file:
                yield file
        except BlockingIOError:
            raise
        except (OSError, KeyError, RuntimeError) as error:
            raise FormatError(f"{self.path} is truncated or damaged HDF5: {error}") from error

    def _cache(self) -> dict[str, int]:
        """Settings of HDF5's chunk cache: enough slots that chunks of 4 KiB and more do not evict one another."""
        return {} if self.chunk_cache is None else {"rdcc_nbytes": self.chunk_cache, "rdcc_nslots": SLOTS}

    @contextmanager
    def tree(self) -> Iterator[Tree]:
        """Open as HDF5 with the checks of tree.py."""
        with self.hdf5() as file, self.stream() as stream:
            tree = Tree(file, self.path, stream, self.links, self.growing)
            try:
                yield tree
            finally:
                self.beside = list(tree.others)
                tree.close()

    def _members(self) -> frozenset[str]:
        with self._zip_errors(), zipfile.ZipFile(self._stream()) as archive:
            for member in archive.infolist():
                archive.open(member).close()  # compares its name with the one in the directory, which has no checksum
            if (counted := self._counted()) not in (len(archive.infolist()), 0xFFFF):
                raise zipfile.BadZipFile(f"its directory lists {len(archive.infolist())} of {counted} arrays")
            return frozenset(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))

    def _counted(self) -> int:
        """Return the number of members in the last record of a zip file."""
        with self.stream() as stream:
            stream.seek(-min(1 << 16, stream.seek(0, io.SEEK_END)), io.SEEK_END)
            end = stream.read()
        at = end.rfind(b"PK\x05\x06")
        return int.from_bytes(end[at + 10 : at + 12], "little")

    def array(self, key: str) -> np.ndarray:
        """Read an array of an npz; FormatError where it is a pickle or damaged."""
        with self._zip_errors(), zipfile.ZipFile(self._stream()) as archive:
            member = archive.getinfo(f"{key}.npy")
            if member.file_size > DEFLATED * max(member.compress_size, 1):
                raise FormatError(f"{self.path}: array {key!r} promises {member.file_size} bytes, which it cannot hold")
            with archive.open(member) as stream:
                return self._npy(stream, member.file_size, f"array {key!r} ")

    def npy(self) -> np.ndarray:
        """Read the array of an npy file."""
        with self.stream() as stream:
            return self._npy(stream, stream.seek(0, io.SEEK_END), "")

    def npy_shape(self) -> tuple[int, ...]:
        """Return the shape of the array in an npy file without reading it."""
        with self.stream() as stream:
            return npy.header(stream)[0]

    @contextmanager
    def tiff(self) -> Iterator[tiff.LazyFrames]:
        """Open as a TIFF stack."""
        with self.stream() as stream:
            try:
                with tiff.opened(stream, self.path) as stack:
                    yield stack
            except tiff.Unreadable as error:
                raise FormatError(f"{self.path} {error}") from error

    def _npy(self, stream: IO[bytes], size: int, name: str) -> np.ndarray:
        try:
            return npy.read(stream, size)
        except ValueError as error:
            raise FormatError(f"{self.path}: {name}{error}") from error

    def stream(self) -> BinaryIO:
        """Open the (unwrapped) bytes."""
        return self.path.open("rb") if self._payload is None else io.BytesIO(self._payload)

    @contextmanager
    def _zip_errors(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeDecodeError) as error:
            raise FormatError(f"{self.path} is a truncated or damaged npz (zip) file: {error}") from error

    def looks(self) -> str:
        """Describe what the file looks like, for the error about a format that is not known."""
        if self.kind == "folder":
            return "a folder"
        if self.kind == "npz":
            return f"an npz (zip) file with the arrays {_listed(self.names)}"
        if self.kind == "hdf5":
            return f"an HDF5 file with {_listed(self.names)} at its root"
        for magic, text in FAMILIAR.items():
            if self.head.startswith(magic):
                return text
        start = self.head[:16]
        return f"{'text' if _printable(self.head) else 'binary data'} that starts with {start!r}"


def _unpacked(packed: bytes, unpacker: Callable[[], Any]) -> bytes:
    """Unpack bz2 or gzip data, of several streams too; EOFError where they break off, ValueError for a bomb."""
    out, limit = bytearray(), DEFLATED * len(packed)
    while packed:
        one = unpacker()
        while not one.eof:
            piece = one.decompress(packed, 1 << 20)
            packed = getattr(one, "unconsumed_tail", b"")
            if not piece and not packed and not one.eof:
                raise EOFError("the data end too early")
            out += piece
            if len(out) > limit:
                raise ValueError(f"it unpacks to more than {DEFLATED} times its size; unpack it first")
        packed = one.unused_data.lstrip(b"\0")
    return bytes(out)


def _first_bytes(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}{_neighbours(path)}")
    with path.open("rb") as file:
        return file.read(64)


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor a folder {path.parent})"
    names = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
    close = near(path.name, names, many=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _listed(names: frozenset[str]) -> str:
    shown = sorted(names)[:12]
    return (", ".join(shown) if shown else "nothing") + (", ..." if len(names) > len(shown) else "")


def _printable(head: bytes) -> bool:
    try:
        return all(c.isprintable() or c.isspace() for c in head.decode("utf-8", errors="strict"))
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
