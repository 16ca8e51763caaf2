"""Is a result right? What was found wrong with its measurement, and whether its probe predicts views not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.beside_noise import noise_misfit, pixels_beside_noise
from opty.analysis.check.brightness import of_brightness
from opty.analysis.check.decision import VIEWS
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.in_brief import orders_in_brief
from opty.analysis.check.lacking import as_well, of_lacking
from opty.analysis.check.orders import NOTHING, much_better
from opty.analysis.check.scan_stretch import LITTLE, Stretch, find_stretch, of_stretch
from opty.analysis.check.trials import FEWEST, PARTS, Score, Trials
from opty.analysis.held_out import held_out_misfit
from opty.analysis.misfit import misfit
from opty.analysis.orientation import AS_GIVEN, WAYS, Orientation
from opty.analysis.position_report import position_report
from opty.operators.position.others import MOVED
from opty.recipes import rPIE

if TYPE_CHECKING:
    from opty.state import BareState

RECIPE = rPIE(alpha=0.1).fix("probe") ** 10
RIGHT = 0.3  # excess of the score of held-out views, up to which a result is right
OWN = ("(row, column)", "(-row, -column)")  # the positions as they are, and what a run may take for them
AT_NOISE, NEAR_NOISE = 1.5, 4.0  # times counting noise: up to the first a fit is right, from the second on doubtful
SURE_PIXELS = 1.65  # the same for pixels held out, up to which a result of another model is right
LACKING = (
    "the model lacks something, such as a thick sample (Slices), motion (FlyScan), a blur, a background, states or "
    "modes"
)
WORSE = 1.5  # times the misfit of held-out views: a result that fits its own views worse than that is doubtful


@dataclass(frozen=True)
class Verdict:
    """``word``: "right", "doubtful" or "cannot tell"; ``reasons`` for it."""

    word: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.word}: {'; '.join(self.reasons)}"


def verdict(p: BareState, attention: Sequence[str] = (), test: bool = False) -> Verdict:
    """Judge a result.

    Doubtful is what has something wrong with its measurement (``attention``). With ``test``, runs on a part of the
    scan, from a flat object and the probe and positions of the result, predict views that they have not seen. Right is
    a result whose probe does so, with the positions as they are alone, and that fits its own views as well, and, where
    these are counts, with at most 1.5 times the misfit of counting noise; doubtful one with over four times that;
    whose probe predicts better with the positions exchanged, stretched or turned, or no better than the mean pattern;
    whose refined positions ``position_report`` warns of; or whose frames fit the positions given in another order; or,
    where the fit stays above the counting noise, whose held-out pixels are predicted better by another model: more
    modes, states of the object, a background, a blur, a stage that moves, two slices. Where a stretch changes nothing,
    the scale of the picture is not known, and it is not called right.

    Of other models than a thin object under a steady probe, a run from a flat object, with all else as in the result,
    predicts detector pixels that it has not seen, six percent in blocks. Right is what predicts these, and fits its
    own, about up to counting noise; doubtful what is above four times of it; and no model without states of the object
    predicts them as well as one with. Without ``test`` nothing can be told, and nothing is run.
    """
    if attention:
        return Verdict("doubtful", tuple(attention))
    if not test:
        return Verdict("cannot tell", ("nothing was found wrong with the measurement, and the result was not tested",))
    if p.data.absent is not None:
        return Verdict("cannot tell", ("frames that are still to come cannot be tested",))
    tested = _Tested(p)
    if tested.trials.lit.sum() < FEWEST:
        few = f"the scan has {tested.trials.lit.sum()} good views, too few to hold some out"
        return Verdict("cannot tell", (few,))
    if not p.model.thin:
        return _of_pixels(tested)
    for ask in QUESTIONS:
        if (found := ask(tested)) is not None:
            return found
    return _of_scale(tested)


class _Tested:
    """A result, and what short runs say of it, each made when it is first asked for."""

    def __init__(self, p: BareState):
        metres = p.numpy("positions") * (p.pixel or 1.0)
        data = p.data.replace(geometry=p.geometry, positions=metres, truth=None, source=None)
        self.p, self.frames, self.probe = p, look_at_frames(data), p.numpy("probe")
        if p.intensity_factors is not None:  # the counts that a steady beam would have made
            factors = p.numpy("intensity_factors")
            data = data.replace(intensities=(data.intensities[:] / factors[:, None, None]).astype(np.float32))
            self.frames = replace(self.frames, exposures=None)  # the factors hold them
        if p.background is not None:
            data = data.replace(background=p.background)
        self.trials = Trials(data, self.frames)

    @cached_property
    def fit(self) -> float:
        """The misfit of the result."""
        return misfit(self.p)

    @cached_property
    def noise(self) -> float:
        """The misfit that counting noise makes of what the result predicts; 0 where the numbers are no counts."""
        return noise_misfit(self.p) if self.frames.whole else 0.0

    @property
    def above(self) -> str:
        """How far the fit is above the noise, in words."""
        noise = f", where counting noise makes at most {self.noise:.3g}" if self.noise else ""
        return f"the result fits its views with a misfit of {self.fit:.3g}{noise}"

    def scored(self, way: Orientation) -> Score:
        """Return how the probe predicts views held out, positions taken in a way."""
        part = self.trials.part(way)
        return self.trials.scored(part, held_out_misfit(part, self.probe, RECIPE, device="cpu", threads=1))

    @cached_property
    def score(self) -> Score:
        """That of the positions as they are, on as many views as tell."""
        for views in PARTS:
            self.trials.views = min(views, self.trials.most)
            score = self.scored(AS_GIVEN)
            if score.excess < RIGHT or self.trials.views >= min(self.trials.most, self.trials.lit.sum()):
                break
        return score

    @cached_property
    def turned(self) -> tuple[Orientation, Score]:
        """The best of the other ways to take positions."""
        first = self.score.misfit
        ways = {way: self.scored(way) for way in (Orientation(*way, first) for way in WAYS) if way.name not in OWN}
        best = min(ways, key=lambda way: ways[way].misfit)
        return best, ways[best]

    @cached_property
    def stretch(self) -> Stretch:
        """Whether stretched or turned positions predict better."""
        self.trials.views = max(self.trials.views, min(VIEWS, self.trials.most))
        return find_stretch(self.trials.part(AS_GIVEN), self.probe, bracket=True)

    @property
    def said(self) -> str:
        """How views held out are predicted."""
        return f"views held out are predicted with a misfit of {self.score.misfit:.3g}"

    @property
    def said_of_excess(self) -> str:
        """The same, and how much of it is noise."""
        return f"{self.said}, {max(self.score.excess, 0):.0%} of the mean pattern's above the noise"

    @cached_property
    def lacks(self) -> tuple[str, ...]:
        """What other models say, where the fit stays above the noise."""
        if self.fit <= self.noise:
            return ()
        geometry = self.p.geometry
        wavelength = None if geometry is None else geometry.wavelength
        part = self.trials.part(AS_GIVEN)
        found = of_lacking(part, self.probe, self.p.pixel, wavelength, self.frames.whole)
        return () if found is None else (self.above, found)


def _of_turned(t: _Tested) -> Verdict | None:
    """Other orientations predict better."""
    way, score = t.turned
    if not much_better(score, t.score):
        return None
    return Verdict("doubtful", (f"{t.said}, with the positions as {way.name} of {score.misfit:.3g}",))


def _of_moved(t: _Tested) -> Verdict | None:
    """Refined positions are in doubt; nothing where they are as given, or near these and without a doubt."""
    said = _said_of_moved(t)
    return Verdict("doubtful", (t.said, *said)) if said else None


def _said_of_moved(t: _Tested) -> tuple[str, ...]:
    report = position_report(t.p)
    if report is None or not (report.warning or report.moved > MOVED):
        return ()
    data = t.p.data
    order = orders_in_brief(data if data.probe is None else data.replace(probe=t.probe), t.frames, t.probe).problems
    return (*order, report.warning) if report.warning else order


def _of_nothing_predicted(t: _Tested) -> Verdict | None:
    """Held-out views are predicted no better than by the mean pattern; light that varies may be why."""
    if t.score.excess <= NOTHING:
        return None
    light = of_brightness(t.trials.part(AS_GIVEN), t.probe).warnings
    return Verdict("doubtful", (f"{t.said}, no better than by the mean pattern", *light))


def _of_own_views(t: _Tested) -> Verdict | None:
    """All views are fitted worse than those held out."""
    if t.fit <= WORSE * t.score.misfit:
        return None
    return Verdict("doubtful", (f"{t.said}, and the result fits all views worse, {t.fit:.3g}",))


def _in_between(t: _Tested) -> Verdict | None:
    """The probe predicts, but not well enough: what the model lacks, or nothing to say."""
    if t.score.excess < RIGHT and t.fit <= t.score.misfit and much_better(t.score, t.turned[1]):
        return None
    return _of_lacking(t) or _of_noise(t) or Verdict("cannot tell", (t.said_of_excess,))


def _of_noise(t: _Tested) -> Verdict | None:
    """The fit is above counting noise, and no model that was tried explains it."""
    if t.fit <= AT_NOISE * t.noise or not t.noise:
        return None
    word = "doubtful" if t.fit > NEAR_NOISE * t.noise else "cannot tell"
    return Verdict(word, (t.said_of_excess, f"{t.above}: the run is not at its end, or {LACKING}"))


def _of_lacking(t: _Tested) -> Verdict | None:
    """Another model predicts held-out pixels better."""
    return Verdict("doubtful", (t.said_of_excess, *t.lacks)) if t.lacks else None


def _of_stretch(t: _Tested) -> Verdict | None:
    """Stretched or turned positions predict better: by little also where the model lacks something else."""
    if not t.stretch.better:
        return None
    lacks = t.lacks if t.stretch.gain < LITTLE else ()
    return Verdict("doubtful", (t.said_of_excess, *lacks, *of_stretch(t.stretch).warnings))


def _of_scale(t: _Tested) -> Verdict:
    """Nothing is wrong: right where the scale is known."""
    if t.stretch.off or not t.stretch.known:
        return Verdict("cannot tell", (t.said_of_excess, "the views do not tell the scale of the positions for sure"))
    return Verdict("right", (t.said_of_excess, "stretched or turned positions predict no better"))


QUESTIONS: tuple[Callable[[_Tested], Verdict | None], ...] = (
    _of_turned,
    _of_moved,
    _of_nothing_predicted,
    _of_own_views,
    _in_between,
    _of_stretch,
    _of_lacking,
    _of_noise,
)


def _of_pixels(t: _Tested) -> Verdict:
    """Judge a result of any model by detector pixels held out."""
    if moved := _said_of_moved(t):
        return Verdict("doubtful", moved)
    if not t.noise:
        told = "the numbers are no counts: without their noise, only a thin object with a steady probe can be tested"
        return Verdict("cannot tell", (told,))
    ratio = pixels_beside_noise(t.p)
    said = f"detector pixels held out are predicted {ratio:.3g} times as far off as counting noise alone"
    if t.fit > NEAR_NOISE * t.noise:
        return Verdict("doubtful", (said, f"{t.above}: the run is not at its end, or {LACKING}"))
    if ratio > NEAR_NOISE:
        return Verdict("doubtful", (said, f"{t.above}: the result fits noise, or {LACKING}"))
    if t.fit > AT_NOISE * t.noise or ratio > SURE_PIXELS:
        return Verdict("cannot tell", (said, f"{t.above}: the run is not at its end, or {LACKING}"))
    if t.p.model.mixture and (other := as_well(t.trials.part(AS_GIVEN), t.probe, t.p.model)):
        return Verdict("cannot tell", (said, other))
    return Verdict("right", (said, t.above))
