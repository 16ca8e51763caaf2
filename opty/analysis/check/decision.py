"""Do frames, positions and detector fit together? Short reconstructions, scored on views that they have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from opty.analysis.check.brightness import of_brightness
from opty.analysis.check.conclusion import Decision, conclude
from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.guesses import best_guess, ways_of
from opty.analysis.check.lacking import of_lacking
from opty.analysis.check.likeness import likeness
from opty.analysis.check.near_positions import near_positions
from opty.analysis.check.orders import NOTHING, ORDERS, PREDICTS, Guess, much_better, scored
from opty.analysis.check.pedestal import of_pedestal
from opty.analysis.check.probe_change import probe_change
from opty.analysis.check.refined_stretch import find_refined_stretch
from opty.analysis.check.scan_stretch import LITTLE, find_stretch, of_stretch
from opty.analysis.check.trials import FEWEST, PARTS, SETTLED, Trials
from opty.analysis.check.view_places import explains_more, of_places, views_move
from opty.analysis.orientation import AS_GIVEN, Orientation
from opty.data import PtychoData

PARTS_SEARCHED = PARTS[:2]  # views, where a search has to find the probe
VIEWS = 100  # on which light, pedestal and scale are looked at
SCALES = (0.5, 2.0, 0.7, 1.4)  # of the positions, where as given nothing predicts views


def decide(
    data: PtychoData, frames: Frames, one_by_one: bool = True, estimated: frozenset[str] = frozenset()
) -> Decision:
    """Find the orientation, and the order of the frames, by which an object and a probe predict views best.

    Without a starting probe, in the far field, ``find_probe`` searches for one for each guess; then half a turn of the
    positions cannot be told, as it makes the object and the probe conjugate. Guesses are as given; orders that make
    frames at neighbouring positions more alike; and, where none of these predicts views, other orientations.
    ``one_by_one`` : whether positions that are off one by one are worth saying: not where they will be refined.
    ``estimated`` : of "intensity_factors" and "background", which will be estimated and need no word.
    """
    trials = Trials(data, frames)
    if trials.lit.sum() < FEWEST:
        return Decision()
    alike = likeness(data, frames)
    found = Decision()
    for views in PARTS if trials.probe is not None else PARTS_SEARCHED:
        trials.views = min(views, trials.most)
        best, given = best_guess(trials, alike, ORDERS if views == PARTS[0] else 0)
        found = conclude(trials, best, given, ways_of(trials, best), alike)
        if found.decided or trials.views >= min(trials.most, trials.lit.sum()):
            break
    if found.order != "as given":
        return found
    if not found.decided and not trials.far:
        found = _settled(trials, found)
    way = found.orientations[0] if found.decided else AS_GIVEN
    light, pedestal = _of_light(trials, frames, way, given.probe if found.probe is None else found.probe, estimated)
    told = (
        None if trials.far or found.fits not in ("as given", "undecided") else near_positions(data, frames, one_by_one)
    )
    if told is not None and told.every:
        found = replace(found, findings=told if not found.decided else found.findings + told)
    elif found.fits in ("as given", "undecided") and not pedestal.every:  # under which no scale can be told
        found = _stretched(trials, found, given, one_by_one)
    found = _unexplained(trials, found, given)
    found = replace(found, findings=found.findings + light + pedestal)
    change = probe_change(trials, found.probe if found.excess < PREDICTS else None, way)
    if change.warnings and not found.decided:
        return replace(found, findings=change)
    return replace(found, findings=found.findings + change)


def _of_light(
    trials: Trials, frames: Frames, way: Orientation, probe: np.ndarray, estimated: frozenset[str]
) -> tuple[Findings, Findings]:
    """Say what changes the counts beside object and probe: the light of each view; and a constant on all pixels."""
    before, trials.views = trials.views, max(trials.views, min(VIEWS, trials.most))
    part = trials.part(way)
    trials.views = before
    light = Findings() if "intensity_factors" in estimated else of_brightness(part, probe)
    pedestal = Findings() if "background" in estimated else of_pedestal(trials, frames, part, probe)
    return light, pedestal


def _stretched(trials: Trials, found: Decision, given: Guess, one_by_one: bool) -> Decision:
    """Look for another scale of the positions: near the given one where that predicts views, else far from it."""
    if found.decided and found.excess < PREDICTS:
        if found.probe is not None:
            trials.views = max(trials.views, min(VIEWS, trials.most))
            part = trials.part(found.orientations[0])
            found = replace(found, findings=found.findings + _of_positions(part, found.probe, trials.whole, one_by_one))
        return found
    if found.findings.problems or given.score.noisy:
        return found
    trials.views = min(PARTS[0], trials.most)
    for scale in SCALES:
        part = trials.part(AS_GIVEN)
        scaled = part.replace(positions=part.positions * scale)
        probe, score = scored(trials, scaled)
        if score.excess < PREDICTS and much_better(score, given.score):
            stretch = find_stretch(part, probe, scale)
            return replace(found, excess=score.excess, findings=of_stretch(stretch), probe=None)
    if found.decided and found.excess > NOTHING and _never_predicts(trials, found, given):
        said = "held-out views are predicted hardly better than by the mean pattern, at no scale of the positions that"
        said += " was tried: check the unit of the positions, and distance and pixel size"
        return replace(found, findings=found.findings + Findings(warnings=(said,)))
    return found


def _unexplained(trials: Trials, found: Decision, given: Guess) -> Decision:
    """Return the decision for the far field with what to check, where no guess predicts views, nor does a long run."""
    certain = found.decided or found.findings.problems or given.score.noisy
    if certain or not trials.far or found.excess < NOTHING or not _never_predicts(trials, found, given):
        return found
    also = ", and the starting probe" if trials.probe is not None else "; a starting probe would tell more"
    said = (
        f"in no orientation, order and scale that was tried do an object and a probe predict held-out views "
        f"({found.excess:.0%} of what differs from the mean pattern is missed): check the order of the frames, the "
        f"positions and their unit, distance and pixel size{also}"
    )
    return replace(found, findings=Findings(warnings=(said,)), unexplained=True)


def _settled(trials: Trials, found: Decision) -> Decision:
    """Return the decision for a near field after a run that is long enough to find a diffuser.

    Where all as given predicts views then, it is right; else the decision is as it was.
    """
    assert trials.probe is not None  # a near field starts from its mean pattern
    score = trials.score(trials.part(AS_GIVEN), trials.probe, SETTLED)
    if score.noisy or score.excess >= PREDICTS:
        return found
    first = replace(AS_GIVEN, misfit=score.misfit)
    ways = (first, *(way for way in found.orientations if not way.as_given))
    return Decision(ways, "as given", "as given", score.excess)


def _never_predicts(trials: Trials, found: Decision, given: Guess) -> bool:
    """Whether views are predicted hardly better than by the mean pattern after a long run, too."""
    probe = given.probe if found.probe is None else found.probe
    return trials.score(trials.part(found.orientations[0]), probe, SETTLED).excess > NOTHING


def _of_lacking(part: PtychoData, probe: np.ndarray, counts: bool) -> Findings:
    """Say what else than a thin object under a steady probe predicts held-out pixels better."""
    wavelength = None if part.geometry is None else part.geometry.wavelength
    found = of_lacking(part, probe if probe.ndim == 3 else probe[None], part.pixel, wavelength, counts)
    return Findings() if found is None else Findings(warnings=(found,))


def _of_positions(part: PtychoData, probe: np.ndarray, counts: bool, one_by_one: bool) -> Findings:
    """Say whether the positions are off as a whole, or one by one: what explains more."""
    moved, stretch = views_move(part, probe), find_stretch(part, probe)
    if explains_more(stretch, moved):
        return (_of_lacking(part, probe, counts) if stretch.gain < LITTLE else Findings()) + of_stretch(stretch)
    refined = find_refined_stretch(part, probe)
    if refined is not None and refined.better:
        return of_stretch(refined)
    return of_places(moved, part.n) if one_by_one else Findings()
