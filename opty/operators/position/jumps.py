"""Where a scan falls into two parts: between two views the stage would have jumped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter

_USUAL = 4.5  # times the usual step: of a random walk a step is so large once in a million
_ASKED = 0.35  # of the step asked for: a stage that errs by its scale or turns errs by a share of it
_PART = 5  # views in a row
_WINDOW = 1 / 16  # of a window: backlash is smaller


class Jump(NamedTuple):
    """From view ``view`` to the next one the error of the stage changes by ``size`` px, by ``usual`` px as a rule."""

    view: int
    size: float
    usual: float

    def __str__(self) -> str:
        return (
            f"from view {self.view} to view {self.view + 1} their displacement jumps by {self.size:.3g} px, "
            f"where {self.usual:.3g} px are usual"
        )


def largest_jump(positions: np.ndarray, given: np.ndarray, n: int) -> Jump | None:
    """Return the jump that stands out most in refined positions, None where none does.

    A jump is a change of positions - given from one view to the next that exceeds 4.5 times the usual one, a sixteenth
    of a window of ``n`` pixels, and 0.35 of the step that the stage was asked for. One or two views that lie elsewhere
    are no part of a scan: the medians of five views in a row are compared. ``positions``, ``given`` : (N, 2) px.
    """
    if len(positions) < 3:
        return None
    usual = float(np.median(_steps(positions - given)))
    size, asked = _steps(median_filter(positions - given, (_PART, 1), mode="reflect")), _steps(given)
    over = size / np.maximum(max(_USUAL * usual, _WINDOW * n), _ASKED * asked)
    worst = int(np.argmax(over))
    return Jump(worst, float(size[worst]), usual) if over[worst] > 1 else None


def _steps(places: np.ndarray) -> np.ndarray:
    return np.hypot(*np.diff(places, axis=0).T)
