"""The engine of a run on a GPU: what the batches of its sweeps go through, in a few launches each."""

from __future__ import annotations

from opty.kernels.accumulate.gpu import GpuSums
from opty.kernels.exit_waves.gpu import GpuExitWaves
from opty.kernels.least_squares.gpu import GpuLeastSquares
from opty.kernels.likelihood.gpu import GpuLikelihood
from opty.kernels.positions.gpu import GpuPositions
from opty.kernels.shifts.gpu import GpuShifts
from opty.kernels.update.gpu import GpuUpdates


class GpuEngine(GpuExitWaves, GpuShifts, GpuSums, GpuUpdates, GpuLikelihood, GpuLeastSquares, GpuPositions):
    """All parts together; ``engine.Engine`` says what each method does, the families' ``meaning`` what it computes."""
