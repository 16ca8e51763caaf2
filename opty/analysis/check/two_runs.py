"""Two recipes from one start, compared by detector pixels that they have not seen."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.check.trials import lighter
from opty.analysis.held_blocks import deviances, on, withhold
from opty.data import PtychoData
from opty.errors import DivergedError, MisfitWarning
from opty.runtime.execute import run
from opty.state import BareState, handle

SURE = 3.0  # standard errors of the views' differences


@dataclass(frozen=True)
class TwoRuns:
    """``ratio``: the deviance of held-out pixels after the second recipe over that after the first; ``sure``: less for
    certain; ``state``: what the second arrives at.
    """

    ratio: float
    sure: bool
    state: BareState


def two_runs(part: PtychoData, probe: np.ndarray, recipes: Sequence[Operator]) -> TwoRuns | None:
    """Run two recipes on a part of a scan without six percent of its pixels; None where one of them diverges."""
    part, probe = lighter(part, probe)
    held = withhold(part)
    power = math.sqrt(float(part.photons().max()) / (np.abs(probe) ** 2).sum())
    start = handle()(part.replace(probe=None), probe=probe * power, device="cpu", threads=1)
    scores = []
    for recipe in recipes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MisfitWarning)
            try:
                p = run(recipe, on(start, held.fitted))
            except DivergedError:
                return None
        scores.append(deviances(on(p, held.blocks))[0])
    gain = scores[0] - scores[1]
    sure = gain.sum() > SURE * math.sqrt(len(gain)) * gain.std(ddof=1)
    return TwoRuns(float(scores[1].sum() / scores[0].sum()), bool(sure), p)
