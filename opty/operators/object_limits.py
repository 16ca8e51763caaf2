"""What is known of the object beforehand: limits of magnitude and phase, little total variation."""

from __future__ import annotations

import math
from typing import Any

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.errors import RecipeError
from opty.model.sample import transmission


class ClampObj(Operator, reads="obj", writes="obj"):
    """Keep |O| within [lo, hi] and, where limits are given, the phase of O within [phase_lo, phase_hi].

    The phase is the absolute phase of the object: limits on it also fix its global phase. Of slices each is clamped; of
    a mixture |O| is sqrt(sum_l |O_l|^2), which no mix of its states changes.

    Parameters
    ----------
    lo, hi : of the magnitude (no unit); hi=1 for an object that cannot shine.
    phase_lo, phase_hi : of the phase [rad], in [-pi, pi]; None for no limit.

    Reads and writes obj (H, W).
    Raises RecipeError for limits of the phase of a mixture, whose states have no phase that patterns tell.
    Source: Guizar-Sicairos, Fienup, Opt. Express 16, 7264 (2008) for limits of the transmission.
    """

    over_ranks = True

    lo: float = 0.0
    hi: float = 1.0
    phase_lo: float | None = None
    phase_hi: float | None = None

    def check(self) -> None:
        if not 0 <= self.lo <= self.hi:
            raise ValueError(f"ClampObj(lo={self.lo}, hi={self.hi}): give 0 <= lo <= hi")
        low, high = self._phases()
        if not -math.pi <= low <= high <= math.pi:
            raise ValueError(
                f"ClampObj(phase_lo={self.phase_lo}, phase_hi={self.phase_hi}): give -pi <= phase_lo <= phase_hi <= pi"
            )

    def check_model(self, model: Any) -> None:
        if model.mixture and (self.phase_lo, self.phase_hi) != (None, None):
            raise RecipeError(
                f"{self!r}: no pattern tells the states of {model.sample!r} from others mixed of them, so that "
                "none has a phase of its own: leave the limits of the phase out"
            )

    def apply(self, s: State) -> None:
        xp, obj = s.xp, s.obj
        free = self.phase_lo is None and self.phase_hi is None
        magnitude = transmission(obj, True) if s.model.mixture else xp.abs(obj)
        clipped = xp.clip(magnitude, self.lo, self.hi)
        if free:
            lit = magnitude > 0  # where the object is zero it has no phase to keep
            dark = clipped / len(obj) ** 0.5 if s.model.mixture else clipped
            s.obj = xp.where(lit, obj * (clipped / xp.where(lit, magnitude, 1)), dark)
            return
        s.obj = clipped * xp.exp(1j * xp.clip(xp.angle(obj), *self._phases()))

    def _phases(self) -> tuple[float, float]:
        low = -math.pi if self.phase_lo is None else self.phase_lo
        return low, math.pi if self.phase_hi is None else self.phase_hi


class TotalVariation(Operator, reads="obj", writes="obj"):
    """Smooth the object by its total variation; edges stay.

    O <- argmin_u sum |u - O|^2 / 2 + weight TV(u), TV(u) = sum sqrt(|d_row u|^2 + |d_col u|^2).

    Solved on its dual by accelerated gradient projection, magnitude and phase together; each slice or state by itself.

    Parameters
    ----------
    weight : strength, in units of |O| (from 0 up); steps smaller than about this are flattened.
    iterations : of the solver.

    Reads and writes obj (H, W).
    Source: Rudin, Osher, Fatemi, Physica D 60, 259 (1992); Beck, Teboulle, IEEE Trans. Image Process. 18, 2419 (2009)
    for the solver.
    """

    over_ranks = True

    weight: float = 0.01
    iterations: int = 20

    @property
    def scale_free(self) -> bool:  # type: ignore[override]
        """Whether it does nothing: the weight has the unit of the object."""
        return not self.weight

    def check(self) -> None:
        if self.weight < 0:
            raise ValueError(f"TotalVariation(weight={self.weight}): give a strength from 0 up")
        if self.iterations < 1:
            raise ValueError(f"TotalVariation(iterations={self.iterations}): give a number of iterations from 1 on")

    def apply(self, s: State) -> None:
        if not self.weight:
            return
        s.obj = (
            self._flattened(s.xp, s.obj) if s.obj.ndim == 2 else s.xp.stack([self._flattened(s.xp, o) for o in s.obj])
        )

    def _flattened(self, xp: Any, obj: Any) -> Any:
        dual = xp.zeros((2, *obj.shape), obj.dtype)
        ahead, pace = dual, 1.0
        for _ in range(self.iterations):
            moved = ahead - rises(xp, falls(xp, ahead) * self.weight - obj) / (8 * self.weight)
            moved /= xp.maximum(xp.sqrt((xp.abs(moved) ** 2).sum(axis=0)), 1)
            faster = (1 + math.sqrt(1 + 4 * pace * pace)) / 2
            ahead = moved + (pace - 1) / faster * (moved - dual)
            dual, pace = moved, faster
        return obj - self.weight * falls(xp, dual)


def rises(xp: Any, image: Any) -> Any:
    """Return the forward differences (2, H, W) of an image (H, W) along rows and columns, zero at the far edges."""
    out = xp.zeros((2, *image.shape), image.dtype)
    out[0, :-1] = image[1:] - image[:-1]
    out[1, :, :-1] = image[:, 1:] - image[:, :-1]
    return out


def falls(xp: Any, field: Any) -> Any:
    """Return the adjoint (H, W) of ``rises`` on a field (2, H, W)."""
    out = xp.zeros(field.shape[1:], field.dtype)
    out[:-1] -= field[0, :-1]
    out[1:] += field[0, :-1]
    out[:, :-1] -= field[1, :, :-1]
    out[:, 1:] += field[1, :, :-1]
    return out
