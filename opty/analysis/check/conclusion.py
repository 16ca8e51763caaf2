"""What the scores of short runs say of orientation and order: decided or not, in sentences."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from opty.analysis.check.findings import Findings, few_photons
from opty.analysis.check.likeness import Likeness
from opty.analysis.check.orders import NOTHING, PREDICTS, WELL, Guess, clearly, half_turn, like_way, much_better
from opty.analysis.check.trials import Score, Trials
from opty.analysis.orientation import Orientation
from opty.data.frame_order import frame_order
from opty.remedies import here, option

NEARER = 0.92  # times the misfit as given, where two orders are nearly the same
SAME_PLACES = 0.3  # px rms: in two orders that are less apart different views are held out, and no more
ALIKE = 0.93  # times the difference of any two frames: neighbours that overlap differ less
CONTRAST = 1.0  # of the noise: by how much patterns must differ to tell anything


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


def conclude(
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
    if not (first.as_given and score.excess < WELL) or (best.order is None and not trials.known):
        like = like_way(trials, first, best.probe)
    if like is not None and like.score.excess < PREDICTS and clearly(like.score, score):
        name = "as given" if like.way.as_given else like.way.name
        return Decision(found, name, str(like.order), like.score.excess, None, of_order(like, given), like.probe)
    if trials.probe is not None and much_better(score, next(s for way, s in ways if way.name == turned.name)):
        twin = None
    if not decided:
        if best.order is not None and best.score.excess < PREDICTS:
            return Decision(found, "undecided", best.order, score.excess, None, of_order(best, given), best.probe)
        return Decision(found, "undecided", "as given", score.excess, None, _nothing(trials, best, alike), best.probe)
    fits = first
    if twin is not None and twin.as_given:
        fits, twin = twin, first
    said = Findings()
    if best.order is not None:
        said += of_order(best, given)
    if not fits.as_given:
        rival = None if like is None or clearly(score, like.score) or not like.way.as_given else like
        said += _of_way(fits, twin, found, rival)
    elif like is not None and best.order is None and like.score.misfit < NEARER * score.misfit and _apart(trials, like):
        said += _of_rival(like, score)
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


def _apart(trials: Trials, like: Guess) -> bool:
    """Whether the reversed order puts views elsewhere than the given one does, turned by half a turn."""
    if like.order != "reversed":
        return False
    positions = trials.data.positions_px
    moved = positions[frame_order(str(like.order), positions)] + positions
    return float(np.sqrt(moved.var(axis=0).sum())) > SAME_PLACES


def _of_rival(rival: Guess, score: Score) -> Findings:
    """Say that another order of the frames, which is nearly the same on this scan, fits better than as given."""
    return Findings(
        warnings=(
            f"in the order {rival.order!r} of the frames, by {option('frame_order', rival.order)}, held-out views "
            f"have a misfit of {rival.score.misfit:.3g}, as given of {score.misfit:.3g}: on this scan the two are "
            "nearly the same, with the object turned by half a turn, and what you know of how it was taken decides",
        )
    )


def of_order(best: Guess, given: Guess) -> Findings:
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
