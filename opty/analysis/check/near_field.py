"""Does a pattern move with its position? In the near field it does, as an image of the sample: how large that is."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.pedestal import floor
from opty.analysis.check.trials import Score, Trials
from opty.analysis.coverage import diameter, focused, scan_numbers
from opty.analysis.orientation import AS_GIVEN
from opty.analysis.probe_search import find_probe
from opty.data import PtychoData
from opty.model.starting_probe import first_probe
from opty.physics.pixels import filled
from opty.remedies import here, option

NEIGHBOURS = 8  # of each view
VIEWS = 200
LIT = 0.05  # of the brightest: pixels of the mean pattern in which images are compared
WIDE = 0.2  # share of the pixels that must be lit: a near field is an image
ALIKE = 0.3  # correlation of two images from which on their shift is believed
AGREE = 0.5  # share of all pairs whose shifts must follow one map of the positions
WITHIN, FACTOR = 1.0, 2.5  # px: how near a shift must be to the map; and that in medians
ROUNDS = 20
SAMPLE = 24  # images whose likeness with themselves is looked at
OF_PAIRS = 2 * math.sqrt(math.log(2))  # median distance of two views that are off by one in each direction
STEP, MOST_STEPS = 1.015, 6  # of the distance of the focus, from one that is tried to the next
VIEWS_FITTED, VIEWS_SEARCHED = 100, 48
PREDICTS = 0.8  # excess of a score below which a near field predicts views
SURE, PARALLEL = 3.0, 0.01  # standard errors, and what a magnification of a parallel beam may be off


@dataclass(frozen=True)
class ImageShift:
    """How patterns move with their positions: by ``matrix`` @ (change of position), detector px over the unit of
    positions; minus the magnification over the pixel size where axes agree.

    ``agree``: share of the pairs of neighbours that follow it, to about a pixel; ``error``: relative standard error of
    the magnification, from the scatter of the pairs; ``beside``: by how much a view is off the map, in each direction,
    the standard deviation by the median of the pairs that are alike [detector px]; ``repeats``: largest correlation of
    an image with itself, moved by more than a sixth of the window: high for lines and gratings, whose movement cannot
    be told.
    """

    matrix: np.ndarray
    agree: float
    error: float
    beside: float
    repeats: float = 0.0

    @property
    def magnification(self) -> float:
        """Pixels of the detector for a unit of positions."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix))))


def image_shift(data: PtychoData, frames: Frames) -> ImageShift | None:
    """Measure by how much patterns at neighbouring positions are moved against each other.

    Each pattern is divided by the mean of all, which takes the beam off, and correlated with those of its neighbours;
    one linear map from differences of positions to shifts is fitted to the pairs that agree on it. None where patterns
    are no wide images, or too few pairs are alike and agree.
    """
    seen = image_spectra(data, frames)
    if seen is None:
        return None
    views, spectra = seen
    places = data.positions
    other = cKDTree(places[views]).query(places[views], k=NEIGHBOURS + 1)[1][:, 1:]
    apart, shifts, alike = [], [], []
    for i, near in enumerate(other):
        for j in near:
            peak, shift = _shift(spectra[i], spectra[j])
            alike.append(peak)
            shifts.append(shift)
            apart.append(places[views[j]] - places[views[i]])
    found = _map(np.array(apart), np.array(shifts), np.array(alike))
    return None if found is None else dataclasses.replace(found, repeats=repeats(spectra))


def image_spectra(data: PtychoData, frames: Frames) -> tuple[np.ndarray, np.ndarray] | None:
    """Return views (K,) from the middle of the scan and transforms (K, 2n, n + 1) of their patterns as images.

    Each pattern is divided by the mean of all. None where patterns are no wide images, or there are too few.
    """
    mean = filled(frames.mean, frames.bad)
    smooth = ndimage.gaussian_filter(mean, 1.0)
    lit = (smooth > LIT * smooth.max()) & ~frames.dead
    views = np.setdiff1d(np.arange(data.views), [*frames.dark, *frames.full, *frames.bright, *frames.frozen])
    if lit.mean() < WIDE or len(views) < NEIGHBOURS + 2:
        return None
    places = data.positions
    middle = np.linalg.norm(places[views] - places[views].mean(axis=0), axis=1)
    views = views[np.argsort(middle, kind="stable")[:VIEWS]]
    return views, _spectra(data, views, mean, lit, frames)


def _spectra(data: PtychoData, views: np.ndarray, mean: np.ndarray, lit: np.ndarray, frames: Frames) -> np.ndarray:
    """Return the transforms (K, 2n, 2n) of the images without the beam, of norm 1, in twice the window."""
    rows, columns = np.hanning(data.n + 2)[1:-1, None], np.hanning(data.n + 2)[1:-1]
    out = np.empty((len(views), 2 * data.n, data.n + 1), np.complex64)
    for k, view in enumerate(views):
        image = filled(np.asarray(data.intensities[view], np.float64), frames.bad)
        ratio = np.where(lit, image / np.maximum(mean, 1e-12), 1.0)
        ratio = (ratio - ratio[lit].mean()) * lit * rows * columns
        norm = np.linalg.norm(ratio)
        out[k] = np.fft.rfft2(ratio / max(norm, 1e-12), s=(2 * data.n, 2 * data.n))
    return out


def repeats(spectra: np.ndarray) -> float:
    """Return the largest correlation of an image with itself beyond a sixth of the window, the median of some."""
    size = spectra.shape[1]
    places = np.fft.fftfreq(size, 1 / size)
    far = np.hypot(places[:, None], places) > size / 12
    found = []
    for one in spectra[:: max(1, len(spectra) // SAMPLE)]:
        image = np.fft.irfft2(np.abs(one) ** 2, s=(size, size))
        found.append(float(image[far].max() / max(float(image[0, 0]), 1e-30)))
    return float(np.median(found))


def _shift(one: np.ndarray, other: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Return the largest correlation of two images, and by how much the other is moved against the first [px]."""
    image = np.fft.irfft2(one.conj() * other, s=(one.shape[0], one.shape[0]))
    size = len(image)
    top = np.unravel_index(int(image.argmax()), image.shape)
    found = []
    for axis in range(2):
        line = [float(image[tuple((top[a] + step * (a == axis)) % size for a in range(2))]) for step in (-1, 0, 1)]
        bend = line[0] - 2 * line[1] + line[2]
        offset = 0.5 * (line[0] - line[2]) / bend if bend < 0 else 0.0
        found.append((int(top[axis]) + size // 2) % size - size // 2 + offset)
    return float(image[top]), (found[0], found[1])


def _map(apart: np.ndarray, shifts: np.ndarray, alike: np.ndarray) -> ImageShift | None:
    """Fit the linear map from changes of position (K, 2) to shifts (K, 2), by the pairs that agree on it."""
    good = alike > ALIKE
    if good.sum() < AGREE * len(alike):
        return None
    for _ in range(ROUNDS):
        fit = np.linalg.lstsq(apart[good], shifts[good], rcond=None)[0]
        off = np.linalg.norm(shifts - apart @ fit, axis=1)
        before, good = good, (off < max(WITHIN, FACTOR * float(np.median(off[good])))) & (alike > ALIKE)
        if good.sum() < AGREE * len(alike):
            return None
        if (before == good).all():
            break
    matrix = fit.T
    spread = float(np.sqrt((off[good] ** 2).mean() / 2))
    length = float(np.sqrt((np.linalg.norm(apart[good] @ fit, axis=1) ** 2).sum() / 2))
    beside = float(np.median(off[alike > ALIKE])) / OF_PAIRS
    return ImageShift(matrix, float(good.mean()), spread / max(length, 1e-12), beside)


def taken_as_far(data: PtychoData, frames: Frames) -> Findings:
    """Say that a scan taken as far field is a near field, and where its focus is, where its patterns are such images.

    Only where the far field brings no probe, views would not overlap with the focus that its mean pattern implies, and
    no search finds a probe that predicts views: a beam far out of focus makes images in the far field as well.
    """
    g = data.geometry
    if g is None or g.propagation == "near" or data.probe is not None or data.views < NEIGHBOURS + 2:
        return Findings()
    across = diameter(focused(filled(data.mean_amplitude(), frames.bad)))
    if scan_numbers(data.positions_px, None, across, "")["overlap"] > 0:
        return Findings()
    found = image_shift(data, frames)
    if found is None:
        return Findings()
    times = found.magnification * g.pixel_size  # (focus_to_sample + distance) / focus_to_sample
    diverging = times > 1 + SURE * found.error + PARALLEL
    focus, score = _fitted(data, frames, g.distance / (times - 1) if diverging else None)
    if not score.excess < PREDICTS or _as_far(data, frames) < PREDICTS:
        return Findings()
    if (level := floor(frames)) and _as_far(
        data.replace(background=np.full((data.n, data.n), level)), frames
    ) < PREDICTS:
        return Findings()  # a constant on all pixels makes the focus look narrow
    remedy = option("propagation", "near")
    if focus is not None:
        remedy += f" and {option('focus_to_sample', float(f'{focus:.4g}'))}"
    return Findings(
        (
            f"the patterns are images of the sample, which move with the positions, magnified {times:.3g} times: a "
            f"near field, and the geometry says {g.propagation!r}; as a near field held-out views have a misfit of "
            f"{score.misfit:.3g}: {here('load with', 'give')} {remedy}",
        )
    )


def _as_far(data: PtychoData, frames: Frames) -> float:
    """Return the excess with which the best probe of a search predicts views in the far field."""
    trials = Trials(data, frames)
    trials.views = VIEWS_SEARCHED
    part = trials.part(AS_GIVEN)
    return trials.scored(part, find_probe(part, threads=1).score).excess


def _fitted(data: PtychoData, frames: Frames, focus: float | None) -> tuple[float | None, Score]:
    """Return the distance of the focus, near the one given, from which a short run predicts views best, and its score.

    It decides both how large the sample is and how far its wave propagates.
    """
    g = data.geometry
    assert g is not None
    known: dict[float | None, Score] = {}

    def score(at: float | None) -> Score:
        if at not in known:
            geometry = dataclasses.replace(g, focus_to_sample=at, propagation="near")
            trials = Trials(data.replace(geometry=geometry), frames)
            trials.views = min(VIEWS_FITTED, trials.most)
            known[at] = trials.score(trials.part(AS_GIVEN), first_probe(trials.data, None, np.complex128))
        return known[at]

    if focus is None:
        return None, score(None)
    points = [focus / STEP, focus, focus * STEP]
    for _ in range(MOST_STEPS):
        best = min(points, key=lambda at: score(at).misfit)
        if best not in (points[0], points[-1]):
            break
        points = sorted([*points, best * STEP if best == points[-1] else best / STEP])
    i = points.index(best)
    if 0 < i < len(points) - 1:
        below, least, above = (score(at).misfit for at in points[i - 1 : i + 2])
        best *= STEP ** (0.5 * (below - above) / (below - 2 * least + above))
    return best, score(best)
