"""Object update of the PIE family: live, batch by batch."""

from __future__ import annotations

from typing import Any

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views


class ObjUpdate(ViewOperator, reads="delta illum obj", writes="obj"):
    """Update the object from the views of a batch (PIE).

    O <- O + step sum_jm conj(P_m) dpsi_jm / [alpha max(S) + (1 - alpha) S],  S = sum_jm |P_m|^2.

    Sums run over the modes m and the views j of the batch, each at its place in the object, so that any batch
    converges; with one view at a time this is rPIE, and ePIE for alpha = 1.

    Parameters
    ----------
    alpha : regularisation from 0 (least squares, unsafe where the probe is dark) to 1 (ePIE).
    step : length of the step as a part of the model's own, which is 1, the full one, for a thin object, and 1 / n for n
        slices.

    In another model direction and weight are the adjoint of its derivative and the diagonal of its square; of several
    slices each has its own max(S).
    Reads delta (B, S, n, n), illum (B or 1, M, n, n); writes obj (H, W), or (L, H, W). Positions are whole pixels plus
    a Fourier shift of the probe, so nothing is interpolated.
    Source: Maiden, Johnson, Li, Optica 4, 736 (2017), Eq. 13; Guzzi et al., PeerJ CS 8, e1036 (2022) for the modes.
    """

    alpha: float = 1.0
    step: float = 1.0
    over_ranks = True
    changes_add_up = True
    scale_free = True
    gathers = frozenset({"obj"})
    scratch_slices = (0.0, 1.5, 2.5)  # direction and weight, as windows and on the frame
    advice = "a larger alpha, or a smaller step, of the object update"

    def check(self) -> None:
        check_regularisation(type(self).__name__, "alpha", self.alpha, self.step)

    def apply(self, s: State, b: Views) -> None:
        obj, step = s.obj, self.length(s.model)
        direction, weight = b.gather("obj", b.delta)
        if b.size == 1:  # the window itself is the canvas
            direction = scaled(s.xp, direction[0], weight[0], self.alpha, step)
            b.place(obj, direction[None])
            return
        canvas, total = s.xp.zeros(obj.shape, s.dtype), s.xp.zeros(obj.shape, s.real_dtype)
        b.place(canvas, direction)
        b.place(total, weight)
        obj += scaled(s.xp, canvas, total, self.alpha, step)

    def length(self, model: Any) -> float:
        """Return the length of the step in a model."""
        return self.step * model.obj_step


def scaled(xp: Any, direction: Any, weight: Any, alpha: float, step: float) -> Any:
    """Return step * direction / [alpha max(weight) + (1 - alpha) weight], 0 where weight is 0; overwrites direction.

    Of slices (L, H, W) each has its own max(weight).
    """
    largest = weight.max() if weight.ndim == 2 else weight.max(axis=(-2, -1), keepdims=True)
    # A pixel that no light reaches has no direction either: the floor only keeps the division finite.
    floor = xp.finfo(weight.dtype).tiny
    if alpha == 1:
        direction *= xp.asarray(step / xp.maximum(largest, floor), dtype=weight.dtype)
        return direction
    scale = xp.maximum(weight * (1 - alpha) + alpha * largest, floor)
    xp.divide(step, scale, out=scale)
    direction *= scale
    return direction


def check_regularisation(who: str, name: str, value: float, step: float) -> None:
    """Refuse a regularisation outside [0, 1] or a step that is not positive."""
    if not 0 <= value <= 1:
        raise ValueError(f"{who}({name}={value}): give a regularisation from 0 to 1 (1 is ePIE)")
    if not step > 0:
        raise ValueError(f"{who}(step={step}): give a step above 0 (1 is the full one)")
