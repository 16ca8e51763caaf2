"""The mask of the detector: masks that are given, and those found from the frames."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from opty.data.lazy_frames import LazyFrames, views_counting
from opty.io.prepare.cutting import centre_option
from opty.io.prepare.frames import blocks
from opty.io.prepare.image_ops import centred, clipped
from opty.io.prepare.images import Given, given_image
from opty.physics.pixels import dead, gaps, hot, saturated
from opty.remedies import here, named, option

if TYPE_CHECKING:
    from opty.io.prepare.cutting import Cut
    from opty.io.prepare.options import Preparation, Raw

MANY_INVALID = 0.25  # of the detector: no detector has that many broken pixels, so it is noise
STATISTICS = ("invalid", "dead", "hot", "saturated")


@dataclass(frozen=True)
class Items:
    """The parts of the option ``mask``."""

    images: tuple[Given, ...] = ()
    statistics: tuple[str, ...] = ()
    ignore: bool = False


def mask_items(mask: Any) -> Items:
    """Sort the option ``mask`` into images and statistics."""
    if mask is None:
        return Items()
    parts = list(mask) if isinstance(mask, (list, tuple)) and _mixed(mask) else [mask]
    words = [part for part in parts if isinstance(part, str) and part in (*STATISTICS, "ignore")]
    images = tuple(_image(part) for part in parts if not (isinstance(part, str) and part in words))
    return Items(images, tuple(w for w in words if w != "ignore"), "ignore" in words)


@dataclass(frozen=True)
class Statistics:
    """Pixels ``good`` (n, n) in all views; ``noise``: which are invalid has to be found in each view, and so has which
    count ``level`` or more, where that is finite.
    """

    good: np.ndarray
    noise: bool
    level: float


def statistics(
    items: Items, raw: Raw, cut: Cut, choice: Any, known: np.ndarray | LazyFrames | None, options: Preparation
) -> Statistics:
    """Find the pixels (n, n) that count, from all chosen frames; ``known`` is the mask known so far.

    invalid: NaN, infinite or negative in any view. Where that is more than a quarter of the detector, it is noise of
    dark-subtracted data: then those that are not good are invalid in every view. dead: no count in
    any view, though the median neighbour has 20; and gaps, lines and blocks of such pixels with sharp edges. hot: more
    than ten times the third brightest of the 24 around it. saturated: ``saturation`` counts in a view, or the largest
    number of the type, or a plateau: the same largest count, 100 or more, at least ten times. Where one of these counts
    less in another view, each view masks its own.
    """
    total: np.ndarray | None = None
    top: np.ndarray | None = None
    least: np.ndarray | None = None
    invalid: np.ndarray | None = None
    ties = views = 0
    for place, images in blocks(raw.frames, choice):
        images = cut(centred(images, raw.corner))
        images = images if options.clip is None else clipped(images)
        seen = True if known is None else (known if known.ndim == 2 else known[place])
        bad = ~(np.isfinite(images) & (images >= 0)) & seen
        images = np.where(~bad & seen, images, 0)
        if total is None or top is None or least is None or invalid is None:
            total, top = np.zeros(images.shape[1:]), np.zeros(images.shape[1:], images.dtype)
            least = images[0]
            invalid = np.zeros(images.shape[1:], int)
        peak = top.max()
        total += images.sum(axis=0, dtype=np.float64)
        invalid += bad.sum(axis=0)
        views += len(images)
        top, least = np.maximum(top, images.max(axis=0)), np.minimum(least, images.min(axis=0))
        ties = int((images == top.max()).sum()) + (ties if top.max() == peak else 0)
    assert total is not None  # at least one view is chosen
    assert top is not None
    assert least is not None
    assert invalid is not None
    brightest, bad_views = top, invalid
    level = float(top.max()) if options.saturation is None else options.saturation
    if known is None:
        counts = np.ones(total.shape, bool)
    elif isinstance(known, LazyFrames) or known.ndim == 3:
        counts = np.greater(views_counting(known), 0)
    else:
        counts = known

    def full() -> np.ndarray:
        return saturated(brightest, ties, options.saturation)

    def lost() -> np.ndarray:
        return dead(total, counts) | gaps(total, counts & ~(hot(total, counts) | full()))

    varies = "saturated" in items.statistics and bool((full() & (least < level)).any())
    noise = "invalid" in items.statistics and float((invalid > 0).mean()) > MANY_INVALID
    find: dict[str, Callable[[], np.ndarray]] = {
        "invalid": lambda: np.equal(bad_views, views) if noise else np.greater(bad_views, 0),
        "dead": lost,
        "hot": lambda: hot(total, counts & ~lost()),
        "saturated": lambda: full() & (not varies),
    }
    good = ~np.logical_or.reduce([find[name]() for name in items.statistics])
    return Statistics(good, noise, level if varies else np.inf)


def below(raw: Raw, cut: Cut, choice: Any, cutoff: float) -> np.ndarray:
    """Find the pixels (n, n) that stay below a count in all chosen views: the others are saturated, or hold a code."""
    full = np.zeros((cut.n, cut.n), bool)
    for _, images in blocks(raw.frames, choice):
        full |= (cut(centred(images, raw.corner)) >= cutoff).any(axis=0)
    return ~full


def centre_of_mass(raw: Raw, choice: Any) -> tuple[float, float]:
    """Centre of mass (row, column) [px] of the mean pattern, over finite and positive counts."""
    total = np.zeros(raw.frames.shape[1:])
    for _, images in blocks(raw.frames, choice):
        images = centred(images, raw.corner)
        total += np.where(np.isfinite(images) & (images > 0), images, 0).sum(axis=0, dtype=np.float64)
    if not total.any():
        raise ValueError(f"{option('centre', 'auto')} finds no light: give {centre_option()}")
    return ndimage.center_of_mass(total)


def _mixed(mask: Any) -> bool:
    """Return whether a list holds masks, rather than the rows of one mask."""
    return any(isinstance(part, (str, os.PathLike, np.ndarray)) for part in mask)


def _image(part: Any) -> Given:
    """Read a mask; the error about a missing file lists the words that the option takes."""
    try:
        image = given_image("mask", part)
    except FileNotFoundError as error:
        kinds = here("the path of a file, an array", "the path of a file")
        error.add_note(f"({named('mask')} takes {kinds}, or some of {', '.join(STATISTICS)}, ignore)")
        raise
    other = image.array[(image.array != 0) & (image.array != 1)]
    if other.size:
        raise ValueError(
            f"{image} holds {other.flat[0]}; it is 1 where a pixel counts and 0 where it is dead: for codes of "
            f"which 0 is good {here('give the array mask == 0', 'write a mask of ones and zeros')}"
        )
    return image
