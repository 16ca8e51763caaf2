"""Steps of object and probe along sums over views, on the CPU."""

from __future__ import annotations

from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase


class CpuUpdates(CpuBase):
    """Steps divided by regularised weights, and merged estimates."""

    def add_scaled(self, target, direction, weight, regularisation: float, step: float) -> None:
        """target (L, H, W) += step direction / [a max(weight) + (1 - a) weight], a the regularisation.

        direction (L, H, W) and weight (H, W) are zero afterwards.
        """
        most = self._largest(weight)

        def work(low: int, high: int) -> None:
            loops("update").add_scaled(target, direction, weight, most, regularisation, step, low, high)

        self._share_weight(work, weight)

    def divide(self, direction, weight, regularisation: float, largest=None) -> None:
        """direction (L, H, W) /= a max(weight) + (1 - a) weight, a the regularisation; weight (H, W) stays.

        ``largest`` : numbers (K,) of which the largest is to be max(weight).
        """
        most = self._largest(weight) if largest is None else largest.max()

        def work(low: int, high: int) -> None:
            loops("update").divide(direction, weight, most, regularisation, low, high)

        self._share_weight(work, weight)

    def merge(self, old, total, weight, held, inertia: float) -> None:
        """old (L, H, W) = (total + c held) / (weight + c), c = inertia max(weight); as it is where nothing is known."""
        ground = inertia * self._largest(weight)

        def work(low: int, high: int) -> None:
            loops("update").merge(old, total, weight, held, ground, low, high)

        self._share_weight(work, weight)

    def update_both(self, obj, corners, probe, waves, alpha, obj_step, beta, probe_step) -> None:
        """Steps of object and probe along the residual of one view, both from what they were."""
        loops("update").update_both(obj, corners, probe, None, waves, alpha, obj_step, beta, probe_step)

    def _largest(self, weight) -> float:
        return loops("update").largest(weight, 0, len(weight))
