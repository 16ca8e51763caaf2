"""Datasets packed with filters that trust the lengths in their data: these are checked before HDF5 unpacks anything.

The filters Bitshuffle, LZ4 and Blosc of a chunk find lengths in it that they follow wherever they lead: a damaged one
ends the process, or reads what is not theirs; bzip2 waits for ever for the end of a chunk that is cut. A chunk of
Bitshuffle with LZ4 or Zstandard, and of LZ4, is the size of the unpacked chunk (8 bytes, big-endian), the size of a
block (4), and the blocks, each behind its packed size (4).

Source: bitshuffle (github.com/kiyo-masui/bitshuffle), src/bshuf_h5filter.c and bitshuffle.c; HDF5 filter 32004, LZ4;
c-blosc, README_CHUNK_FORMAT.rst.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import h5py
import numpy as np

BZIP2, BLOSC, LZ4, BITSHUFFLE = 307, 32001, 32004, 32008
TOGETHER = 8  # elements that bitshuffle transposes at a time; what is left over follows as it is
HEAD = 12  # bytes in front of the blocks


@dataclass(frozen=True)
class Check:
    """How the chunks of a dataset are checked.

    ``sound`` : (packed bytes, unpacked bytes, bytes of an element) -> whether the lengths in a chunk can be followed;
    ``bit`` : of the filter, in the mask of those that a chunk was stored without; ``tail`` : bytes behind it.
    """

    sound: Callable[[bytes, int, int], bool]
    bit: int
    tail: int


class Packed(h5py.Dataset):
    """A dataset of which each chunk is checked before it is read."""

    def __init__(self, found: h5py.Dataset, check: Check):
        super().__init__(found.id)
        self._check = check

    def __getitem__(self, args: Any, new_dtype: Any = None) -> Any:
        self.look(_box(self.shape, args))
        return super().__getitem__(args, new_dtype)

    def read_direct(self, dest: np.ndarray, source_sel: Any = None, dest_sel: Any = None) -> None:
        """Read into an array, as h5py's own does."""
        self.look(_box(self.shape, () if source_sel is None else source_sel))
        super().read_direct(dest, source_sel, dest_sel)

    def look(self, box: list[tuple[int, int]]) -> None:
        """Check the chunks that a box reaches into; ``box`` : (first, last + 1) of each axis. Raises OSError."""
        check, whole = self._check, prod(self.chunks) * self.dtype.itemsize
        starts = [range(a - a % n, b, n) for (a, b), n in zip(box, self.chunks, strict=True)]
        for place in product(*starts):
            info = self.id.get_chunk_info_by_coord(place)
            if info.byte_offset is None:  # never written
                continue
            if info.size > self.file.id.get_filesize():
                raise OSError(f"the packed data of {self.name} at {place} are said to be {info.size} bytes long")
            skipped, raw = self.id.read_direct_chunk(place)
            raw = raw[: len(raw) - check.tail]
            if not (len(raw) == whole if skipped & check.bit else check.sound(raw, whole, self.dtype.itemsize)):
                raise OSError(f"the packed data of {self.name} at {place} are damaged")


class Assembled(h5py.Dataset):
    """A virtual dataset, of whose parts the chunks are checked; ``parts`` : (first view, last, first in part, part)."""

    def __init__(self, found: h5py.Dataset, parts: list[tuple[int, int, int, Packed]]):
        super().__init__(found.id)
        self._parts = parts

    def __getitem__(self, args: Any, new_dtype: Any = None) -> Any:
        self._look(args)
        return super().__getitem__(args, new_dtype)

    def read_direct(self, dest: np.ndarray, source_sel: Any = None, dest_sel: Any = None) -> None:
        """Read into an array, as h5py's own does."""
        self._look(() if source_sel is None else source_sel)
        super().read_direct(dest, source_sel, dest_sel)

    def _look(self, args: Any) -> None:
        a, b = _box(self.shape, args)[0] if self.shape else (0, 1)
        for first, last, start, part in self._parts:
            low, high = max(a, first), min(b, last + 1)
            if low < high:
                views = (low - first + start, high - first + start)
                part.look([views, *((0, n) for n in part.shape[1:])])


def guarded(found: h5py.Dataset, sources: Iterable[tuple[Any, h5py.Dataset]] = ()) -> h5py.Dataset:
    """Return a dataset with its chunks guarded, where a filter of it needs that; ``sources`` : of a virtual one."""
    if found.is_virtual:
        parts = list(_parts(sources))
        return Assembled(found, parts) if parts else found
    check = _check_of(found)
    return found if check is None else Packed(found, check)


def check_whole(found: h5py.Dataset) -> None:
    """Check all chunks of a dataset. Raises OSError."""
    if isinstance(one := guarded(found), Packed):
        one.look([(0, n) for n in one.shape])


def _parts(sources: Iterable[tuple[Any, h5py.Dataset]]) -> Iterator[tuple[int, int, int, Packed]]:
    """The parts of a virtual dataset that are guarded, and their views; where that is not plain, all are checked."""
    for source, part in sources:
        one = guarded(part)
        if not isinstance(one, Packed):
            continue
        views, own = _reach(source.vspace), _reach(source.src_space) or (0, one.shape[0] - 1)
        if views is None or views[1] - views[0] != own[1] - own[0] or own[1] >= one.shape[0]:
            one.look([(0, n) for n in one.shape])
        else:
            yield *views, own[0], one


def _reach(space: h5py.h5s.SpaceID) -> tuple[int, int] | None:
    """The first and the last view that is selected; None where that is not said, as of all of a source."""
    try:
        (first, *_), (last, *_) = space.get_select_bounds()
    except (RuntimeError, ValueError):
        return None
    return int(first), int(last)


def _check_of(found: h5py.Dataset) -> Check | None:
    """The check for a filter of a dataset that follows lengths. Raises ValueError for one that is not the last."""
    if found.chunks is None or found.shape is None:
        return None
    plan = found.id.get_create_plist()
    steps = [plan.get_filter(k)[:3] for k in range(plan.get_nfilters())]
    for code, _, values in steps:
        if code == BITSHUFFLE and (len(values) < 3 or values[2] != found.dtype.itemsize):
            raise ValueError(f"{found.name} is set up for packed elements of another size: it is damaged")
    summed = bool(steps) and steps[-1][0] == h5py.h5z.FILTER_FLETCHER32
    if summed:  # HDF5 compares the sum, which comes last, before it hands the chunk on
        steps.pop()
    trusting = [k for k, step in enumerate(steps) if step[0] in (BZIP2, BLOSC, LZ4, BITSHUFFLE) and not _alone(*step)]
    if not trusting:
        return None
    if trusting != [len(steps) - 1]:
        raise ValueError(f"{found.name} is packed with several filters, one over the other: repack it with one of them")
    sound = {BZIP2: _sound_bzip2, BLOSC: _sound_blosc, LZ4: _sound_lz4, BITSHUFFLE: _sound_blocks}[steps[-1][0]]
    return Check(sound, 1 << trusting[0], 4 if summed else 0)


def _alone(code: int, flags: int, values: tuple[int, ...]) -> bool:
    """Whether bitshuffle puts bits into another order alone, and packs nothing."""
    return code == BITSHUFFLE and (len(values) < 5 or values[4] == 0)


def _sound_blocks(raw: bytes, whole: int, size: int) -> bool:
    """Whether the blocks of bitshuffle lie within the chunk."""
    if len(raw) < HEAD or int.from_bytes(raw[:8], "big") != whole:
        return False
    block = int.from_bytes(raw[8:HEAD], "big")
    if block == 0 or block % (size * TOGETHER):
        return False
    rest = whole % block
    over = rest % (size * TOGETHER)
    blocks = whole // block + (rest > over)
    end = _end(raw, blocks)
    return end is not None and end + over <= len(raw)


def _sound_lz4(raw: bytes, whole: int, size: int) -> bool:
    """Whether the blocks of LZ4 lie within the chunk."""
    if len(raw) < HEAD or int.from_bytes(raw[:8], "big") != whole:
        return False
    block = int.from_bytes(raw[8:HEAD], "big")
    return block > 0 and _end(raw, -(-whole // block)) is not None


def _end(raw: bytes, blocks: int) -> int | None:
    """Where so many blocks end; None where they do not lie within the chunk."""
    at = HEAD
    for _ in range(blocks):
        if at + 4 > len(raw):
            return None
        at += 4 + int.from_bytes(raw[at : at + 4], "big")
    return at if at <= len(raw) else None


def _sound_bzip2(raw: bytes, whole: int, size: int) -> bool:
    """Whether a chunk of bzip2 comes to an end: its filter waits for ever for what is cut off."""
    unpacker = bz2.BZ2Decompressor()
    try:
        return len(unpacker.decompress(raw, whole + 1)) == whole and unpacker.eof
    except (OSError, EOFError, ValueError):
        return False


def _sound_blosc(raw: bytes, whole: int, size: int) -> bool:
    """Whether a chunk of Blosc says its own sizes."""
    return (
        len(raw) >= 16
        and int.from_bytes(raw[4:8], "little") == whole
        and int.from_bytes(raw[12:16], "little") == len(raw)
    )


def _box(shape: tuple[int, ...], args: Any) -> list[tuple[int, int]]:
    """(first, last + 1) of each axis that a selection reaches; the whole axis where that is not plain."""
    box = [(0, n) for n in shape]
    for k, one in enumerate(args if isinstance(args, tuple) else (args,)):
        if k >= len(shape) or one is Ellipsis or isinstance(one, str):
            break
        if isinstance(one, slice):
            index = range(*one.indices(shape[k]))
            box[k] = (min(index[0], index[-1]), max(index[0], index[-1]) + 1) if len(index) else (0, 0)
        elif isinstance(one, (int, np.integer)) and not isinstance(one, (bool, np.bool_)):
            place = int(one) % shape[k] if shape[k] else 0
            box[k] = (place, place + 1)
    return box
