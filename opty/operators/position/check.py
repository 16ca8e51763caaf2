"""CheckPositions: which views could not be placed."""

from __future__ import annotations

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator
from opty.errors import MisfitWarning, warn_user
from opty.operators.position.jumps import largest_jump
from opty.operators.position.others import OthersSay, doubts, others_say, worst_tenth

GIVEN = Leaf("position_given", "view 2", unit="px", scale=0)
PLACE = Leaf("position_place", "view 2", unit="px", scale=0)
UNEXPLAINED = Leaf("position_unexplained", "view", scale=0)
LOST = Leaf("position_lost", "view", scale=0)


class CheckPositions(Operator, reads="obj probe positions background", writes="", slots=(GIVEN, UNEXPLAINED, LOST)):
    """Compare each view with the object that the others make, and warn of views that could not be placed.

    O_j = sum_k conj(P_k) psi_k / sum_k |P_k|^2 over the views k other than j, psi_k the exit waves with the measured
    modulus. position_unexplained_j = (E(O_j) - noise) / E(mean of O), E the misfit sum (sqrt I - sqrt Ihat)^2 of view j
    and noise what counting alone makes of it: near 0 for a view in its place, near 1 for one that has printed its own
    object where no other view sees it. A MisfitWarning names views where that stands out. Of positions that moved by
    more than a pixel (rms) it says that they are not found where it exceeds 0.3 in a tenth of the views, and that part
    of the scan may lie in the wrong place where it exceeds 0.12, or where the displacement of the views jumps: from one
    to the next by more than 4.5 times the usual change, a sixteenth of a window, and 0.35 of the step between them.

    Positions are not changed. It costs about two sweeps. Does nothing with a model that is no thin object.

    Reads obj, probe, positions, background; writes position_unexplained (N,) and position_lost (N,), 1 for a view that
    could not be placed and else 0.
    History: "check_iteration", "check_lost", the number of lost views, and "check_unexplained", the median.
    Source: opty's own; leaving one out: Stone, J. R. Stat. Soc. B 36, 111 (1974).
    """

    scale_free = True
    projects = True

    def apply(self, s):
        if not s.store.model.thin_object:
            return
        s.create(UNEXPLAINED.name)
        s.create(LOST.name)
        ask_others(s, s.iteration)
        doubt = said(s, rms(gone(s)), over=True) if s.has(GIVEN.name) else said(s, 0.0)
        if doubt:
            warn_user(doubt, MisfitWarning)


def ask_others(s, iteration: int) -> OthersSay:
    """Write what the others leave unexplained of each view and which are lost; record it under an iteration."""
    found = others_say(s)
    s.position_unexplained = s.backend.asarray(found.unexplained)
    s.position_lost = s.backend.asarray(found.lost.astype(np.float64))
    s.record("check_iteration", iteration)
    s.record("check_lost", int(found.lost.sum()))
    s.record("check_unexplained", float(np.median(found.unexplained)))
    return found


def said(s, moved: float, over: bool = False) -> str:
    """Return what ``doubts`` says of the leaves as they stand."""
    to_host = s.backend.to_host
    jump = largest_jump(to_host(s.positions), to_host(s.position_given), s.data.n) if over else None
    return doubts(to_host(s.position_unexplained), to_host(s.position_lost), moved, over, jump)


def unfound(store) -> float:
    """Return what is left unexplained in the worst tenth of the views, and one more where the scan falls into parts.

    From ``FOUND`` on the positions of a scan are not found.
    """
    worst = worst_tenth(others_say(store).unexplained)
    if GIVEN.name not in store.leaves:
        return worst
    here, given = (store.backend.to_host(store.leaves[name]) for name in ("positions", GIVEN.name))
    return worst + (largest_jump(here, given, store.data.n) is not None)


def gone(s, place: Leaf = GIVEN):
    """Return how far each view has gone from where it was given, or another place, (N, 2) px, without the mean."""
    away = s.positions - getattr(s, place.name)
    return away - away.mean(axis=0)


def rms(away) -> float:
    """Return the root of the mean square of displacements (N, 2)."""
    return float((away**2).sum(axis=1).mean() ** 0.5)
