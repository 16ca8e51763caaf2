"""Momentum: object and probe are carried on in the direction in which they have been moving."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views
from opty.model.probe import OPR_MODES, OPR_WEIGHTS, combined
from opty.operators import variation
from opty.state.leaves import OBJ, PROBE

OBJ_VELOCITY = OBJ.like("kept_obj_velocity", belongs_to="obj probe")
PROBE_VELOCITY = PROBE.like("kept_probe_velocity", belongs_to="obj probe")
_PART = {"belongs_to": "obj probe", "part_of": "kept_probe_velocity"}
OPR_MODES_VELOCITY = OPR_MODES.like("kept_opr_modes_velocity", **_PART).as_part()
OPR_WEIGHTS_VELOCITY = OPR_WEIGHTS.like("kept_opr_weights_velocity", **_PART).as_part()
_VARYING = {"opr_modes": OPR_MODES_VELOCITY.name, "opr_weights": OPR_WEIGHTS_VELOCITY.name}

_WAIT = 15  # iterations in which what varies of a probe keeps no velocity: it still finds its directions


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

    @property
    def sums_batches(self) -> bool:  # type: ignore[override]
        """Whether a batch makes no difference: an interval counts views."""
        return self.interval is None

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
        for name, velocity in self._moved(s).items():
            s.create(velocity)
            s.memo[name] = getattr(s, name).copy()
        s.memo["views"] = 0

    def _moved(self, s: State) -> dict[str, str]:
        """Return the velocity of each leaf that is carried on: of a probe that varies, of what varies too."""
        return {self.moved: self.velocity} | (_VARYING if self._carries_modes(s) else {})

    def _carries_modes(self, s: State) -> bool:
        return self.moved == "probe" and variation.varies(s)

    def is_capturable(self, s: State) -> bool:
        return self.interval is None

    def apply(self, s: State, b: Views) -> None:
        s.memo["views"] += b.size
        if self.interval is not None and s.memo["views"] >= self.interval:
            self._push(s)

    def collect(self, s: State) -> None:
        if self._carries_modes(s):  # before they are made orthogonal
            self._push_the_rest(s)

    def finish(self, s: State) -> None:
        if not self._carries_modes(s):
            self._push_the_rest(s)
            return
        turn, back = _turned(s.xp, s.memo["opr_modes"], s.opr_modes)
        s.kept_opr_modes_velocity = combined(turn, s.kept_opr_modes_velocity)
        s.kept_opr_weights_velocity = s.kept_opr_weights_velocity @ back

    def _push_the_rest(self, s: State) -> None:
        if self.interval is None or s.memo["views"]:  # of a sweep that was replayed no views were counted
            self._push(s)

    def _push(self, s: State) -> None:
        for name, velocity in self._moved(s).items():
            x, v, before = getattr(s, name), getattr(s, velocity), s.memo[name]
            step = s.xp.subtract(x, before, out=before)
            v *= self.momentum if name == self.moved or s.iteration >= _WAIT else 0
            x += v  # X0 + momentum V + (X - X0), without the rounding of the detour
            v += step
            before[...] = x
        s.memo["views"] = 0


def _turned(xp: Any, before: Any, modes: Any) -> tuple[Any, Any]:
    """Return T and its inverse (K, K) real, where OPR modes (K, n, n) = T before, the modes of the same space."""
    old, new = (a.reshape(len(a), -1).view(a.real.dtype) for a in (before, modes))
    turn = (new @ old.T).astype(np.float64) @ xp.linalg.pinv((old @ old.T).astype(np.float64))
    return turn.astype(new.dtype), xp.linalg.pinv(turn).astype(new.dtype)


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

    Of a probe that varies OPR modes and weights are carried on too, from the 16th iteration on, and their velocities
    turned as the modes are made orthogonal.
    Reads and writes probe (M, n, n) and its velocity kept_probe_velocity (M, n, n), which starts at zero; sweeps that
    improve object or probe without this step drop it. Of a probe that varies also kept_opr_modes_velocity (K, n, n) and
    kept_opr_weights_velocity (N, K).
    Source: Maiden, Johnson, Li, Optica 4, 736 (2017), Eqs. 19, 20.
    """

    moved = "probe"
    copied = frozenset({"probe", "opr_modes", "opr_weights"})
    velocity = "kept_probe_velocity"
