"""Conjugate gradients on object and probe together: the direction, the search along it, the step."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator, ViewOperator
from opty.algebra.protocols import State, Views
from opty.kernels.likelihood.line_search import TRIALS
from opty.model.probe import OPR_MODES, OPR_WEIGHTS
from opty.operators import variation
from opty.operators.likelihood import (
    OBJ_GRADIENT,
    OPR_MODES_GRADIENT,
    OPR_MODES_LIGHT,
    OPR_WEIGHTS_GRADIENT,
    OPR_WEIGHTS_LIGHT,
    PROBE_GRADIENT,
    Noise,
    NoiseModel,
)
from opty.operators.lsq import moved, updating
from opty.operators.merge import OBJ_WEIGHT, PROBE_WEIGHT
from opty.state.leaves import OBJ, PROBE

_NAMES = ("obj", "probe", "opr_modes", "opr_weights")
GRADIENT = dict(zip(_NAMES, (OBJ_GRADIENT, PROBE_GRADIENT, OPR_MODES_GRADIENT, OPR_WEIGHTS_GRADIENT), strict=True))
LIGHT = dict(zip(_NAMES, (OBJ_WEIGHT, PROBE_WEIGHT, OPR_MODES_LIGHT, OPR_WEIGHTS_LIGHT), strict=True))
_BOTH = "obj probe"
_OLD = {
    "obj": OBJ_GRADIENT.like("kept_gradient_obj", belongs_to=_BOTH),
    "probe": PROBE_GRADIENT.like("kept_gradient_probe", belongs_to=_BOTH),
    "opr_modes": OPR_MODES_GRADIENT.like("kept_gradient_opr_modes", belongs_to=_BOTH, part_of="kept_gradient_probe"),
    "opr_weights": OPR_WEIGHTS_GRADIENT.like(
        "kept_gradient_opr_weights", belongs_to=_BOTH, part_of="kept_gradient_probe"
    ),
}
_DIRECTION = {
    "obj": OBJ.like("kept_direction_obj", belongs_to=_BOTH),
    "probe": PROBE.like("kept_direction_probe", belongs_to=_BOTH),
    "opr_modes": OPR_MODES.like("kept_direction_opr_modes", belongs_to=_BOTH, part_of="kept_direction_probe"),
    "opr_weights": OPR_WEIGHTS.like("kept_direction_opr_weights", belongs_to=_BOTH, part_of="kept_direction_probe"),
}
for _leaf in (*_OLD.values(), *_DIRECTION.values()):
    if _leaf.part_of:
        _leaf.as_part()
SEARCH = (_OLD["obj"], _DIRECTION["obj"], _OLD["probe"], _DIRECTION["probe"])
KEPT_STEP = Leaf("kept_step", "1", scale=0, belongs_to=_BOTH)
LINE_SUMS = Leaf("line_sums", str(len(TRIALS)), scale=0)


def free(s: State, update: str) -> list[str]:
    """Return the names of what may change: obj, probe, and what varies of the probe."""
    of_probe = ["probe"]
    if variation.varies(s):
        of_probe += ["opr_modes"] if variation.held(s) else ["opr_modes", "opr_weights"]
    return ["obj", *of_probe] if update == "both" else ["obj"] if update == "obj" else of_probe


FIRST = 0.25  # the first step: that of alternating projections, for amplitudes
_LEAST = 1e-4  # steps never start nearer: at the end of a fit, where rounding decides, they would shrink for good


class ConjugateDirection(
    Operator,
    reads="obj obj_gradient probe_gradient obj_weight probe_weight",
    slots=(*SEARCH, KEPT_STEP, LINE_SUMS),
):
    """Make a conjugate direction of the gradient g, preconditioned by M: d <- -M g + beta d (Polak-Ribiere).

    beta = max(0, Re <g - g_old, M g> / <g_old, M g_old>) over object and probe together; a direction that would not
    lead down is restarted with -M g. M divides each pixel by the light on it, w + damping max(w): w = sum |P|^2 for the
    object, sum |O|^2 for the probe. A Gaussian prior on the object's gradient adds smooth c sum |O(r) - O(r')|^2 over
    neighbouring pixels to L, c the photons measured per pixel of the object.

    Parameters
    ----------
    smooth : weight of the prior, from 0 (none) up (no unit).
    update : "both", or the only one of "obj" and "probe" that may change.
    damping : share of the largest light that is added, above 0.

    Reads obj, obj_gradient, probe_gradient, obj_weight, probe_weight (freed after use); writes kept_gradient_*,
    kept_direction_* in the shapes of object and probe, kept_step (1,), and line_sums (3,) with the prior's share.
    Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012), Secs. 3 and 4; preconditioned as in PtyPy
    (Enders, Thibault, Proc. R. Soc. A 472, 20160640 (2016)).
    """

    smooth: float = 0.0
    update: Literal["both", "obj", "probe"] = "both"
    damping: float = 0.03
    frees = frozenset({"obj_gradient", "probe_gradient", "obj_weight", "probe_weight", "likelihood"})

    @property
    def scale_free(self) -> bool:  # type: ignore[override]
        """Whether there is no prior: that has the unit of the object."""
        return not self.smooth

    @property
    def scratch_arrays(self) -> float:  # type: ignore[override]
        """Those of the gradient by the light, and of the prior: measured."""
        return 3.4 if self.smooth else 2.4

    def check(self) -> None:
        if self.smooth < 0:
            raise ValueError(f"ConjugateDirection(smooth={self.smooth}): give a weight from 0 (no prior) up")
        if not self.damping > 0:
            raise ValueError(f"ConjugateDirection(damping={self.damping}): give a share above 0")

    def fixed(self, leaves: frozenset[str]) -> Operator | None:
        return updating(self, leaves)

    def apply(self, s: State) -> None:
        _create(s)
        weight = self.smooth * s.measured.photons / s.obj.size
        self._turn(s, weight)
        s.line_sums = _prior_along(s, weight) if weight else s.xp.zeros(len(TRIALS))

    def _turn(self, s: State, weight: float) -> None:
        """Put the new gradient and the direction that it makes in the place of the old ones."""
        names = free(s, self.update)
        new = [getattr(s, GRADIENT[name].name) for name in names]
        old = [getattr(s, _OLD[name].name) for name in names]
        direction = [getattr(s, _DIRECTION[name].name) for name in names]
        lights = (getattr(s, LIGHT[name].name) for name in names)
        metric = [light + self.damping * brightest(light) for light in lights]
        if weight and "obj" in names:
            new[0] = bending(s.xp, s.obj, weight) + new[0]
            metric[0] += 4 * weight  # four neighbours: the prior's own curvature
        climb = [g / m for g, m in zip(new, metric, strict=True)]
        beta = _beta(s.xp, new, old, climb, direction, metric)
        for d, up, kept, g in zip(direction, climb, old, new, strict=True):
            d *= beta
            d -= up
            s.backend.copy_into(kept, g)
        for name in set(free(s, "both")) - set(names):
            getattr(s, _OLD[name].name)[...] = 0
            getattr(s, _DIRECTION[name].name)[...] = 0


def brightest(light: Any) -> Any:
    """Return the largest light, of slices (L, H, W) that of each."""
    return light.max() if light.ndim == 2 else light.max(axis=(-2, -1), keepdims=True)


def _create(s: State) -> None:
    for name in free(s, "both"):
        s.create(_OLD[name].name)
        s.create(_DIRECTION[name].name)
    if s.create("kept_step"):
        s.kept_step += FIRST


def _beta(xp: Any, new: Any, old: Any, climb: Any, last: Any, metric: Any) -> Any:
    """Return Polak-Ribiere's beta, 0 where it is negative or would not lead down, as a real scalar on the device."""
    below = inner(xp, old, (g / m for g, m in zip(old, metric, strict=True)))
    begun, length = below > 0, inner(xp, new, climb)
    beta = xp.maximum(length - inner(xp, old, climb), 0) / xp.where(begun, below, 1)
    down = begun & (beta * inner(xp, new, last) < length)
    return xp.where(down, beta, 0).astype(new[0].real.dtype)


def inner(xp: Any, a: Any, b: Any) -> Any:
    """Return Re <a, b> over complex arrays, one after the other, as a scalar on the device."""
    # As real numbers: CuPy copies the first of complex ones to conjugate it.
    real = a[0].real.dtype
    first, *others = (xp.vdot(x.view(real), y.view(real)) for x, y in zip(a, b, strict=True))
    return sum(others, first.astype(np.float64))


def bending(xp: Any, obj: Any, weight: float) -> Any:
    """Return dR/dO* of R = weight sum over pairs |O(r) - O(r')|^2: weight times the sum of O(r) - O(r')."""
    out = xp.zeros_like(obj)
    for a, b in ((np.s_[..., 1:, :], np.s_[..., :-1, :]), (np.s_[..., 1:], np.s_[..., :-1])):
        step = obj[a] - obj[b]
        out[a] += step
        out[b] -= step
    out *= weight
    return out


def _prior_along(s: State, weight: float) -> Any:
    """Return by how much the prior changes at each trial step, (3,) float64."""
    bend = bending(s.xp, s.kept_direction_obj, weight)
    slope, square = (inner(s.xp, [a], [bend]) for a in (s.obj, s.kept_direction_obj))
    t = s.kept_step * s.xp.asarray(TRIALS)
    return t * (2 * slope + t * square)


class LineSearch(
    ViewOperator,
    reads="waves illum patches kept_direction_obj kept_direction_probe kept_step line_sums",
    writes="line_sums",
):
    """Measure how L changes along the direction d, at the trial steps t = kept_step (1/4, 1, 2).

    Nothing is neglected: P + t dP and O + t dO give Psi(t) = Psi + t F[P dO + dP O] + t^2 F[dP dO], and Ihat(t) is the
    polynomial of fourth degree that its modulus is. In a model other than the thin object the waves are recomputed at
    each t.

    Parameters: noise, the model of the noise, as in LikelihoodGradient.
    Reads waves (B, M, n, n), illum, patches, kept_direction_obj (H, W), kept_direction_probe (M, n, n), kept_step (1,);
    adds to line_sums (3,) float64.
    Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012), Sec. 4.2, whose expansion ends at t^2.
    """

    over_ranks = True

    noise: Noise = "poisson"
    scale_free = True
    scratch_waves = (7.0, 5.5)
    scratch_slices = (1.0, 1.0, 2.0)  # of the trials beside the leaves as they are

    def begin(self, s: State) -> None:
        s.memo["trials"] = (s.kept_step * s.xp.asarray(TRIALS)).astype(s.real_dtype)

    def ahead(self, s: State) -> list[dict[str, Any]]:
        """Return the leaves after a step of each trial length."""
        leaves, along = s.store.leaves, {name: getattr(s, _DIRECTION[name].name) for name in free(s, "both")}
        return [{name: leaves[name] + t * d for name, d in along.items()} for t in s.memo["trials"]]

    def apply(self, s: State, b: Views) -> None:
        xp, trials = s.xp, s.memo["trials"]
        model = NoiseModel(self.noise, s, b)
        predicted, added = (self._expansion if s.model.thin else self._trials)(s, b, model)
        least = predicted * (np.finfo(s.real_dtype).eps - 1)  # rounding can make no intensity negative
        for k in range(len(TRIALS)):
            more = added(k, trials[k])
            xp.maximum(more, least, out=more)
            s.line_sums[k] += model.change(predicted, more).sum(dtype=np.float64)

    def _expansion(self, s: State, b: Views, model: Any) -> Any:
        """Return Ihat (B, n, n) and what a step of length t adds to it: a polynomial."""
        probe, obj = (
            b.as_seen(s.kept_direction_probe),
            s.backend.take_windows(s.kept_direction_obj, b.corners, s.data.n)[:, None],
        )
        waves = (b.waves, b.illum * obj + probe * b.patches[:, None], probe * obj)
        first, second, third = (b.at_detector(w, k > 0) for k, w in enumerate(waves))
        terms = (
            2 * overlap(first, second),
            overlap(second, second) + 2 * overlap(first, third),
            2 * overlap(second, third),
            overlap(third, third),
        )
        return model.predicted(s, first), lambda k, t: t * (terms[0] + t * (terms[1] + t * (terms[2] + t * terms[3])))

    def _trials(self, s: State, b: Views, model: Any) -> Any:
        """Return Ihat (B, n, n) and what a step adds to it, by the waves of the leaves after the step."""
        here = b.at_detector(b.waves)
        if "ahead" not in s.memo:
            s.memo["ahead"] = self.ahead(s)

        def added(k: Any, t: Any) -> Any:
            there = b.with_estimates(**s.memo["ahead"][k])
            step = there.at_detector(there.exit_waves(), True)
            step -= here
            return b.seen(2 * overlap(here, step) + overlap(step, step))

        return model.predicted(s, here), added


def overlap(a: Any, b: Any) -> Any:
    """Return Re sum_m conj(a_m) b_m, (B, n, n), of waves (B, M, n, n)."""
    product = a.real * b.real
    product += a.imag * b.imag
    return product[:, 0] if product.shape[1] == 1 else product.sum(axis=1)


class TakeStep(
    Operator,
    reads="obj probe kept_gradient_obj kept_gradient_probe kept_direction_obj kept_direction_probe kept_step line_sums",
    writes="obj probe kept_step",
):
    """Step along the direction to the lowest point of the curve through the trials: O <- O + t dO, P <- P + t dP.

    The curve is the polynomial with the slope 2 Re <g, d> at zero and the measured changes of L at the trials (but for
    those where L has risen steeply), looked at between the neighbours of the best trial. Where no trial leads down
    nothing moves, and the next search looks nearer.

    Parameters: update, "both", or the only one of "obj" and "probe" that may change, as in ConjugateDirection.
    Of a probe that varies the OPR modes are made orthogonal again, and the memory is turned along.
    Reads kept_gradient_*, kept_direction_*, line_sums (freed after use); writes obj (H, W), probe (M, n, n), kept_step.
    Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012), Sec. 4.2 for the search; the curve is opty's.
    """

    update: Literal["both", "obj", "probe"] = "both"
    scale_free = True
    frees = frozenset({"line_sums", "kept_waves"})
    outdates = True

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        memory = frozenset(leaf.name for leaf in SEARCH)  # of what varies of a probe it is turned
        return self.reads, moved(self.update) | {"kept_step"} | memory

    def fixed(self, leaves: frozenset[str]) -> Operator | None:
        return updating(self, leaves)

    def apply(self, s: State) -> None:
        every = free(s, "both")
        gradient, direction = ([getattr(s, kept[name].name) for name in every] for kept in (_OLD, _DIRECTION))
        slope = 2 * inner(s.xp, gradient, direction)
        best = s.backend.best_step(slope * s.kept_step, s.line_sums)
        t = (s.kept_step * best).astype(s.real_dtype)
        s.kept_step = s.xp.maximum(s.kept_step * s.xp.where(best > 0, best, TRIALS[0] / 4), _LEAST)
        for name in (names := free(s, self.update)):
            leaf = getattr(s, name)
            leaf += t * getattr(s, _DIRECTION[name].name)
        if "opr_modes" in names:
            variation.settle(s)
