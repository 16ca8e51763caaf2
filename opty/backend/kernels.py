"""The CUDA sources beside this file: compiled by instance, launched on CuPy's current stream.

A kernel is compiled when its types are first asked for (about 0.1 s) and kept for the process. The kernels need
compute capability 6.0 or newer (64-bit atomics).
"""

from __future__ import annotations

import functools
from itertools import product
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from opty.backend.correlation_peaks import REACH

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
MODES_AT_ONCE = 8  # modes that a thread can hold the sums of in its registers

SIDES = (32, 64, 128, 256, 512, 1024)  # n of windows whose transforms are our own, in single precision
MODES_HELD = 4  # modes that a thread can hold eight values of in its registers

TILE = (32, 8)
THREADS = 256
FEW_THREADS = 32  # a warp adds up the parts of a sum
# Enough blocks to fill any present device several times over; more would only lengthen the sum of partial results.
MAX_BLOCKS = 8192
MAX_GRID_YZ = 65535  # CUDA's own limit
# A null pointer of the right width: CuPy 13 and 14 do not document what None means to a RawKernel.
NULL = np.intp(0)

_SIDES, _HELD = ([str(n) for n in SIDES], [str(modes) for modes in range(MODES_HELD + 1)])
# By the name of the .cu file: its kernels, and what each takes as template arguments.
_KERNELS = {
    "finite": {"find_broken": (REALS.values(),), "find_strays": (("double",),)},
    "line": {"best_step": (("double",),)},
    "windows": {
        **{name: (PIXELS.values(), INDICES.values()) for name in ("take_windows", "add_windows")},
        "add_windows_in_order": (PIXELS.values(), INDICES.values()),
        "place": (("double",),),
    },
    "rows": {
        "form_rows": (["float"], _SIDES, ["false", "true"]),
        **{name: (["float"], _SIDES) for name in ("reflect_rows", "back_rows", "back_rows_to_probe")},
        **{name: (["float"], _SIDES) for name in ("advance_rows", "update_rows", "along_rows")},
    },
    "columns": {
        **{name: (["float"], _SIDES, _HELD) for name in ("modulus_columns", "slope_columns")},
        "changes_columns": (["float"], _SIDES),
    },
    "modulus": {"fourier_modulus": (REALS.values(), COUNTS.values())},
    "scaling": {name: (REALS.values(),) for name in ("add_up_power", "take_scale")},
    "exit_waves": {name: (REALS.values(),) for name in ("exit_waves", "reflect", "advance")},
    "accumulate": {
        **{name: (REALS.values(),) for name in ("add_to_object", "add_to_object_in_order", "add_to_probe")},
        "add_to_both": (REALS.values(), [str(modes) for modes in range(1, MODES_AT_ONCE + 1)]),
    },
    "shifts": {name: (REALS.values(),) for name in ("shift", "through_object", "sum_shifted_back", "add_seen")},
    "updates": {
        name: (REALS.values(),)
        for name in ("largest", "add_scaled", "divide", "merge", "largest_of_both", "update_both")
    },
    "likelihood": {
        **{name: (REALS.values(), COUNTS.values()) for name in ("put_slope", "add_up_changes")},
        "along": (REALS.values(),),
        "sum_parts": (("double",),),
    },
    "sense": {
        "add_up_senses": (REALS.values(), ["false", "true"]),
        "keep_senses": (("double",), ["false", "true"]),
        "windows_asked_for": (REALS.values(),),
    },
    "lsq": {
        **{name: (REALS.values(),) for name in ("add_up_products", "add_light", "add_light_in_order")},
        **{name: (REALS.values(),) for name in ("transmission", "add_average")},
        "solve": (("double",),),
    },
    "registration": {
        "contrast": (REALS.values(),),
        **{name: (REALS.values(), [str(REACH)]) for name in ("near_rows", "peak")},
    },
}
_SHARED = {"rows": ("fourier.cuh",), "columns": ("fourier.cuh", "fits.cuh"), "likelihood": ("fits.cuh",)}


def instances() -> dict[str, list[str]]:
    """Return every template instance that the backend can ask for, by the name of its .cu file."""
    return {
        file: [f"{name}<{', '.join(types)}>" for name, choices in kernels.items() for types in product(*choices)]
        for file, kernels in _KERNELS.items()
    }


@functools.cache
def source(file: str) -> str:
    """Return the CUDA C++ text of a .cu file beside this one, after that of what all of them share."""
    here = Path(__file__)
    names = ("common.cuh", *_SHARED.get(file, ()), f"{file}.cu")
    return "".join(here.with_name(name).read_text(encoding="utf-8") for name in names)


# One module per instance: to compile all of them takes seconds, and a run uses a few.
@functools.cache
def kernel(file: str, name: str, *types: str) -> Any:
    """Return a kernel of a .cu file, for its template arguments."""
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
