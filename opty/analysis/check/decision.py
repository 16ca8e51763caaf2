"""Do frames, positions and detector fit together? Short reconstructions, scored on views that they have not seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from opty.analysis.check.brightness import of_brightness
from opty.analysis.check.findings import Findings, few_photons
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.likeness import Likeness, likeness, line_ends
from opty.analysis.check.near_positions import near_positions
from opty.analysis.check.orders import (
    NOTHING,
    ORDERS,
    PREDICTS,
    Guess,
    better,
    clearly,
    common_orders,
    guessed,
    half_turn,
    in_orders,
    late_from_a_frame_on,
    like_way,
    much_better,
    scored,
)
from opty.analysis.check.pedestal import of_pedestal
from opty.analysis.check.probe_change import probe_change
from opty.analysis.check.refined_stretch import find_refined_stretch
from opty.analysis.check.scan_stretch import find_stretch, of_stretch
from opty.analysis.check.trials import FEWEST, SETTLED, Score, Trials
from opty.analysis.check.view_places import explains_more, of_places, views_move
from opty.analysis.orientation import AS_GIVEN, WAYS, Orientation
from opty.data import PtychoData
from opty.remedies import here, option

WELL = 0.15  # from which on another orientation cannot be better by enough
PARTS, PARTS_SEARCHED = (48, 100, 200), (48, 100)  # views, until they tell; where a search has to find the probe
VIEWS = 100  # on which the scale of the positions is looked at
SCALES = (0.5, 2.0, 0.7, 1.4)  # of the positions, where as given nothing predicts views
ALIKE = 0.93  # times the difference of any two frames: neighbours that overlap differ less
CONTRAST = 1.0  # of the noise: by how much patterns must differ to tell anything
QUARTERS = ((False, 1, -1), (True, 1, 1), (True, 1, -1))  # the other ways, but for half a turn


@dataclass(frozen=True)
class Decision:
    """What short runs say: the eight ``orientations`` by their held-out misfit, the best first; which of them ``fits``.

    ``order``: that of the frames ("as given", or what ``opty.load(frame_order=)`` has to be); ``excess``: of the best
    guess, see ``Score``; ``twin``: half a turn more fits as well, where no starting probe tells; ``unexplained``: in no
    guess, and in no long run, do an object and a probe predict views.
    """

    orientations: tuple[Orientation, ...] = ()
    fits: str = "undecided"
    order: str = "as given"
    excess: float = np.nan
    twin: str | None = None
    findings: Findings = field(default_factory=Findings)
    probe: np.ndarray | None = None
    unexplained: bool = False

    @property
    def decided(self) -> bool:
        """Whether one guess stands out."""
        return self.fits != "undecided" or self.order != "as given"


def decide(data: PtychoData, frames: Frames, one_by_one: bool = True) -> Decision:
    """Find the orientation, and the order of the frames, by which an object and a probe predict views best.

    Without a starting probe, in the far field, ``find_probe`` searches for one for each guess; then half a turn of the
    positions cannot be told, as it makes the object and the probe conjugate. Guesses are as given; orders that make
    frames at neighbouring positions more alike; and, where none of these predicts views, other orientations.
    ``one_by_one`` : whether positions that are off one by one are worth saying: not where they will be refined.
    """
    trials = Trials(data, frames)
    if trials.lit.sum() < FEWEST:
        return Decision()
    alike = likeness(data, frames)
    found = Decision()
    for views in PARTS if trials.probe is not None else PARTS_SEARCHED:
        trials.views = min(views, trials.most)
        best, given = _best_guess(trials, alike, ORDERS if views == PARTS[0] else 0)
        found = _told(trials, best, given, _ways(trials, best), alike)
        if found.decided or trials.views >= min(trials.most, trials.lit.sum()):
            break
    if found.order != "as given":
        return found
    if not found.decided and not trials.far:
        found = _settled(trials, found)
    way = found.orientations[0] if found.decided else AS_GIVEN
    light, pedestal = _of_light(trials, frames, way, given.probe if found.probe is None else found.probe)
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
        ways = _ways(trials, best)
        if best.order is None and views == PARTS[0]:
            way = replace(best, way=ways[0][0], score=ways[0][1])
            common = _or_common(trials, way)
            best, ways = (best, ways) if common is way else (common, _ways(trials, common))
        found = _told(trials, best, given, ways, alike)
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
    return _of_order(like, given)


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
    return Findings() if best.order is None else _of_order(best, given)


def _finds_out() -> str:
    return here("opty.analysis.health(data) finds out", "opty check finds out")


def _of_light(trials: Trials, frames: Frames, way: Orientation, probe: np.ndarray) -> tuple[Findings, Findings]:
    """Say what changes the counts beside object and probe: the light of each view; and a constant on all pixels."""
    before, trials.views = trials.views, max(trials.views, min(VIEWS, trials.most))
    part = trials.part(way)
    trials.views = before
    return of_brightness(part, probe), of_pedestal(trials, frames, part, probe)


def _stretched(trials: Trials, found: Decision, given: Guess, one_by_one: bool) -> Decision:
    """Look for another scale of the positions: near the given one where that predicts views, else far from it."""
    if found.decided and found.excess < PREDICTS:
        if found.probe is not None:
            trials.views = max(trials.views, min(VIEWS, trials.most))
            part = trials.part(found.orientations[0])
            found = replace(found, findings=found.findings + _of_positions(part, found.probe, one_by_one))
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


def _of_positions(part: PtychoData, probe: np.ndarray, one_by_one: bool) -> Findings:
    """Say whether the positions are off as a whole, or one by one: what explains more."""
    moved, stretch = views_move(part, probe), find_stretch(part, probe)
    if explains_more(stretch, moved):
        return of_stretch(stretch)
    refined = find_refined_stretch(part, probe)
    if refined is not None and refined.better:
        return of_stretch(refined)
    return of_places(moved, part.n) if one_by_one else Findings()


def _best_guess(trials: Trials, alike: Likeness | None, count: int) -> tuple[Guess, Guess]:
    """Return the best guess, of which at most ``count`` are of other orders, and that which takes all as given."""
    given = guessed(trials, None, AS_GIVEN)
    found = [given, *in_orders(trials, alike, given, count)]
    if not any(guess.score.excess < PREDICTS or much_better(guess.score, given.score) for guess in found):
        for way in QUARTERS if trials.probe is None else WAYS[1:]:
            found.append(guessed(trials, None, Orientation(*way, np.nan)))
            if found[-1].score.excess < PREDICTS:
                return _or_common(trials, found[-1]) if trials.probe is not None and count else found[-1], given
        if count:
            found += common_orders(trials)
    return better(given, found), given


def _or_common(trials: Trials, best: Guess) -> Guess:
    """Return a guess, or where it does not predict views well that of a common order which does so much better."""
    return best if best.score.excess < WELL else better(best, common_orders(trials))


def _ways(trials: Trials, best: Guess) -> list[tuple[Orientation, Score]]:
    """Return the eight ways with their scores, from the order and the probe of the best guess; the best one first.

    A probe that was found for another way than the given belongs to the patterns, and not to the positions.
    """
    found = []
    for swap, row, column in WAYS:
        way = Orientation(swap, row, column, np.nan)
        score = trials.score(trials.part(way, best.order), best.probe)
        found.append((Orientation(swap, row, column, score.misfit), score))
    return sorted(found, key=lambda pair: pair[1].misfit)


def _told(
    trials: Trials,
    best: Guess,
    given: Guess,
    ways: list[tuple[Orientation, Score]],
    alike: Likeness | None,
) -> Decision:
    """Say what the scores mean."""
    found = tuple(way for way, _ in ways)
    first, score = ways[0]
    turned = half_turn(first)
    twin: Orientation | None = turned
    rest = [(way, other) for way, other in ways[1:] if way.name != turned.name]
    decided = much_better(score, rest[0][1])
    like = None
    if best.order is None and not (first.as_given and score.excess < WELL):
        like = like_way(trials, first, best.probe)
    if like is not None and like.score.excess < PREDICTS and clearly(like.score, score):
        name = "as given" if like.way.as_given else like.way.name
        return Decision(found, name, str(like.order), like.score.excess, None, _of_order(like, given), like.probe)
    if trials.probe is not None and much_better(score, next(s for way, s in ways if way.name == turned.name)):
        twin = None
    if not decided:
        if best.order is not None and best.score.excess < PREDICTS:
            return Decision(found, "undecided", best.order, score.excess, None, _of_order(best, given), best.probe)
        return Decision(found, "undecided", "as given", score.excess, None, _nothing(trials, best, alike), best.probe)
    fits = first
    if twin is not None and twin.as_given:
        fits, twin = twin, first
    said = Findings()
    if best.order is not None:
        said += _of_order(best, given)
    if not fits.as_given:
        rival = None if like is None or clearly(score, like.score) or not like.way.as_given else like
        said += _of_way(fits, twin, found, rival)
    name = "as given" if fits.as_given else fits.name
    return Decision(found, name, best.order or "as given", score.excess, twin.name if twin else None, said, best.probe)


def _of_way(
    fits: Orientation, twin: Orientation | None, found: tuple[Orientation, ...], rival: Guess | None
) -> Findings:
    """Say that the positions fit in another way, and which order of the frames, ``rival``, fits about as well."""
    given = next(way for way in found if way.as_given)
    also = ""
    if twin is not None:
        also = (
            f"; {twin.name} fits as well, with the object turned by half a turn and conjugate: at most a starting "
            "probe tells the two apart"
        )
    if rival is not None:
        also += (
            f"; or the frames are in the order {rival.order!r}, by {option('frame_order', rival.order)}, misfit "
            f"{rival.score.misfit:.3g}: on this scan that is nearly the same, and what you know of how it was taken "
            "decides"
        )
    return Findings(
        (
            f"the positions fit as {fits.name}, misfit of held-out views {found[0].misfit:.3g}, not as given, "
            f"{given.misfit:.3g}: {fits.remedy}, by {fits.options}{also}",
        )
    )


def _of_order(best: Guess, given: Guess) -> Findings:
    """Say that another order of the frames fits, and how else the positions must be taken then."""
    instead = best.given or given.score
    turned = ""
    if not best.way.as_given:
        turned = f", and {best.way.remedy}, by {best.way.options}, or leave that out where it was given"
    return Findings(
        (
            f"the frames are in another order than the positions: in the order {best.order!r} held-out views have a "
            f"misfit of {best.score.misfit:.3g}, as given of {instead.misfit:.3g}: "
            f"{here('load with', 'give')} {option('frame_order', best.order)}{turned}",
        )
    )


def _nothing(trials: Trials, best: Guess, alike: Likeness | None) -> Findings:
    """Say that no guess predicts views: for certain wrong where patterns differ and neighbours are not alike."""
    if best.score.noisy or (trials.whole and alike is not None and alike.contrast < CONTRAST):
        photons = float(trials.data.photons().mean())
        return Findings(
            warnings=(
                f"the orientation of the positions could not be told: with {photons:.3g} photons a view patterns "
                f"differ by hardly more than their noise; {few_photons()}",
            )
        )
    why = "" if trials.probe is not None else "; a starting probe would help"
    apart = alike is not None and (alike.given > ALIKE or alike.given + 2 * alike.error > 1)
    if best.score.excess < NOTHING or alike is None or not apart or alike.contrast < CONTRAST:
        return Findings(
            warnings=(f"the orientation of the positions could not be told: all eight fit about alike{why}",)
        )
    return Findings(
        (
            "frames and positions do not belong together: frames at neighbouring positions are no more alike than any "
            "others, and in no order and orientation tried do an object and a probe predict views; check the order of "
            "the frames, the positions, and the geometry",
        )
    )
