"""What the views of a batch tell of their positions, on the CPU."""

from __future__ import annotations

from opty.backend import fused_cpu, fused_fit


class Fused(fused_fit.Fused):
    """What a batch goes through, the refinement of positions by a fit included; that by a shift is done step by step.

    Arguments are those of ``fused_sense_gpu``.
    """

    def sense_slopes(self, waves, rows, obj, corners, illum, light, index, misfit, change, most, sensed) -> None:
        """Put what ``signals.fit_numbers`` returns into sensed (N, 7)."""
        from opty.backend import loops_sense

        def work(some: slice) -> None:
            seen = illum if len(illum) == 1 else illum[some]
            numbers = misfit, change, most, sensed
            loops_sense.sense_slopes(waves, rows[some], obj, corners[some], seen, light, index[some], *numbers)

        self._share_views(work, len(rows))


def senses() -> bool:
    """Say whether the loops for it are compiled; in NumPy the steps of the refinement are as fast."""
    return fused_cpu.loops().name != "numpy"
