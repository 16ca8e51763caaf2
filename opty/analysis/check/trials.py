"""How well a guess of orientation, order and probe predicts views that a short run on the others has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.check.exposures import TwoExposures, of_one_exposure
from opty.analysis.check.frame_statistics import Frames, look_at_frames
from opty.analysis.coverage import is_near
from opty.analysis.held_out import held_out_misfit
from opty.analysis.orientation import Orientation, middle
from opty.analysis.probe_search import COARSE, GENTLE, LIGHT, VIEWS, ProbeSearch, coarse, start_of
from opty.data import PtychoData
from opty.data.frame_order import frame_order
from opty.data.parts import chosen
from opty.model.starting_probe import first_probe, with_modes
from opty.recipes import rPIE

RECIPE = rPIE(alpha=0.1) ** 5
SETTLED = rPIE(alpha=0.1) ** 40  # as long as it takes to find a diffuser, from whose mean pattern a near field starts
PIXELS = 48 * 256**2  # detector pixels of a part, in the near field, where patterns stay whole
FEWEST = 12
PARTS = 48, 100, 200  # views, until they tell
SEVERAL, SWEEPS_OF_SEVERAL = 3, 20  # modes, and sweeps until these have come apart
NOISY = 1.3  # times the misfit that noise makes: patterns that the mean pattern predicts that well are hardly more


@dataclass(frozen=True)
class Score:
    """``misfit`` of held-out views; ``excess``: that over what noise makes, in parts of that of the mean pattern.

    0: the views are predicted up to their noise; 1: no better than by the mean of all patterns. ``noisy``: patterns
    differ by hardly more than their noise, so that the excess says little. ``noise``: the misfit that noise makes
    of the mean pattern, which is no less than that of each view; 0 where the numbers are no counts.
    """

    misfit: float
    excess: float
    noisy: bool = False
    noise: float = 0.0


class Trials:
    """Tries guesses on parts of a measurement, of ``views`` views, without its bad pixels and frames, of one exposure.

    ``probe`` : that a search has found, for data without one. ``known`` : a starting probe of the data, or the light of
    a near field, tells half a turn.
    """

    def __init__(self, data: PtychoData, frames: Frames, probe: np.ndarray | None = None):
        bad = frames.bad | frames.dead
        if bad.any() and (data.mask is None or data.mask.ndim == 2):
            good = ~bad if data.mask is None else np.asarray(data.mask) & ~bad
            data = data.replace(mask=good) if good.any() else data
        self.data, self.whole, self.frozen = data, frames.whole, frames.frozen
        self.exposures = frames.exposures
        self.lit = np.ones(data.views, bool)
        self.lit[[*frames.dark, *frames.full, *frames.bright, *frames.frozen]] = False
        self.most = most_views(data)
        self.views = min(FEWEST, self.most)
        self.far = not is_near(data)
        self.known = data.probe is not None or not self.far
        self.probe = first_probe(data, None, np.complex128) if self.known else probe

    def part(self, way: Orientation, order: str | None = None, round_view: int | None = None) -> PtychoData:
        """Return a part of the scan, positions taken in a way, frames in an order, round a position or the middle."""
        data = self.data
        which = np.arange(data.views) if order is None else frame_order(order, data.positions)
        kept = np.flatnonzero((which >= 0) & self.lit)
        places = data.positions[which[kept]]
        middle = data.positions.mean(axis=0) if round_view is None else data.positions[round_view]
        nearest = np.argsort(np.linalg.norm(places - middle, axis=1), kind="stable")[: self.views]
        nearest = np.sort(nearest)
        part = chosen(data, kept[nearest]).replace(positions=way.apply(places[nearest]), probe=None)
        if self.exposures is None:
            return part
        dim = self.exposures.dim[kept[nearest]]
        return of_one_exposure(part, TwoExposures(dim, self.exposures.ratio), self.whole)

    def score(self, part: PtychoData, probe: np.ndarray, recipe: Operator = RECIPE) -> Score:
        """Run a recipe on four fifths of a part and predict the others."""
        part, probe = lighter(part, probe)
        return self.scored(part, held_out_misfit(part, probe, recipe, device="cpu", threads=1))

    def scored(self, part: PtychoData, misfit: float) -> Score:
        """Return a score from a misfit."""
        counts = part.intensities[:].astype(np.float64)
        if part.mask is not None:
            counts = np.where(part.mask, counts, 0)
        mean = counts.mean(axis=0)
        root = np.sqrt(counts)
        light = counts.sum()
        flat = float(((root - root.mean(axis=0)) ** 2).sum() / light)
        noise = float(root_variance(mean).sum() / mean.sum()) if self.whole else 0.0
        return Score(misfit, (misfit - noise) / max(flat - noise, 0.05 * flat), flat < NOISY * noise, noise)


def most_views(data: PtychoData) -> int:
    """Return how many views a part may have at most: fewer in the near field, where patterns stay whole."""
    return max(FEWEST, PIXELS // data.n**2) if is_near(data) else data.views


def searched_excess(data: PtychoData, found: ProbeSearch, threads: int | None = None) -> tuple[float, float]:
    """Return the excess of ``Score`` of the probe that a search found: how badly it predicts the views held out.

    With one mode, and, from a longer run, with three. Of drawn scans of two to four modes the second was less than half
    of the first on 13 of 15, and never of one of one mode in another orientation.
    """
    part, factor = coarse(middle(data, VIEWS))
    trials = Trials(data, look_at_frames(data))
    probe = with_modes(start_of(part, found.curvature * factor**2)[None], SEVERAL)
    misfit = held_out_misfit(part, probe, GENTLE**SWEEPS_OF_SEVERAL, device="cpu", threads=threads)
    return trials.scored(part, found.score).excess, trials.scored(part, misfit).excess


def lighter(
    part: PtychoData, probe: np.ndarray, edge: int = COARSE, light: float = LIGHT
) -> tuple[PtychoData, np.ndarray]:
    """Return a part with the middle of its patterns alone, and the probe that these show, where they hold the light."""
    if is_near(part):
        return part, probe
    part = coarse(part, edge, light)[0]
    return part, cropped(probe, part.n)


def cropped(probe: np.ndarray, n: int) -> np.ndarray:
    """Return the probe (..., n, n) that patterns of n px show, of which these are the middle."""
    if probe.shape[-1] == n:
        return probe
    axes = (-2, -1)
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe, axes=axes)), axes=axes)
    first = (probe.shape[-1] - n) // 2
    inner = spectrum[..., first : first + n, first : first + n]
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(inner, axes=axes)), axes=axes)


def root_variance(mean: np.ndarray) -> np.ndarray:
    """Return E (sqrt k - sqrt m)^2 of counts k of mean m: about 2 m below one count, 1/4 far above."""
    return np.interp(mean, _MEANS, _VARIANCES, right=0.25)


def _variances(means: np.ndarray) -> np.ndarray:
    k = np.arange(120)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(k[1:]))])
    weights = np.exp(k * np.log(means[:, None]) - means[:, None] - factorials)
    return np.asarray((weights * (np.sqrt(k) - np.sqrt(means[:, None])) ** 2).sum(axis=1))


_MEANS = np.concatenate([[1e-6], np.geomspace(1e-3, 50, 200)])
_VARIANCES = _variances(_MEANS)
