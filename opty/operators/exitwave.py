"""Exit waves: formed anew, or kept between iterations (difference map and its relatives)."""

from __future__ import annotations

from opty.algebra.effects import KEPT
from opty.algebra.operator import ViewOperator


class ExitWave(ViewOperator, reads="illum patches", writes="waves"):
    """Form the exit waves psi_jm = P_m(r - r_j) O(r).

    Reads illum (B or 1, M, n, n), patches (B, n, n); writes waves (B, M, n, n) [sqrt(photons)].
    A sweep puts this step in by itself where another one reads waves.
    """

    def apply(self, s, b):
        b.waves = b.illum * b.patches[:, None]


class Reflect(ViewOperator, reads="illum patches kept_waves", writes="waves kept_waves"):
    """Reflect the kept exit waves at the overlap set: waves = 2 P O - psi.

    Reads illum, patches, kept_waves (N, M, n, n); writes waves, and kept_waves where there are none yet (psi = P O).
    Source: Thibault et al., Ultramicroscopy 109, 338 (2009), Eq. 9 with beta = 1.
    """

    def begin(self, s):
        shape = (s.data.views, *s.probe_shape)
        s.memo["fresh"] = s.create(KEPT, shape, s.dtype)

    def apply(self, s, b):
        overlap = b.illum * b.patches[:, None]
        if s.memo["fresh"]:
            s.kept_waves[b.selection] = overlap
            b.waves = overlap
        else:
            overlap *= 2
            overlap -= s.kept_waves[b.selection]
            b.waves = overlap


class Difference(ViewOperator, reads="illum patches waves kept_waves", writes="waves kept_waves"):
    """Take the step of the difference map: psi <- psi + beta (waves - P O), and pass psi on as waves.

    Parameters: beta, relaxation in (0, 2] (1 is the difference map).
    Reads waves = Pi(2 P O - psi), illum, patches; writes kept_waves (N, M, n, n) and waves.
    Source: Thibault et al., Ultramicroscopy 109, 338 (2009).
    """

    beta: float = 1.0

    def check(self):
        if not 0 < self.beta <= 2:
            raise ValueError(f"Difference(beta={self.beta}): give a relaxation above 0 and up to 2")

    def apply(self, s, b):
        step = b.waves
        step -= b.illum * b.patches[:, None]
        if self.beta != 1:
            step *= self.beta
        step += s.kept_waves[b.selection]
        s.kept_waves[b.selection] = step
        b.waves = step


class Recall(ViewOperator, reads="kept_waves", writes="waves"):
    """Bring the kept exit waves back: waves = psi.

    Reads kept_waves (N, M, n, n), which Difference wrote; writes waves (B, M, n, n).
    """

    def apply(self, s, b):
        b.waves = s.kept_waves[b.selection]
