"""Fourier ring correlation: up to which spatial frequency two images of the same thing agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft

from opty.physics.to_host import on_host


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """A Fourier ring correlation, ring by ring; zero frequency is left out.

    ``frequency`` (K,) [cycles / px], up to 0.5; ``correlation`` (K,) from -1 to 1; ``half_bit``, ``one_bit`` (K,): the
    correlation at which a ring carries half a bit, or one bit, of information per Fourier pixel.
    """

    frequency: np.ndarray
    correlation: np.ndarray
    half_bit: np.ndarray
    one_bit: np.ndarray

    def crossing(self, bits: float = 0.5) -> float:
        """Frequency [cycles / px] up to which the correlation lies above the half-bit (or, ``bits`` 1, one-bit) curve.

        The cut k that maximises sum_{i <= k} (C_i - T_i), T the curve, and between rings k and k + 1 the zero of the
        straight line: a ring or a few that fall below, where rings are small or the background drifts, do not end what
        agrees beyond them; a ring that rises above by chance does not lengthen it. The largest frequency where all
        agrees, 0 where nothing does.

        Raises ValueError for other ``bits``.
        """
        if bits not in (0.5, 1):
            raise ValueError(f"bits is {bits!r}; give 0.5 for the half-bit curve, or 1 for the one-bit curve")
        above = self.correlation - (self.half_bit if bits == 0.5 else self.one_bit)
        total = np.cumsum(above)
        if total.max() < 0:
            return 0.0
        k = len(total) - 1 - int(total[::-1].argmax())
        if k == len(total) - 1:
            return float(self.frequency[k])
        share = above[k] / (above[k] - above[k + 1])
        return float(self.frequency[k] + share * (self.frequency[k + 1] - self.frequency[k]))

    def resolution(self, pixel: float | None = None, bits: float = 0.5) -> float:
        """Half period 1 / (2 f) of the frequency f up to which the two images agree; see ``crossing``.

        In metres where ``pixel`` [m] is given, else in pixels: 1 px where they agree at all frequencies, infinity where
        they agree at none.
        """
        frequency = self.crossing(bits)
        return float((1.0 if pixel is None else pixel) / (2 * frequency)) if frequency else float("inf")


def frc(a: Any, b: Any) -> RingCorrelation:
    """Fourier ring correlation of two images.

    C(f) = Re sum A conj(B) / sqrt(sum |A|^2 sum |B|^2) over the ring |f|, A and B the transforms of the images, less
    their mean, under a soft (Tukey) window.

    Parameters
    ----------
    a, b : (H, W) real or complex, in one frame: ``align`` them first, as a ramp or a shift left over counts as
        disagreement. Two halves of a scan, or a reconstruction and the truth.

    Returns
    -------
    ``RingCorrelation`` with ``frequency``, ``correlation``, ``half_bit``, ``one_bit``, ``resolution(pixel)``.

    Raises
    ------
    ValueError : shapes that differ or are below 16 x 16, an image without contrast.

    Source: van Heel and Schatz, J. Struct. Biol. 151, 250 (2005), doi:10.1016/j.jsb.2005.05.009, with the number of
    independent values of a ring instead of that of its pixels: the window makes neighbours alike, and in the transform
    of a real image each value comes twice.
    """
    a, b = on_host(a), on_host(b)
    if a.shape != b.shape or a.ndim != 2 or min(a.shape) < 16:
        raise ValueError(
            f"the images have shapes {a.shape} and {b.shape}; give two (H, W) alike, at least 16 x 16"
            + "; of several slices one after the other, or their products, obj.prod(0)" * (max(a.ndim, b.ndim) == 3)
        )
    soft = window(a.shape)
    ring, rings = _rings(a.shape)

    def total(values: Any) -> np.ndarray:
        return np.bincount(ring.ravel(), values.ravel(), rings + 1)[1 : rings + 1]

    first, second = (spectrum(image, soft) for image in (a, b))
    power = total(np.abs(first) ** 2) * total(np.abs(second) ** 2)
    common = total((first * second.conj()).real)
    # A ring that is empty in one image has nothing in common with the other.
    correlation = np.divide(common, np.sqrt(power), out=np.zeros(rings), where=power > 0)
    count = total(np.ones(a.shape)) ** 2 / total(_alike(ring, soft))
    if np.isrealobj(a) and np.isrealobj(b):
        count /= 2
    frequency = np.arange(1, rings + 1) / min(a.shape)
    return RingCorrelation(frequency, correlation, _threshold(0.5, count), _threshold(1.0, count))


def window(shape: tuple[int, ...]) -> np.ndarray:
    """Return the soft (Tukey) window (H, W) under which images are compared."""
    from scipy.signal.windows import tukey  # takes a second to import

    return np.outer(*(tukey(size, 0.5) for size in shape))


def _rings(shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Ring (H, W) of each Fourier pixel, one frequency step of the smaller edge wide, and the number of whole rings."""
    row, col = (scipy.fft.fftfreq(size) for size in shape)
    rings = min(shape) // 2
    ring = np.rint(np.hypot(row[:, None], col) * min(shape)).astype(int)
    return np.minimum(ring, rings + 1), rings


def _alike(ring: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """For each Fourier pixel (H, W) the number of pixels of its ring, itself included, that the window makes like it.

    It is the sum of |rho|^2, rho the correlation that white noise gets under the window: the transform of window^2.
    """
    likeness = np.abs(scipy.fft.fft2(soft**2) / (soft**2).sum()) ** 2
    steps = range(-2, 3)  # beyond, the likeness is below 1e-3
    return sum(likeness[r, c] * (ring == np.roll(ring, (r, c), (0, 1))) for r in steps for c in steps)


def spectrum(image: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """Return the transform of an image (H, W), less its mean, under a window (H, W); ValueError without contrast."""
    image = image - (image * soft).sum() / soft.sum()
    transform = scipy.fft.fft2(image * soft)
    if not np.isfinite(transform).all() or not transform.any():
        raise ValueError("an image is constant or not finite: there is nothing to correlate")
    return transform


def _threshold(bits: float, count: np.ndarray) -> np.ndarray:
    """Correlation of two images that together carry ``bits`` per Fourier pixel, in a ring of ``count`` values."""
    snr = (2**bits - 1) / 2
    fluctuation = 1 / np.sqrt(count)
    curve = (snr + (2 * np.sqrt(snr) + 1) * fluctuation) / (1 + snr + 2 * np.sqrt(snr) * fluctuation)
    return np.minimum(curve, 1.0)
