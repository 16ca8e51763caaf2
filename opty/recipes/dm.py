"""The difference map and RAAR."""

from __future__ import annotations

from opty.algebra.operator import Operator, Recipe
from opty.algebra.sweep import Sweep
from opty.operators.exitwave import Difference, Recall, Reflect
from opty.operators.fourier import FourierProject
from opty.operators.merge import AccumObj, AccumProbe, MergeObj, MergeProbe


class DM(Recipe):
    """Difference map: psi <- psi + beta [Pi(2 P O - psi) - P O]; the exit waves are kept between iterations.

    The object is merged first, then the probe with the new object: both from one pass diverges.

    Parameters: beta, relaxation in (0, 2] (1 is the difference map).
    Source: Thibault et al., Science 321, 379 (2008); Ultramicroscopy 109, 338 (2009).
    """

    beta: float = 1.0

    def expand(self) -> Operator:
        return _with_kept_waves(Difference(self.beta))


class RAAR(Recipe):
    """Relaxed averaged alternating reflections: psi <- beta [psi + Pi(2 P O - psi)] + (1 - 2 beta) P O.

    Equal to DM() for beta = 1; below, the waves are drawn towards the overlap set, which damps the wandering of the
    difference map near a solution.

    Parameters: beta, in (0, 1].
    Source: Luke, Inverse Problems 21, 37 (2005).
    """

    beta: float = 0.9

    def expand(self) -> Operator:
        return _with_kept_waves(Difference(self.beta, keep=self.beta))


def _with_kept_waves(step: Operator) -> Operator:
    overlap = MergeProbe() * Sweep(AccumProbe() * Recall(), order="scan") * MergeObj()
    return overlap * Sweep(AccumObj() * step * FourierProject() * Reflect(), order="scan")
