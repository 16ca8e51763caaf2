"""Frames of Merlin (Medipix3) detectors in .mib files: a text header and an image for each frame, raw or processed.

Source: Quantum Detectors, Merlin manual (MQ1 header); the order of pixels in raw images as LiberTEM documents it
(Clausen et al., JOSS 5, 2006 (2020)).
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import BinaryIO

import numpy as np

MAGIC = b"MQ1,"
LONGEST = 1 << 14  # bytes of a header
PROCESSED = {"U08": "u1", "U16": ">u2", "U32": ">u4"}
DEPTHS = {1: "u1", 6: "u1", 12: "u2", 24: "u4"}  # bits of a counter -> type of its counts
QUAD = 4  # chips


@dataclass(frozen=True)
class Header:
    """The header of the first frame: its length [bytes], chips, image (rows, columns), depth in the file, bits."""

    length: int
    chips: int
    rows: int
    columns: int
    depth: str
    bits: int | None
    _: KW_ONLY
    layout: str


class MibStack:
    """The images (N, rows, columns) of a .mib file; an incomplete last one is left out.

    Raw images of one chip or of two by two chips are put into order as processed ones are: counters of 1, 6, 12 and 24
    bits (24 of one chip only). Raises ValueError for a header that makes no sense, and for a kind that is not read.
    """

    def __init__(self, stream: BinaryIO):
        self.stream = stream
        size = stream.seek(0, 2)
        stream.seek(0)
        self.header = header = parsed(stream.read(LONGEST))
        if header.depth in PROCESSED:
            self.stored = np.dtype(PROCESSED[header.depth])
            self.dtype = self.stored.newbyteorder("=")
            self.shape: tuple[int, ...] = (0, header.rows, header.columns)
            self.frame = header.rows * header.columns * self.stored.itemsize
        else:
            self.dtype, edges, self.frame = _raw_layout(header)
            self.shape = (0, *edges)
        self.shape = (size // (header.length + self.frame), *self.shape[1:])
        if self.shape[0] == 0:
            raise ValueError(f"it promises an image of {header.rows} x {header.columns}, and is shorter than that")

    def read(self, index: np.ndarray) -> np.ndarray:
        """Read some images (B, rows, columns); ValueError where a frame does not begin with its header."""
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        for k, j in enumerate(index):
            self.stream.seek(int(j) * (self.header.length + self.frame))
            head, body = self.stream.read(self.header.length), self.stream.read(self.frame)
            if not head.startswith(MAGIC) or len(body) != self.frame:
                raise ValueError(f"frame {j} does not begin with its header: the file is truncated or damaged")
            if self.header.depth in PROCESSED:
                out[k] = np.frombuffer(body, self.stored).reshape(self.shape[1:])
            else:
                out[k] = _decoded(np.frombuffer(body, np.uint8), self.header, self.shape[1:])
        return out


def parsed(start: bytes) -> Header:
    """Read the header at the start of a frame; ValueError where it makes no sense."""
    words = start.split(b",")
    try:
        length, chips, columns, rows = (int(words[k]) for k in (2, 3, 4, 5))
        fields = [word.strip(b"\0 \r\n") for word in start[:length].split(b",")]
        depth, layout = (fields[k].decode("ascii") for k in (6, 7))
        numbers = [field for field in fields[8:] if field]
        last = numbers[-1].decode("ascii") if numbers else ""
    except (ValueError, IndexError) as error:
        raise ValueError(f"its header makes no sense: {start[:48]!r} ({error})") from None
    if not 64 <= length <= LONGEST or not 1 <= chips <= 64 or not all(1 <= edge <= 1 << 14 for edge in (rows, columns)):
        raise ValueError(f"its header makes no sense: {start[:48]!r}")
    if depth not in (*PROCESSED, "R64"):
        raise ValueError(f"its images are of the kind {depth!r}; opty reads {', '.join(PROCESSED)} and R64")
    bits = int(last) if last.isdecimal() and int(last) in DEPTHS else None
    return Header(length, chips, rows, columns, depth, bits, layout=layout.removesuffix("G"))


def _raw_layout(header: Header) -> tuple[np.dtype, tuple[int, int], int]:
    """Type, edges (rows, columns) and bytes of a raw image."""
    if header.bits is None:
        raise ValueError("its images are raw, and its header does not say of how many bits: save them processed")
    if header.chips not in (1, QUAD) or (header.chips == QUAD and (header.layout != "2x2" or header.bits == 24)):
        kind = f"{header.bits} bits from {header.chips} chips ({header.layout})"
        raise ValueError(f"its images are raw, {kind}, the order of which opty does not know: save them processed")
    rows, columns = header.rows, header.columns // (2 if header.bits == 24 else 1)
    pixels = rows * columns
    if pixels % 64 or (header.chips == QUAD and columns != QUAD * rows):
        raise ValueError(f"its raw images have {rows} x {columns} pixels, which {header.chips} chips do not have")
    size = {1: pixels // 8, 6: pixels, 12: 2 * pixels, 24: 4 * pixels}[header.bits]
    return np.dtype(DEPTHS[header.bits]), (rows, columns) if header.chips == 1 else (2 * rows, 2 * rows), size


def _decoded(body: np.ndarray, header: Header, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels of a raw image (rows, columns): every eight bytes of it are in reverse order."""
    columns = header.columns // (2 if header.bits == 24 else 1)
    words = body.reshape(-1, 8)[:, ::-1]
    pixels: np.ndarray
    if header.bits == 1:
        pixels = np.unpackbits(words.reshape(-1), bitorder="little")
    elif header.bits == 6:
        pixels = words.reshape(-1)
    else:
        pixels = np.ascontiguousarray(words).view("<u2").reshape(-1)
    if header.bits == 24:  # two images of 12 bits, the higher bits first
        high, low = pixels.reshape(2, -1).astype(np.uint32)
        pixels = (high << 12) + low
    image = pixels.reshape(header.rows, columns)
    if header.chips == 1:
        return image
    parts = np.split(image, QUAD, axis=1)  # of the chips below, turned by 180 degrees; then of those above
    above, below = (parts[3], parts[2]), (parts[1][::-1, ::-1], parts[0][::-1, ::-1])
    return np.vstack([np.hstack(above), np.hstack(below)]).reshape(shape)
