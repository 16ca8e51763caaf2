"""Exit waves: formed in each sweep, or kept between iterations (difference map and its relatives)."""

from __future__ import annotations

from opty.algebra.leaf import Leaf
from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views

KEPT_WAVES = Leaf(
    "kept_waves",
    "view state row col",
    unit="sqrt(photons)",
    dtype="complex",
    grid="window",
    scale=0,
    belongs_to="obj probe",
    improves="obj probe",
)


class ExitWave(ViewOperator, reads="illum patches", writes="waves"):
    """Form the exit waves psi_jm = P_m(r - r_j) O(r), or those of another model.

    Reads illum (B or 1, M, n, n), patches (B, n, n); writes waves (B, S, n, n) [sqrt(photons)].
    A sweep puts this step in by itself where another one reads waves.
    """

    over_ranks = True
    opens = frozenset({"waves"})

    scale_free = True

    def apply(self, s: State, b: Views) -> None:
        b.waves = b.exit_waves()


class Reflect(ViewOperator, reads="illum patches kept_waves", writes="waves", slots=KEPT_WAVES):
    """Reflect the kept exit waves at the overlap set: waves = 2 P O - psi.

    Reads illum, patches, kept_waves (N, M, n, n); writes waves, and kept_waves where there are none yet (psi = P O).
    Source: Thibault et al., Ultramicroscopy 109, 338 (2009), Eq. 9 with beta = 1.
    """

    over_ranks = True
    scale_free = True
    needs_closed = True

    def begin(self, s: State) -> None:
        s.memo["fresh"] = s.create("kept_waves")

    def apply(self, s: State, b: Views) -> None:
        overlap = b.exit_waves()
        if s.memo["fresh"]:
            s.kept_waves[b.selection] = overlap
            b.waves = overlap
        else:
            overlap *= 2
            overlap -= s.kept_waves[b.selection]
            b.waves = overlap


class RelaxedStep(ViewOperator, reads="illum patches waves kept_waves", writes="waves", slots=KEPT_WAVES):
    """Take a step of the difference map or a relative: psi <- P O + keep (psi - P O) + beta (waves - P O).

    psi is passed on as waves. keep = 1 is the difference map, keep = beta is RAAR, which leans towards the overlap set:
    psi <- beta (psi + waves) + (1 - 2 beta) P O.

    Parameters
    ----------
    beta : length of the step, in (0, 2].
    keep : share of psi - P O that is kept, in [0, 1].

    Reads waves = Pi(2 P O - psi), illum, patches; writes kept_waves (N, M, n, n) and waves.
    Source: Thibault et al., Ultramicroscopy 109, 338 (2009); Luke, Inverse Problems 21, 37 (2005), for RAAR.
    """

    over_ranks = True

    beta: float = 1.0
    keep: float = 1.0
    scale_free = True
    needs_closed = True

    def check(self) -> None:
        if not 0 < self.beta <= 2:
            raise ValueError(f"RelaxedStep(beta={self.beta}): give a relaxation above 0 and up to 2")
        if not 0 <= self.keep <= 1:
            raise ValueError(f"RelaxedStep(keep={self.keep}): give a share from 0 to 1")

    def apply(self, s: State, b: Views) -> None:
        step, overlap, psi = b.waves, b.exit_waves(), s.kept_waves[b.selection]
        step -= overlap
        if self.beta != 1:
            step *= self.beta
        step += psi
        if self.keep != 1:
            overlap -= psi
            overlap *= 1 - self.keep
            step += overlap
        s.kept_waves[b.selection] = step
        b.waves = step


class LoadKeptWaves(ViewOperator, reads="kept_waves", writes="waves"):
    """Bring the kept exit waves back: waves = psi.

    Reads kept_waves (N, M, n, n), which Difference wrote; writes waves (B, M, n, n).
    """

    over_ranks = True
    scale_free = True

    def apply(self, s: State, b: Views) -> None:
        b.waves = s.kept_waves[b.selection]
