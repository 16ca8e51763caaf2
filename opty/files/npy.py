"""NumPy's own file format, read safely: nothing is unpickled, and headers are checked against the file size."""

from __future__ import annotations

import tokenize
from math import prod
from typing import IO

import numpy as np

MAGIC = b"\x93NUMPY"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# Exceptions of NumPy's parser of the header, a Python literal.
TROUBLE = (ValueError, TypeError, SyntaxError, KeyError, RecursionError, MemoryError, tokenize.TokenError)


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read shape, order and dtype at the start of an array; ValueError where they make no sense."""
    try:
        return HEADERS[np.lib.format.read_magic(stream)](stream)
    except TROUBLE as error:
        raise ValueError(f"is a truncated or damaged NumPy array ({error})") from error


def read(stream: IO[bytes], size: int) -> np.ndarray:
    """Read an array whose header and values take ``size`` bytes; ValueError for a pickle or a damaged one."""
    stream.seek(0)
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise ValueError("holds Python objects (a pickle), which opty never runs")
    promised, held = prod(shape) * dtype.itemsize, size - stream.tell()
    if promised != held or any(edge < 0 for edge in shape):
        raise ValueError(f"promises {shape} of {dtype}, {promised} bytes, but is truncated or damaged: it has {held}")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)
