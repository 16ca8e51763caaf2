"""The PIE family: object and probe updated live, batch by batch, in random order."""

from __future__ import annotations

from typing import Literal

from opty.algebra.operator import Operator, Recipe
from opty.algebra.sweep import Sweep
from opty.operators.fourier import FourierProject
from opty.operators.object import ObjUpdate
from opty.operators.probe import ProbeUpdate


class ePIE(Recipe):
    """Extended ptychographic iterative engine; with several probe modes, M-ePIE.

    Parameters: batch, views updated together (a number or "all").
    Source: Maiden, Rodenburg, Ultramicroscopy 109, 1256 (2009).
    """

    batch: int | Literal["all"] = 1

    def expand(self) -> Operator:
        return Sweep(ProbeUpdate() * ObjUpdate() * FourierProject(), batch=self.batch)


class rPIE(Recipe):
    """Regularised PIE; with several probe modes, M-rPIE (the engine of the seed paper).

    Parameters
    ----------
    alpha, beta : regularisation of object and probe from 0 (least squares) to 1 (ePIE).
    batch : views updated together (a number or "all").

    Source: Maiden, Johnson, Li, Optica 4, 736 (2017); Guzzi et al., PeerJ CS 8, e1036 (2022).
    """

    alpha: float = 0.05
    beta: float = 1.0
    batch: int | Literal["all"] = 1

    def expand(self) -> Operator:
        return Sweep(ProbeUpdate(beta=self.beta) * ObjUpdate(alpha=self.alpha) * FourierProject(), batch=self.batch)
