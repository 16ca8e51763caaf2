"""Object and probe from all views at once: accumulate over a sweep, then merge."""

from __future__ import annotations

import math
from typing import Any

from opty.algebra.operator import Operator, ViewOperator
from opty.algebra.protocols import State, Views
from opty.model.probe import OPR_MODES, OPR_WEIGHTS
from opty.model.sums import state_sum
from opty.operators import variation
from opty.state.leaves import OBJ, PROBE

OBJ_SUM = OBJ.like("obj_sum", unit="photons", scale=1, improves="obj")
OBJ_WEIGHT = OBJ.like("obj_weight", unit="photons", dtype="real", scale=2)
PROBE_SUM = PROBE.like("probe_sum", scale=-1, improves="probe")
OPR_MODES_SUM = OPR_MODES.like("opr_modes_sum", scale=-1, part_of="probe_sum").as_part()
OPR_WEIGHTS_SUM = OPR_WEIGHTS.like("opr_weights_sum", part_of="probe_sum").as_part()
PROBE_WEIGHT = PROBE.like("probe_weight", axes="row col", unit="1", dtype="real", scale=-2)


class AccumObj(ViewOperator, reads="waves illum", slots=(OBJ_SUM, OBJ_WEIGHT)):
    """Sum over the views for the object: sum_jm conj(P_m) psi_jm and sum_jm |P_m|^2.

    In a model other than the thin object the sum is S O + step D: D is the adjoint of the model's derivative applied to
    the change of the waves, S its weight, and step the step of the model.
    Reads waves (B, M, n, n), illum; writes obj_sum (H, W) complex and obj_weight (H, W) real, from zero in each sweep.
    Source: Thibault et al., Ultramicroscopy 109, 338 (2009), Eq. 7.
    """

    over_ranks = True
    averages = True
    scale_free = True
    gathers = frozenset({"obj"})
    scratch_slices = (0.0, 2.0, 0.0)

    def begin(self, s: State) -> None:
        s.drop("obj_sum", "obj_weight")
        s.create("obj_sum")
        s.create("obj_weight")

    def apply(self, s: State, b: Views) -> None:
        if s.model.thin:
            b.place(s.obj_sum, state_sum(b.illum, b.waves))
            b.place(s.obj_weight, b.illum_power)
            return
        windows, weight = b.gather("obj", b.changed(b.waves))
        b.place(s.obj_sum, windows)
        b.place(s.obj_weight, weight)

    def finish(self, s: State) -> None:
        if not s.model.thin:
            s.obj_sum = s.model.obj_step * s.obj_sum + s.store.leaves["obj"] * s.obj_weight


class AccumProbe(ViewOperator, reads="waves patches illum probe", slots=(PROBE_SUM, PROBE_WEIGHT)):
    """Sum over the views for the probe: sum_j conj(O_j) psi_jm and sum_j |O_j|^2.

    Where probes were moved by fractions of a pixel, S_j, the weight is w = max sum_j |O_j|^2 and the sum
    w P_m + sum_j S_j^-1 [conj(O_j) (psi_jm - O_j S_j P_m)]: waves that object and probe explain already leave the probe
    as it is.

    Reads waves (B, M, n, n), patches (B, n, n), illum, probe; writes probe_sum (M, n, n) complex and probe_weight
    (n, n) real, from zero in each sweep; of a probe that varies also opr_modes_sum (K, n, n), opr_weights_sum (N, K).
    Source: Thibault et al., Ultramicroscopy 109, 338 (2009), Eq. 8.
    """

    over_ranks = True
    scale_free = True
    gathers = frozenset({"probe"})

    def begin(self, s: State) -> None:
        s.memo["moved"] = not s.memo["whole"]
        s.drop("probe_sum", "probe_weight", "opr_modes_sum", "opr_weights_sum")
        s.create("probe_sum")
        s.create("probe_weight")
        if variation.varies(s):
            variation.prepare(s)
            s.create("opr_modes_sum")
            s.create("opr_weights_sum")

    def apply(self, s: State, b: Views) -> None:
        waves = b.waves
        if not s.model.thin:
            direction, weight = b.gather("probe", b.changed(waves))
            s.probe_sum = s.probe_sum + s.model.probe_step * direction
            s.probe_weight = s.probe_weight + weight.sum(axis=0)
            if variation.varies(s):
                s.opr_modes_sum += b.gather("opr_modes", b.changed(waves))[0]
                climb = b.gather("opr_weights", b.changed(waves))[0]
                s.opr_weights_sum[b.selection] = climb / variation.curvature(s, weight)
            return
        if s.memo["moved"]:
            # |O|^2 does not commute with the move: shifting conj(O) psi back would drive even the truth away.
            waves = waves - b.exit_waves()
        s.probe_sum = s.probe_sum + b.on_probe(waves)
        s.probe_weight = s.probe_weight + b.patch_power.sum(axis=0)

    def finish(self, s: State) -> None:
        if s.memo["moved"] or not s.model.thin:
            # The moves mix neighbouring pixels: where a neighbour weighs more, the pixel's own weight would overshoot.
            s.probe_weight = s.xp.maximum(s.probe_weight, s.probe_weight.max())
            s.probe_sum = s.probe_sum + s.probe * s.probe_weight


class MergeObj(Operator, reads="obj obj_sum obj_weight", writes="obj"):
    """Make the object from the sums of a sweep.

    O <- (obj_sum + c O) / (obj_weight + c), c = inertia max(obj_weight): pixels with little
    illumination keep their previous value.

    Parameters
    ----------
    inertia : from 0 (pixels that no view reaches stay) up.
    smooth : standard deviation [px] of a Gaussian over the O that is held on to; 0 for none.

    Reads obj_sum, obj_weight (freed after use); writes obj (H, W).
    Source: Thibault et al. 2009, Eq. 7; inertia and smoothing as in PyNX (Favre-Nicolin et al., J. Appl. Cryst. 53,
    1404 (2020)).
    """

    over_ranks = True

    inertia: float = 1e-3
    smooth: float = 0.0
    scale_free = True
    frees = frozenset({"obj_sum", "obj_weight"})

    @property
    def scratch_arrays(self) -> float:  # type: ignore[override]
        """What a Gaussian needs; the merge itself works in place."""
        return 1.5 if self.smooth else 0.0

    def check(self) -> None:
        check_inertia(self)

    def apply(self, s: State) -> None:
        slices = (
            (s.obj, s.obj_sum, s.obj_weight) if s.obj.ndim == 3 else (s.obj[None], s.obj_sum[None], s.obj_weight[None])
        )
        for old, total, weight in zip(*slices, strict=True):
            merge(s, old[None], total[None], weight, self)
        s.drop("obj_sum", "obj_weight")


class MergeProbe(Operator, reads="probe probe_sum probe_weight", writes="probe"):
    """Make the probe from the sums of a sweep.

    P_m <- (probe_sum_m + c P_m) / (probe_weight + c), c = inertia max(probe_weight).

    Parameters
    ----------
    inertia : from 0 up.
    smooth : standard deviation [px] of a Gaussian over the P that is held on to; 0 for none.

    Reads probe_sum, probe_weight (freed after use); writes probe (M, n, n).
    Source: Thibault et al. 2009, Eq. 8; inertia and smoothing as in PyNX (Favre-Nicolin et al., J. Appl. Cryst. 53,
    1404 (2020)).
    """

    inertia: float = 1e-3
    smooth: float = 0.0
    scale_free = True
    frees = frozenset({"probe_sum", "probe_weight"})
    scratch_arrays = 0.0

    def check(self) -> None:
        check_inertia(self)

    def apply(self, s: State) -> None:
        if s.has("opr_modes_sum"):
            variation.merge(s)
        merge(s, s.probe, s.probe_sum, s.probe_weight, self)
        s.drop("probe_sum", "probe_weight", "opr_modes_sum", "opr_weights_sum")
        if variation.varies(s):
            variation.settle(s)


def each(image: Any) -> Any:
    """Return the slices (L, H, W) of an object, one of a thin one."""
    return image if image.ndim == 3 else image[None]


def check_inertia(op: Any) -> None:
    """Refuse a negative inertia or smoothing, and smoothing without inertia."""
    for name in ("inertia", "smooth"):
        if getattr(op, name) < 0:
            raise ValueError(f"{type(op).__name__}({name}={getattr(op, name)}): give a number from 0 on")
    if op.smooth and not op.inertia:
        raise ValueError(f"{op!r} holds on to nothing that it could smooth: give an inertia above 0")


def merge(s: State, old: Any, total: Any, weight: Any, op: Any) -> None:
    """Put (total + c old) / (weight + c), c = inertia max(weight), into ``old`` (L, H, W), where anything is known."""
    held = smoothed(s, old, op.smooth) if op.smooth else old
    s.memo["run"].engine.merge(old, total, weight, held, op.inertia)


def smoothed(s: State, image: Any, sigma: float) -> Any:
    """Return an image (..., H, W) under a Gaussian of standard deviation sigma [px], periodic at the edges."""
    q = (s.xp.fft.fftfreq(size).astype(s.real_dtype) for size in image.shape[-2:])
    rows, cols = (s.xp.exp(-2 * (math.pi * sigma * f) ** 2) for f in q)
    spectrum = s.backend.fft2(image, threads=s.threads)
    spectrum *= rows[:, None] * cols
    return s.backend.ifft2(spectrum, True, s.threads)
