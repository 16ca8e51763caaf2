"""A stand-in for CuPy, for tests on machines without a GPU.

    _ndarray.py   the array: a NumPy array that refuses what a device array refuses
    _forward.py   functions by NumPy and SciPy, under the names that CuPy has
    _names.py     those names
    _raw.py       RawModule: CUDA C++ compiled with g++ and run on the CPU
    _waits.py     how often the host waited for the device
    _capture.py   what a stream captures, and the graph that comes of it
    cuda/         one pretended device, its streams, and the plans of cuFFT
    ../cupyx      scipy.fft and scipy.ndimage
    ../cuda_on_cpu.hpp   threads, blocks, barriers, atomics and warp functions

It runs the real cupy_backend.py and the real kernels. It says nothing about speed, memory models or the CUDA driver.
"""

import numpy as _np
import scipy.fft as _scipy_fft

from . import _capture, cuda
from ._forward import attribute as _attribute
from ._forward import module as _module
from ._ndarray import ndarray
from ._ndarray import unwrap as _unwrap
from ._ndarray import wrap as _wrap
from ._raw import RawKernel, RawModule
from .cuda import get_default_memory_pool, get_default_pinned_memory_pool

__version__ = "14.2.0"
__all__ = [
    "RawKernel",
    "RawModule",
    "array",
    "asarray",
    "asnumpy",
    "cuda",
    "fft",
    "get_array_module",
    "get_default_memory_pool",
    "get_default_pinned_memory_pool",
    "is_available",
    "linalg",
    "ndarray",
    "random",
]

fft = _module("cupy.fft", _scipy_fft)
linalg = _module("cupy.linalg", _np.linalg)
random = _module("cupy.random", _np.random)


def __getattr__(name: str):
    return _attribute("cupy", _np, name)


def array(obj, dtype=None, copy=True, order="K") -> ndarray:
    """Copy anything to the device."""
    _capture.refuse("an allocation")
    return _wrap(_np.array(_host(obj), dtype=dtype, order=order))


def asarray(a, dtype=None, order=None) -> ndarray:
    """Return ``a`` itself where it is a device array of that dtype, else a copy of it on the device."""
    if isinstance(a, ndarray) and (dtype is None or a.dtype == dtype):
        return a
    return array(a, dtype, order=order or "K")


def asnumpy(a) -> _np.ndarray:
    """Copy to the host."""
    _capture.refuse("a copy to the host")
    return a.get() if isinstance(a, ndarray) else _np.asarray(a)


def get_array_module(*args):
    """Return this module where one of the arguments is a device array, else numpy."""
    import cupy

    return cupy if any(isinstance(a, ndarray) for a in args) else _np


def is_available() -> bool:
    """There is always a device."""
    return True


def _host(obj):
    return _np.asarray(obj) if isinstance(obj, _np.ndarray) else _unwrap(obj)
