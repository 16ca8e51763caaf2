"""The CuPy backend: the same names and meanings as ``numpy_backend``, with kernels of our own in the .cu files.

Imported only where a device was found. No function waits for the device but ``to_host``, ``free_memory`` and
``batch_memory``; what ``FiniteCheck`` and ``number`` return waits when it is read. All work goes into CuPy's current
stream.
"""

from __future__ import annotations

import cupy
import cupyx.scipy.fft
import numpy as np

from opty.arrays.async_scalars import number as number
from opty.arrays.cuda import (
    INDICES,
    NULL,
    PIXELS,
    REALS,
    THREADS,
    TILE,
    blocks,
    code_of,
    count_type,
    kernel,
    launch,
    pixel_grid,
    sizes,
    tile_grid,
)
from opty.arrays.graphs import captured as captured
from opty.arrays.locked_gpu import plain_array as plain_array
from opty.arrays.locked_gpu import read_only as read_only
from opty.arrays.locked_gpu import share_memory as share_memory
from opty.arrays.transfer import StagingBuffer as StagingBuffer
from opty.kernels.finite.gpu import FiniteCheck as FiniteCheck
from opty.kernels.gpu_base import FILLING
from opty.kernels.gpu_engine import GpuEngine
from opty.kernels.likelihood.line_search import FINE, TRIALS, WALL
from opty.kernels.update import scaling

name = "gpu"
xp = cupy
Engine = GpuEngine
_PARTS = 64  # of a sum that another launch adds up
CAPTURES = True  # launches that repeat, with ``captured``


def asarray(a, dtype=None):
    """Return an array of this backend holding ``a``."""
    return xp.asarray(a, dtype=dtype)


def to_host(a) -> np.ndarray:
    """Return ``a`` as a NumPy array; waits for the device."""
    return cupy.asnumpy(a)


def copy_into(old, new) -> None:
    """Put ``new`` into an array of the same shape and dtype."""
    if old.flags.c_contiguous and new.flags.c_contiguous:
        old.data.copy_from_device_async(new.data, new.nbytes)  # a fifth of the time that an assignment takes the host
    else:
        old[...] = new


def holds(count: int) -> bool:
    """Say whether arrays of so many bytes may stay on the device for good: in half of what is free."""
    return count <= free_memory() // 2


def batch_memory(threads: int) -> int:
    """Bytes that the waves of a batch may take: spectra and windows of the same size are needed beside them.

    ``threads`` concerns the CPU only.
    """
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


def take_scale(probe, photons: float, moved) -> None:
    """Scale arrays by powers of two until the probe (M, n, n) has about the power ``photons``; ``scaling`` says when.

    ``moved`` : C-contiguous arrays of one precision, the probe among them, and the power of the probe's factor by which
    each is scaled. All values are multiplied exactly. One launch, and one for each four arrays.
    """
    real = probe.real.dtype
    types = (REALS[code_of(real)],)
    count = min(blocks(2 * probe.size, THREADS), _PARTS)
    partial = xp.empty(count, np.float64)
    launch(
        "update/scaling",
        "add_up_power",
        types,
        (count,),
        (THREADS,),
        (probe.view(real), *sizes(2 * probe.size), partial),
    )
    rule = (*map(np.float64, (photons, scaling.WEAK, scaling.STRONG)), np.int32(scaling.MOST))
    values = [(a.view(real), exponent) for a, exponent in moved]
    for first in range(0, len(values), 4):
        four = (*values[first : first + 4], *[(None, 0)] * 4)[:4]
        fields = ((NULL, *sizes(0)) if a is None else (a, *sizes(a.size)) for a, _ in four)
        arrays = (x for field, (_, exponent) in zip(fields, four, strict=True) for x in (*field, np.int32(exponent)))
        grid = (min(max(blocks(a.size, THREADS) for a, _ in four if a is not None), FILLING),)
        launch("update/scaling", "take_scale", types, grid, (THREADS,), (partial, *sizes(count), *rule, *arrays))


def placed(positions, largest: tuple[int, int], whole: bool):
    """Return the corners (B, 2) int64 of the windows nearest to positions (B, 2) px, and the fraction (B, 2) left.

    The fraction is None where ``whole``: all positions are. Corners are cut to the range from 0 to ``largest``, and to
    0 where a position is no number, whose fraction is 0.
    """
    positions = xp.ascontiguousarray(positions, dtype=np.float64)
    corners = xp.empty(positions.shape, np.int64)
    fraction = None if whole else xp.empty(positions.shape, np.float64)
    fields = (positions, *sizes(len(positions), *largest), corners, NULL if whole else fraction)
    launch("accumulate/windows", "place", ("double",), (blocks(len(positions), THREADS),), (THREADS,), fields)
    return corners, fraction


def take_windows(obj, corners, n: int):
    """Copy the windows obj[r : r+n, c : c+n] for corners (B, 2) int32 or int64 -> (B, n, n).

    obj (H, W) real or complex, single or double precision. A kernel cannot raise: what lies outside obj becomes NaN.
    """
    corners = _checked_corners(corners)
    take = kernel("accumulate/windows", "take_windows", _pixel_type(obj, "obj"), INDICES[code_of(corners.dtype)])
    out = xp.empty((len(corners), n, n), obj.dtype)
    if out.size:
        args = (xp.ascontiguousarray(obj), *sizes(*obj.shape), corners, *sizes(len(corners), n), out)
        take(tile_grid(n, n, len(corners)), TILE, args)
    return out


def add_windows(dest, corners, windows, deterministic: bool = False) -> None:
    """Add windows (B or 1, n, n) to dest (H, W) in place, at corners (B, 2) int32 or int64; overlaps add up.

    dest real or complex, single or double precision; what lies outside dest is dropped. Overlaps are added by atomics
    in whatever order the device takes them, so that the last bits differ from run to run; with ``deterministic`` each
    pixel gathers its views in ascending order: the bits of ``numpy_backend``, at the price of looking at every view.
    """
    corners = _checked_corners(corners)
    if windows.ndim != 3 or windows.shape[1] != windows.shape[2] or len(windows) not in (1, len(corners)):
        raise ValueError(f"windows has shape {windows.shape}; expected (1, n, n) or ({len(corners)}, n, n)")
    if not np.can_cast(windows.dtype, dest.dtype, "same_kind"):
        raise TypeError(f"windows of {windows.dtype} cannot be added to {dest.dtype}; take their real part")
    which = "add_windows_in_order" if deterministic else "add_windows"
    add = kernel("accumulate/windows", which, _pixel_type(dest, "dest"), INDICES[code_of(corners.dtype)])
    if not (len(corners) and windows.size and dest.size):
        return
    windows = xp.ascontiguousarray(windows, dtype=dest.dtype)
    n, (height, width) = windows.shape[-1], dest.shape
    grid = tile_grid(height, width, 1) if deterministic else tile_grid(n, n, len(corners))
    stride = 0 if len(windows) == 1 else n * n
    work = xp.ascontiguousarray(dest)
    add(grid, TILE, (work, *sizes(height, width), corners, *sizes(len(corners), n), windows, *sizes(stride)))
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
    put = kernel("detector/detector", "fourier_modulus", REALS[code_of(real)], count_type(intensity))
    if not waves.size:
        return xp.zeros((), np.float64)
    views, modes, rows, columns = waves.shape
    pixels = rows * columns
    grid = pixel_grid(pixels, views)
    partial = xp.zeros(grid[0] * grid[1], np.float64)
    work = xp.ascontiguousarray(waves)
    stride = 0 if mask is None or mask.ndim == 2 else pixels
    mask = NULL if mask is None else xp.ascontiguousarray(mask, dtype=np.bool_)
    background = NULL if background is None else xp.ascontiguousarray(background, dtype=real)
    fields = (work, xp.ascontiguousarray(intensity), NULL, mask, *sizes(stride), background, partial)
    one, floor = real.type(1), real.type(np.finfo(real).tiny ** 0.5)
    put(grid, (THREADS,), (*fields, *sizes(views, modes, pixels), np.int32(difference), floor, one, one))
    if work is not waves:
        waves[...] = work
    return partial.sum()


def best_step(slope, changes):
    """Return the best step (1,) float64 in units of the trials', 0 where no trial leads down.

    slope (1,) at zero in the same units, changes (3,) at TRIALS; both float64. NaN is taken for a rise without end.
    """
    step = xp.empty(1, np.float64)
    args = (slope, changes, *map(np.float64, (*TRIALS, WALL)), np.int32(FINE), step)
    launch("likelihood/line_search", "best_step", ("double",), (1,), (THREADS,), args)
    return step


def _pixel_type(a, name: str) -> str:
    if a.ndim != 2:
        raise ValueError(f"{name} has shape {a.shape}; expected (H, W)")
    if code_of(a.dtype) not in PIXELS:
        raise TypeError(f"{name} has dtype {a.dtype}; on a GPU give float32, float64, complex64 or complex128")
    return PIXELS[code_of(a.dtype)]


def _real_type(waves) -> np.dtype:
    if waves.ndim != 4:
        raise ValueError(f"waves has shape {waves.shape}; expected (B, M, n, n)")
    if waves.dtype.kind != "c":
        raise TypeError(f"waves has dtype {waves.dtype}; give complex64 or complex128")
    return waves.real.dtype


def _checked_corners(corners):
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError(f"corners has shape {corners.shape}; expected (B, 2)")
    if code_of(corners.dtype) not in INDICES:
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
