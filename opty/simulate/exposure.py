"""The exposure of a view: brightness of the beam, background, and motion of the stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Exposure:
    """What happens while a view is taken.

    Parameters
    ----------
    fluctuation : relative standard deviation of the beam's intensity from view to view (no unit), log-normal; scaled so
        that the mean over the scan is one.
    background : incoherent light on the detector, the same in each view: a number or (n, n) [photons per pixel].
    travel : (row, column) or (N, 2): how far the stage moves during a view [px], half of it before the position that
        the view has and half after; None: no motion. ``scans.travel`` makes it for a fly scan.
    steps : sub-steps over which the intensity of a moving view is averaged.

    Raises
    ------
    ValueError : numbers without a meaning.

    Source: Pelz et al., Appl. Phys. Lett. 105, 251101 (2014), for fly scans as a sum of intensities.
    """

    fluctuation: float = 0.0
    background: float | np.ndarray = 0.0
    travel: np.ndarray | tuple[float, float] | None = None
    steps: int = 8

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fluctuation) and self.fluctuation >= 0):
            raise ValueError(f"fluctuation is {self.fluctuation!r}; give a relative standard deviation, zero or more")
        background = np.asarray(self.background)
        if background.ndim not in (0, 2) or not (np.isfinite(background) & (background >= 0)).all():
            raise ValueError(
                f"background has shape {background.shape}, minimum {background.min()}; give photons per pixel, one "
                "number or (n, n), zero or more"
            )
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"steps is {self.steps!r}; give a number of sub-steps from 1 on")

    def places(self, positions: np.ndarray) -> np.ndarray:
        """Return where each view (N, 2) is taken: (N, K, 2) px, K = 1 where nothing moves."""
        if self.travel is None:
            return positions[:, None]
        travel = np.asarray(self.travel, dtype=np.float64)
        if travel.shape not in ((2,), positions.shape) or not np.isfinite(travel).all():
            raise ValueError(f"travel has shape {travel.shape}; give (2,) or {positions.shape}, finite, in px")
        share = (np.arange(self.steps) + 0.5) / self.steps - 0.5
        return positions[:, None] + share[:, None] * np.broadcast_to(travel, positions.shape)[:, None]

    def brightness(self, views: int, seed: Any) -> np.ndarray:
        """Return the relative intensity of the beam in each view (N,), of mean one."""
        if not self.fluctuation:
            return np.ones(views)
        width = math.sqrt(math.log1p(self.fluctuation**2))
        drawn = np.exp(np.random.default_rng(seed).normal(0, width, views))
        return drawn / drawn.mean()

    def background_image(self, n: int) -> np.ndarray | None:
        """Return the background (n, n) float32, or None where there is none."""
        background = np.asarray(self.background, dtype=np.float32)
        if background.ndim and background.shape != (n, n):
            raise ValueError(f"background has shape {background.shape} but the detector has {n} x {n} pixels")
        return np.broadcast_to(background, (n, n)).copy() if background.any() else None
