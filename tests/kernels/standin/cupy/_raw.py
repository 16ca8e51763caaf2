"""RawModule and RawKernel: the CUDA C++ text is compiled with g++ and run on the CPU by cuda_on_cpu.hpp."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from . import _capture, _waits
from ._ndarray import ndarray

FOLDER: Path | None = None  # where compiled kernels go; the test plugin sets it
_HEADER = Path(__file__).resolve().parents[1] / "cuda_on_cpu.hpp"
_WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]  # #pragma unroll is nvcc's
_GXX = ["g++", "-std=c++17", "-O1", "-fPIC", "-shared", "-U_FORTIFY_SOURCE", "-ffp-contract=off", *_WARNINGS]
_GUARD = 256  # bytes of 0xff (NaN in floats) around each array, so that an index out of range shows
_TAIL = """
static auto standin_kernel = &%s;
static void standin_body(void** values) { standin::call(standin_kernel, values); }
extern "C" const char* standin_launch(const unsigned* g, const unsigned* b, void** values, int count,
                                      const int* bytes, const int* element_bytes)
{
    const char* wrong = standin::check(standin_kernel, count, bytes, element_bytes);
    if (wrong) return wrong;
    return standin::launch(standin_body, values, dim3{g[0], g[1], g[2]}, dim3{b[0], b[1], b[2]});
}
"""


class RawModule:
    """Kernels of one source text; template instances are compiled when they are asked for."""

    def __init__(self, *, code: str, options: tuple = (), name_expressions=None):
        if not isinstance(code, str) or not isinstance(options, tuple):
            raise TypeError("RawModule needs code: str and options: tuple")
        self.code, self.options, self.names = code, options, tuple(name_expressions or ())

    def get_function(self, name: str) -> RawKernel:
        """Return a kernel by one of the name expressions that the module was made with."""
        if name not in self.names:
            raise RuntimeError(f"CUDA_ERROR_NOT_FOUND: named symbol not found ({name})")
        return RawKernel(_compiled(self.code, name), name)


class RawKernel:
    """One compiled kernel; call it with (grid, block, args) as CuPy's."""

    def __init__(self, launch, name: str):
        self._launch, self.name = launch, name

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
        grid, block = ((*size, 1, 1)[:3] for size in (grid, block))
        if not (0 < grid[0] < 2**31 and 0 < grid[1] < 65536 and 0 < grid[2] < 65536 and 0 < np.prod(block) <= 1024):
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: grid {grid}, block {block}")
        _waits.launched()
        packed = _packed(args)  # here, so that what is wrong shows where a GPU would see it
        if _capture.active():
            _capture.record(lambda *later: self._run(grid, block, later), args)
        else:
            self._run(grid, block, args, packed)

    def _run(self, grid: tuple, block: tuple, args: tuple, packed: list | None = None) -> None:
        packed = _packed(args) if packed is None else packed
        count = len(packed)
        values = (ctypes.c_void_p * count)(*(p.address for p in packed))
        widths = (ctypes.c_int * count)(*(p.bytes for p in packed))
        elements = (ctypes.c_int * count)(*(p.element_bytes for p in packed))
        three = ctypes.c_uint * 3
        wrong = self._launch(three(*grid), three(*block), values, count, widths, elements)
        if wrong:
            raise RuntimeError(f"{self.name}: {wrong.decode()}")
        for p, a in zip(packed, args, strict=True):
            p.hand_back(a, self.name)  # twice for an array that was given twice, with the same values


class _Scalar:
    element_bytes = -1

    def __init__(self, value: np.generic):
        self._box = np.array(value)
        self.address, self.bytes = self._box.ctypes.data, value.dtype.itemsize
        if value.dtype == np.intp and value == 0:
            self.element_bytes = 0  # a zero of a pointer's width is also a null pointer

    def hand_back(self, a, name) -> None:
        """Scalars go by value: nothing to do."""


class _Array:
    bytes = ctypes.sizeof(ctypes.c_void_p)

    def __init__(self, a: ndarray):
        host = a._host
        if not host.flags.c_contiguous:
            raise AssertionError(f"a raw kernel was given an array of shape {a.shape} that is not C-contiguous")
        self._size, self.element_bytes = host.nbytes, host.itemsize
        self._room = np.empty(self._size + 2 * _GUARD + 64, np.uint8)
        start = self._room.ctypes.data
        self._first = _GUARD + -(start + _GUARD) % 64
        self._room[: self._first] = self._room[self._first + self._size :] = 0xFF
        self._inside()[:] = host.reshape(-1).view(np.uint8)
        self._pointer = ctypes.c_void_p(start + self._first)
        self.address = ctypes.addressof(self._pointer)

    def _inside(self) -> np.ndarray:
        return self._room[self._first : self._first + self._size]

    def hand_back(self, a: ndarray, name: str) -> None:
        """Copy the values back and look whether the kernel wrote outside them."""
        around = self._room[: self._first].tobytes() + self._room[self._first + self._size :].tobytes()
        if around.count(0xFF) != len(around):
            raise RuntimeError(f"{name}: CUDA_ERROR_ILLEGAL_ADDRESS: written outside an array of shape {a.shape}")
        if a._host.flags.writeable:
            a._host.reshape(-1).view(np.uint8)[:] = self._inside()


def _packed(args: tuple) -> list:
    """Return what a kernel is handed; an array that is given twice is one memory."""
    arrays = {a._host.ctypes.data: a for a in args if isinstance(a, ndarray)}
    rooms = {at: _Array(a) for at, a in arrays.items()}
    for a in args:
        if isinstance(a, ndarray) and a._host.nbytes != arrays[a._host.ctypes.data]._host.nbytes:
            raise AssertionError("a raw kernel was given two arrays that begin at one address")
    return [rooms[a._host.ctypes.data] if isinstance(a, ndarray) else _pack(a) for a in args]


def _pack(a):
    if isinstance(a, np.generic):
        return _Scalar(a)
    if type(a) in (bool, int, float, complex):
        return _Scalar({bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}[type(a)](a))
    raise TypeError(f"Unsupported type {type(a)}")


@functools.cache
def _compiled(code: str, name: str):
    text = f'#include "{_HEADER}"\n{code}{_TAIL % name}'
    folder = FOLDER or Path(tempfile.mkdtemp(prefix="opty-standin-"))
    key = hashlib.sha256((text + _HEADER.read_text()).encode()).hexdigest()[:24]
    library = folder / f"{key}.so"
    if not library.exists():
        mine = folder / f"{key}.{os.getpid()}"
        source = folder / f"{mine.name}.cpp"  # another process may write and compile the same at the same time
        source.write_text(text)
        run = subprocess.run([*_GXX, "-o", mine, source], capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"NVRTC_ERROR_COMPILATION: {name}\n{run.stderr}")
        os.replace(mine, library)
    launch = ctypes.PyDLL(str(library)).standin_launch
    launch.restype = ctypes.c_char_p
    return launch
