"""The NumPy backend: the functions that a GPU does with kernels of its own, done with NumPy and SciPy.

Everything else in opty is written once, with the array module ``xp``. The same names stand in ``cupy_backend``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft

from opty.kernels.cpu_engine import CpuEngine
from opty.kernels.detector import meaning
from opty.kernels.finite.cpu import FiniteCheck as FiniteCheck
from opty.kernels.likelihood.line_search import best_step as best_step
from opty.kernels.positions.cpu import senses as senses
from opty.kernels.update import scaling
from opty.memory import free_memory as free_memory

name = "cpu"
xp = np
Engine = CpuEngine
CAPTURES = False  # launches that repeat: here there are none

# A pool of FFT workers costs more than it brings below about this many values (measured on two cores: 128 x 128 in
# 67 us alone, 149 us with two workers; three of 256 x 256 in 814 us and 493 us).
_WORTH_THREADS = 1 << 17
_SMALL = 1 << 14  # values
_BATCH = 4 << 20  # measured on scans of 128 x 128 with one mode and of 256 x 256 with three


def asarray(a, dtype=None):
    """Return an array of this backend holding ``a``."""
    return np.asarray(a, dtype=dtype)


def to_host(a) -> np.ndarray:
    """Return ``a`` as a NumPy array."""
    return np.asarray(a)


def copy_into(old, new) -> None:
    """Put ``new`` into an array of the same shape and dtype."""
    old[...] = new


def read_only(a, leaf: str, who: str):
    """Return a view of an array that cannot be written; ``leaf`` and ``who`` name it in messages on a GPU."""
    if not isinstance(a, np.ndarray):
        return a
    view = a.view()
    view.flags.writeable = False
    return view


def plain_array(a):
    """Return an array as a leaf may be."""
    return a


def share_memory(a, b) -> bool:
    """Say whether two arrays may have memory in common."""
    return np.may_share_memory(a, b)


def holds(count: int) -> bool:
    """Say whether arrays of so many bytes may stay here for good: what is in memory is here already."""
    return True


class StagingBuffer:
    """Brings blocks of host arrays to where they are worked on: here, nothing is copied."""

    def put(self, block):
        """Return what ``take`` takes; called in the thread that reads ahead."""
        return block

    def take(self, sent):
        """Return a block that was sent, to be used until ``done``."""
        return sent

    def done(self, sent) -> None:
        """Say that no more work will be put in a queue that reads the block."""

    def close(self) -> None:
        """Wait for copies in flight: here there are none."""


def number(a, over: float) -> float:
    """Return a / over, for the history."""
    return float(a) / over


def batch_memory(threads: int) -> int:
    """Bytes that the waves of a batch may take: a few pieces for each thread, in the cache that cores share."""
    return _BATCH * threads


def _found_c2c() -> Callable[..., Any] | None:
    """Return the transform behind ``scipy.fft``, or None where this SciPy has another one.

    ``scipy.fft`` looks at its arguments before, which takes three times as long as to transform a window of 16 x 16.
    """
    wave = np.exp(1j * np.arange(12.0)).reshape(1, 3, 4)
    try:
        from scipy.fft._pocketfft.pypocketfft import c2c

        same = all(
            np.array_equal(c2c(wave, _AXES, forward, _UNITARY, None, 1), transform(wave, norm="ortho"))
            for forward, transform in ((True, scipy.fft.fft2), (False, scipy.fft.ifft2))
        )
    except Exception:  # private to SciPy: whatever it does in another version
        return None
    return c2c if same else None


_AXES, _UNITARY = (-2, -1), 1  # as SciPy's transform takes them
_C2C = _found_c2c()


def _small(a) -> bool:
    """Say whether an array is transformed faster, to the same bits, without the checks of ``scipy.fft``."""
    return _C2C is not None and a.size <= _SMALL and a.dtype.char in "FD" and a.flags.aligned and a.dtype.isnative


def fft2(a, overwrite: bool = False, threads: int = 1):
    """Unitary 2-D Fourier transform over the last two axes, in FFT order; ``overwrite`` may reuse the input."""
    if _small(a):
        return _C2C(a, _AXES, True, _UNITARY, a if overwrite else None, 1)
    workers = threads if threads > 1 and a.size >= _WORTH_THREADS else None
    return scipy.fft.fft2(a, norm="ortho", overwrite_x=overwrite, workers=workers)


def ifft2(a, overwrite: bool = False, threads: int = 1):
    """Inverse (and adjoint) of ``fft2``."""
    if _small(a):
        return _C2C(a, _AXES, False, _UNITARY, a if overwrite else None, 1)
    workers = threads if threads > 1 and a.size >= _WORTH_THREADS else None
    return scipy.fft.ifft2(a, norm="ortho", overwrite_x=overwrite, workers=workers)


def take_scale(probe, photons: float, moved) -> None:
    """Scale arrays by powers of two until the probe (M, n, n) has about the power ``photons``; ``scaling`` says when.

    ``moved`` : C-contiguous arrays of one precision, the probe among them, and the power of the probe's factor by which
    each is scaled. All values are multiplied exactly.
    """
    real = probe.real.dtype
    parts = probe.reshape(-1).view(real)
    power = np.einsum("i,i->", parts, parts, dtype=np.float64)  # makes no array of the squares
    octaves = scaling.octaves(photons, float(power))
    for a, exponent in moved if octaves else ():
        a *= real.type(2.0 ** (octaves * exponent))


def placed(positions, largest: tuple[int, int], whole: bool):
    """Return the corners (B, 2) int64 of the windows nearest to positions (B, 2) px, and the fraction (B, 2) left.

    The fraction is None where ``whole``: all positions are. Corners are cut to the range from 0 to ``largest``, and to
    0 where a position is no number, whose fraction is 0.
    """
    nearest = np.rint(positions)
    if ((nearest >= 0) & (nearest <= largest)).all():
        return nearest.astype(np.int64), None if whole else positions - nearest
    with np.errstate(invalid="ignore"):  # inf - inf
        fraction = None if whole else np.nan_to_num(positions - nearest, nan=0.0)
    return np.clip(np.nan_to_num(nearest, nan=0.0), 0, largest).astype(np.int64), fraction


def take_windows(obj, corners, n: int):
    """Copy the windows obj[r : r+n, c : c+n] for corners (B, 2) int -> (B, n, n)."""
    out = np.empty((len(corners), n, n), obj.dtype)
    for j, (r, c) in enumerate(corners.tolist()):
        out[j] = obj[r : r + n, c : c + n]
    return out


def add_windows(dest, corners, windows, deterministic: bool = False) -> None:
    """Add windows (B or 1, n, n) to dest (H, W) in place, at corners (B, 2) int; overlaps add up.

    ``deterministic`` changes nothing here: NumPy adds the views in ascending order in any case.
    """
    if len(windows) not in (1, len(corners)):
        raise ValueError(f"windows has shape {windows.shape}; expected 1 or {len(corners)} windows, one per corner")
    n = windows.shape[-1]
    last = len(windows) - 1
    for j, (r, c) in enumerate(corners.tolist()):
        dest[r : r + n, c : c + n] += windows[min(j, last)]


def fourier_modulus(waves, intensity, mask, background, difference: bool):
    """Put the measured modulus on detector waves, in place, and return their squared misfit.

    waves (B, M, n, n) complex: Psi, overwritten by Psi sqrt(I / Ihat), or by that minus Psi if ``difference``;
    intensity (B, n, n) any real dtype; mask (n, n) or (B, n, n) bool or None: where False the wave stays as it is;
    background (n, n) real or None: incoherent intensity added to Ihat = sum_m |Psi_m|^2.
    Returns sum w (sqrt I - sqrt Ihat)^2 as a real scalar.
    """
    misfits, rows = np.empty(len(waves)), np.arange(len(waves))
    mask = mask[None] if mask is not None and mask.ndim == 2 else mask
    meaning.put_modulus(waves, intensity, rows, mask, background, difference, misfits)
    return misfits.sum()
