"""Exit waves to the detector and back, on the CPU."""

from __future__ import annotations

from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase, store
from opty.kernels.operands import VaryingProbe


class CpuExitWaves(CpuBase):
    """Projections, and steps of kept waves."""

    def exit_waves(self, obj, corners, illum, waves) -> None:
        """waves_jm = illum_jm O_j, illum an array or a ``VaryingProbe``."""
        if isinstance(illum, VaryingProbe):
            probe, modes = (a.reshape(len(a), -1).view(self._real) for a in (illum.probe, illum.modes))
            loops("variation").shine(probe, illum.weights, modes, obj, corners, illum.seen, waves)
            return
        loops("exit_waves").exit_waves(obj, corners, illum, waves)

    def project(self, obj, corners, illum, frames, difference, waves, fraction=None) -> None:
        """Bring exit waves to the detector, put the measured modulus on them and bring them back, into ``waves``."""

        def work(obj, corners, illum, frames, waves, fraction, misfits) -> None:
            self.exit_waves(obj, corners, illum, waves)
            self._put_modulus(waves, frames, difference, fraction, misfits)

        self._in_pieces(work, obj, corners, illum, frames, waves, fraction)

    def step_kept(self, obj, corners, illum, frames, waves, kept, beta, keep, fraction=None) -> None:
        """Take a step of the difference map's kind: kept += beta (Pi(2 P O - kept) - P O) + (1 - keep) (P O - kept).

        With D = Pi(2 P O - kept) - (2 P O - kept) the step is kept = share kept + (1 - share) P O + beta D, where
        share = keep - beta is zero for the difference map and for RAAR.
        """

        def work(obj, corners, illum, frames, waves, fraction, misfits, rows) -> None:
            loops("exit_waves").reflect(obj, corners, illum, kept.waves, rows, waves)
            self._put_modulus(waves, frames, True, fraction, misfits)
            loops("exit_waves").advance(obj, corners, illum, waves, kept.waves, rows, beta, keep - beta)

        self._in_pieces(work, obj, corners, illum, frames, waves, fraction, kept.rows)

    def _put_modulus(self, waves, frames, difference, fraction, misfits) -> None:
        there = self._propagator.to_modulus(waves, fraction, self._within)
        loops("detector").put_modulus(there, *frames, difference, misfits)
        store(waves, self._propagator.from_modulus(there, fraction, self._within))
