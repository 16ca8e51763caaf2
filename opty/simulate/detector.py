"""The detector: from expected intensities to readouts, and the mask of valid pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage

_FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian, in standard deviations


class BadPixels(NamedTuple):
    """Invalid pixels, (n, n) bool: ``blind`` read zero (gaps, dead, beamstop), ``hot`` ones full scale."""

    blind: np.ndarray
    hot: np.ndarray

    @property
    def mask(self) -> np.ndarray | None:
        """True where a pixel counts, (n, n) bool; None where all do."""
        bad = self.blind | self.hot
        return ~bad if bad.any() else None


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A pixel detector: noise, losses and defects applied to the expected number of photons.

    The order of things: integration over pixels, point spread, background (from the exposure), Poisson statistics,
    relative and read-out noise, threshold at zero, saturation, number type, bad pixels.

    Parameters
    ----------
    dtype : number type of a pixel, "uint8" to "uint32", "int8" to "int32" (both rounded), "float32" or "float64".
    counting : photons come one by one (Poisson statistics); False reads the expected number itself.
    read_noise : standard deviation of Gaussian noise added to each pixel [photons]; negative readings become 0.
    relative_noise : standard deviation of Gaussian noise as a share of each pixel's reading (no unit).
    saturation : the most that a pixel reads [photons]; None: the largest number of the type.
    psf : full width at half maximum of a Gaussian point spread [px]; light that spreads over the rim is lost.
    pixel_integration : integrate the intensity over the square of each pixel instead of taking it at its centre.
    gaps : ("row" or "column", first, width) of each gap between modules [px].
    dead, hot : share of all pixels, at random, that read zero, or full scale (no unit).
    beamstop : diameter of an opaque disc in the middle [px].

    Raises
    ------
    ValueError, TypeError : impossible numbers; the message gives the allowed ones.
    """

    dtype: str = "uint32"
    counting: bool = True
    read_noise: float = 0.0
    relative_noise: float = 0.0
    saturation: float | None = None
    psf: float = 0.0
    pixel_integration: bool = False
    gaps: tuple[tuple[str, int, int], ...] = ()
    dead: float = 0.0
    hot: float = 0.0
    beamstop: float = 0.0

    def __post_init__(self) -> None:
        kind = np.dtype(self.dtype)
        if kind.kind not in "iuf" or (kind.kind != "f" and kind.itemsize > 4) or kind.itemsize not in (1, 2, 4, 8):
            raise TypeError(f"dtype is {kind}; give an integer type of 8 to 32 bit, float32 or float64")
        for name, unit in (
            ("read_noise", "photons"),
            ("relative_noise", "of the reading"),
            ("psf", "px"),
            ("beamstop", "px"),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}; give zero or more {unit}")
        for name in ("dead", "hot"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a share of the pixels from 0 up to, not, 1")
        largest = self._largest_number
        if self.saturation is not None and not 0 < self.saturation <= largest:
            raise ValueError(f"saturation is {self.saturation!r}; give photons above 0 and up to {largest:g} ({kind})")
        if self.hot and self.full_scale == math.inf:
            raise ValueError(f"hot pixels read full scale, and {kind} has none: give saturation [photons]")
        for gap in self.gaps:
            if len(gap) != 3 or gap[0] not in ("row", "column") or min(gap[1:]) < 0:
                raise ValueError(f'gaps holds {gap!r}; give ("row" or "column", first, width) with pixels from 0')

    @property
    def full_scale(self) -> float:
        """The most that a pixel reads [photons]; infinite for floats without ``saturation``."""
        return self._largest_number if self.saturation is None else self.saturation

    @property
    def _largest_number(self) -> float:
        kind = np.dtype(self.dtype)
        return math.inf if kind.kind == "f" else float(np.iinfo(kind).max)

    def bad_pixels(self, n: int, seed: Any = 0) -> BadPixels:
        """Return which of n x n pixels are blind and which are hot; ``seed`` decides where the random ones are.

        Raises ValueError for a gap outside the detector.
        """
        blind, hot = np.zeros((2, n, n), bool)
        for axis, first, width in self.gaps:
            if first + width > n:
                raise ValueError(f"gaps holds {(axis, first, width)!r}, but the detector has {n} x {n} pixels")
            span = slice(first, first + width)
            blind[span if axis == "row" else (slice(None), span)] = True
        r = np.arange(n) - n // 2
        blind |= np.hypot(r[:, None], r) < self.beamstop / 2
        order = np.random.default_rng(seed).permutation(n * n)
        dead, bright = round(self.dead * n * n), round(self.hot * n * n)
        blind.flat[order[:dead]] = True
        hot.flat[order[dead : dead + bright]] = True
        return BadPixels(blind, hot & ~blind)

    def blur(self, pattern: np.ndarray) -> np.ndarray:
        """Return intensities (..., n, n) after the point spread."""
        if not self.psf:
            return pattern
        sigma = (0,) * (pattern.ndim - 2) + (self.psf / _FWHM,) * 2
        return scipy.ndimage.gaussian_filter(pattern, sigma, mode="constant")

    def read(self, expected: Any, seed: Any = 0, bad: BadPixels | None = None) -> np.ndarray:
        """Read out views: statistics, noise, range, bad pixels.

        Parameters
        ----------
        expected : (n, n) or (N, n, n) real [photons].
        seed : an integer, or a numpy Generator to continue; views take their random numbers one after the other, so
            that a stack may be read in pieces.
        bad : what ``bad_pixels`` gave; None: all pixels are good.

        Returns
        -------
        the shape of ``expected``, of ``dtype`` [photons].
        """
        expected, kind = np.asarray(expected), np.dtype(self.dtype)
        rng = np.random.default_rng(seed)
        out = np.empty(expected.shape, kind)
        stack = out.reshape(-1, *expected.shape[-2:])
        for j, view in enumerate(expected.reshape(stack.shape)):
            reading = rng.poisson(view).astype(np.float64) if self.counting else view.astype(np.float64)
            if self.relative_noise:
                reading *= 1 + rng.normal(0, self.relative_noise, reading.shape)
            if self.read_noise:
                reading += rng.normal(0, self.read_noise, reading.shape)
            if kind.kind != "f":
                np.rint(reading, out=reading)
            np.clip(reading, 0, self.full_scale, out=reading)
            if bad is not None:
                reading[bad.blind] = 0
                reading[bad.hot] = self.full_scale
            stack[j] = reading
        return out


def integrated(waves: np.ndarray, near: bool, threads: int = 1) -> np.ndarray:
    """Integrate the intensity of detector waves over their pixels: sum_m of the mean of |Psi_m|^2 over each square.

    |Psi|^2 has twice the band of Psi: it is sampled at half pixels, its transform (the autocorrelation of the exit
    wave in the far field) is multiplied by sinc(lag / n) on both axes, and every second sample is taken: exact.

    Parameters
    ----------
    waves : (B, M, n, n) complex at the detector, in kernel order (see ``opty.physics.propagation``).
    near : whether the detector is in the near field, where the wave's spectrum is the one that is cut off at n.
    threads : for the transforms.

    Returns
    -------
    (B, n, n) real; its sum over a view equals the sum of sum_m |Psi_m|^2.

    Source: the sampling theorem, Goodman, Introduction to Fourier Optics, sec. 2.4.
    """
    n = waves.shape[-1]
    # The conjugate has the same intensity, and the sign of the transform that the far field has.
    cut = scipy.fft.ifft2(waves.conj() if near else waves, norm="ortho", workers=threads)
    if near:
        cut = scipy.fft.fftshift(cut, axes=(-2, -1))
    wide = np.zeros((*cut.shape[:-2], 2 * n, 2 * n), cut.dtype)
    wide[..., :n, :n] = cut
    fine = scipy.fft.fft2(wide, overwrite_x=True, workers=threads)
    power = (np.abs(fine) ** 2).sum(axis=1) / n**2
    lags = scipy.fft.rfft2(power, workers=threads)
    row, col = scipy.fft.fftfreq(2 * n, 1 / (2 * n)), scipy.fft.rfftfreq(2 * n, 1 / (2 * n))
    lags *= np.sinc(row[:, None] / n).astype(power.dtype) * np.sinc(col / n).astype(power.dtype)
    meant = scipy.fft.irfft2(lags, s=(2 * n, 2 * n), overwrite_x=True, workers=threads)
    return np.maximum(meant[:, ::2, ::2], 0)
