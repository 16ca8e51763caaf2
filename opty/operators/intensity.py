"""Per-view intensity factors: a beam that flickers, estimated along with object and probe."""

from __future__ import annotations

import numpy as np

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views
from opty.errors import MisfitWarning, warn_user
from opty.operators.background import shifted_weight

_LIMIT = 2.0  # by how much a factor may change in one sweep
_LOOK = 32  # sweeps from one look at the slope to the next
_SLOPE, _SHARE = 0.15, 0.8  # standard deviation of log f along the slope, and its share of the variance, to be said


class IntensityUpdate(ViewOperator, reads="predicted intensity_factors positions", writes="intensity_factors"):
    """Estimate the intensity of the beam at each view.

    f_j <- f_j (1 - step g_j / h_j), g_j = sum w C (Ihat - I) / (Ihat + 1) and h_j = sum w C^2 / (Ihat + 1).

    f_j is the intensity of the beam at view j, f_j = 1 on the mean: the view sees the probe times sqrt(f_j). C is the
    coherent part of Ihat, without the background. No data can distinguish a slope f_j = exp(2 k r_j) of the beam from
    |O| exp(-k r) with |P| exp(k r): noise lets it drift, and in every 32nd sweep a MisfitWarning names a slope that is
    most of what the factors vary by. g_j is the gradient of the shifted Poisson likelihood of
    BackgroundUpdate with respect to log f_j, h_j its expected curvature. A factor at most doubles or halves in a sweep.

    Parameters: step, length of the step, 1 the full one.
    Reads predicted (B, n, n); writes intensity_factors (N,) float64 (no unit), which start at one.
    Source: Snyder et al., J. Opt. Soc. Am. A 12, 272 (1995) for the likelihood; Odstrcil et al., Opt. Express 24, 8360
    (2016) for intensities that vary from view to view; the step is Fisher scoring.
    """

    over_ranks = True

    step: float = 1.0
    advice = "a smaller step of IntensityUpdate"

    def check(self) -> None:
        if not self.step > 0:
            raise ValueError(f"IntensityUpdate(step={self.step}): give a step above 0 (1 is the full one)")

    def begin(self, s: State) -> None:
        if s.create("intensity_factors"):
            s.intensity_factors += 1

    def apply(self, s: State, b: Views) -> None:
        xp, weight = s.xp, shifted_weight(s, b)
        coherent = b.predicted if s.incoherent is None else b.predicted - s.incoherent
        weight *= coherent
        curvature = (weight * coherent).sum(axis=(1, 2), dtype=np.float64)
        weight *= b.measured(b.predicted) - b.predicted
        gain = weight.sum(axis=(1, 2), dtype=np.float64) / xp.where(curvature > 0, curvature, 1)
        s.intensity_factors[b.selection] *= xp.clip(1 + self.step * gain, 1 / _LIMIT, _LIMIT)

    def finish(self, s: State) -> None:
        total = s.total(s.xp.asarray([s.intensity_factors.sum(), len(s.intensity_factors)]))
        s.intensity_factors = s.intensity_factors / (total[0] / total[1])
        if s.memo["number"] % _LOOK == 0:
            said_of_slope(s)


def said_of_slope(s: State) -> None:
    """Warn where the factors are mostly a slope along the scan, which no data can tell from one of the object."""
    xp = s.xp
    logs = xp.log(xp.maximum(s.intensity_factors, np.finfo(np.float64).tiny))
    terms = xp.concatenate([xp.ones((len(logs), 1)), s.positions / max(s.object_shape), logs[:, None]], axis=1)
    products = np.asarray(s.backend.to_host(s.total(terms.T @ terms)))
    count = products[0, 0]
    moments = products[1:, 1:] / count - np.outer(products[0, 1:], products[0, 1:]) / count**2
    variance, along = moments[2, 2], moments[:2, 2]
    slope = np.linalg.lstsq(moments[:2, :2], along, rcond=1e-6)[0]
    told = float(slope @ along)
    if told > _SLOPE**2 and told > _SHARE * variance:
        warn_user(
            f"the intensity factors are mostly a slope along the scan ({np.expm1(told**0.5):.0%} rms): no data can "
            "tell it from a slope of the object's magnitude, and noise lets it grow. If the beam was steady, leave "
            "IntensityUpdate out",
            MisfitWarning,
        )
