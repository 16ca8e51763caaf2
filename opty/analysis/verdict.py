"""Is a result right? What was found wrong with its measurement, and whether its probe predicts views not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opty.analysis.decision import AS_GIVEN, NOTHING, PARTS
from opty.analysis.frame_statistics import look_at_frames
from opty.analysis.held_out import held_out_misfit
from opty.analysis.misfit import misfit
from opty.analysis.trials import FEWEST, Trials
from opty.recipes import rPIE

if TYPE_CHECKING:
    from opty.state import BareState

RECIPE = rPIE(alpha=0.1, update="obj") ** 10
RIGHT = 0.4  # excess of the score of held-out views, up to which a result is right
WORSE = 1.5  # times the misfit of held-out views: a result that fits its own views worse than that is not


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
    scan, from a flat object and the probe and positions of the result, predict views that they have not seen: right is
    a result whose probe does so, and that fits its own views as well; doubtful one whose probe predicts no better than
    the mean pattern. Without, nothing can be told, which costs nothing.
    """
    if attention:
        return Verdict("doubtful", tuple(attention))
    if not test:
        return Verdict("cannot tell", ("nothing was found wrong with the measurement, and the result was not tested",))
    if p.data.absent is not None or not p.model.thin:
        return Verdict("cannot tell", ("only results of a thin object, with their frames, are tested",))
    data = p.data.replace(positions=p.numpy("positions") * (p.data.pixel or 1.0), truth=None, source=None)
    trials = Trials(data, look_at_frames(data))
    if trials.lit.sum() < FEWEST:
        return Verdict("cannot tell", (f"the scan has {trials.lit.sum()} good views, too few to hold some out",))
    probe = p.numpy("probe")
    for views in PARTS:
        trials.views = min(views, trials.most)
        part = trials.part(AS_GIVEN)
        score = trials.scored(part, held_out_misfit(part, probe, RECIPE, device="cpu", threads=1))
        if score.excess < RIGHT or views >= trials.lit.sum():
            break
    said = f"views held out are predicted with a misfit of {score.misfit:.3g}"
    fit = misfit(p)
    if score.excess > NOTHING:
        return Verdict("doubtful", (f"{said}, no better than by the mean pattern",))
    if fit > WORSE * score.misfit:
        return Verdict("doubtful", (f"{said}, and the result fits all views worse, {fit:.3g}",))
    if score.excess < RIGHT:
        return Verdict("right", (f"{said}, {score.excess:.0%} of the mean pattern's above the noise",))
    return Verdict("cannot tell", (f"{said}, {score.excess:.0%} of the mean pattern's above the noise",))
