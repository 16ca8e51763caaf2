"""Does a mask mark the bad pixels, where it has to mark those that count?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from opty.data.lazy_frames import LazyFrames
from opty.remedies import here, option

VIEWS = 16  # that are looked at, over the whole scan
HIDES = 0.8  # share of the light that an inverted mask hides at least
ODD = 5.0  # times the light at its distance from the middle, up or down, from which on a pixel is no fair one
FAIR = 0.5  # share of the pixels left that have to be fair
SEEN = 10.0  # counts, in all views looked at, from which on chance leaves no pixel dark


def inverted(intensities: np.ndarray | LazyFrames, mask: Any) -> str | None:
    """Say that a mask seems to be inverted, with the remedy; None where it does not.

    It leaves less than half of the detector, hides four fifths of the light and more, and most of what it leaves is
    dark, constant over the views, or stands out from the hidden pixels that are as far from the middle. Light is what
    changes from view to view: codes in hidden pixels are none. A pixel that stands out from those around it counts as
    at most ``ODD`` times as bright as they are, and one where nothing is to be seen tells nothing.

    Parameters: intensities (N, n, n); mask (n, n) or (N, n, n) bool, True where a pixel counts, or None.
    Returns: a text. Raises SourceError where the frames are not here.
    """
    if mask is None:
        return None
    some = np.unique(np.linspace(0, len(intensities) - 1, VIEWS).astype(int))
    left = mask if mask.ndim == 2 else np.stack([mask[view] for view in some]).mean(axis=0) > 0.5
    if left.mean() >= 0.5:
        return None
    frames = np.stack([np.asarray(intensities[view], np.float64) for view in some])
    frames = np.where(np.isfinite(frames), np.maximum(frames, 0), 0)
    mean = frames.mean(axis=0)
    live = (np.ptp(frames, axis=0) > 0) if len(some) > 1 else mean > 0
    if not (live & ~left).any():
        return None
    light = np.where(live, mean, 0)
    capped = np.minimum(light, ODD * ndimage.median_filter(light, 5, mode="nearest"))
    usual = _at_their_distance(light, ~left & (live | (mean == 0)))
    least = SEEN / len(some) if (frames == np.rint(frames)).all() else 0.0
    telling = left & (np.maximum(usual, mean) > least)
    fair = telling & live & (light < ODD * usual) & (light * ODD > usual)
    if capped[left].sum() > (1 - HIDES) * capped.sum() or fair.sum() >= FAIR * telling.sum():
        return None
    hidden = (live & ~left).sum() / live.sum()
    remedy = here(
        "give ~mask", f"write its inverse to a file, or leave out that of the file, {option('mask', 'ignore')}"
    )
    return (
        f"the mask is probably inverted: it hides {hidden:.0%} of the pixels that see light, and most of the "
        f"{int(left.sum())} pixels that it leaves are dark or stand out; it is 1 where a pixel counts: {remedy}"
    )


def _at_their_distance(light: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the median light (n, n) of the known pixels as far from the middle; of the nearest ring that has some."""
    n = len(light)
    ring = np.hypot(*(np.indices(light.shape) - n // 2)).astype(int)
    rings = np.unique(ring[known])
    medians = ndimage.median(light, np.where(known, ring, -1), rings)
    usual: np.ndarray = np.interp(ring, rings, medians)
    return usual
