"""Pixels that are no measurement of light: dead, hot, saturated; found from sums over the scan."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

RING = np.ones((3, 3), bool)
RING[1, 1] = False
WIDE = np.ones((5, 5), bool)
WIDE[2, 2] = False
DEAD_BELOW = 20.0  # counts of the neighbours, all views together: a live pixel that sees none has a chance of exp(-20)
HOT_TIMES = 10.0
MOST_KNOWN, SOME_KNOWN = 16, 8  # of the 24 pixels around one
PLATEAU, PLATEAU_COUNTS = 10, 100  # counts of 100 and more spread: their largest is drawn a few times at most
LEVELS = 30  # different brightest counts that there must be: numbers of few photons in large steps are often alike
GAP = 200.0  # counts that a gap has lost on a pixel, or on a whole line: light alone does not end so sharply
BOX = 0.7  # of the smallest box round it that a gap fills
WHOLE_BOX = 0.95  # of it that a gap at the border of the detector fills, which has light on one side only


def dead(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pixels without a count in any view where the median of the eight neighbours has at least 20, (n, n) bool.

    ``total`` : counts of all views (n, n); ``counts`` : pixels known to be good.
    """
    around = ndimage.median_filter(total, footprint=RING, mode="nearest")
    return (total == 0) & counts & (around >= DEAD_BELOW)


def gaps(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Lines and blocks of pixels without a count, with sharp edges and light on both sides, (n, n) bool.

    Whole lines of the detector; blocks, of whose pixels each lies between two lit ones along its row or column; and
    rectangles at the border of the detector, with light on one side.
    Light that falls towards the edge of a dark part goes on falling there: it is continued as far as the first pixel
    inside by the ratio of the two pixels outside. ``total``, ``counts`` : as for ``dead``.
    """
    total = np.where(counts, total, 0)
    empty = (total == 0) & counts
    lost = np.maximum(_between(total, empty), _between(total.T, empty.T).T)
    label, _ = ndimage.label(empty & (lost >= GAP))
    out = np.zeros(total.shape, bool)
    for part, place in enumerate(ndimage.find_objects(label), 1):
        inside = label[place] == part
        if inside.sum() > 3 and inside.mean() >= BOX:
            out[place] |= empty[place]
    label, _ = ndimage.label(empty)
    for part, place in enumerate(ndimage.find_objects(label), 1):
        inside = label[place] == part
        if inside.sum() > 3 and inside.mean() >= WHOLE_BOX and _cut_off(total, place) >= GAP:
            out[place] |= empty[place]
    rows, columns = _whole_lines(total, counts), _whole_lines(total.T, counts.T)
    return out | (empty & (rows[:, None] | columns))


def _between(total: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Return the counts that pixels in runs of empty ones along rows would have by the darker of both ends."""
    out = np.zeros(total.shape)
    for line, dark, expected in zip(total, empty, out, strict=True):
        for first, last in _runs(dark):
            expected[first:last] = min(_goes_on(line, first, -1), _goes_on(line, last - 1, 1))
    return out


def _cut_off(total: np.ndarray, place: tuple[slice, slice]) -> float:
    """Return the counts that the light beside a box at the border would have on its first pixels; 0 inside the frame.

    The least over the sides of the box that are no border of the frame: each has to end sharply.
    """
    rows, columns = place
    sides, border = [], False
    for image, along, across in ((total.T, rows, columns), (total, columns, rows)):
        for at, step in ((along.start, -1), (along.stop - 1, 1)):
            if 0 <= at + step < image.shape[1]:
                sides.append(sum(_goes_on(line, at, step) for line in image[across]))
            else:
                border = True
    return min(sides, default=0.0) if border else 0.0


def _whole_lines(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return which rows (n,) have no count, between others that have, of which one was lit to its edge."""
    light = total.sum(axis=1)
    good = counts.mean(axis=1) > 0.5
    out = np.zeros(len(light), bool)
    for first, last in _runs((light == 0) & good):
        before, after = _goes_on(light, first, -1), _goes_on(light, last - 1, 1)
        out[first:last] = max(before, after) >= GAP and light[:first].any() and light[last:].any()
    return out


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return (first, last + 1) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _goes_on(line: np.ndarray, at: int, step: int) -> float:
    """Return what the light beside pixel ``at`` of a line becomes there if it goes on falling; 0 at the edge."""
    near, far = at + step, at + 2 * step
    if not 0 <= far < len(line) or line[near] == 0:
        return 0.0
    return float(line[near] * min(1.0, line[near] / line[far])) if line[far] > 0 else 0.0


def hot(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pixels with more than ten times the third brightest of the 24 around, and at least 20 counts, (n, n) bool.

    Beside a gap, with less than 16 good ones around, more than ten times the second brightest; with less than 8 nothing
    is told. ``total``, ``counts`` : as for ``dead``; what a detector has lost beside a pixel is no darkness.
    """
    good = np.where(counts, total, -1)
    third, second = (ndimage.rank_filter(good, rank=rank, footprint=WIDE, mode="nearest") for rank in (-3, -2))
    known = ndimage.convolve(counts.astype(int), WIDE.astype(int), mode="nearest")
    around = np.where(known >= MOST_KNOWN, third, second)
    return counts & (known >= SOME_KNOWN) & (total >= DEAD_BELOW) & (total > HOT_TIMES * around)


def saturated(top: np.ndarray, ties: int, saturation: float | None) -> np.ndarray:
    """Pixels that reached ``saturation`` counts in a view; without one, the end of the type or a plateau, (n, n) bool.

    ``top`` : largest count of each pixel (n, n); ``ties`` : how often the largest of all was counted.
    """
    if saturation is not None:
        return top >= saturation
    if top.dtype.kind in "iu" and top.max() == np.iinfo(top.dtype).max:
        return top == top.max()
    plateau = ties >= PLATEAU and top.max() >= PLATEAU_COUNTS and len(np.unique(top)) >= LEVELS
    return (top == top.max()) & bool(plateau)


def filled(image: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return an image (n, n) with the median of the good ones of the 24 pixels around in place of each bad pixel.

    One whose good pixels are all dark is returned as it is.
    """
    if not bad.any():
        return image
    known = np.pad(np.where(bad, np.nan, image), 2, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(known, (5, 5))[bad].reshape(-1, 25)
    found, some = np.zeros(len(around)), ~np.isnan(around).all(axis=1)
    found[some] = np.nanmedian(around[some], axis=1)
    out = image.astype(np.float64)
    out[bad] = found
    return out if out.any() else image
