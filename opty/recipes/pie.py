"""The PIE family: object and probe updated live, batch by batch, in random order."""

from __future__ import annotations

from typing import Literal

from opty.algebra.operator import Operator, Recipe
from opty.algebra.sweep import Sweep
from opty.operators.fourier import FourierProject
from opty.operators.momentum import ObjMomentum, ProbeMomentum
from opty.operators.object import ObjUpdate
from opty.operators.probe import ProbeUpdate

# Object and probe explain the same residual, so two full steps overshoot together: with several modes they diverge on
# the Siemens star of the tests, and on a noise-free scan half a probe step came closer to the truth.
_PROBE_STEP = 0.5


class ePIE(Recipe):
    """Extended ptychographic iterative engine; with several probe modes, M-ePIE. Equal to rPIE(alpha=1, beta=1).

    The papers' probe step is 1; the default here is half of it, which measured better.

    Parameters
    ----------
    batch : views updated together (a number or "all").
    obj_step, probe_step : length of the steps, 1 the full ones; the object's as a part of the model's own step.

    Source: Maiden, Rodenburg, Ultramicroscopy 109, 1256 (2009).
    """

    batch: int | Literal["all"] = 1
    obj_step: float = 1.0
    probe_step: float = _PROBE_STEP

    def expand(self) -> Operator:
        return rPIE(1.0, 1.0, self.batch, self.obj_step, self.probe_step).expand()


class rPIE(Recipe):
    """Regularised PIE; with several probe modes, M-rPIE (the engine of Guzzi et al. 2022).

    The paper's probe step is 1; the default here is half of it, which measured better.

    Parameters
    ----------
    alpha, beta : regularisation of object and probe from 0 (least squares) to 1 (ePIE): small alpha is quick where data
        are exact, fits noise where photons are few, and hides wrong positions.
    batch : views updated together (a number or "all").
    obj_step, probe_step : length of the steps, 1 the full ones; the object's as a part of the model's own step.

    Source: Maiden, Johnson, Li, Optica 4, 736 (2017); Guzzi et al., PeerJ CS 8, e1036 (2022).
    """

    alpha: float = 0.2
    beta: float = 1.0
    batch: int | Literal["all"] = 1
    obj_step: float = 1.0
    probe_step: float = _PROBE_STEP

    def expand(self) -> Operator:
        steps = ProbeUpdate(self.beta, self.probe_step) * ObjUpdate(self.alpha, self.obj_step)
        return Sweep(steps * FourierProject(), batch=self.batch)


class mPIE(Recipe):
    """Momentum-accelerated PIE: rPIE whose object and probe are carried on at regular intervals.

    Parameters
    ----------
    alpha, beta : regularisation of object and probe from 0 (least squares) to 1 (ePIE).
    momentum : share of the velocity that is kept from step to step, from 0 (rPIE) up to, not with, 1.
    interval : views between two steps of the momentum; None for one step a sweep.
    batch : views updated together (a number or "all"); with more momentum use larger batches.

    Source: Maiden, Johnson, Li, Optica 4, 736 (2017), Eqs. 19, 20.
    """

    alpha: float = 0.1
    beta: float = 1.0
    momentum: float = 0.7
    interval: int | None = None
    batch: int | Literal["all"] = 4

    def expand(self) -> Operator:
        push = ProbeMomentum(self.momentum, self.interval) * ObjMomentum(self.momentum, self.interval)
        return push * rPIE(self.alpha, self.beta, self.batch)
