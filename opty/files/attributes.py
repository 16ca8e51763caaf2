"""Attributes and texts of HDF5 files, parsed from the bytes of the file.

The HDF5 library allocates a text of variable length before it checks that there is one, up to 4 GiB for one damaged
byte, and loops for ever in a heap that has an object of size 0. Source: HDF5 File Format Specification 3.0,
sections III.E (global heap) and IV.A (object headers).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import h5py
import numpy as np

LONGEST = 1 << 20  # bytes of a text: a recipe, a record of a source
BLOCKS, BLOCK = 64, 1 << 16  # of an object header: how many, and how long
ELEMENT = struct.Struct("<IQI")  # how a text of variable length is kept: its length, and where in which heap
HEAP, OBJECT = struct.Struct("<4sB3xQ"), struct.Struct("<HH4xQ")
ATTRIBUTE, CONTINUATION = 0x0C, 0x10


def attribute(node: h5py.HLObject, name: str, stream: BinaryIO) -> Any:
    """Return an attribute, texts as str, or None where there is none; ``stream`` is the file.

    Raises ValueError for one that is damaged or too long.
    """
    if name not in node.attrs:
        return None
    base = node.file.userblock_size
    kind = h5py.h5a.open(node.id, name.encode()).get_type()
    if kind.get_class() == h5py.h5t.COMPOUND:
        raise ValueError(f"the attribute {name} of {node.name} is a record; expected a number or a text")
    if _varies(kind):
        raw = _raw(stream, h5py.h5o.get_info(node.id).addr + base, name.encode())
        text = None if raw is None else _text(stream, raw[: ELEMENT.size], base)
        if text is None:
            raise ValueError(
                f"the attribute {name} of {node.name} is damaged, or kept in a way that opty does not read"
            )
        return text.decode("utf-8", errors="replace")
    value = node.attrs[name]
    value = value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.dtype.kind == "S" and value.size else value
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def check_texts(found: h5py.Dataset, stream: BinaryIO) -> None:
    """Refuse a dataset of variable length that is damaged; other ones pass."""
    if not _varies(found.id.get_type()):
        return
    offset = found.id.get_offset()
    if offset is None or found.size > 1000:
        raise ValueError(f"{found.name} holds {found.dtype} in a way that opty does not read")
    base = found.file.userblock_size
    stream.seek(offset + base)
    raw = stream.read(found.size * ELEMENT.size)
    if any(_text(stream, raw[at : at + ELEMENT.size], base) is None for at in range(0, len(raw), ELEMENT.size)):
        raise ValueError(f"{found.name} is damaged: its text is not where it should be")


def _varies(kind: h5py.h5t.TypeID) -> bool:
    """Whether a type holds anything of variable length."""
    if isinstance(kind, h5py.h5t.TypeStringID):
        return kind.is_variable_str()
    return kind.detect_class(h5py.h5t.VLEN) or kind.detect_class(h5py.h5t.STRING)


def _text(stream: BinaryIO, element: bytes, base: int) -> bytes | None:
    """A text of variable length from the heap that it is in, or None where the heap is damaged."""
    if len(element) < ELEMENT.size:
        return None
    length, address, index = ELEMENT.unpack(element)
    if length == 0 and address == 0:
        return b""
    if length > LONGEST or address > 1 << 60:
        return None
    stream.seek(base + address)
    mark, version, size = HEAP.unpack(stream.read(HEAP.size).ljust(HEAP.size, b"\0"))
    if mark != b"GCOL" or version != 1 or not HEAP.size <= size <= 2 * LONGEST:
        return None
    data, at, found = stream.read(size - HEAP.size), 0, None
    if len(data) < size - HEAP.size:
        return None
    while at + OBJECT.size <= len(data):
        number, _, held = OBJECT.unpack_from(data, at)
        step = held if number == 0 else OBJECT.size + -(-held // 8) * 8
        if step < OBJECT.size or at + step > len(data):
            return None
        if number == index and number and held >= length:
            found = data[at + OBJECT.size : at + OBJECT.size + length]
        at += step
    return found


def _raw(stream: BinaryIO, address: int, name: bytes) -> bytes | None:
    """The bytes of an attribute in an object header, or None where it is not found there."""
    for body in _messages(stream, address):
        if len(body) < 9 or body[0] not in (1, 2, 3):
            continue
        sizes = struct.unpack_from("<HHH", body, 2)
        at, padded = (9 if body[0] == 3 else 8), body[0] == 1
        if body[at : at + sizes[0]].rstrip(b"\0") == name:
            return body[at + sum(-(-size // 8) * 8 if padded else size for size in sizes) :]
    return None


def _messages(stream: BinaryIO, address: int) -> Iterator[bytes]:
    """The attribute messages of an object header of version 1 or 2, through all its blocks."""
    stream.seek(address)
    start = stream.read(32)
    if start[:4] == b"OHDR":
        flags = start[5]
        at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        blocks = [(address + at + width, int.from_bytes(start[at : at + width], "little"))]
        head, skip, tail = (6 if flags & 4 else 4), 4, 4
    else:
        blocks = [(address + 16, int.from_bytes(start[8:12], "little"))]
        head, skip, tail = 8, 0, 0
    for number in range(BLOCKS):
        if number >= len(blocks):
            return
        place, length = blocks[number]
        stream.seek(place + (skip if number else 0))
        data = stream.read(min(length - (skip + tail if number else 0), BLOCK))
        at = 0
        while at + head <= len(data):
            kind, size = struct.unpack_from("<BH" if skip else "<HH", data, at)
            body = data[at + head : at + head + size]
            at += head + size
            if kind == CONTINUATION and len(body) >= 16:
                blocks.append(struct.unpack_from("<QQ", body))
            elif kind == ATTRIBUTE:
                yield body
