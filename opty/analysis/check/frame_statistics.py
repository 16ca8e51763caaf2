"""One look at every frame: sums over the scan; dead, hot and saturated pixels; frozen, dark, dim and bright frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from opty.analysis.check.exposures import TwoExposures, two_exposures
from opty.analysis.coverage import is_near, odd_positions
from opty.data import PtychoData
from opty.data.lazy_frames import views_counting
from opty.physics.in_corners import in_corners
from opty.physics.pixels import filled

DARK = 0.01  # times the median number of photons of a view
SURE_LIGHT = 20.0  # photons: a view that expects as many gets none with a chance of exp(-20)
FAINT, DIM, BRIGHT = 0.2, 0.5, 3.0  # times the median number of photons of the views around it
OPEN = 2.0  # times the brightest of all other views
AROUND = 8  # views that a view is compared with
NOISE = 5.0  # standard deviations of counted photons
STRANGE, STRANGER = 0.2, 10.0  # unlikeness to the mean pattern, and times the usual one, from which on a frame is odd
FEW = 0.1  # of the frames: where more are alike, they are no faults
SPREAD = 1000.0  # photons of a view, which chance does not spread in another way
TILES = 8  # along the edge of a pattern, in which frames are compared
_NONE: tuple[int, ...] = ()
FEWEST_VIEWS = 10  # in fewer different frames a speckle may stand out as a hot pixel does
WELL_LIT = 200.0  # counts around a dead pixel: between rings and speckles a live one may see nothing as well
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
FEWEST_LIT = 16  # pixels: two frames with fewer may agree by chance
MARKER = 10.0  # times the largest other count: no light, but a number that marks a pixel


@dataclass(frozen=True, kw_only=True)
class Frames:
    """What the frames tell. Arrays are (n, n): mean pattern, and bool maps of pixels; tuples hold view numbers."""

    mean: np.ndarray
    photons: np.ndarray  # (N,) of each view
    brightest: float
    whole: bool  # all counts are whole numbers
    dead: np.ndarray
    hot: np.ndarray
    saturated: np.ndarray
    marked: float  # share of all photons in saturated pixels that stand far above every other count; else 0
    full: tuple[int, ...]  # most pixels hold the largest count
    frozen: tuple[int, ...]  # the same frame as an earlier one
    dark: tuple[int, ...]  # missing: less than a hundredth of the usual photons
    dim: tuple[int, ...]  # less than half of the photons of the views around; or of the shorter of two exposures
    strange: tuple[int, ...]  # their light is spread as in no other frame
    faint: tuple[int, ...]  # less than a fifth of those
    bright: tuple[int, ...]  # more than three times those
    exposures: TwoExposures | None  # where the scan has two

    @property
    def bad(self) -> np.ndarray:
        """Pixels (n, n) whose counts are no measure of the light."""
        return self.hot if self.saturated.mean() > 0.5 else self.hot | self.saturated

    @property
    def light(self) -> np.ndarray:
        """Mean pattern (n, n), with the median of the neighbours in place of bad pixels."""
        return filled(self.mean, self.bad)

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of mass (row, column) [px] of the light."""
        return ndimage.center_of_mass(self.light)

    @property
    def corner(self) -> bool:
        """Whether the light is gathered round the corners of the patterns, as an FFT leaves them."""
        return in_corners(self.light)


def look_at_frames(data: PtychoData) -> Frames:
    """Go once over all frames; masked pixels do not count."""
    from opty.physics.pixels import dead, gaps, hot, saturated

    seen = _Seen(data)
    for frame in (frame for _, images in data.blocks() for frame in images):
        seen.take(frame)
    counts = np.ones(seen.total.shape, bool)
    if data.mask is not None:
        counts = np.asarray(data.mask) if data.mask.ndim == 2 else views_counting(data.mask) > 0
    ends = saturated(seen.top, sum(seen.ties), None) & (seen.top > 0)
    full = np.flatnonzero(np.array(seen.ties) > counts.sum() / 2) if ends.any() else ()
    photons = data.photons()
    dark, faint, dim, bright, exposures = missing(photons), _NONE, _NONE, _NONE, None
    if data.mask is None or data.mask.ndim == 2:  # else views are not counted over the same pixels
        exposures = two_exposures(photons, data.positions_px)
        if exposures is None:
            faint, dim, bright = _odd_light(photons, dark, data.positions_px, seen.whole)
        else:
            dim = _numbers(np.setdiff1d(np.flatnonzero(exposures.dim), dark))
    different = data.views - len({*seen.frozen, *dark})
    bright_pixels = hot(seen.total, counts) & ~_direct_beam(data) & (different >= FEWEST_VIEWS)
    lost = (dead(seen.total, counts) & _well_lit(seen.total)) | gaps(seen.total, counts & ~bright_pixels & ~ends)
    return Frames(
        mean=seen.total / data.views,
        photons=photons,
        exposures=exposures,
        brightest=float(seen.top.max()),
        whole=seen.whole,
        dead=lost,
        hot=bright_pixels & hot(seen.total, counts & ~lost),
        saturated=ends,
        marked=_marked(seen.total, seen.top, ends),
        full=_numbers(full),
        frozen=tuple(seen.frozen),
        dark=dark,
        dim=dim,
        faint=faint,
        strange=tuple(view for view in strange(np.stack(seen.tiles), seen.whole) if view not in (*full, *dark)),
        bright=tuple(view for view in bright if view not in full),
    )


class _Seen:
    """What is kept of the frames while they pass."""

    def __init__(self, data: PtychoData):
        self.total = np.zeros((data.n, data.n))
        self.top = np.zeros((data.n, data.n), data.intensities.dtype)
        self.ties: list[int] = []  # of each view: pixels with the largest count so far
        self.frozen: list[int] = []
        self.tiles: list[np.ndarray] = []  # of each view: the light in tiles
        self.whole = True
        self._known: set[bytes] = set()

    def take(self, frame: np.ndarray) -> None:
        """Add the next frame."""
        self.total += frame
        self.tiles.append(_tiles(frame))
        before, self.top = self.top.max(), np.maximum(self.top, frame)
        if self.top.max() > before:
            self.ties = [0] * len(self.ties)
        self.ties.append(int((frame == self.top.max()).sum()))
        self.whole = self.whole and (frame.dtype.kind != "f" or bool((frame == np.rint(frame)).all()))
        digest = hashlib.blake2b(np.ascontiguousarray(frame).data, digest_size=16).digest()
        if digest in self._known and np.count_nonzero(frame) >= FEWEST_LIT:
            self.frozen.append(len(self.ties) - 1)
        self._known.add(digest)


def _direct_beam(data: PtychoData) -> np.ndarray:
    """Pixels (n, n) on which a wide probe gathers its light: the middle of a pattern of the far field."""
    found = np.zeros((data.n, data.n), bool)
    if not is_near(data):
        middle = data.n // 2
        found[middle - 1 : middle + 2, middle - 1 : middle + 2] = True
    return found


def _well_lit(total: np.ndarray) -> np.ndarray:
    """Pixels (n, n) around which all but two of the eight neighbours are well lit."""
    return ndimage.rank_filter(total, rank=2, footprint=RING, mode="nearest") >= WELL_LIT


def _marked(total: np.ndarray, top: np.ndarray, ends: np.ndarray) -> float:
    """Return the share of the photons in pixels at the end of the scale, where no other count comes near them."""
    high = top >= top.max() / 2
    if not ends.any() or high.all() or top.max() < MARKER * float(top[~high].max()):
        return 0.0
    return float(total[high].sum() / total.sum())


def missing(photons: np.ndarray) -> tuple[int, ...]:
    """Return the views with less than a hundredth of the usual photons, where chance does not leave views without."""
    usual = np.median(photons)
    by_chance = 0 < usual < SURE_LIGHT and bool((photons == np.rint(photons)).all())
    return () if by_chance else _numbers(np.flatnonzero(photons <= DARK * usual))


def strange(tiles: np.ndarray, whole: bool) -> tuple[int, ...]:
    """Return the views whose light (N, tiles) is spread over the detector as in no other one; none where they are many.

    Unlikeness is 1 - <a, m>, a the roots of a view's light and m their median over the views, both of norm 1. Of few
    photons, where counts are ``whole``, nothing is said.
    """
    if whole and np.median(tiles.sum(axis=1)) < SPREAD:
        return ()
    root = np.sqrt(tiles)
    root /= np.maximum(np.linalg.norm(root, axis=1, keepdims=True), 1e-30)
    usual = np.median(root, axis=0)
    unlike = 1 - root @ usual / max(float(np.linalg.norm(usual)), 1e-30)
    odd = np.flatnonzero((unlike > STRANGE) & (unlike > STRANGER * np.median(unlike)))
    return _numbers(odd) if len(odd) <= FEW * len(tiles) else ()


def _tiles(frame: np.ndarray) -> np.ndarray:
    """Return the light of a frame (n, n) in tiles (TILES^2,); what does not fill one at the far edges is left out."""
    edge = max(1, len(frame) // TILES)
    n = edge * min(TILES, len(frame))
    cut = frame[:n, :n].astype(np.float64)
    return np.asarray(cut.reshape(n // edge, edge, n // edge, edge).sum(axis=(1, 3)).ravel())


def _odd_light(
    photons: np.ndarray, dark: tuple[int, ...], positions: np.ndarray, whole: bool
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the views, of those that are not dark, with hardly any of the light of the views around them, with far
    less, and with far more.

    A sample that absorbs makes its views dim together, a fault of the beam or of the detector makes single ones so.
    """
    far, _ = odd_positions(positions)
    lit = np.setdiff1d(np.arange(len(photons)), [*dark, *far])
    if len(lit) <= AROUND:
        return (), (), ()
    around = cKDTree(positions[lit]).query(positions[lit], k=AROUND + 1)[1][:, 1:]
    usual = np.median(photons[lit][around], axis=1)
    noise = NOISE * np.sqrt(usual) if whole else 0.0
    faint, dim = (photons[lit] < times * usual - noise for times in (FAINT, DIM))
    bright = photons[lit] > BRIGHT * usual + noise
    if not bright.all():  # where a sample is dark, its holes are bright, but no brighter than the beam elsewhere
        bright &= photons[lit] > OPEN * photons[lit][~bright].max()
    return _numbers(lit[faint]), _numbers(lit[dim]), _numbers(lit[bright])


def _numbers(views: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(view) for view in views)
