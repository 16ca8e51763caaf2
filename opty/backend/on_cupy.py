"""The CuPy backend: the same names and meanings as ``on_numpy``, with kernels of our own in windows.cu and modulus.cu.

Imported only where a device was found. No function waits for the device but ``to_host``, ``free_memory`` and
``batch_memory``; a kernel is compiled when its types are first asked for (about 0.1 s) and kept for the process.
The kernels need compute capability 6.0 or newer (64-bit atomics).
"""

from __future__ import annotations

import functools
from pathlib import Path

import cupy
import cupyx.scipy.fft
import numpy as np

from opty.backend.carrier import Carrier as Carrier

name = "gpu"
xp = cupy

OPTIONS = ("-std=c++17",)
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

_TILE = (32, 8)
_THREADS = 256
# Enough blocks to fill any present device several times over; more would only lengthen the sum of partial misfits.
_MAX_BLOCKS = 8192
_MAX_GRID_YZ = 65535  # CUDA's own limit
# A null pointer of the right width: CuPy 13 and 14 do not document what None means to a RawKernel.
_NULL = np.intp(0)


def asarray(a, dtype=None):
    """Return an array of this backend holding ``a``."""
    return xp.asarray(a, dtype=dtype)


def to_host(a) -> np.ndarray:
    """Return ``a`` as a NumPy array; waits for the device."""
    return cupy.asnumpy(a)


def holds(count: int) -> bool:
    """Say whether arrays of so many bytes may stay on the device for good: in half of what is free."""
    return count <= free_memory() // 2


def batch_memory() -> int:
    """Bytes that the waves of a batch may take: spectra and windows of the same size are needed beside them."""
    return free_memory() // 16


def free_memory() -> int:
    """Bytes that a new array may take: what the device has left, and what CuPy's pool keeps for reuse."""
    pool = cupy.get_default_memory_pool()
    free = cupy.cuda.Device().mem_info[0] + pool.free_bytes()
    limit = pool.get_limit()
    return max(0, min(free, limit - pool.used_bytes())) if limit else free


def fft2(a, overwrite: bool = False, threads: int = 1):
    """Unitary 2-D Fourier transform over the last two axes, in FFT order; ``overwrite`` may reuse the input.

    ``threads`` concerns the CPU only.
    """
    return cupyx.scipy.fft.fft2(a, norm="ortho", overwrite_x=overwrite)


def ifft2(a, overwrite: bool = False, threads: int = 1):
    """Inverse (and adjoint) of ``fft2``."""
    return cupyx.scipy.fft.ifft2(a, norm="ortho", overwrite_x=overwrite)


def take_windows(obj, corners, n: int):
    """Copy the windows obj[r : r+n, c : c+n] for corners (B, 2) int32 or int64 -> (B, n, n).

    obj (H, W) real or complex, single or double precision. A kernel cannot raise: what lies outside obj becomes NaN.
    """
    corners = _checked_corners(corners)
    kernel = _kernel("windows", f"take_windows<{_pixel_type(obj, 'obj')}, {INDICES[_code(corners)]}>")
    out = xp.empty((len(corners), n, n), obj.dtype)
    if out.size:
        args = (xp.ascontiguousarray(obj), *_sizes(*obj.shape), corners, *_sizes(len(corners), n), out)
        kernel(_tile_grid(n, n, len(corners)), _TILE, args)
    return out


def add_windows(dest, corners, windows, deterministic: bool = False) -> None:
    """Add windows (B or 1, n, n) to dest (H, W) in place, at corners (B, 2) int32 or int64; overlaps add up.

    dest real or complex, single or double precision; what lies outside dest is dropped. Overlaps are added by atomics
    in whatever order the device takes them, so that the last bits differ from run to run; with ``deterministic`` each
    pixel gathers its views in ascending order: the bits of ``on_numpy``, at the price of looking at every view.
    """
    corners = _checked_corners(corners)
    if windows.ndim != 3 or windows.shape[1] != windows.shape[2] or len(windows) not in (1, len(corners)):
        raise ValueError(f"windows has shape {windows.shape}; expected (1, n, n) or ({len(corners)}, n, n)")
    if not np.can_cast(windows.dtype, dest.dtype, "same_kind"):
        raise TypeError(f"windows of {windows.dtype} cannot be added to {dest.dtype}; take their real part")
    which = "add_windows_in_order" if deterministic else "add_windows"
    kernel = _kernel("windows", f"{which}<{_pixel_type(dest, 'dest')}, {INDICES[_code(corners)]}>")
    if not (len(corners) and windows.size and dest.size):
        return
    windows = xp.ascontiguousarray(windows, dtype=dest.dtype)
    n, (height, width) = windows.shape[-1], dest.shape
    grid = _tile_grid(height, width, 1) if deterministic else _tile_grid(n, n, len(corners))
    stride = 0 if len(windows) == 1 else n * n
    work = xp.ascontiguousarray(dest)
    kernel(grid, _TILE, (work, *_sizes(height, width), corners, *_sizes(len(corners), n), windows, *_sizes(stride)))
    if work is not dest:
        dest[...] = work


def fourier_modulus(waves, intensity, mask, background, difference: bool):
    """Put the measured modulus on detector waves, in place, and return their squared misfit.

    waves (B, M, n, n) complex: Psi, overwritten by Psi sqrt(I / Ihat), or by that minus Psi if ``difference``;
    intensity (B, n, n) any real dtype of at most 64 bits; mask (n, n) or (B, n, n) bool or None: where False the wave
    stays as it is (0 if ``difference``) and the intensity is not read; background (n, n) real or None: incoherent
    intensity added to Ihat = sum_m |Psi_m|^2.
    Returns sum w (sqrt I - sqrt Ihat)^2, summed in double precision, as a 0-d float64 array on the device.
    """
    real = _real_type(waves)
    _check_detector_shapes(waves.shape, intensity, mask, background)
    kernel = _kernel("modulus", f"fourier_modulus<{REALS[_code_of(real)]}, {_count_type(intensity)}>")
    if not waves.size:
        return xp.zeros((), np.float64)
    views, modes, rows, columns = waves.shape
    pixels = rows * columns
    grid = _pixel_grid(pixels, views)
    partial = xp.empty(grid[0] * grid[1], np.float64)
    work = xp.ascontiguousarray(waves)
    stride = 0 if mask is None or mask.ndim == 2 else pixels
    mask = _NULL if mask is None else xp.ascontiguousarray(mask, dtype=np.bool_)
    background = _NULL if background is None else xp.ascontiguousarray(background, dtype=real)
    fields = (work, xp.ascontiguousarray(intensity), mask, *_sizes(stride), background, partial)
    floor = real.type(np.finfo(real).tiny ** 0.5)
    kernel(grid, (_THREADS,), (*fields, *_sizes(views, modes, pixels), np.int32(difference), floor))
    if work is not waves:
        waves[...] = work
    return partial.sum()


def instances() -> dict[str, list[str]]:
    """Return every template instance that the functions above can ask for, by the name of its .cu file."""
    windows = [
        f"{kernel}<{pixel}, {index}>"
        for kernel in ("take_windows", "add_windows", "add_windows_in_order")
        for pixel in PIXELS.values()
        for index in INDICES.values()
    ]
    modulus = [f"fourier_modulus<{real}, {count}>" for real in REALS.values() for count in COUNTS.values()]
    return {"windows": windows, "modulus": modulus}


@functools.cache
def source(file: str) -> str:
    """Return the CUDA C++ text of a .cu file beside this one."""
    return Path(__file__).with_name(f"{file}.cu").read_text(encoding="utf-8")


# One module per instance: to compile all of them takes seconds, and a run uses four or five.
@functools.cache
def _kernel(file: str, instance: str):
    module = cupy.RawModule(code=source(file), options=OPTIONS, name_expressions=(instance,))
    return module.get_function(instance)


def _code_of(dtype) -> str:
    return f"{dtype.kind}{dtype.itemsize}"


def _code(a) -> str:
    return _code_of(a.dtype)


def _pixel_type(a, name: str) -> str:
    if a.ndim != 2:
        raise ValueError(f"{name} has shape {a.shape}; expected (H, W)")
    if _code(a) not in PIXELS:
        raise TypeError(f"{name} has dtype {a.dtype}; on a GPU give float32, float64, complex64 or complex128")
    return PIXELS[_code(a)]


def _real_type(waves) -> np.dtype:
    if waves.ndim != 4:
        raise ValueError(f"waves has shape {waves.shape}; expected (B, M, n, n)")
    if waves.dtype.kind != "c":
        raise TypeError(f"waves has dtype {waves.dtype}; give complex64 or complex128")
    return waves.real.dtype


def _count_type(intensity) -> str:
    if _code(intensity) not in COUNTS:
        raise TypeError(f"intensity has dtype {intensity.dtype}; give integers, float32 or float64")
    return COUNTS[_code(intensity)]


def _checked_corners(corners):
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError(f"corners has shape {corners.shape}; expected (B, 2)")
    if _code(corners) not in INDICES:
        raise TypeError(f"corners has dtype {corners.dtype}; give int32 or int64")
    return xp.ascontiguousarray(corners)


def _check_detector_shapes(shape, intensity, mask, background) -> None:
    """Refuse what the kernel would read beyond the end of."""
    one, all_views = shape[2:], (shape[0], *shape[2:])
    if intensity.shape != all_views:
        raise ValueError(f"intensity has shape {intensity.shape}; the waves {shape} need {all_views}")
    if mask is not None and mask.shape not in (one, all_views):
        raise ValueError(f"mask has shape {mask.shape}; the waves {shape} need {one} or {all_views}")
    if background is not None and background.shape != one:
        raise ValueError(f"background has shape {background.shape}; the waves {shape} need {one}")


def _sizes(*values: int) -> tuple[np.int64, ...]:
    return tuple(np.int64(value) for value in values)


def _tile_grid(rows: int, columns: int, views: int) -> tuple[int, int, int]:
    return (
        min(_blocks(columns, _TILE[0]), _MAX_BLOCKS),
        min(_blocks(rows, _TILE[1]), _MAX_BLOCKS),
        min(views, _MAX_GRID_YZ),
    )


def _pixel_grid(pixels: int, views: int) -> tuple[int, int]:
    across = min(_blocks(pixels, _THREADS), _MAX_BLOCKS)
    return across, min(views, _MAX_BLOCKS // across)


def _blocks(size: int, threads: int) -> int:
    return -(-size // threads)
