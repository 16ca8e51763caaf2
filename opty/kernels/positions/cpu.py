"""What the views of a batch tell of their positions, on the CPU."""

from __future__ import annotations

from opty.kernels import compiled
from opty.kernels.cpu_base import CpuBase, of_views


class CpuPositions(CpuBase):
    """The refinement of positions by a fit; that by a shift is done step by step."""

    def sense_slopes(self, waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed) -> None:
        """Put what ``signals.fit_numbers`` returns into sensed (N, 7)."""
        from opty.kernels.positions import loops

        def work(some: slice) -> None:
            args = waves, rows[some], obj, corners[some], of_views(illum, some), light, index[some]
            loops.sense_slopes(*args, misfit, change, most, sensed)

        self._share_views(work, len(rows))


def senses() -> bool:
    """Say whether ``sense_slopes`` can be used: without numba the steps of the refinement are as fast."""
    return compiled.numba_available()
