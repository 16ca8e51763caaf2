"""Maximum likelihood by a quasi-Newton method."""

from __future__ import annotations

from opty.algebra.operator import Operator, Recipe
from opty.algebra.sweep import Sweep
from opty.operators.likelihood import LikelihoodGradient, Noise
from opty.operators.quasi_newton import QuasiNewtonStep


class LBFGS(Recipe):
    """Maximum likelihood by quasi-Newton steps (L-BFGS) on object and probe together, all views at once.

    The curvature comes from the gradients of the last turns; a turn is one pass over the views, two transforms of each
    wave, where ML takes five. It stops where ML stops, after fewer transforms.

    Parameters
    ----------
    noise : "poisson" (counted photons), "gaussian" (intensities of variance I + 1) or "amplitude".
    smooth : weight of a Gaussian prior on the object's gradient, 0 for none.
    damping : how little of the step is left where there is little light, above 0.
    memory : turns whose steps and gradients are kept, from 1 on; object and probe are kept twice for each.

    Each turn is one iteration and adds to history["llk"], the log-likelihood per unmasked pixel before its step.
    Source: Nocedal, Math. Comput. 35, 773 (1980); preconditioned as ML is.
    """

    noise: Noise = "poisson"
    smooth: float = 0.0
    damping: float = 0.03
    memory: int = 5

    def expand(self) -> Operator:
        gradient = Sweep(LikelihoodGradient(self.noise), order="scan")
        return QuasiNewtonStep(self.memory, self.smooth, damping=self.damping) * gradient
