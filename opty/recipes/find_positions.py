"""Positions found from far: coarse to fine."""

from __future__ import annotations

from opty.algebra.operator import Operator, Recipe
from opty.operators.coarse import Coarse
from opty.operators.position import (
    BestOf,
    CheckPositions,
    CompareMisfit,
    ComparePositions,
    HoldOut,
    PlaceInOrder,
    PosCorrect,
    PosStretch,
)
from opty.operators.restart_modes import RestartModes
from opty.recipes.lsqml import LSQML
from opty.recipes.pie import rPIE

_KEEP = 0.5  # of the photons; below, a level ruins what it gets


class FindPositions(Recipe):
    """Find positions that are wrong by up to a seventh of a view: a ladder of resolutions, 1/8, 1/4, 1/2 and 1.

    Object and probe are found along with them, from the state as it stands. A level is left out where the middle of the
    patterns keeps less than half of the photons, cuts off the cone of the beam, or has less than 16 pixels along
    an edge. At 1/8 and 1/4 a run is tried again, in another order of the views and every second time with smaller
    batches, until the views explain each other (``BestOf``); where none does the scan is put together again, view after
    view (``PlaceInOrder``), which finds stages whose errors add up. Views that may have printed their own object are
    held out and looked for; at 1/2 the modes of a probe that has several begin anew (``RestartModes``), and the
    positions are compared with those given, and dropped where they explain the patterns no better. At the full
    resolution ``PosCorrect()``, which holds what the counts do not speak against, ends it. At 1/2 and there, under one
    mode, the whole scan is stretched, turned and sheared as the counts ask for (``PosStretch``) after every third
    sweep. Where the misfit is higher then than at the start, as of an object that was finished at other positions, a
    MisfitWarning says so. Go on with any engine, beside ``PosCorrect()``:
    ``(PosCorrect() * rPIE()) ** 50 * FindPositions() * p``.

    Parameters
    ----------
    sweeps : at the full resolution.

    Source: opty's own; coarse to fine as in image registration (Lucas, Kanade, IJCAI 1981).
    """

    sweeps: int = 16
    starts_run = True

    def check(self) -> None:
        if self.sweeps < 1:
            raise ValueError(f"FindPositions(sweeps={self.sweeps}): give a number of sweeps from 1 on")
        super().check()

    def expand(self) -> Operator:
        coarse = PosCorrect(search_every=10, hold=0.0) * LSQML(batch=8)
        smaller = PosCorrect(search_every=10, hold=0.0) * LSQML(batch=2)
        fine = PosCorrect(search_every=10, hold=0.0) * rPIE(alpha=0.1)
        in_order = PlaceInOrder(coarse**4)
        eighth = coarse**30 * in_order * BestOf(coarse**60, again=smaller**60)
        quarter = in_order * BestOf(_held_out(coarse), tries=2, again=_held_out(smaller))
        whole = RestartModes(coarse**20) * HoldOut(coarse**8) * coarse**20
        compared = ComparePositions(LSQML(batch=8) ** 10 * rPIE(alpha=0.1) ** 8, first=rPIE(alpha=0.1) ** 4)
        half = compared * fine * (PosStretch() * fine**3) ** 5 * whole
        ladder = Coarse(2, half, keep=_KEEP) * Coarse(4, quarter, keep=_KEEP) * Coarse(8, eighth, keep=_KEEP)
        last, turns = PosCorrect(wait=False) * rPIE(alpha=0.1), max(0, (self.sweeps - 2) // 3)
        full = last ** (self.sweeps - 3 * turns) * (PosStretch() * last**3) ** turns
        return CheckPositions() * CompareMisfit(after=True) * full * ladder * CompareMisfit()


def _held_out(turn: Operator) -> Operator:
    return turn**60 * HoldOut(turn**10) * turn**30
