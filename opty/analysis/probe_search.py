"""find_probe(data): a starting probe where the measurement has none, by the curvature that predicts views best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.analysis.coverage import is_near
from opty.analysis.held_out import held_out_misfit
from opty.analysis.orientation import middle
from opty.data import PtychoData
from opty.physics.pixels import filled
from opty.recipes import ePIE

VIEWS = 100  # of the middle of the scan: enough to overlap all round
SWEEPS = 5
GENTLE = ePIE()  # with few photons, quicker engines fit their noise, and predict no view
COARSE = 128  # pixels of the patterns' middle that are looked at, where it holds most of the light
LIGHT = 0.75  # of the photons that the middle has to hold
RATIO = 1.25  # of one curvature to the next: a start that is off by more finds the object no more
NARROWEST, WIDEST = 0.03, 0.7  # of the window: widths of the spots that are tried
DECIDED = 0.9  # times the best score of another spot, below which the search has decided


@dataclass(frozen=True)
class ProbeSearch:
    """What ``find_probe`` found.

    ``probe`` (n, n) complex, centred, at the power of the brightest view; ``curvature`` c [px^2] of its phase pi c q^2
    in Fourier space, q in cycles per pixel; ``defocus`` [m], c pixel^2 / wavelength, where there is a geometry;
    ``scores``: misfit of held-out views by curvature; ``decided``: whether the best stands out.
    """

    probe: np.ndarray
    curvature: float
    defocus: float | None
    scores: dict[float, float]
    decided: bool

    @property
    def score(self) -> float:
        """Misfit of the held-out views from this probe."""
        return self.scores[self.curvature]


def find_probe(
    data: PtychoData, seed: int = 0, threads: int | None = None, tell: Callable[[int, int], None] | None = None
) -> ProbeSearch:
    """Find a starting probe in the far field, or of a cone beam: F^-1 [sqrt(mean pattern) exp(i pi c q^2)], c the best.

    The mean pattern is about the aperture of the lens, whose phase no pattern shows; most probes are defocused, and c
    is the defocus. From each of some thirty c, and from a few round the best, a short run on four fifths of the middle
    of the scan; the c whose object and probe predict the other fifth best is taken. Where the middle of the patterns
    holds three quarters of the light, only that is looked at.

    Parameters
    ----------
    data : PtychoData; a probe that it has is not used. seed : of the views that are held out. threads : as for
    PtychoState. tell : called with the number of curvatures tried and of all.

    Returns
    -------
    ProbeSearch.

    Raises
    ------
    ValueError : a near field, where patterns show the beam as it is; less than five views, or no light.

    Source: held-out views: Brunger, Nature 355, 472 (1992); the start from the mean pattern is common use.
    """
    if is_near(data):
        raise ValueError("find_probe looks for a focused beam in the far field; the geometry says 'near'")
    search = Searching(data, seed, threads, tell)
    search.look()
    return search.refined()


class Searching:
    """A search for the probe in steps: ``look`` at some of the curvatures or at all, what is ``found`` so far, and
    ``refined``.
    """

    def __init__(
        self, data: PtychoData, seed: int, threads: int | None, tell: Callable[[int, int], None] | None = None
    ):
        self.data, self._seed, self._threads, self._tell = data, seed, threads, tell
        self._part, self._factor = coarse(middle(data, VIEWS))
        light = _amplitude(self._part) ** 2
        spread = math.sqrt((light * _q2(self._part.n)).sum() / light.sum())  # cycles per pixel, root of the mean square
        steps = math.ceil(math.log(WIDEST / NARROWEST) / math.log(RATIO)) + 1
        self._widths = NARROWEST * self._part.n * RATIO ** np.arange(steps) / (2 * spread)
        self._scores: dict[float, float] = {}

    def look(self, every: int = 1) -> None:
        """Score one in ``every`` of the curvatures, each once; none, and both signs of each width."""
        for curvature in [0.0] + [sign * float(width) for width in self._widths[::every] for sign in (1, -1)]:
            self._tried(curvature)

    def refined(self) -> ProbeSearch:
        """Return what is found once the neighbours of the best are scored as well."""
        best = self._best
        for step in (0.11, 0.055, 0.027):
            best = min((best * (1 - step), best, best * (1 + step)), key=self._tried) if best else best
        return self.found(best)

    def found(self, best: float | None = None) -> ProbeSearch:
        """Return what is found, with ``best`` of the curvatures, by default that of the least score."""
        best, scores, data = self._best if best is None else best, self._scores, self.data
        others = [score for c, score in scores.items() if not 0.7 < (c / best if best else float(c == 0)) < 1.4]
        decided = scores[best] < DECIDED * min(others, default=math.inf)
        curvature = best / self._factor**2
        probe = start_of(data, curvature)
        probe *= math.sqrt(float(data.photons().max()) / (np.abs(probe) ** 2).sum())
        pixel = data.pixel
        defocus = None if pixel is None or data.geometry is None else curvature * pixel**2 / data.geometry.wavelength
        return ProbeSearch(probe, curvature, defocus, {c / self._factor**2: s for c, s in scores.items()}, decided)

    @property
    def _best(self) -> float:
        return min(self._scores, key=self._scores.__getitem__)

    def _tried(self, curvature: float) -> float:
        if curvature not in self._scores:
            probe = start_of(self._part, curvature)
            machine = {"device": "cpu", "threads": self._threads}
            self._scores[curvature] = held_out_misfit(self._part, probe, GENTLE**SWEEPS, self._seed, **machine)
            if self._tell is not None:
                self._tell(len(self._scores), 2 * len(self._widths) + 7)
        return self._scores[curvature]


def coarse(data: PtychoData, edge: int = COARSE, light: float = LIGHT) -> tuple[PtychoData, float]:
    """Return the measurement with the middle of its patterns alone, in pixels, and how much smaller they are.

    The middle has ``edge`` pixels, where it holds the share ``light`` of the photons; else patterns stay whole.
    """
    positions = data.positions_px
    mask, dark, intensities, factor = data.mask, data.background, data.intensities[:], 1.0
    if data.n > edge:
        first = data.n // 2 - edge // 2
        inner = (Ellipsis, slice(first, first + edge), slice(first, first + edge))
        counted = intensities if mask is None else np.where(mask, intensities, 0)
        if counted[inner].sum(dtype=np.float64) >= light * counted.sum(dtype=np.float64):
            factor = edge / data.n
            intensities, mask, dark = intensities[inner], *(None if a is None else a[inner] for a in (mask, dark))
    return PtychoData(np.ascontiguousarray(intensities), positions * factor, mask=mask, background=dark), factor


def _q2(n: int) -> Any:
    q = (np.arange(n) - n // 2) / n
    return q[:, None] ** 2 + q**2


def _amplitude(data: PtychoData) -> np.ndarray:
    """Return the mean amplitude (n, n) of the patterns, that of the light beside the background of the data.

    Masked pixels get that of those around: a gap is no dark part of the beam.
    """
    amplitude = data.mean_amplitude()
    if data.mask is not None and data.mask.ndim == 2:
        amplitude = filled(amplitude, ~np.asarray(data.mask))
    return amplitude if data.background is None else np.sqrt(np.maximum(amplitude**2 - data.background, 0))


def start_of(data: PtychoData, curvature: float) -> np.ndarray:
    """Return F^-1 [sqrt(mean pattern) exp(i pi c q^2)], (n, n), centred."""
    spectrum = _amplitude(data) * np.exp(1j * np.pi * curvature * _q2(data.n))
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum)))
