"""Maximum likelihood."""

from __future__ import annotations

from opty.algebra.operator import Operator, Recipe
from opty.algebra.sweep import Sweep
from opty.operators.conjugate import ConjugateDirection, LineSearch, TakeStep
from opty.operators.likelihood import LikelihoodGradient, Noise


class ML(Recipe):
    """Maximum likelihood by preconditioned conjugate gradients on object and probe together, all views at once.

    Parameters
    ----------
    noise : "poisson" (counted photons), "gaussian" (intensities of variance I + 1) or "amplitude".
    smooth : weight of a Gaussian prior on the object's gradient, 0 for none.
    damping : how little of the step is left where there is little light, above 0.

    Each turn is one iteration and adds to history["llk"], the log-likelihood per unmasked pixel before its step.
    Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012).
    """

    noise: Noise = "poisson"
    smooth: float = 0.0
    damping: float = 0.03

    def expand(self) -> Operator:
        downhill = ConjugateDirection(self.smooth, damping=self.damping)
        gradient = Sweep(LikelihoodGradient(self.noise), order="scan")
        return TakeStep() * Sweep(LineSearch(self.noise), order="scan") * downhill * gradient
