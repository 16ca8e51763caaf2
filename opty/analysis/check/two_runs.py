"""Two runs on a part of a scan, compared by detector pixels that they have not seen."""

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
from opty.model import Model
from opty.model.starting_probe import with_modes
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


@dataclass(frozen=True)
class Start:
    """How a run starts beside its probe: with how many ``modes``, and in which ``model``; None: as it is."""

    modes: int | None = None
    model: Model | None = None


AS_IT_IS = Start()


def two_runs(
    part: PtychoData, probe: np.ndarray, recipes: Sequence[Operator], second: Start = AS_IT_IS
) -> TwoRuns | None:
    """Run two recipes on a part of a scan without six percent of its pixels; None where one of them diverges.

    ``second``: how the second run starts.
    """
    part, probe = lighter(part, probe)
    held = withhold(part)
    power = math.sqrt(float(part.photons().max()) / (np.abs(probe) ** 2).sum())
    data, probe = part.replace(probe=None), probe * power
    scores = []
    for recipe, how in zip(recipes, (AS_IT_IS, second), strict=True):
        begun = probe if how.modes is None else with_modes(probe, how.modes)
        start = handle()(data, probe=begun, model=how.model, device="cpu", threads=1)
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
