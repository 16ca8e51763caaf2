"""What the counts tell of positions, weighted against the places that were given.

All numbers are squares of amplitudes at the detector, sqrt(photons): there the noise of counts is alike in all pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.kernels.least_squares.solve2x2 import solved

_RIDGE = 1e-6  # of the power of the exit wave, as in ``signals``
_MANY = 1.2  # variances of an estimate by which the usual view must lie beside its place before the scan may move,
_FEW = 3.0  # times 1 + this over the root of the number of views: a median of few is not exact
_ONE = 12.0  # the same for a single view
_SMOOTH = 3.0  # standard deviations of the smooth part that are taken off it
_MODES = 4  # views for each smooth term at least
_DEGREE = 3  # of the polynomials that are the smooth part


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What one sweep has told of N views: the step that fits each best, its curvature and how exact it is.

    ``slope`` (N, 2), ``curvature`` (N, 3) = (M_aa, M_ab, M_bb): the misfit sum (sqrt I - A)^2 / 2 of a view that moves
    by d changes by d M d / 2 - d . slope. ``noise`` (N,): variance of an amplitude where the slopes are. ``error`` (N,)
    px: root of the trace of M^-1 Cov(slope) M^-1, object and probe held. ``known`` (N,) bool: looked at already.
    """

    xp: Any
    slope: Any
    curvature: Any
    noise: Any
    error: Any
    known: Any

    @property
    def step(self):
        """The step of Gauss and Newton, (N, 2) px."""
        return self.drawn(0.0, 0.0)

    def gain(self, step):
        """Return by how much the misfits sum r^2 / 2 of all views fall where they take steps (N, 2) px."""
        a, c, b = self.curvature.T
        row, column = step.T
        return ((step * self.slope).sum(axis=1) - 0.5 * (a * row**2 + 2 * c * row * column + b * column**2)).sum()

    def drawn(self, stiffness, gone):
        """Return (M + stiffness)^-1 (slope - stiffness gone), (N, 2) px: a spring pulls back what has ``gone``."""
        a, c, b = self.curvature.T
        right = self.slope - self.xp.reshape(stiffness, (-1, 1)) * gone
        return self.xp.where(self.known[:, None], solved(self.xp, (a + stiffness, b + stiffness, c), right.T), 0)


def knowledge(xp, sensed, misfit, evidence) -> Knowledge:
    """Return the knowledge of a sweep.

    ``sensed`` (N, 7) are the numbers of ``signals.fit_numbers``, ``misfit`` (N,) sum |delta|^2 of the sweep;
    ``evidence`` (N, 8) that of ``measured_evidence`` and the sum of the two squares of ``sensed`` when it was measured,
    0 for never. Curvatures grow with those squares, the noise with the misfit.
    """
    tiny = np.finfo(np.float64).tiny
    squares, known = sensed[:, 0] + sensed[:, 4], evidence[:, 7] > 0
    grown = xp.where(known, squares / xp.where(known, evidence[:, 7], 1), 0)
    louder = xp.where(known, misfit / xp.maximum(evidence[:, 6], tiny), 1)
    curvature = evidence[:, :3] * grown[:, None]
    ridge = _RIDGE * sensed[:, 6] + tiny
    curvature[:, 0] += ridge
    curvature[:, 2] += ridge
    a, c, b = curvature.T
    det = xp.maximum(a * b - c * c, 1e-12 * a * b)
    inverse = xp.stack([b, -c, -c, a], axis=1).reshape(-1, 2, 2) / det[:, None, None]
    spread = evidence[:, (3, 4, 4, 5)].reshape(-1, 2, 2) * (grown * louder)[:, None, None]
    trace = xp.trace(inverse @ spread @ inverse, axis1=1, axis2=2)
    # The differences of fit_numbers span two pixels.
    slope = sensed[:, (2, 5)] / 2
    noise = trace * det / (a + b)  # over the trace of M^-1, which it would be of noise of variance 1
    return Knowledge(xp, slope, curvature, noise, xp.sqrt(trace), known)


def smooth_terms(places: np.ndarray) -> np.ndarray:
    """Return orthonormal polynomials of the places (N, 2) of views without the constant, (N, K): smooth displacements.

    Of degree 3, or less where there are few views; terms that a scan cannot tell apart are zero.
    """
    views = len(places)
    degree = next(d for d in range(_DEGREE, -1, -1) if d == 0 or (d + 1) * (d + 2) // 2 * _MODES <= views)
    x = places - places.mean(axis=0)
    x = x / max(np.abs(x).max(), np.finfo(np.float64).tiny)
    terms = [x[:, 0] ** i * x[:, 1] ** j for i in range(degree + 1) for j in range(degree + 1 - i) if i + j]
    if not terms:
        return np.zeros((views, 0))
    design = np.stack(terms, axis=1)
    modes, sizes, _ = np.linalg.svd(design - design.mean(axis=0), full_matrices=False)
    return modes * (sizes > 1e-6 * sizes[0])


def prior_widths(xp, estimate, variance, hold: float):
    """Return how far from their places views may be, as mean squares px^2: of the usual view, and (N,) of each.

    ``estimate`` (N, 2) px, where each view seems to be beside its place; ``variance`` (N,) px^2, the variance of that.
    The widths are those of a normal distribution of displacements that explains the usual view (empirical Bayes), 0
    where nothing speaks for it, and of more where a single view stands out from the noise and from the others.
    """
    squares = (estimate**2).sum(axis=1)
    seen = xp.median(squares) / np.log(2)  # the median of an exponential distribution
    many = hold * _MANY * (1 + _FEW / np.sqrt(len(estimate)))
    usual = xp.maximum(xp.median(squares - many * variance) / np.log(2), 0)
    return usual, xp.maximum(usual, squares - hold * _ONE * xp.maximum(variance, seen))


def held_step(told: Knowledge, gone, modes, estimate, variance, hold: float, averaged: bool = False):
    """Return the step (N, 2) px of all views, and how far from their places the usual view and each may be, px^2.

    The smooth part x of what has ``gone`` (N, 2) px from the places given is moved by the mean step. As long as it is
    no larger than displacements of the usual width, of each view by itself, have such a part, it is left there; what
    is more is drawn back by the length of two standard deviations of what noise makes of it (an L1 norm: without
    evidence it goes, with evidence it stays). An object that follows the views agrees with any smooth displacement:
    data hold it loosely, and what a wrong probe leaves over would carry it along for ever. ``modes`` (N, K) are those
    of ``smooth_terms``. The rest of each view takes the step that minimises sum r^2 / (2 noise) + |d|^2 / (2 width),
    the widths an axis being half of ``prior_widths``.
    ``hold`` is the weight of the places given, 0 for not at all. ``averaged`` : by which share the smooth part is drawn
    back follows from the mean of several sweeps, ``estimate``, not from the last one alone.
    """
    xp, tiny = told.xp, np.finfo(np.float64).tiny
    if not hold:
        return told.step, xp.zeros(()), xp.zeros(len(gone))

    def rest(a):
        return a - modes @ (modes.T @ a)

    usual, width = prior_widths(xp, rest(estimate), variance, hold)
    held = width <= 0
    power = told.curvature[:, 0] + told.curvature[:, 2]
    stiffness = xp.where(held, 1e9 * power, hold * told.noise / xp.where(held, 1, width / 2))
    there = modes.T @ (gone + told.step)
    seen = modes.T @ estimate if averaged else there
    size, count = xp.sqrt((seen**2).sum()), modes.shape[1]
    least = hold * _SMOOTH * xp.sqrt(count * xp.median(variance))
    kept = there * (xp.minimum(size, xp.maximum(size - least, xp.sqrt(count * usual))) / xp.maximum(size, tiny))
    return rest(told.drawn(stiffness, rest(gone))) + modes @ (kept - modes.T @ gone), usual, width
