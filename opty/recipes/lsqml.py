"""Least-squares maximum likelihood, in batches."""

from __future__ import annotations

from typing import Literal

from opty.algebra.operator import Operator, Recipe
from opty.algebra.sweep import Sweep
from opty.operators.fourier import FourierProject
from opty.operators.lsq import LSQUpdate
from opty.operators.momentum import ObjMomentum, ProbeMomentum


class LSQML(Recipe):
    """Least-squares maximum likelihood: joint best steps of object and probe for each view, averaged over a batch.

    Parameters
    ----------
    batch : views updated together (a number or "all").
    order : how views make batches: "uniform" (spread over the scan), "compact" (neighbours), "random" or "scan".
    alpha, beta : regularisation of the directions of object and probe, from 0 (least squares) to 1.
    momentum : share of the velocity of object, probe and what varies of it that is kept from step to step, from 0 (no
        momentum) up to, not with, 1.

    Source: Odstrcil, Menzel, Guizar-Sicairos, Opt. Express 26, 3108 (2018).
    """

    batch: int | Literal["all"] = 32
    order: Literal["random", "scan", "uniform", "compact"] = "uniform"
    alpha: float = 0.1
    beta: float = 0.1
    momentum: float = 0.5

    def expand(self) -> Operator:
        push = ProbeMomentum(self.momentum) * ObjMomentum(self.momentum)
        steps = LSQUpdate(self.alpha, self.beta)
        return Sweep(push * steps * FourierProject(), self.batch, self.order)
