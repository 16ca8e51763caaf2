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
from opty.files.superblock import SWMR, WRITING, check_metadata, superblock

UNDEFINED = b"\xff" * 8  # an address of nothing


def open_hdf5(source: str | io.BytesIO, path: Path, **settings: Any) -> tuple[h5py.File, bool]:
    """Open a file; return it, and whether another program still writes it in the mode for concurrent reading (SWMR).

    Raises FormatError for a file that is open for writing in any other way, OSError for one that is damaged.
    """
    block = superblock(path) if isinstance(source, str) else None
    start = b"" if block is None else block.start
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
        if block is not None and block.flags & SWMR:
            check_metadata(path, block)
            return h5py.File(source, "r", swmr=True, **settings), True
        if block is not None and block.flags & WRITING:
            raise FormatError(
                f"another program writes {path} at the moment, or broke off while it did: try again when it has "
                f"finished; if none runs, h5clear -s {shlex.quote(path.name)} makes the file readable"
            ) from None
        raise


def being_written(path: Path) -> bool:
    """Say whether a file is marked as open for writing; HDF5 marks it from version 3 of its superblock on."""
    block = superblock(path)
    return block is not None and bool(block.flags & (SWMR | WRITING))
