"""The superblock of an HDF5 file: whether another program writes the file (SWMR), and a look at it as if none did.

HDF5 reads metadata of a file in that mode again and again until their checksums are right, for minutes where the file
is damaged. So they are read once before, from a view of the file whose superblock says that nobody writes it.

Source: HDF5 File Format Specification 3.0, section II.A (superblock: free-space index, file consistency flags,
checksum); lookup3, Bob Jenkins (2006), burtleburtle.net/bob/c/lookup3.c.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

SIGNATURE = b"\x89HDF\r\n\x1a\n"
FLAGS, SUM = 11, 44  # bytes of a superblock of version 3: consistency flags, and where its checksum begins
WRITING, SWMR = 0x01, 0x04
MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Superblock:
    """The start of a superblock (64 bytes, or what there is), and where in the file it is."""

    start: bytes
    at: int

    @property
    def flags(self) -> int:
        """Consistency flags; 0 for a version that has none."""
        return self.start[FLAGS] if len(self.start) > FLAGS and self.start[8] == 3 else 0

    @property
    def sound(self) -> bool:
        """Whether a superblock of version 3 with addresses of eight bytes has the checksum that it says."""
        whole = len(self.start) >= SUM + 4 and self.start[9] == 8
        return whole and self.start[SUM : SUM + 4] == checksum(self.start[:SUM]).to_bytes(4, "little")


def superblock(path: Path) -> Superblock | None:
    """Return the superblock of a file, which begins at byte 0, 512, 1024, 2048, ...; None where there is none."""
    with path.open("rb") as stream:
        end, at = stream.seek(0, io.SEEK_END), 0
        while at < end:
            stream.seek(at)
            start = stream.read(64)
            if start.startswith(SIGNATURE):
                return Superblock(start, at)
            at = max(512, 2 * at)
    return None


def check_metadata(path: Path, block: Superblock) -> None:
    """Read all metadata of a file that another program writes (SWMR) once. Raises OSError where they are damaged."""
    if not block.sound:
        raise OSError("its superblock is damaged")
    with _AtRest(path, block) as stream, h5py.File(stream, "r") as f:

        def look(name: str, node: h5py.Group | h5py.Dataset) -> None:
            for key in node.attrs:
                node.attrs.get_id(key)
            if isinstance(node, h5py.Dataset) and node.chunks is not None:
                node.id.get_num_chunks()

        look("/", f)
        f.visititems(look)


class _AtRest(io.FileIO):
    """The bytes of a file, with a superblock that says that nobody writes it."""

    def __init__(self, path: Path, block: Superblock):
        super().__init__(path, "rb")
        quiet = bytearray(block.start[: SUM + 4])
        quiet[FLAGS] = 0
        quiet[SUM:] = checksum(bytes(quiet[:SUM])).to_bytes(4, "little")
        self._quiet, self._at = bytes(quiet), block.at

    def readinto(self, buffer: Any) -> int:
        start = self.tell()
        count = super().readinto(buffer) or 0
        low, high = max(start, self._at), min(start + count, self._at + len(self._quiet))
        if low < high:
            memoryview(buffer).cast("B")[low - start : high - start] = self._quiet[low - self._at : high - self._at]
        return count


def checksum(data: bytes) -> int:
    """lookup3 of some bytes, from 0: the checksum of HDF5's metadata."""
    a = b = c = (0xDEADBEEF + len(data)) & MASK
    words = [int.from_bytes(data[k : k + 4], "little") for k in range(0, len(data), 4)]
    words += [0] * (-len(words) % 3)
    blocks = [words[k : k + 3] for k in range(0, len(words), 3)]
    for x, y, z in blocks[:-1]:
        a, b, c = (a + x) & MASK, (b + y) & MASK, (c + z) & MASK
        for turn in (4, 6, 8, 16, 19, 4):
            a = ((a - c) & MASK) ^ _turned(c, turn)
            c = (c + b) & MASK
            a, b, c = b, c, a
    if not blocks:
        return c
    x, y, z = blocks[-1]
    a, b, c = (a + x) & MASK, (b + y) & MASK, (c + z) & MASK
    for turn in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, turn)) & MASK
        a, b, c = b, c, a
    return b  # what was c before the last exchange


def _turned(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & MASK
