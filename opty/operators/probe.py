"""Probe update of the PIE family: live, batch by batch."""

from __future__ import annotations

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views
from opty.operators import variation
from opty.operators.object import check_regularisation, scaled


class ProbeUpdate(ViewOperator, reads="delta patches probe", writes="probe"):
    """Update the probe from the views of a batch (PIE).

    P_m <- P_m + step sum_j conj(O_j) dpsi_jm / [beta max(T) + (1 - beta) T],  T = sum_j |O_j|^2.

    Sums run over the views j of the batch, each moved back by the fraction of a pixel by which its probe was moved.

    Parameters
    ----------
    beta : regularisation from 0 (least squares) to 1 (ePIE).
    step : length of the step, 1 the full one.

    Of a probe that varies, ``Probe(variable=K)``, the OPR modes and weights move along (see variation.py).
    Reads delta (B, M, n, n), patches (B, n, n); writes probe (M, n, n).
    Source: Maiden, Johnson, Li, Optica 4, 736 (2017), Eq. 14; Guzzi et al., PeerJ CS 8, e1036 (2022) for the modes.
    """

    beta: float = 1.0
    step: float = 1.0
    over_ranks = True
    changes_add_up = True
    scale_free = True
    gathers = frozenset({"probe"})
    advice = "a smaller step of the probe update"

    def check(self) -> None:
        check_regularisation(type(self).__name__, "beta", self.beta, self.step)

    def begin(self, s: State) -> None:
        if variation.varies(s):
            variation.prepare(s)

    def apply(self, s: State, b: Views) -> None:
        direction, seen = b.gather("probe", b.delta)
        weight = seen[0] if b.size == 1 else seen.sum(axis=0)
        probe = s.probe
        probe += scaled(s.xp, direction, weight, self.beta, self.step)
        if variation.varies(s):
            variation.vary(s, b, b.delta, seen, self.step)

    def finish(self, s: State) -> None:
        if variation.varies(s):
            variation.settle(s)
