"""How well a state predicts its data, view by view and pixel by pixel, in three models of the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.state.misfit import predicted, predictions
from opty.state.views import Batch

if TYPE_CHECKING:
    from opty.state import BareState

_DARKEST = 1e-6  # photons: a prediction below counts as this, for no light at all would make one photon impossible
NOISES = ("poisson", "gaussian", "euclidean")


@dataclass(frozen=True, eq=False)
class Likelihood:
    """A negative log-likelihood, less that of a perfect fit, a pixel: 1/2 where the model is right and pixels are lit.

    ``views`` (N,) : mean over the pixels of each view. ``pixels`` (n, n) : mean over the views, zero frequency in the
    centre, NaN where all are masked. ``total`` : sum over everything.
    """

    views: np.ndarray
    pixels: np.ndarray
    total: float


@dataclass(frozen=True, eq=False)
class Fit:
    """What ``fit`` found: for each view ``misfit`` and ``r_factor`` (N,), as ``opty.misfit`` and ``analysis.r_factor``.

    ``poisson``, ``gaussian``, ``euclidean`` : a ``Likelihood`` each. ``residual`` (n, n) : mean over the views of
    I - Ihat [photons], zero frequency in the centre; NaN where all views are masked.
    """

    misfit: np.ndarray
    r_factor: np.ndarray
    poisson: Likelihood
    gaussian: Likelihood
    euclidean: Likelihood
    residual: np.ndarray


def fit(p: BareState) -> Fit:
    """Compare measured and predicted counts of all views; one forward pass.

    Poisson: Ihat - I + I log(I / Ihat). Gaussian: (I - Ihat)^2 / (2 (I + 1)), the variance taken from the count.
    Euclidean: 2 (sqrt I - sqrt Ihat)^2, the limit of both for many photons. Unmasked pixels count.

    Raises SourceError where the frames are not there.
    Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012); Favre-Nicolin et al., J. Appl. Cryst. 53, 1404
    (2020), for the three figures.
    """
    store, views, n = p._live, p.data.views, p.data.n
    xp, host = store.xp, store.backend.to_host
    of_views = np.zeros((8, views))  # three likelihoods, squares, I, moduli, amplitudes, pixels
    of_pixels = xp.zeros((5, n, n))  # three likelihoods, residual, views
    for b, counts, found, mask in predictions(store):
        terms = _terms(counts.astype(np.float64), found.astype(np.float64), xp)
        terms = [xp.where(mask, term, 0) for term in terms]
        of_views[:, b.number] = host(xp.stack([term.sum(axis=(1, 2)) for term in (*terms[:7], terms[8])]))
        of_pixels += xp.stack([terms[k].sum(axis=0) for k in (0, 1, 2, 7, 8)])
    there = store.measured.propagator.from_kernel_order(host(of_pixels))
    seen = np.where(there[4] > 0, there[4], np.nan)
    lit = np.maximum(of_views[7], 1)
    likelihoods = {
        name: Likelihood(of_views[k] / lit, there[k] / seen, float(of_views[k].sum())) for k, name in enumerate(NOISES)
    }
    return Fit(
        misfit=_share(of_views[3], of_views[4]),
        r_factor=_share(of_views[5], of_views[6]),
        residual=there[3] / seen,
        **likelihoods,
    )


@dataclass(frozen=True, eq=False)
class Pattern:
    """One view: ``measured``, ``predicted`` (n, n) [photons], zero frequency in the centre, ``mask`` (n, n) bool."""

    view: int
    measured: np.ndarray
    predicted: np.ndarray
    mask: np.ndarray


def pattern(p: BareState, view: int) -> Pattern:
    """Return what was measured and what the state predicts of one view, by number; -1 is the last.

    Raises IndexError for a view that there is not, SourceError where the frames are not there.
    """
    store, views = p._live, p.data.views
    if not -views <= view < views:
        raise IndexError(f"view is {view}, and the scan has views 0 to {views - 1}")
    b = Batch.at(store, np.array([view % views]))
    order = store.measured.propagator.from_kernel_order
    counts, found, mask = (order(store.backend.to_host(a)[0]) for a in predicted(b))
    return Pattern(view % views, counts.astype(np.float64), found.astype(np.float64), mask.astype(bool))


def _terms(counts: Any, found: Any, xp: Any) -> list[Any]:
    """Return, of each pixel, the three likelihoods, squares, I, moduli, amplitudes, I - Ihat, and 1."""
    expected = xp.maximum(found, _DARKEST)
    root = xp.sqrt(counts)
    difference = root - xp.sqrt(found)
    poisson = expected - counts + counts * xp.log(xp.maximum(counts, _DARKEST) / expected)
    gaussian = (counts - found) ** 2 / (2 * (counts + 1))
    squares = difference**2
    return [poisson, gaussian, 2 * squares, squares, counts, abs(difference), root, counts - found, xp.ones_like(found)]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
