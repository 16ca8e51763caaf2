"""Position refinement by cross-correlation, with a constant gain and with one that learns."""

from __future__ import annotations

from typing import Literal

from opty.algebra.leaf import Leaf
from opty.operators.position.refinement import READS, PositionRefinement
from opty.operators.position.registration import Registration
from opty.operators.position.signals import object_shift, pattern_shift

Signal = Literal["object", "detector"]

SERIAL_GAIN = Leaf("serial_gain", "view", scale=0)
SERIAL_SHIFT = Leaf("serial_shift", "view 2", unit="px", scale=0)


class CrossCorrelation(PositionRefinement, register=False):
    """A refinement whose signal is the peak of a cross-correlation; subclasses have a field ``signal`` for the plane.

    "object": of the object window and the same window updated as ePIE would, O' = O + sum_m conj(P_m) dpsi_m / max S,
    whatever engine it serves; "detector": of the predicted and the measured amplitudes. Both under a soft radial mask,
    sub-pixel (Guizar-Sicairos et al. 2008), up to 7 px.
    """

    def effects(self):
        reads, writes = super().effects()
        return reads | {"predicted"} if self.signal == "detector" else reads, writes

    def begin(self, s):
        super().begin(s)
        s.memo["registration"] = Registration(s.data.n, s.backend, s.dtype)

    def sense(self, s, b, asked, share):
        registration = s.memo["registration"]
        if self.signal == "detector":
            return pattern_shift(s, b, registration)
        return object_shift(s, b, asked, registration)


class PosCorrectGain(CrossCorrelation):
    """Move each position by the peak of a cross-correlation times a constant gain: r_j <- r_j + gain shift_j.

    It does not ask whether the positions given were right, and moves those too (docs/positions.md): on the left of the
    run ``ComparePositions(rPIE() ** 12)`` goes back to them where others fit no better; ``PosCorrect`` asks first.

    Parameters
    ----------
    gain : eta; with 1 the positions crawl, and stall where windows are whole pixels (supplement, Figs. S9, S10).
    signal : "object" (XCORR_A) or "detector" (XCORR_B).
    max_step, weights : longest step [px]; weights of the views, as in every refinement.

    Reads delta (B, M, n, n), illum, patches, probe, with "detector" predicted (B, n, n); writes positions (N, 2) px.
    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, Eqs. 4, 7, 8 with constant eta.
    """

    gain: float = 1.0
    signal: Signal = "object"
    max_step: float = 5.0
    weights: str = "equal"
    advice = "a smaller gain of PosCorrectGain, or starting it later with After(20, PosCorrectGain())"

    def check(self):
        super().check()
        if not self.gain > 0:
            raise ValueError(f"PosCorrectGain(gain={self.gain}): give a number above 0")

    def move(self, s, shifts):
        return self.gain * shifts


class PosCorrectSerial(CrossCorrelation, reads=f"{READS} serial_gain serial_shift", slots=(SERIAL_GAIN, SERIAL_SHIFT)):
    """Move each position by the peak of the windows' cross-correlation times a gain that learns: r_j += beta_j shift_j.

    beta_j grows by a tenth where a view's shift goes on in the direction of its last one (cosine above 0.3), and
    shrinks by a tenth where it turns back (below -0.3). In the paper one gain serves all views.

    It does not ask whether the positions given were right, and moves those too (docs/positions.md): on the left of the
    run ``ComparePositions(rPIE() ** 12)`` goes back to them where others fit no better; ``PosCorrect`` asks first.

    Parameters
    ----------
    gain : beta_j at the start.
    signal : "object" (the paper's) or "detector".
    max_step, weights : longest step [px]; weights of the views, as in every refinement.

    Reads delta (B, M, n, n), illum, patches, probe, with "detector" predicted (B, n, n); writes positions (N, 2) px and
    its memory serial_gain (N,), serial_shift (N, 2) px.
    Source: Zhang et al., Opt. Express 21, 13592 (2013), Sec. 2.
    """

    gain: float = 50.0
    signal: Signal = "object"
    max_step: float = 2.0
    weights: str = "equal"
    advice = "a smaller gain of PosCorrectSerial, or starting it later with After(20, PosCorrectSerial())"

    def check(self):
        super().check()
        if not self.gain > 0:
            raise ValueError(f"PosCorrectSerial(gain={self.gain}): give a number above 0")

    def begin(self, s):
        super().begin(s)
        if s.create("serial_gain"):
            s.serial_gain += self.gain
        s.create("serial_shift")

    def move(self, s, shifts):
        s.serial_gain = s.serial_gain * learned(s.xp, shifts, s.serial_shift, 1.1, 1 / 1.1)
        s.serial_shift = shifts
        return s.serial_gain[:, None] * shifts


def learned(xp, now, before, up: float, down: float):
    """Return the factors (N,) by which gains learn from successive shifts (N, 2): up, down or 1."""
    both = xp.sqrt((now**2).sum(axis=1) * (before**2).sum(axis=1))
    cosine = (now * before).sum(axis=1) / xp.where(both > 0, both, 1)
    return xp.where(cosine > 0.3, up, xp.where(cosine < -0.3, down, 1.0))
