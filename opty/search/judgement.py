"""Is the picture right? What the held-out pixels say, and what a second run from elsewhere says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.align import object_error
from opty.analysis.check.scan_stretch import Stretch, of_stretch
from opty.analysis.illumination import lit_by
from opty.analysis.object_states import one_image
from opty.analysis.verdict import Verdict

if TYPE_CHECKING:
    from opty.state import BareState

AT_NOISE = 1.5  # times the deviance of counts with the predicted expectation
NEAR_NOISE = 4.0
ALIKE, UNLIKE = 0.15, 0.4  # relative difference of two objects


def difference(p: BareState, q: BareState) -> float:
    """Return how far two objects of one measurement are apart where they are well lit (no unit); see object_error.

    Where the rim of windows alone gives light, both are noise: on a real scan that was a third of the pixels.
    """
    at, other = p.numpy("positions"), q.numpy("positions")
    obj, second = (one_image(one) for one in (p, q))
    lit = lit_by(np.clip(at, 0, np.array(obj.shape) - p.data.n), p.numpy("probe"), obj.shape)
    if lit.sum() < 16:
        return math.inf
    return object_error(second, obj, lit, np.rint((other - at).mean(axis=0)))


def judged(score: float, noise: float, apart: float | None, whole: bool) -> Verdict:
    """Judge a result by its ``score``, that of pure ``noise``, and how far a second run ended ``apart``."""
    ratio = score / noise if noise > 0 else math.inf
    reasons = [f"held-out pixels are predicted {ratio:.3g} times as far off as counting noise alone"]
    if apart is not None:
        reasons.append(f"a second run, with another engine from another start, differs by {apart:.0%}")
    if not whole:
        reasons.append("the run did not come to its end")
    agree = apart is not None and apart < ALIKE
    if whole and ((ratio < AT_NOISE and (apart is None or apart < UNLIKE)) or (ratio < NEAR_NOISE and agree)):
        return Verdict("right", tuple(reasons))
    if ratio < AT_NOISE or agree:
        return Verdict("doubtful", tuple(reasons))
    return Verdict("cannot tell", tuple(reasons))


def of_scale(said: Verdict, found: Stretch | None, known: Callable[[], bool]) -> Verdict:
    """Take "right" back where positions stretched or turned predict views better, or no stretch changes anything.

    ``found`` : the map that was looked for, None where it could not be; ``known`` : says whether other scales predict
    views worse, asked where nothing else decides.
    """
    if said.word != "right" or found is None:
        return said
    if found.better:
        return Verdict("doubtful", (*said.reasons, *of_stretch(found).warnings))
    if found.off or not known():
        return Verdict("cannot tell", (*said.reasons, "the views do not tell the scale of the positions for sure"))
    return Verdict("right", (*said.reasons, "stretched or turned positions predict no better"))
