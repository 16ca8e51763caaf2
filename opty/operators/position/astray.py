"""Views that no small step leads home: told by their misfit, and looked for all around."""

from __future__ import annotations

import numpy as np

from opty.algebra.operator import Operator
from opty.operators.position.search import found_places

_ASTRAY = 2.0  # medians of the misfit above which a view is looked for


class PosSearch(Operator, reads="obj probe positions background position_misfit", writes="positions"):
    """Look for views that went astray, and put them where they fit better.

    Astray is a view whose misfit in the last sweep, as a share of its photons, is more than twice the median. Places
    are proposed by the correlation of the view's exit wave with the object around it, and for the worst views on a
    grid; they are tried at the detector, and one is taken where its misfit is at least a tenth lower than where the
    view is. PosCorrect does this by itself; beside another refinement write ``Every(20, PosSearch()) * PosCorrectAdam()
    * rPIE()``.

    Parameters: reach, how far from where they are views are looked for [px].
    Reads obj, probe, position_misfit (N,), which any refinement writes; writes positions (N, 2) px.
    Source: opty's own; the grid as in PtyPy (Enders, Thibault, Proc. R. Soc. A 472, 20160640 (2016)).
    """

    reach: int = 24

    def check(self):
        if self.reach < 1:
            raise ValueError(f"PosSearch({self.reach}): give a distance from 1 up, in pixels")

    def apply(self, s):
        bring_home(s, self.reach)


def bring_home(s, reach: int) -> None:
    """Move the views that went astray to where they fit best within ``reach`` px, where that is clearly better."""
    photons = s.measured.view_photons
    misfit = s.backend.to_host(s.position_misfit) / np.maximum(photons, 1e-3 * photons.mean())
    views = np.flatnonzero(misfit > _ASTRAY * np.median(misfit))
    views = views[np.argsort(misfit[views])[::-1]]
    if len(views):
        s.positions[s.backend.asarray(views)] = found_places(s, views, reach)
