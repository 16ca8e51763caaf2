"""Views that no small step leads home: told by their misfit, and looked for all around."""

from __future__ import annotations

import numpy as np

from opty.algebra.operator import Operator
from opty.operators.position.search import found_places
from opty.operators.position.some_views import root_photons

_LOOKED_FOR = 0.1  # of the views are looked for at once: those with the largest misfits
NEAR = 2.0  # px that a view may be moved where that is little better
_ASTRAY = 3.0  # standard deviations of the misfit above its median at which a view is looked for everywhere


class PosSearch(Operator, reads="obj probe positions background position_misfit", writes="positions"):
    """Look for views that went astray, and put them where they fit better.

    The tenth of the views with the largest misfits in the last sweep are looked for: places are proposed by the
    correlation of a view's exit wave with the object around it, for up to four of those whose misfit stands out on a
    grid as well; they are tried at the detector, and one is taken where it brings the misfit nearer to the usual one by
    a fifth, or by four fifths where it is farther off than two pixels. Misfits are compared as shares of the root of
    the photons: between those of counted photons, which are all alike, and those of a wrong model, which grow with the
    photons.

    PosCorrect does this by itself; beside another refinement write
    ``Every(20, PosSearch()) * PosCorrectAdam() * rPIE()``.

    Parameters: search_radius, how far from where they are views are looked for [px].
    Reads obj, probe, position_misfit (N,), which any refinement writes; writes positions (N, 2) px.
    Source: opty's own; the grid as in PtyPy (Enders, Thibault, Proc. R. Soc. A 472, 20160640 (2016)).
    """

    search_radius: int = 24
    scale_free = True

    def check(self):
        if self.search_radius < 1:
            raise ValueError(f"PosSearch({self.search_radius}): give a distance from 1 up, in pixels")

    def apply(self, s):
        bring_home(s, self.search_radius)


def bring_home(s, reach: int, near: float = NEAR, free=None, others: bool = True, far=None) -> None:
    """Move the views that fit worst to where they fit best within ``reach`` px, where that is clearly better.

    ``near`` px: a place farther off has to be better by far more. ``free`` (N,) bool: views that may move though their
    misfit does not stand out; None for all. ``others``: whether those that are not free may move where it does.
    ``far`` (N,) bool: views that may go farther than ``near``; None for all.
    """
    root = root_photons(s)
    misfit = s.backend.to_host(s.position_misfit) / root
    views = np.argsort(misfit)[::-1][: max(1, int(_LOOKED_FOR * len(misfit)))]
    usual = np.median(misfit)
    if not np.isfinite(usual):
        return  # the run has diverged, and nothing can be compared
    spread = 1.4826 * np.median(np.abs(misfit - usual))  # the standard deviation, by what most views do
    astray = misfit[views] > usual + _ASTRAY * spread
    if free is not None:
        wanted = free[views] | (astray if others else False)
        views, astray = views[wanted], astray[wanted]
    far = True if far is None else far[views]
    s.positions[s.backend.asarray(views)] = found_places(s, views, usual * root[views], astray, reach, near, far)
