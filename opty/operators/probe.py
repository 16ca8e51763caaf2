"""Probe update of the PIE family: live, batch by batch."""

from __future__ import annotations

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views
from opty.operators.object import check_regularisation, scaled


class ProbeUpdate(ViewOperator, reads="delta patches probe", writes="probe"):
    """Update the probe from the views of a batch (PIE).

    P_m <- P_m + step sum_j conj(O_j) dpsi_jm / [beta max(T) + (1 - beta) T],  T = sum_j |O_j|^2.

    Sums run over the views j of the batch, each moved back by the fraction of a pixel by which its probe was moved.

    Parameters
    ----------
    beta : regularisation from 0 (least squares) to 1 (ePIE).
    step : length of the step, 1 the full one.

    Reads delta (B, M, n, n), patches (B, n, n); writes probe (M, n, n).
    Source: Maiden, Johnson, Li, Optica 4, 736 (2017), Eq. 14; Guzzi et al., PeerJ CS 8, e1036 (2022) for the modes.
    """

    beta: float = 1.0
    step: float = 1.0
    scale_free = True
    gathers = frozenset({"probe"})
    advice = "a smaller step of the probe update"

    def check(self) -> None:
        check_regularisation(type(self).__name__, "beta", self.beta, self.step)

    def apply(self, s: State, b: Views) -> None:
        direction, weight = b.gather("probe", b.delta)
        weight = weight[0] if b.size == 1 else weight.sum(axis=0)
        probe = s.probe
        probe += scaled(s.xp, direction, weight, self.beta, self.step)
