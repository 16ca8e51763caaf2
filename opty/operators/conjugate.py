"""Conjugate gradients on object and probe together: the direction, the search along it, the step."""

from __future__ import annotations

from typing import Literal

import numpy as np

from opty.algebra.operator import Operator, ViewOperator
from opty.operators.likelihood import Noise, noise_model

_TRIALS = (0.25, 1.0, 2.0)  # steps at which the search looks, in units of the step before
_FIRST = 0.25  # the first step: that of alternating projections, for amplitudes
_LEAST = 1e-4  # steps never start nearer: at the end of a fit, where rounding decides, they would shrink for good
_WALL = 8.0  # a trial that rises by this many times what the best one falls
_FINE = 400  # points of the curve through the trials


class ConjugateDirection(
    Operator,
    reads="obj obj_gradient probe_gradient obj_weight probe_weight",
    writes="kept_gradient_obj kept_gradient_probe kept_direction_obj kept_direction_probe kept_step line_sums",
):
    """Make a conjugate direction of the gradient g, preconditioned by M: d <- -M g + beta d (Polak-Ribiere).

    beta = max(0, Re <g - g_old, M g> / <g_old, M g_old>) over object and probe together; a direction that would not
    lead down starts anew with -M g. M divides each pixel by the light on it, w + damping max(w): w = sum |P|^2 for the
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
    frees = frozenset({"obj_gradient", "probe_gradient", "obj_weight", "probe_weight"})
    arrays = 5.8  # measured

    def check(self):
        if self.smooth < 0:
            raise ValueError(f"ConjugateDirection(smooth={self.smooth}): give a weight from 0 (no prior) up")
        if not self.damping > 0:
            raise ValueError(f"ConjugateDirection(damping={self.damping}): give a share above 0")

    def apply(self, s):
        _create(s)
        weight = self.smooth * s.measured.photons / s.obj.size
        free = (self.update != "probe", self.update != "obj")
        new = [s.obj_gradient + weight * bending(s.xp, s.obj) if weight else s.obj_gradient, s.probe_gradient]
        new = [g * f for g, f in zip(new, free, strict=True)]
        old = [g * f for g, f in zip((s.kept_gradient_obj, s.kept_gradient_probe), free, strict=True)]
        last = [d * f for d, f in zip((s.kept_direction_obj, s.kept_direction_probe), free, strict=True)]
        # Four neighbours: the prior's own curvature.
        metric = [self._metric(s.obj_weight) + 4 * weight, self._metric(s.probe_weight)]
        steep = [-g / m for g, m in zip(new, metric, strict=True)]
        beta = _beta(s.xp, new, old, steep, last, metric)
        s.kept_direction_obj, s.kept_direction_probe = (a + beta * b for a, b in zip(steep, last, strict=True))
        s.kept_gradient_obj, s.kept_gradient_probe = new
        s.line_sums = _prior_along(s, weight) if weight else s.xp.zeros(len(_TRIALS))

    def _metric(self, weight):
        return weight + self.damping * weight.max()


def _create(s) -> None:
    for name, shape in (("obj", s.object_shape), ("probe", s.probe_shape)):
        s.create(f"kept_gradient_{name}", shape, s.dtype)
        s.create(f"kept_direction_{name}", shape, s.dtype)
    if s.create("kept_step", (1,), np.float64):
        s.kept_step += _FIRST
    s.create("line_sums", (len(_TRIALS),), np.float64)


def _beta(xp, new, old, steep, last, metric):
    """Return Polak-Ribiere's beta, 0 where it is negative or would not lead down, as a real scalar on the device."""
    below = inner(xp, old, [g / m for g, m in zip(old, metric, strict=True)])
    length = -inner(xp, new, steep)
    beta = xp.maximum(length + inner(xp, old, steep), 0) / xp.where(below > 0, below, 1)
    down = (below > 0) & (beta * inner(xp, new, last) < length)
    return xp.where(down, beta, 0).astype(new[0].real.dtype)


def inner(xp, a, b):
    """Return Re <a, b> over lists of arrays, a scalar on the device."""
    return sum(xp.vdot(x, y).real.astype(np.float64) for x, y in zip(a, b, strict=True))


def bending(xp, obj):
    """Return the sum over the neighbours r' of O(r) - O(r'), (H, W): dR/dO* of R = sum over pairs |O(r) - O(r')|^2."""
    out = xp.zeros_like(obj)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        step = obj[a] - obj[b]
        out[a] += step
        out[b] -= step
    return out


def _prior_along(s, weight: float):
    """Return by how much the prior changes at each trial step, (3,) float64."""
    bend = weight * bending(s.xp, s.kept_direction_obj)
    slope, square = (inner(s.xp, [a], [bend]) for a in (s.obj, s.kept_direction_obj))
    t = s.kept_step * s.xp.asarray(_TRIALS)
    return t * (2 * slope + t * square)


class LineSearch(
    ViewOperator,
    reads="waves illum patches kept_direction_obj kept_direction_probe kept_step line_sums",
    writes="line_sums",
):
    """Measure how L changes along the direction d, at the trial steps t = kept_step (1/4, 1, 2).

    Nothing is neglected: P + t dP and O + t dO give Psi(t) = Psi + t F[P dO + dP O] + t^2 F[dP dO], and Ihat(t) is the
    polynomial of fourth degree that its modulus is.

    Parameters: noise, the model of the noise, as in LikelihoodGradient.
    Reads waves (B, M, n, n), illum, patches, kept_direction_obj (H, W), kept_direction_probe (M, n, n), kept_step (1,);
    adds to line_sums (3,) float64.
    Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012), Sec. 4.2, whose expansion ends at t^2.
    """

    noise: Noise = "poisson"
    work = (7.0, 5.5)

    def begin(self, s):
        s.memo["trials"] = (s.kept_step * s.xp.asarray(_TRIALS)).astype(s.real_dtype)

    def apply(self, s, b):
        xp, trials = s.xp, s.memo["trials"]
        model = noise_model(self.noise, s, b)
        predicted, terms = self._expansion(s, b, model)
        least = predicted * (np.finfo(s.real_dtype).eps - 1)  # rounding can make no intensity negative
        for k in range(len(_TRIALS)):
            t = trials[k]
            more = t * (terms[0] + t * (terms[1] + t * (terms[2] + t * terms[3])))
            xp.maximum(more, least, out=more)
            s.line_sums[k] += model.weighted(model.change(predicted, more)).sum(dtype=np.float64)

    def _expansion(self, s, b, model):
        """Return Ihat (B, n, n) and the factors of t, t^2, t^3 and t^4 in what the step adds to it."""
        probe, obj = (
            b.as_seen(s.kept_direction_probe),
            s.backend.take_windows(s.kept_direction_obj, b.corners, s.data.n)[:, None],
        )
        waves = (b.waves, b.illum * obj + probe * b.patches[:, None], probe * obj)
        first, second, third = (
            s.measured.propagator.forward(w, b.fraction, k > 0, s.threads) for k, w in enumerate(waves)
        )
        return model.predicted(s, first), (
            2 * overlap(first, second),
            overlap(second, second) + 2 * overlap(first, third),
            2 * overlap(second, third),
            overlap(third, third),
        )


def overlap(a, b):
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

    Reads kept_gradient_*, kept_direction_*, line_sums (freed after use); writes obj (H, W), probe (M, n, n), kept_step.
    Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012), Sec. 4.2 for the search; the curve is opty's.
    """

    frees = frozenset({"line_sums", "kept_waves"})

    def apply(self, s):
        gradient, direction = (
            (s.kept_gradient_obj, s.kept_gradient_probe),
            (s.kept_direction_obj, s.kept_direction_probe),
        )
        slope = 2 * inner(s.xp, gradient, direction)
        numbers = s.backend.to_host(s.xp.concatenate([s.kept_step, s.xp.stack([slope]), s.line_sums]))
        best = best_step(numbers[1] * numbers[0], numbers[2:])
        s.kept_step = s.xp.maximum(s.kept_step * (best or _TRIALS[0] / 4), _LEAST)
        t = s.xp.asarray(numbers[0] * best, s.real_dtype)
        obj, probe = s.obj, s.probe
        obj += t * direction[0]
        probe += t * direction[1]


def best_step(slope: float, changes: np.ndarray) -> float:
    """Return the best step in units of the trials', 0 where no trial leads down; slope at zero in the same units."""
    changes = np.where(np.isnan(changes), np.inf, changes)
    best = int(np.argmin(changes))
    if not changes[best] < 0:
        return 0.0
    # A trial on a wall says nothing of the valley, and no polynomial goes through both.
    near = changes < _WALL * -changes[best]
    u, powers = np.array(_TRIALS)[near], np.arange(2, 2 + near.sum())
    rest = np.linalg.solve(u[:, None] ** powers, changes[near] - slope * u)
    ends = np.array([0, *_TRIALS])
    right = best + 2 if best + 2 < len(ends) and near[best + 1] else best + 1
    fine = np.linspace(ends[best], ends[right], _FINE)[1:]
    return float(fine[(slope * fine + fine[:, None] ** powers @ rest).argmin()])
