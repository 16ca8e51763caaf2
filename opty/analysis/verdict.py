"""Is a result right? What was found wrong with its measurement, and whether its probe predicts views not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opty.analysis.check.decision import VIEWS
from opty.analysis.check.frame_statistics import Frames, look_at_frames
from opty.analysis.check.in_brief import orders_in_brief
from opty.analysis.check.mixed import of_mixture
from opty.analysis.check.orders import NOTHING, much_better
from opty.analysis.check.scan_stretch import find_stretch, of_stretch
from opty.analysis.check.trials import FEWEST, PARTS, Score, Trials
from opty.analysis.held_out import held_out_misfit
from opty.analysis.misfit import misfit
from opty.analysis.orientation import AS_GIVEN, WAYS, Orientation
from opty.analysis.position_report import position_report
from opty.model import ConeBeam, FarField, NearField, Object, Probe
from opty.operators.position.others import MOVED
from opty.recipes import rPIE

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.state import BareState

RECIPE = rPIE(alpha=0.1).fix("probe") ** 10
RIGHT = 0.3  # excess of the score of held-out views, up to which a result is right
OWN = ("(row, column)", "(-row, -column)")  # the positions as they are, and what a run may take for them
PROPAGATION = (FarField, NearField, ConeBeam)
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
    a result whose probe does so, with the positions as they are alone, and that fits its own views as well; doubtful
    one whose probe predicts better with the positions exchanged, stretched or turned, or no better than the mean
    pattern; whose refined positions ``position_report`` warns of; or whose frames fit the positions given in another
    order; or, where the fit stays above the counting noise, whose held-out pixels are predicted better with more modes,
    or states of the object. Where a stretch changes nothing, the scale of the picture is not known, and it is not
    called right. Without ``test`` nothing can be told, and nothing is run.
    """
    if attention:
        return Verdict("doubtful", tuple(attention))
    if not test:
        return Verdict("cannot tell", ("nothing was found wrong with the measurement, and the result was not tested",))
    if p.data.absent is not None or not p.model.thin:
        return Verdict("cannot tell", ("only a thin object with a steady probe, and its frames, can be tested",))
    metres = p.numpy("positions") * (p.pixel or 1.0)
    data = p.data.replace(geometry=p.geometry, positions=metres, truth=None, source=None)
    frames = look_at_frames(data)
    trials = Trials(data, frames)
    if trials.lit.sum() < FEWEST:
        return Verdict("cannot tell", (f"the scan has {trials.lit.sum()} good views, too few to hold some out",))
    probe = p.numpy("probe")

    def scored(way: Orientation) -> Score:
        part = trials.part(way)
        return trials.scored(part, held_out_misfit(part, probe, RECIPE, device="cpu", threads=1))

    for views in PARTS:
        trials.views = min(views, trials.most)
        score = scored(AS_GIVEN)
        if score.excess < RIGHT or trials.views >= min(trials.most, trials.lit.sum()):
            break
    said = f"views held out are predicted with a misfit of {score.misfit:.3g}"
    turned = {way: scored(way) for way in (Orientation(*way, score.misfit) for way in WAYS) if way.name not in OWN}
    other = min(turned, key=lambda way: turned[way].misfit)
    if much_better(turned[other], score):
        return Verdict("doubtful", (f"{said}, with the positions as {other.name} of {turned[other].misfit:.3g}",))
    if moved := _of_moved(p, frames):
        return Verdict("doubtful", (said, *moved))
    fit = misfit(p)
    if score.excess > NOTHING:
        return Verdict("doubtful", (f"{said}, no better than by the mean pattern",))
    if fit > WORSE * score.misfit:
        return Verdict("doubtful", (f"{said}, and the result fits all views worse, {fit:.3g}",))
    said = f"{said}, {score.excess:.0%} of the mean pattern's above the noise"
    if not (score.excess < RIGHT and fit <= score.misfit and much_better(score, turned[other])):
        mixed = _of_mixture(p, trials.part(AS_GIVEN), fit, score)
        return Verdict("doubtful", (said, *mixed)) if mixed else Verdict("cannot tell", (said,))
    trials.views = max(trials.views, min(VIEWS, trials.most))
    stretch = find_stretch(trials.part(AS_GIVEN), probe, bracket=True)
    if stretch.better:
        return Verdict("doubtful", (said, *of_stretch(stretch).warnings))
    if mixed := _of_mixture(p, trials.part(AS_GIVEN), fit, score):
        return Verdict("doubtful", (said, *mixed))
    if stretch.off or not stretch.known:
        return Verdict("cannot tell", (said, "the views do not tell the scale of the positions for sure"))
    return Verdict("right", (said, "stretched or turned positions predict no better"))


def _of_mixture(p: BareState, part: PtychoData, fit: float, score: Score) -> tuple[str, ...]:
    """Say that a result that stays above the counting noise lacks modes or states; nothing of other models' results."""
    more = [element for element in p.model.elements if not isinstance(element, (Object, Probe, *PROPAGATION))]
    if fit <= score.noise or more or p.background is not None or p.intensity_factors is not None:
        return ()
    mixed = of_mixture(part, p.numpy("probe"))
    if mixed is None:
        return ()
    above = f", where counting noise makes {score.noise:.3g} at most" if score.noise else ""
    return f"the result fits its views with a misfit of {fit:.3g}{above}", mixed


def _of_moved(p: BareState, frames: Frames) -> tuple[str, ...]:
    """Say what is wrong with refined positions; nothing where they are as given, or near these and without a doubt."""
    report = position_report(p)
    if report is None or not (report.warning or report.moved > MOVED):
        return ()
    probe, data = p.numpy("probe"), p.data
    order = orders_in_brief(data if data.probe is None else data.replace(probe=probe), frames, probe).problems
    return (*order, report.warning) if report.warning else order
