"""The difference map."""

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
        overlap = MergeProbe() * Sweep(AccumProbe() * Recall(), order="scan") * MergeObj()
        step = Sweep(AccumObj() * Difference(self.beta) * FourierProject() * Reflect(), order="scan")
        return overlap * step
