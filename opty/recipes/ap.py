"""Alternating projections."""

from __future__ import annotations

from opty.algebra.operator import Operator, Recipe
from opty.algebra.sweep import Sweep
from opty.operators.fourier import FourierProject
from opty.operators.merge import AccumObj, AccumProbe, MergeObj, MergeProbe


class AP(Recipe):
    """Alternating projections (error reduction): psi <- Pi(P O), object and probe from all views at once.

    Parameters
    ----------
    obj_inertia, probe_inertia : weight of the previous object and probe, from 0 up.
    obj_smooth, probe_smooth : standard deviation [px] of a Gaussian over these previous ones.

    Source: Marchesini et al., Inverse Problems 29, 115009 (2013); PyNX (Favre-Nicolin et al. 2020) for the name.
    """

    # Of the inertias tried on the benchmark scans A and B the best after 50 and 200 iterations together.
    obj_inertia: float = 1.5e-2
    probe_inertia: float = 0.0
    obj_smooth: float = 0.0
    probe_smooth: float = 0.0

    def expand(self) -> Operator:
        obj, probe = MergeObj(self.obj_inertia, self.obj_smooth), MergeProbe(self.probe_inertia, self.probe_smooth)
        return probe * obj * Sweep(AccumProbe() * AccumObj() * FourierProject(), order="scan")
