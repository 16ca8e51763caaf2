"""Refine: the numbers of a model's element (a spacing, a tilt of each view), by Gauss and Newton at the detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import ViewOperator
from opty.errors import RecipeError
from opty.operators.fourier import intensity_of

_RIDGE = 1e-3  # of the mean curvature: keeps undetermined parts unchanged
_LARGEST = 0.1  # of a number of the whole scan: the longest step in one sweep
_UP, _DOWN, _LEAST, _MOST = 1.5, 0.4, 0.3, 40.0  # changes of a gain in one sweep, and its bounds


class Refine(ViewOperator, reads="delta illum patches"):
    """Refine numbers of an element of the model, such as a spacing, by Gauss-Newton steps.

    theta <- theta + gain M^-1 g: numbers that an element of the model brings, once a sweep.

    g = Re <dpsi/dtheta, dpsi> is the adjoint of the derivative of the model applied to the residual, and M_kl =
    sum w dA_k dA_l with dA_k = Re sum_s conj(Psi_s) dPsi_s/dtheta_k / sqrt Ihat the curvature of the amplitudes at the
    detector. Both are sums over all views for a leaf over the scan, and of each view for one over views.

    Object and probe explain most of a residual before theta can, so that a full step is short: gains grow by half while
    the step keeps its direction, up to 40, and shrink to two fifths where it turns back, down to 0.3. A number of the
    whole scan changes by at most a tenth in a sweep.

    Parameters
    ----------
    leaf : name of a leaf of the model without pixels, such as "spacing".
    gain : at the start.

    Reads delta (B, S, n, n), illum, patches and the leaf; writes the leaf and its memory <leaf>_gain, <leaf>_step.
    History, once a sweep: "<leaf>" = mean value, in the leaf's unit, and "<leaf>_iteration".
    Source: Gauss-Newton for amplitudes: Dwivedi et al., Ultramicroscopy 192, 29 (2018); gains that learn: Zhang et al.,
    Opt. Express 21, 13592 (2013).
    """

    leaf: str
    gain: float = 1.0
    joins_before_update = True
    scale_free = True
    estimates = False
    scratch_waves = (8.0, 4.0)
    advice = "a smaller gain of Refine, or starting it later with After(20, Refine(...))"

    def check(self) -> None:
        if not self.leaf.isidentifier() or self.leaf in ("positions", "obj", "probe"):
            raise ValueError(
                f"Refine({self.leaf!r}): give a leaf of the model without pixels, such as 'spacing'; PosCorrect() "
                "refines positions, every engine object and probe"
            )
        if not self.gain > 0:
            raise ValueError(f"Refine(gain={self.gain}): give a gain above 0")

    @property
    def slots(self) -> tuple[Leaf, ...]:  # type: ignore[override]
        """Memory from sweep to sweep: gains and the last steps."""
        first = Leaf(f"{self.leaf}_gain", "row_of_leaf", scale=0)
        return first, Leaf(f"{self.leaf}_step", "row_of_leaf number", scale=0)

    @property
    def deferred_writes(self) -> frozenset[str]:  # type: ignore[override]
        """The leaf changes only when a sweep is over."""
        return frozenset({self.leaf})

    @property
    def gathers(self) -> frozenset[str]:  # type: ignore[override]
        """The leaf's sum comes with those of the other steps."""
        return frozenset({self.leaf})

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        memory = {leaf.name for leaf in self.slots}
        return self.reads | {self.leaf} | memory, frozenset({self.leaf}) | memory

    def begin(self, s: Any) -> None:
        leaf = next((one for one in s.model.leaves if one.name == self.leaf), None)
        if leaf is None or leaf.grid != "none" or leaf.part_of:
            numbers = [one.name for one in s.model.leaves if one.grid == "none" and not one.part_of]
            found = leaf is not None and leaf.part_of
            if found:
                raise RecipeError(f"{self!r}: every engine finds {self.leaf!r} along with the {found}: leave it out")
            raise RecipeError(f"{self!r}: the model {s.model!r} has no such numbers; it has {numbers or 'none'}")
        value = getattr(s, self.leaf)
        rows = len(value) if leaf.over == "view" else 1
        count = value.size // rows
        if s.create(f"{self.leaf}_gain", row_of_leaf=rows):
            setattr(s, f"{self.leaf}_gain", s.xp.full(rows, self.gain))
        s.create(f"{self.leaf}_step", row_of_leaf=rows, number=count)
        s.memo["view"] = leaf.over == "view"
        s.memo["climb"] = s.xp.zeros((rows, count), np.float64)
        s.memo["curvature"] = s.xp.zeros((rows, count, count), np.float64)

    def apply(self, s: Any, b: Any) -> None:
        rows = b.selection if s.memo["view"] else slice(None)
        direction, _ = b.gather(self.leaf, b.delta)
        climb, curvature = s.memo["climb"], s.memo["curvature"]
        climb[rows] += direction.reshape(-1, climb.shape[1])
        products = self._products(s, b)
        curvature[rows] += products if s.memo["view"] else products.sum(axis=0)

    def _products(self, s: Any, b: Any) -> Any:
        """Return M of each view, (B, K, K)."""
        xp, value = s.xp, getattr(s, self.leaf)
        there = b.at_detector(b.exit_waves(), True)
        amplitude = xp.sqrt(xp.maximum(intensity_of(s, b, there), np.finfo(s.real_dtype).tiny ** 0.5))
        mask = s.measured.mask_of(b.selection)
        shape = (b.size, *value.shape[1:]) if s.memo["view"] else value.shape
        count = s.memo["climb"].shape[1]
        changes = []
        for k in range(count):
            unit = np.zeros((shape[0] if s.memo["view"] else 1, count))
            unit[:, k] = 1
            moved = b.at_detector(b.tangent({self.leaf: s.backend.asarray(unit.reshape(shape))}), True)
            change = b.seen((there.conj() * moved).real.sum(axis=1)) / amplitude
            changes.append(change if mask is None else change * mask)
        flat = xp.stack(changes, axis=1).reshape(b.size, count, -1)
        return (flat @ flat.swapaxes(1, 2)).astype(np.float64)

    def finish(self, s: Any) -> None:
        xp, value = s.xp, getattr(s, self.leaf)
        climb, curvature = s.memo["climb"], s.memo["curvature"]
        count = climb.shape[1]
        ridge = _RIDGE * xp.trace(curvature, axis1=1, axis2=2)[:, None, None] / count + np.finfo(float).tiny
        step = xp.linalg.solve(curvature + ridge * xp.eye(count), climb[..., None])[..., 0]
        gains, last = getattr(s, f"{self.leaf}_gain"), getattr(s, f"{self.leaf}_step")
        along = (step * last).sum(axis=1)
        gains = xp.clip(gains * xp.where(along > 0, _UP, xp.where(along < 0, _DOWN, 1.0)), _LEAST, _MOST)
        setattr(s, f"{self.leaf}_gain", gains)
        setattr(s, f"{self.leaf}_step", step)
        step = (gains[:, None] * step).reshape(value.shape)
        if not s.memo["view"]:
            most = xp.where(value != 0, _LARGEST * xp.abs(value), np.inf)
            step = xp.clip(step, -most, most)
        setattr(s, self.leaf, value + step.astype(value.dtype))
        s.record(self.leaf, float(s.backend.to_host(getattr(s, self.leaf).mean())))
        s.record(f"{self.leaf}_iteration", s.memo["number"])
