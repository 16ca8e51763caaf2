"""Runs on a part of a scan, compared by detector pixels that they have not seen."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.check.trials import lighter
from opty.analysis.held_blocks import deviances, noise_deviance, on, withhold
from opty.data import PtychoData
from opty.errors import DivergedError, MisfitWarning
from opty.geometry import Geometry
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
    """How a run starts beside its probe: with how many ``modes``, and in which ``model``; None: as it is.

    ``geometry`` : of a part without one, for models that need it.
    """

    modes: int | None = None
    model: Model | None = None
    geometry: Geometry | None = None


AS_IT_IS = Start()


@dataclass(frozen=True)
class HeldRun:
    """What a run arrives at: ``state``, and the ``deviances`` (N,) of the pixels of each view that it has not seen.

    ``blocks`` : these pixels.
    """

    deviances: np.ndarray
    state: BareState
    blocks: PtychoData

    @cached_property
    def above(self) -> float:
        """The deviance of all pixels held out, above that of counts of what the run predicts."""
        assert self.blocks.mask is not None  # that is what holds pixels out
        pixels = float(np.asarray(self.blocks.mask[:]).sum())
        return float(self.deviances.sum()) - noise_deviance(self.state, self.blocks) * pixels

    def beside(self, first: HeldRun) -> TwoRuns:
        """Return how this run predicts the pixels held out, compared with a first one."""
        gain = first.deviances - self.deviances
        sure = gain.sum() > SURE * math.sqrt(len(gain)) * gain.std(ddof=1)
        return TwoRuns(float(self.deviances.sum() / first.deviances.sum()), bool(sure), self.state)


class HeldRuns:
    """Runs from one probe on a part of a scan, all without the same six percent of its pixels."""

    def __init__(self, part: PtychoData, probe: np.ndarray):
        part, probe = lighter(part, probe)
        power = math.sqrt(float(part.photons().max()) / (np.abs(probe) ** 2).sum())
        self.data, self.probe = part.replace(probe=None), probe * power
        self.held = withhold(part)

    def run(self, recipe: Operator, how: Start = AS_IT_IS) -> HeldRun | None:
        """Run a recipe; None where it diverges."""
        begun = self.probe if how.modes is None else with_modes(self.probe, how.modes)
        data, fitted, blocks = (_in(how.geometry, d) for d in (self.data, self.held.fitted, self.held.blocks))
        start = handle()(data, probe=begun, model=how.model, device="cpu", threads=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MisfitWarning)
            try:
                p = run(recipe, on(start, fitted))
            except DivergedError:
                return None
        return HeldRun(deviances(on(p, blocks))[0], p, blocks)


def _in(geometry: Geometry | None, data: PtychoData) -> PtychoData:
    if geometry is None:
        return data
    return data.replace(geometry=geometry, positions=data.positions * geometry.sample_pixel(data.n))


def two_runs(
    part: PtychoData, probe: np.ndarray, recipes: Sequence[Operator], second: Start = AS_IT_IS
) -> TwoRuns | None:
    """Run two recipes on a part of a scan without six percent of its pixels; None where one of them diverges.

    ``second``: how the second run starts.
    """
    runs = HeldRuns(part, probe)
    before, after = runs.run(recipes[0]), runs.run(recipes[1], second)
    return None if before is None or after is None else after.beside(before)
