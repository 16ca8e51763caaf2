"""Least-squares maximum likelihood: for each view the best lengths of the object's and the probe's step, together."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from opty.algebra.operator import Identity, Operator, ViewOperator
from opty.algebra.protocols import State, Views
from opty.kernels.least_squares.solve2x2 import lengths_from
from opty.operators import variation
from opty.operators.object import check_regularisation, scaled


class LSQUpdate(ViewOperator, reads="delta illum patches obj probe", writes="obj probe"):
    """Update object and probe by the joint least-squares steps of the views of a batch.

    O <- O + step A D_O and P_m <- P_m + step B D_Pm, with steps a_j, b_j that fit each view's residual best.

    The directions are those of ObjUpdate and ProbeUpdate, from all views of the batch:
    D_O = sum_jm conj(P_m) dpsi_jm / [alpha max(S) + (1 - alpha) S], S = sum_jm |P_m|^2, and
    D_Pm = sum_j conj(O_j) dpsi_jm / [beta max(T) + (1 - beta) T], T = sum_j |O_j|^2.
    For each view a_j, b_j minimise sum_m |dpsi_jm - a_j D_O P_m - b_j D_Pm O_j|^2 + ridge (a_j^2 + b_j^2) g_j, g_j the
    mean power of D_O P and D_P O. They are averaged by illumination: A = sum_j a_j S_j / sum_j S_j at each pixel of the
    object, B = sum_j b_j T_j / sum_j T_j at each pixel of the probe.

    Parameters
    ----------
    alpha, beta : regularisation of the directions of object and probe, from 0 (least squares) to 1.
    step : length of the steps, 1 the full ones.
    ridge : regularisation of the joint problem, which both directions may explain alike; 0 for none.
    update : "both", "obj" or "probe": what may change; each view's residual is then fitted by that alone.

    Of a probe that varies the OPR modes and weights move along what is left, by half their steps (see variation.py).
    Reads delta (B, M, n, n), illum (B or 1, M, n, n), patches (B, n, n); writes obj (H, W) and probe (M, n, n).
    Source: Odstrcil, Menzel, Guizar-Sicairos, Opt. Express 26, 3108 (2018), Eqs. 19 to 25.
    """

    alpha: float = 0.1
    beta: float = 0.1
    step: float = 1.0
    ridge: float = 0.1
    update: Literal["both", "obj", "probe"] = "both"
    over_ranks = True
    sums_batches = True
    scale_free = True
    gathers = frozenset({"obj", "probe"})
    advice = "a smaller step, or larger batches, of LSQUpdate"
    scratch_waves = (8.0, 4.0)
    scratch_slices = (0.0, 4.0, 2.0)

    def check(self) -> None:
        check_regularisation("LSQUpdate", "alpha", self.alpha, self.step)
        check_regularisation("LSQUpdate", "beta", self.beta, self.step)
        if not self.ridge >= 0:
            raise ValueError(f"LSQUpdate(ridge={self.ridge}): give a regularisation from 0 (none) on")

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.reads, moved(self.update)

    def fixed(self, leaves: frozenset[str]) -> Operator | None:
        return updating(self, leaves)

    def begin(self, s: State) -> None:
        if self._varies(s):
            variation.prepare(s)

    def apply(self, s: State, b: Views) -> None:
        windows, light_each, direction, seen_each = self._sums(s, b)
        seen = s.total(seen_each.sum(axis=0))
        light = s.total(_on_object(s, b, light_each, s.real_dtype))
        obj_step = scaled(s.xp, s.total(_on_object(s, b, windows, s.dtype)), light, self.alpha, 1)
        probe_step = scaled(s.xp, s.total(direction), seen, self.beta, 1)
        if self.update != "both":
            (probe_step if self.update == "obj" else obj_step)[...] = 0
        lengths = self._lengths(s, b, obj_step, probe_step)
        if self.update != "probe":
            of_view = lengths[:, 0].reshape(-1, *(1,) * (light.ndim))
            along = s.total(_on_object(s, b, light_each * of_view, s.real_dtype))
            obj = s.obj
            obj += obj_step * _average(s.xp, along, light)
        if self.update != "obj":
            along = s.total((seen_each * lengths[:, 1, None, None]).sum(axis=0))
            probe = s.probe
            probe += probe_step * _average(s.xp, along, seen)
        if self._varies(s):
            variation.vary(s, b, b.delta, seen_each, self.step * variation.HALF)

    def _sums(self, s: State, b: Views) -> tuple[Any, Any, Any, Any]:
        """Return directions and weights of the object, of each view, and of the probe, its weights of each view."""
        if b.size:
            return (*b.gather("obj", b.delta), *b.gather("probe", b.delta))
        n = b.n  # over ranks: the views of the batch are those of others
        shape = (0, n, n) if s.store.leaves["obj"].ndim == 2 else (0, len(s.store.leaves["obj"]), n, n)
        light, seen = s.xp.zeros(shape, s.real_dtype), s.xp.zeros((0, n, n), s.real_dtype)
        return light.astype(s.dtype), light, s.xp.zeros(s.probe_shape, s.dtype), seen

    def _lengths(self, s: State, b: Views, obj_step: Any, probe_step: Any) -> Any:
        """Return the lengths (B, 2) of the steps that fit each view best."""
        if not b.size:
            return s.xp.zeros((0, 2), s.real_dtype)
        through_obj, through_probe = b.tangent({"obj": obj_step}), b.tangent({"probe": probe_step})
        return (self.step * joint_steps(s.xp, b.delta, through_obj, through_probe, self.ridge)).astype(s.real_dtype)

    def finish(self, s: State) -> None:
        if self._varies(s):
            variation.settle(s)

    def _varies(self, s: State) -> bool:
        return self.update != "obj" and variation.varies(s)


def updating(op: Any, fixed: frozenset[str]) -> Operator | None:
    """Return a step that changes object and probe, by its field ``update``, without the fixed leaves."""
    left = moved(op.update) - fixed
    if len(left) == len(moved(op.update)):
        return op
    return dataclasses.replace(op, update=next(iter(left))) if left else Identity()


def moved(update: str) -> frozenset[str]:
    """Return what changes where ``update`` is "both", "obj" or "probe"."""
    return frozenset({"obj", "probe"} if update == "both" else {update})


def joint_steps(xp: Any, residual: Any, through_obj: Any, through_probe: Any, ridge: float) -> Any:
    """Return (B, 2) real a, b that minimise |r - a u - b v|^2 + ridge (a^2 + b^2) (|u|^2 + |v|^2) / 2 for each view.

    residual r, through_obj u, through_probe v: (B, M, n, n) complex. Where u and v are zero the steps are.
    """
    vectors = xp.stack([through_obj, through_probe, residual], axis=1).reshape(len(residual), 3, -1)
    vectors = vectors.view(vectors.real.dtype)
    gram = (vectors @ vectors.swapaxes(1, 2)).astype(np.float64)
    squares, along = (gram[:, 0, 0], gram[:, 1, 1], gram[:, 0, 1]), (gram[:, 0, 2], gram[:, 1, 2])
    return lengths_from(xp, *squares, *along, ridge)


def _on_object(s: State, b: Views, windows: Any, dtype: Any) -> Any:
    """Return windows (B or 1, n, n) added up at their places in the object (H, W); of slices with their axis."""
    canvas = s.xp.zeros(s.store.leaves["obj"].shape, dtype)
    if b.size:
        b.place(canvas, windows)
    return canvas


def _average(xp: Any, total: Any, weight: Any) -> Any:
    """Return total / weight, 0 where there is no weight."""
    lit = weight > 0
    return xp.where(lit, total / xp.where(lit, weight, 1), 0)
