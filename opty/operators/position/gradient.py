"""Position refinement by a least-squares fit of the residual waves."""

from __future__ import annotations

from opty.algebra.leaf import Leaf
from opty.operators.position.refinement import READS, PositionRefinement
from opty.operators.position.signals import FIT_NUMBERS, fit_numbers, fitted_shifts


class PosCorrectGradient(
    PositionRefinement,
    reads=f"{READS} position_velocity",
    slots=Leaf("position_velocity", "view 2", unit="px", scale=0),
):
    """Move each position by a least-squares fit of its residual: r_j <- r_j + v_j, v_j <- momentum v_j + gain d_j.

    d_j minimises sum_m |dpsi_jm - d . P_m grad O|^2 + ridge |d|^2, both axes together: what the residual holds of the
    change that the exit wave makes where the object moves under the probe. grad O are central differences, which in the
    near field, where the wave fills its window, measured better than the Fourier derivative with its jump at the edges.

    It does not ask whether the positions given were right, and moves those too (docs/positions.md): on the left of the
    run ``ComparePositions(rPIE() ** 12)`` goes back to them where others fit no better; ``PosCorrect`` asks first.

    Parameters
    ----------
    gain : length of the step in units of the fit; more than 1 because most of the residual is what no shift explains: 2
        makes it the Gauss-Newton step of the amplitudes at the detector.
    momentum : share of the last step that is added, from 0 up to, not with, 1.
    max_step, weights : longest step [px]; weights of the views, as in every refinement.

    Reads delta (B, M, n, n), illum, patches, probe; writes positions (N, 2) px, position_velocity (N, 2) px.
    Source: Mandula et al., J. Appl. Cryst. 49, 1842 (2016), as in PyNX; Odstrcil et al., Opt. Express 26, 3108 (2018),
    Eq. 26.
    """

    gain: float = 2.0
    momentum: float = 0.0
    max_step: float = 1.0
    weights: str = "equal"
    numbers = FIT_NUMBERS
    advice = "a smaller gain of PosCorrectGradient, or starting it later with After(20, PosCorrectGradient())"

    def check(self):
        super().check()
        if not self.gain > 0:
            raise ValueError(f"PosCorrectGradient(gain={self.gain}): give a number above 0")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"PosCorrectGradient(momentum={self.momentum}): give a share from 0 up to, not with, 1")

    def begin(self, s):
        super().begin(s)
        if self.momentum:
            s.create("position_velocity")

    def sense(self, s, b, asked, share):
        return fit_numbers(s, b, asked, share)

    def shifts(self, s, sensed):
        return fitted_shifts(s.xp, sensed)

    def move(self, s, shifts):
        step = self.gain * shifts
        if self.momentum:
            step = step + self.momentum * s.position_velocity
            s.position_velocity = step
        return step
