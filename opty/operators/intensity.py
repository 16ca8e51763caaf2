"""Per-view intensity factors: a beam that flickers, estimated along with object and probe."""

from __future__ import annotations

import numpy as np

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views
from opty.operators.background import shifted_weight

_LIMIT = 2.0  # by how much a factor may change in one sweep


class IntensityUpdate(ViewOperator, reads="predicted intensity_factors", writes="intensity_factors"):
    """Estimate the intensity of the beam at each view.

    f_j <- f_j (1 - step g_j / h_j), g_j = sum w C (Ihat - I) / (Ihat + 1) and h_j = sum w C^2 / (Ihat + 1).

    f_j is the intensity of the beam at view j, f_j = 1 on the mean: the view sees the probe times sqrt(f_j). C is the
    coherent part of Ihat, without the background. No data can distinguish a slope f_j = exp(2 k r_j) of the beam from
    |O| exp(-k r) with |P| exp(k r). g_j is the gradient of the shifted Poisson likelihood of
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
