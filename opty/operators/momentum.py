"""Momentum: object and probe are carried on in the direction in which they have been moving."""

from __future__ import annotations

from typing import ClassVar

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views
from opty.state.leaves import OBJ, PROBE

OBJ_VELOCITY = OBJ.like("kept_obj_velocity", belongs_to="obj probe")
PROBE_VELOCITY = PROBE.like("kept_probe_velocity", belongs_to="obj probe")


class Momentum(ViewOperator, register=False):
    """What ObjMomentum and ProbeMomentum share: after every T views V <- momentum V + (X - X0); X <- X0 + V; X0 <- X.

    X0 is X as it stood after the step before; a sweep ends with a step for the views that are left, so that only V
    lives longer than the sweep.
    """

    moved: ClassVar[str]
    velocity: ClassVar[str]
    momentum: float = 0.5
    interval: int | None = None
    over_ranks = True
    scale_free = True
    estimates = False  # no momentum without updates
    advice = "a smaller momentum"

    def check(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(
                f"{type(self).__name__}(momentum={self.momentum}): give a share of the velocity to keep, from 0 (none) "
                "up to, not with, 1"
            )
        if self.interval is not None and self.interval < 1:
            raise ValueError(
                f"{type(self).__name__}(interval={self.interval}): give a number of views from 1 on, or None"
            )

    def begin(self, s: State) -> None:
        x = getattr(s, self.moved)
        s.create(self.velocity)
        s.memo["before"], s.memo["views"] = x.copy(), 0

    def is_capturable(self, s: State) -> bool:
        return self.interval is None

    def apply(self, s: State, b: Views) -> None:
        s.memo["views"] += b.size
        if self.interval is not None and s.memo["views"] >= self.interval:
            self._push(s)

    def finish(self, s: State) -> None:
        if self.interval is None or s.memo["views"]:  # of a sweep that was replayed no views were counted
            self._push(s)

    def _push(self, s: State) -> None:
        x, v, before = getattr(s, self.moved), getattr(s, self.velocity), s.memo["before"]
        step = s.xp.subtract(x, before, out=before)
        v *= self.momentum
        x += v  # X0 + momentum V + (X - X0), without the rounding of the detour
        v += step
        before[...] = x
        s.memo["views"] = 0


class ObjMomentum(Momentum, reads="obj kept_obj_velocity", writes="obj", slots=OBJ_VELOCITY):
    """Carry the object on: after every T views V <- momentum V + (O - O0); O <- O0 + V, O0 the object T views ago.

    Parameters
    ----------
    momentum : share of the velocity that is kept from step to step, from 0 (no momentum) up to, not with, 1.
    interval : views T between two steps; None for one step a sweep. A sweep ends with a step in any case.

    Reads and writes obj (H, W) and its velocity kept_obj_velocity (H, W), which starts at zero; sweeps that improve
    object or probe without this step drop it.
    Source: Maiden, Johnson, Li, Optica 4, 736 (2017), Eqs. 19, 20.
    """

    moved = "obj"
    copied = frozenset({"obj"})
    velocity = "kept_obj_velocity"


class ProbeMomentum(Momentum, reads="probe kept_probe_velocity", writes="probe", slots=PROBE_VELOCITY):
    """Carry the probe on: after every T views V <- momentum V + (P - P0); P <- P0 + V, P0 the probe T views ago.

    Parameters
    ----------
    momentum : share of the velocity that is kept from step to step, from 0 (no momentum) up to, not with, 1.
    interval : views T between two steps; None for one step a sweep. A sweep ends with a step in any case.

    Reads and writes probe (M, n, n) and its velocity kept_probe_velocity (M, n, n), which starts at zero; sweeps that
    improve object or probe without this step drop it.
    Source: Maiden, Johnson, Li, Optica 4, 736 (2017), Eqs. 19, 20.
    """

    moved = "probe"
    copied = frozenset({"probe"})
    velocity = "kept_probe_velocity"
