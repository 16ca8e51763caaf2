"""The CUDA sources of opty/kernels: compiled by instance, launched on CuPy's current stream.

A kernel is compiled when its types are first asked for (about 0.1 s) and kept for the process. The kernels need
compute capability 6.0 or newer (64-bit atomics).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy
import numpy as np

# Roots and quotients to the last bit but one take half the time of exact ones; denormals are taken for zero.
OPTIONS = ("-std=c++17", "-ftz=true", "-prec-sqrt=false", "-prec-div=false")
REALS = {"f4": "float", "f8": "double"}
PIXELS = {"f4": "float, 1", "f8": "double, 1", "c8": "float, 2", "c16": "double, 2"}
INDICES = {"i4": "int", "i8": "long long"}
COUNTS = {
    "i1": "signed char",
    "u1": "unsigned char",
    "i2": "short",
    "u2": "unsigned short",
    "i4": "int",
    "u4": "unsigned int",
    "i8": "long long",
    "u8": "unsigned long long",
    "f4": "float",
    "f8": "double",
}
TILE = (32, 8)
THREADS = 256
FEW_THREADS = 32  # a warp adds up the parts of a sum
# Enough blocks to fill any present device several times over; more would only lengthen the sum of partial results.
MAX_BLOCKS = 8192
MAX_GRID_YZ = 65535  # CUDA's own limit
# A null pointer of the right width: CuPy 13 and 14 do not document what None means to a RawKernel.
NULL = np.intp(0)

_FOLDER = Path(__file__).resolve().parents[1] / "kernels"
_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)


HEADERS: dict[str, Callable[[], str]] = {}  # that no file holds, by name: what returns their text


@functools.cache
def source(file: str) -> str:
    """Return the text of opty/kernels/``file``.cu, with the headers that it includes put in, each once.

    ``#include "..."`` names a file below opty/kernels, or one of HEADERS; the compiler is handed one text.
    """
    there: set[str] = set()

    def text_of(name: str) -> str:
        there.add(name)
        text = HEADERS[name]() if name in HEADERS else (_FOLDER / name).read_text(encoding="utf-8")
        return _INCLUDE.sub(lambda found: "" if found[1] in there else text_of(found[1]), text)

    return text_of(f"{file}.cu")


# One module per instance: to compile all of them takes seconds, and a run uses a few.
@functools.cache
def kernel(file: str, name: str, *types: str) -> Any:
    """Return a kernel of opty/kernels/``file``.cu, for its template arguments."""
    instance = f"{name}<{', '.join(types)}>"
    return cupy.RawModule(code=source(file), options=OPTIONS, name_expressions=(instance,)).get_function(instance)


def launch(file: str, name: str, types: tuple[str, ...], grid: tuple, block: tuple, fields: tuple) -> None:
    """Launch a kernel for its template arguments; nothing happens where there is no block of it."""
    if 0 not in grid:
        kernel(file, name, *types)(grid, block, checked(fields))


def code_of(dtype: np.dtype) -> str:
    """Return a dtype as the tables above name it."""
    return f"{dtype.kind}{dtype.itemsize}"


def count_type(intensity: Any) -> str:
    """Return the CUDA name of the number type of intensities."""
    if code_of(intensity.dtype) not in COUNTS:
        raise TypeError(f"intensity has dtype {intensity.dtype}; give integers, float32 or float64")
    return COUNTS[code_of(intensity.dtype)]


def sizes(*values: int) -> tuple[np.int64, ...]:
    """Return numbers as a kernel takes a ``long long``."""
    return tuple(np.int64(value) for value in values)


def blocks(size: int, threads: int) -> int:
    """Return how many blocks of ``threads`` cover ``size``."""
    return -(-size // threads)


def tile_grid(rows: int, columns: int, depth: int) -> tuple[int, int, int]:
    """Return the grid of blocks TILE that covers an image, ``depth`` times; kernels stride over what it leaves."""
    return (
        min(blocks(columns, TILE[0]), MAX_BLOCKS),
        min(blocks(rows, TILE[1]), min(MAX_BLOCKS, MAX_GRID_YZ)),
        min(depth, MAX_GRID_YZ),
    )


def pixel_grid(pixels: int, views: int) -> tuple[int, int]:
    """Return the grid of blocks of THREADS that covers the pixels of views, MAX_BLOCKS at most."""
    across = min(blocks(pixels, THREADS), MAX_BLOCKS)
    return across, min(views, MAX_BLOCKS // across)


def strided(illum: Any) -> tuple[Any, np.int64]:
    """Return the probe as each view sees it, and how far apart those of two views are: nothing where all share one."""
    return cupy.ascontiguousarray(illum), *sizes(0 if len(illum) == 1 else illum[0].size)


def checked(fields: tuple) -> tuple:
    """Return the arguments of a kernel, which reads arrays as if they were C-contiguous."""
    for a in fields:
        if isinstance(a, cupy.ndarray) and not a.flags.c_contiguous:
            raise ValueError(f"a kernel was given an array of shape {a.shape} and {a.dtype} that is not C-contiguous")
    return fields
