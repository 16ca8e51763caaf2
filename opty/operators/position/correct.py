"""The refinement to use: a fit of the residuals with gains that learn, and a search for views that went astray."""

from __future__ import annotations

from opty.algebra.leaf import Leaf
from opty.operators.position.gain import learned
from opty.operators.position.refinement import READS, PositionRefinement
from opty.operators.position.relocate import bring_home
from opty.operators.position.signals import FIT_NUMBERS, fit_numbers, fitted_shifts

POSITION_GAIN = Leaf("position_gain", "view", scale=0)
POSITION_SHIFT = Leaf("position_shift", "view 2", unit="px", scale=0)
POSITION_COUNT = Leaf("position_count", "1", scale=0)
_FIRST, _LEAST, _MOST = 2.0, 0.3, 4.0  # gain at the start, and its bounds
_UP, _DOWN = 1.1, 0.9  # what a gain learns from one sweep


class PosCorrect(
    PositionRefinement,
    reads=f"{READS} obj background position_gain position_shift position_count",
    slots=(POSITION_GAIN, POSITION_SHIFT, POSITION_COUNT),
):
    """Refine positions, without anything to tune: r_j <- r_j + g_j d_j, and views that went astray are looked for.

    d_j is the fit of the residual of PosCorrectGradient. g_j begins at 2, which makes the step that of Gauss and Newton
    for the amplitudes at the detector. It grows by a tenth while a view goes on in one direction, up to 4, and shrinks
    by a tenth where it turns back, down to 0.3: long ways are gone faster, and at the end noise is averaged.

    No gradient leads home a view that lies farther away than the object's details are wide: in every ``every``-th sweep
    PosSearch does.

    Parameters
    ----------
    search : how far views that went astray are looked for [px]; 0 for not at all.
    every : sweeps between two searches.
    largest, weights : longest step [px]; weights of the views, as in every refinement.

    Reads delta (B, M, n, n), illum, patches, probe, obj, background; writes positions (N, 2) px and its memory
    position_gain (N,), position_shift (N, 2) px, position_misfit (N,), position_count (1,).
    Source: the step: Mandula et al., J. Appl. Cryst. 49, 1842 (2016); Odstrcil et al., Opt. Express 26, 3108 (2018),
    Eq. 26; Gauss-Newton at the detector: Dwivedi et al., Ultramicroscopy 192, 29 (2018); gains that learn: Zhang et
    al., Opt. Express 21, 13592 (2013). The search is opty's.
    """

    search: int = 24
    every: int = 20
    largest: float = 2.0
    weights: str = "equal"
    numbers = FIT_NUMBERS
    knob = "starting PosCorrect later with After(20, PosCorrect())"

    def check(self):
        super().check()
        if self.search < 0:
            raise ValueError(f"PosCorrect(search={self.search}): give a distance from 0 (no search) up, in pixels")
        if self.every < 1:
            raise ValueError(f"PosCorrect(every={self.every}): give a number of sweeps from 1 on")

    def begin(self, s):
        super().begin(s)
        if s.create("position_gain"):
            s.position_gain += _FIRST
        s.create("position_shift")
        s.create("position_count")

    def sense(self, s, b, asked, share):
        return fit_numbers(s, b, asked, share)

    def shifts(self, s, sensed):
        return fitted_shifts(s.xp, sensed)

    def move(self, s, shifts):
        gains = s.position_gain * learned(s.xp, shifts, s.position_shift, _UP, _DOWN)
        s.position_gain = s.xp.clip(gains, _LEAST, _MOST)
        s.position_shift = shifts
        return s.position_gain[:, None] * shifts

    def settle(self, s):
        s.position_count += 1
        if self.search and int(s.position_count[0]) % self.every == 0:
            bring_home(s, self.search)
