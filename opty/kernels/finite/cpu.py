"""Are all values of a state finite, and all windows inside the object? On the CPU."""

from __future__ import annotations

import math

import numpy as np


class FiniteCheck:
    """Checks the state after each iteration; the answers are there at once."""

    LAG = 0  # iterations that may be in flight when one is checked

    def __init__(self) -> None:
        # Of positions; once set they stay: the run does not continue.
        self._infinite, self._stray = False, (0.0, 0.0, 0.0)

    def look_at(self, positions, largest: tuple[int, int]) -> None:
        """Check positions (N, 2) px that may change again before ``broken`` is called."""
        nearest = np.rint(positions)
        if ((nearest >= 0) & (nearest <= largest)).all():
            return
        finite = np.isfinite(positions)
        self._infinite |= not finite.all()
        strays = np.flatnonzero((finite & ~((nearest >= 0) & (nearest <= largest))).any(axis=1))
        if len(strays) and not self._stray[0]:
            self._stray = float(strays[0] + 1), *map(float, positions[strays[0]])

    def broken(self, obj, probe, positions, largest: tuple[int, int]) -> tuple[float, ...]:
        """Return which of the three hold a value that is not finite, 1 or 0; None holds no such value.

        Then the number of the first view whose window lies outside the object, counted from 1, or 0, and its position.
        ``largest`` : corner of the last window inside.
        """
        if positions is not None:
            self.look_at(positions, largest)
        first, second = (float(a is not None and not _finite(a)) for a in (obj, probe))
        return first, second, float(self._infinite), *self._stray


def _finite(a) -> bool:
    """Say whether all values are finite: the sum of their squares tells, where it does not overflow."""
    return math.isfinite(np.vdot(a, a).real) or bool(np.isfinite(a).all())
