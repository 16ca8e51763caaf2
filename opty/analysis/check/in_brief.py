"""Orientation and order of the frames, by a few short runs from a starting probe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from opty.analysis.check.conclusion import conclude, of_order
from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.guesses import or_common, ways_of
from opty.analysis.check.likeness import Likeness, likeness, line_ends
from opty.analysis.check.orders import (
    NOTHING,
    ORDERS,
    PREDICTS,
    WELL,
    Guess,
    better,
    guessed,
    in_orders,
    late_from_a_frame_on,
    like_way,
    much_better,
)
from opty.analysis.check.trials import FEWEST, PARTS, Trials
from opty.analysis.orientation import AS_GIVEN
from opty.data import PtychoData
from opty.remedies import here


def ways_in_brief(data: PtychoData, frames: Frames) -> Findings:
    """Say whether the positions fit in another of the eight ways, or frames in another order, from the starting probe.

    That is the one of the data or of a near field. Short runs on a part of the scan: one as given, and, where that does
    not predict views well, one for each likely order of the frames and each other way, on more views until they tell.
    In the far field it is said, too, where views are predicted in none.

    Parameters: data; its frames as looked at.
    Returns: Findings, none for a scan of too few good views, without a starting probe, or of too few photons to tell.
    """
    trials = Trials(data, frames)
    if trials.probe is None or trials.lit.sum() < FEWEST:
        return Findings()
    alike: Likeness | None = None
    for views in PARTS:
        trials.views = min(views, trials.most)
        given = guessed(trials, None, AS_GIVEN)
        if given.score.noisy:
            return Findings()
        if given.score.excess < WELL:
            return _of_lines(trials, data, frames, given)
        alike = likeness(data, frames) if views == PARTS[0] else alike
        best = better(given, in_orders(trials, alike, given, ORDERS if views == PARTS[0] else 0))
        ways = ways_of(trials, best)
        if best.order is None and views == PARTS[0]:
            way = replace(best, way=ways[0][0], score=ways[0][1])
            common = or_common(trials, way)
            best, ways = (best, ways) if common is way else (common, ways_of(trials, common))
        found = conclude(trials, best, given, ways, alike)
        if found.decided:
            return found.findings
        if trials.views >= min(trials.most, trials.lit.sum()):
            break
    if not trials.far or given.score.excess < NOTHING:
        return Findings()
    return Findings(
        warnings=(
            f"from the starting probe held-out views are predicted no better than by the mean pattern "
            f"({given.score.excess:.0%} of what differs from it is missed), however the axes of the positions are "
            f"turned: the probe may be wrong, or unit, scale or order of the positions: {_finds_out()}",
        )
    )


def orders_in_brief(data: PtychoData, frames: Frames, probe: np.ndarray) -> Findings:
    """Say whether the frames fit in another order, by short runs from a probe that a search has found.

    Half a turn of the positions cannot be told with such a probe. Nothing is said where views are predicted well in the
    order given.
    """
    trials = Trials(data, frames, probe)
    if trials.lit.sum() < FEWEST:
        return Findings()
    trials.views = min(PARTS[0], trials.most)
    given = guessed(trials, None, AS_GIVEN)
    if given.score.noisy:
        return Findings()
    if given.score.excess < WELL:
        return _of_lines(trials, data, frames, given)
    best = better(given, in_orders(trials, likeness(data, frames), given, ORDERS))
    like = like_way(trials, AS_GIVEN, probe) if best.order is None else best
    if like is None or like.score.excess >= PREDICTS or not much_better(like.score, like.given or given.score):
        return Findings()
    return of_order(like, given)


def _of_lines(trials: Trials, data: PtychoData, frames: Frames, given: Guess) -> Findings:
    """Say that frames are in another order where the middle of a scan is predicted well all the same.

    On a raster shifted frames are off by a step that all have in common, but for those at the ends of lines; and frames
    that are so from one on may lie beyond the middle.
    """
    if line_ends(data.positions) is None:
        found = late_from_a_frame_on(trials, given)
    else:
        found = in_orders(trials, likeness(data, frames), given, ORDERS)
    best = better(given, found)
    return Findings() if best.order is None else of_order(best, given)


def _finds_out() -> str:
    return here("opty.analysis.health(data) finds out", "opty check finds out")
