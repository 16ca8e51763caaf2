"""Position refinement by cross-correlation, with Adam in control of the gain: the method of Guzzi et al. 2022."""

from __future__ import annotations

from opty.algebra.leaf import Leaf
from opty.operators.position.gain import CrossCorrelation, Signal
from opty.operators.position.refinement import READS

ADAM_MEAN = Leaf("adam_mean", "view 2", unit="px", scale=0)
ADAM_SQUARE = Leaf("adam_square", "view 2", unit="px^2", scale=0)
ADAM_COUNT = Leaf("adam_count", "1", scale=0)


class PosCorrectAdam(
    CrossCorrelation,
    reads=f"{READS} adam_mean adam_square adam_count",
    slots=(ADAM_MEAN, ADAM_SQUARE, ADAM_COUNT),
):
    """Move each position by Adam, fed with the peak of a cross-correlation as the gradient, per position and axis.

    Steps shrink as step / sqrt(1 + t / decay), t the count of updates; without that, they never get
    shorter than the noise of their sign lets them.

    It does not ask whether the positions given were right, and moves those too (docs/positions.md): on the left of the
    run ``ComparePositions(rPIE() ** 12)`` goes back to them where others fit no better; ``PosCorrect`` asks first.

    Parameters
    ----------
    step : length of the first steps [px].
    decay : updates after which the steps shrink; 0 for never.
    signal : "object" (XCORR_A, the paper's choice) or "detector" (XCORR_B).
    beta1, beta2 : decay rates of Adam's running mean and square.
    max_step, weights : longest step [px]; weights of the views, as in every refinement.

    Reads delta (B, M, n, n), illum, patches, probe, with "detector" predicted (B, n, n); writes positions (N, 2) px and
    its moments adam_mean, adam_square (N, 2), adam_count (1,).
    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, Eqs. 4, 7, 8; Kingma, Ba, arXiv:1412.6980 (2014).
    """

    step: float = 0.5
    decay: float = 20.0
    signal: Signal = "object"
    beta1: float = 0.9
    beta2: float = 0.999
    max_step: float = 10.0
    weights: str = "equal"
    advice = "a smaller step of PosCorrectAdam, or starting it later with After(20, PosCorrectAdam())"

    def check(self):
        super().check()
        if not self.step > 0:
            raise ValueError(f"PosCorrectAdam(step={self.step}): give a step above 0, in pixels")
        if not self.decay >= 0:
            raise ValueError(f"PosCorrectAdam(decay={self.decay}): give a number of updates from 0 (no decay) on")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"PosCorrectAdam({name}={getattr(self, name)}): give a rate from 0 up to, not with, 1")

    def begin(self, s):
        super().begin(s)
        for name in ("adam_mean", "adam_square", "adam_count"):
            s.create(name)

    def move(self, s, shifts):
        xp, t = s.xp, s.adam_count + 1
        s.adam_count = t
        s.adam_mean = self.beta1 * s.adam_mean + (1 - self.beta1) * shifts
        s.adam_square = self.beta2 * s.adam_square + (1 - self.beta2) * shifts**2
        step = self.step / xp.sqrt(1 + t / self.decay) if self.decay else self.step
        mean, square = s.adam_mean / (1 - self.beta1**t), s.adam_square / (1 - self.beta2**t)
        return step * mean / (xp.sqrt(square) + 1e-8)
