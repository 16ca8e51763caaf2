"""Opening HDF5 files for reading, also those that another program still writes.

Source: HDF5 File Format Specification 3.0, section II.A (superblock: free-space index, file consistency flags).
"""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import h5py

from opty.errors import FormatError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
FLAGS = 11  # byte of a superblock of version 3
WRITING, SWMR = 0x01, 0x04
UNDEFINED = b"\xff" * 8  # an address of nothing


def open_hdf5(source: str | io.BytesIO, path: Path, **settings: Any) -> tuple[h5py.File, bool]:
    """Open a file; return it, and whether another program still writes it in the mode for concurrent reading (SWMR).

    Raises FormatError for a file that is open for writing in any other way, OSError for one that is damaged.
    """
    start = _superblock(path) if isinstance(source, str) else b""
    if len(start) >= 48 and start[8] in (0, 1) and start[13] == 8:
        at = 32 if start[8] == 0 else 36
        if start[at : at + 8] != UNDEFINED:  # HDF5 would take any other address for a size, and allocate it
            raise OSError("its superblock has an address for what HDF5 does not keep there")
    try:
        return h5py.File(source, "r", **settings), False
    except BlockingIOError as error:
        error.add_note(f"another program is writing {path}; try again when it has finished")
        raise
    except OSError:
        flags = start[FLAGS] if len(start) > FLAGS and start[8] == 3 else 0
        if flags & SWMR:
            return h5py.File(source, "r", swmr=True, **settings), True
        if flags & WRITING:
            raise FormatError(
                f"another program writes {path} at the moment, or broke off while it did: try again when it has "
                f"finished; if none runs, h5clear -s {shlex.quote(path.name)} makes the file readable"
            ) from None
        raise


def being_written(path: Path) -> bool:
    """Say whether a file is marked as open for writing; HDF5 marks it from version 3 of its superblock on."""
    start = _superblock(path)
    return len(start) > FLAGS and start[8] == 3 and bool(start[FLAGS] & (SWMR | WRITING))


def _superblock(path: Path) -> bytes:
    """The start of the superblock; empty where there is none. It begins at byte 0, 512, 1024, 2048 ..."""
    with path.open("rb") as stream:
        end, at = stream.seek(0, io.SEEK_END), 0
        while at < end:
            stream.seek(at)
            start = stream.read(64)
            if start.startswith(SIGNATURE):
                return start
            at = max(512, 2 * at)
    return b""
