"""Where a scan falls into two parts: between two views the stage would have jumped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_USUAL = 4.5  # times the usual step: of a random walk a step is so large once in a million
_ASKED = 0.35  # of the step asked for: a stage that errs by its scale or turns errs by a share of it
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
    of a window of ``n`` pixels, and 0.35 of the step that the stage was asked for. ``positions``, ``given`` : (N, 2)
    px.
    """
    if len(positions) < 3:
        return None
    size, asked = (np.hypot(*np.diff(a, axis=0).T) for a in (positions - given, given))
    usual = float(np.median(size))
    over = size / np.maximum(max(_USUAL * usual, _WINDOW * n), _ASKED * asked)
    worst = int(np.argmax(over))
    return Jump(worst, float(size[worst]), usual) if over[worst] > 1 else None
