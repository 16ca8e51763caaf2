"""The engine of a run on the CPU: what the batches of its sweeps go through."""

from __future__ import annotations

from opty.kernels.exit_waves.cpu import CpuExitWaves
from opty.kernels.least_squares.cpu import CpuLeastSquares
from opty.kernels.likelihood.cpu import CpuLikelihood
from opty.kernels.positions.cpu import CpuPositions
from opty.kernels.shifts.cpu import CpuShifts
from opty.kernels.slices.cpu import CpuSlices
from opty.kernels.update.cpu import CpuUpdates
from opty.kernels.variation.cpu import CpuVariation


class CpuEngine(
    CpuExitWaves,
    CpuShifts,
    CpuUpdates,
    CpuLikelihood,
    CpuLeastSquares,
    CpuPositions,
    CpuVariation,
    CpuSlices,
):
    """All parts together; ``engine.Engine`` says what each method does, the families' ``meaning`` what it computes."""
