"""Incoherent background at the detector, estimated along with object and probe."""

from __future__ import annotations

from typing import Any, Literal

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views


class BackgroundUpdate(ViewOperator, reads="predicted background", writes="background"):
    """Estimate the incoherent background at each detector pixel.

    b <- max(0, b - step g / h), g = sum_j w (Ihat_j - I_j) / (Ihat_j + 1) and h = sum_j w / (Ihat_j + 1).

    g is the gradient of L = sum w [Ihat - (I + 1) log(Ihat + 1)], the Poisson likelihood shifted by one photon, so that
    dark pixels do not rule; h is its expected curvature. The background starts at the one of the data, or at zero, and
    changes at the end of a sweep; a pixel masked in every view stays.

    Parameters
    ----------
    step : length of the step, 1 the full one.
    shape : "free" (each pixel its own) or "flat" (all pixels change by the same).

    Reads predicted (B, n, n), background; writes background (n, n) real [photons].
    Source: Snyder et al., J. Opt. Soc. Am. A 12, 272 (1995) for the shifted likelihood; the step is Fisher scoring.
    """

    over_ranks = True

    step: float = 0.5
    shape: Literal["free", "flat"] = "free"
    advice = "a smaller step of BackgroundUpdate"

    def check(self) -> None:
        if not self.step > 0:
            raise ValueError(f"BackgroundUpdate(step={self.step}): give a step above 0 (1 is the full one)")

    def begin(self, s: State) -> None:
        shape = s.probe_shape[1:]
        s.create("background")
        s.memo["down"], s.memo["curvature"] = s.xp.zeros(shape, s.real_dtype), s.xp.zeros(shape, s.real_dtype)

    def apply(self, s: State, b: Views) -> None:
        weight = shifted_weight(s, b)
        s.memo["curvature"] += weight.sum(axis=0)
        weight *= b.measured(b.predicted) - b.predicted
        s.memo["down"] += weight.sum(axis=0)

    def finish(self, s: State) -> None:
        xp, down, curvature = s.xp, s.total(s.memo["down"]), s.total(s.memo["curvature"])
        seen = curvature > 0
        if self.shape == "flat":
            down, curvature = down.sum(), curvature.sum()
        step = self.step * down / xp.where(curvature > 0, curvature, 1)
        s.background = xp.where(seen, xp.maximum(s.background + step, 0), s.background)


def shifted_weight(s: State, b: Views) -> Any:
    """Return w / (Ihat + 1), (B, n, n): one over the variance of counts with one photon of read-out noise."""
    weight = 1 / (b.predicted + 1)
    mask = s.measured.mask_of(b.selection)
    if mask is not None:
        weight *= mask
    return weight
