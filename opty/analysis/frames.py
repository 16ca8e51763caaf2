"""One look at every frame: sums over the scan; dead, hot and saturated pixels; frozen and dark frames."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from opty.data import PtychoData
from opty.stack import views_counting

DARK, DIM = 0.01, 0.5  # times the median number of photons of a view


@dataclass(frozen=True)
class Frames:
    """What the frames tell. Arrays are (n, n): mean pattern, and bool maps of pixels; tuples hold view numbers."""

    mean: np.ndarray
    photons: np.ndarray  # (N,) of each view
    brightest: float
    dead: np.ndarray
    hot: np.ndarray
    saturated: np.ndarray
    frozen: tuple[int, ...]  # the same frame as an earlier one
    dark: tuple[int, ...]  # missing: less than a hundredth of the usual photons
    dim: tuple[int, ...]  # less than half of them

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of mass (row, column) [px] of the mean pattern."""
        return ndimage.center_of_mass(self.mean)


def look_at_frames(data: PtychoData) -> Frames:
    """Go once over all frames; masked pixels do not count."""
    from opty.io.prepare.pixels import dead, hot, saturated

    total = np.zeros((data.n, data.n))
    top = np.zeros((data.n, data.n), data.intensities.dtype)
    ties, photons, frozen, known = 0, data.photons(), [], set()
    for j, frame in enumerate(frame for _, images in data.blocks() for frame in images):
        total += frame
        before, top = top.max(), np.maximum(top, frame)
        ties = int((frame == top.max()).sum()) + (ties if top.max() == before else 0)
        digest = hashlib.blake2b(np.ascontiguousarray(frame), digest_size=16).digest()
        if digest in known and photons[j] > 0:
            frozen.append(j)
        known.add(digest)
    counts = np.ones(total.shape, bool) if data.mask is None else data.mask
    counts = counts if counts.ndim == 2 else views_counting(counts) > 0
    usual = float(np.median(photons))
    dark = np.flatnonzero(photons <= DARK * usual)
    return Frames(
        mean=total / data.views,
        photons=photons,
        brightest=float(top.max()),
        dead=dead(total, counts),
        hot=hot(total),
        saturated=saturated(top, ties, None) & (top > 0),
        frozen=tuple(frozen),
        dark=tuple(dark.tolist()),
        dim=tuple(np.setdiff1d(np.flatnonzero(photons < DIM * usual), dark).tolist()),
    )
