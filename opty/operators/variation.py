"""A probe that varies along the scan (OPR): how its modes and weights are found by the steps that find the probe.

What a step makes of the probe it makes of its parts too: the OPR modes U_k and the weights c_jk of the first mode,
P_0 + sum_k c_jk U_k. Whoever reads or writes "probe" has the right to them.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from opty.algebra.protocols import State, Views
from opty.model.probe import combined

# Steps of modes and weights as parts of the probe's own. All weights of a mode wait for it to settle: with modes that
# follow each view as fast as the weights do, runs ended at many times the misfit.
_OF_MODES, _OF_WEIGHTS = 0.2, 1.0
HALF = 0.5  # of a full step: object, probe and what varies explain one residual
# Iterations in which they wait: at first a residual says what the object lacks, and weights that follow it run wild.
_WAIT = 5
FAINT = 1e-10  # mean square of weights, a share of the light: modes below it hardly tell how they look


def varies(s: State) -> bool:
    """Say whether the probe of a state varies."""
    return s.has("opr_modes")


def held(s: State) -> bool:
    """Say whether the weights stay: those of several scans are known."""
    return bool(s.model.path[0].scans)


def prepare(s: State) -> None:
    """Note for a sweep, in ``s.memo``, the mean square of the weights of each OPR mode, (K,)."""
    s.memo["opr_square"] = mean_square(s)


def mean_square(s: State) -> Any:
    """Return the mean square of the weights of each mode (K,), no less than what is faint."""
    return s.xp.maximum(s.total((s.opr_weights**2).sum(axis=0)) / s.measured.view_count, FAINT)


def parts(s: State, step: float, counted: bool = False) -> tuple[float, float] | None:
    """Return the lengths of the steps of modes and weights beside a step of the probe; None while they wait.

    ``counted`` : whether the iteration of the step has been counted already.
    """
    if held(s):
        return step, 0.0
    return None if s.iteration - counted < _WAIT else (_OF_MODES * step, _OF_WEIGHTS * step)


def vary(s: State, b: Views, chi: Any, seen: Any, step: float) -> None:
    """Move modes and weights along the residual chi of a batch.

    U_k <- U_k + us sum_j c_jk chi_j / [max |O|^2 (sum_j c_jk^2 + B <c_k^2>)], <> the mean over all views, and
    c_jk <- c_jk + cs Re<U_k, chi_j> / sum |U_k|^2 |O_j|^2, with chi_j brought back to the probe. Without the mean
    square, views with small weights would make long steps. ``seen`` (B, n, n) is |O_j|^2; ``step`` : of the probe.
    """
    move(s, b, b.gather("opr_modes", chi)[0], b.gather("opr_weights", chi)[0], seen, step)


def move(s: State, b: Views, along: Any, climb: Any, seen: Any, step: float) -> None:
    """Do what ``vary`` does, by the directions of the modes (K, n, n) and of the views' weights (B, K)."""
    if parts(s, step) is not None:
        modes, lengths = s.opr_modes, move_weights(s, b, climb, 1 if held(s) else curvature(s, seen), seen.max(), step)
        modes += along * lengths[:, None, None]


def move_weights(s: State, b: Views, climb: Any, curved: Any, brightest: Any, step: float) -> Any:
    """Move the weights of a batch by their curvatures (B, K) and the largest |O|^2; return by what the modes move.

    That is the lengths (K,) of their steps along their directions; ``parts`` must not be None.
    """
    lengths, rows = cast("tuple[float, float]", parts(s, step)), b.selection
    weights = s.opr_weights[rows]
    if held(s):
        # Scans that a batch does not hold in equal parts mix their modes: no less than the largest eigenvalue.
        square = s.xp.abs(weights.T @ weights).sum(axis=1)
    else:
        square = (weights**2).sum(axis=0)
        s.opr_weights[rows] = weights + lengths[1] * climb / curved
    light = brightest * (square + b.size * s.memo["opr_square"])
    return lengths[0] / floored(s.xp, light)


def merge(s: State) -> None:
    """Move modes and weights by the sums over all views, by the step of the model: see AccumProbe and MergeProbe."""
    lengths = parts(s, s.model.probe_step, counted=True)
    if lengths is None:
        return
    both = 1 if held(s) else 2  # modes and weights move
    light = floored(s.xp, both * s.probe_weight.max() * mean_square(s))
    s.opr_modes += s.opr_modes_sum * (lengths[0] / light)[:, None, None]
    s.opr_weights += lengths[1] * s.opr_weights_sum


def curvature(s: State, seen: Any) -> Any:
    """Return sum |U_k|^2 |O_j|^2 (B, K) of ``seen`` |O_j|^2 (B, n, n)."""
    modes = s.opr_modes
    power = modes.real**2 + modes.imag**2
    return floored(s.xp, seen.reshape(len(seen), -1) @ power.reshape(len(modes), -1).T)


def floored(xp: Any, values: Any) -> Any:
    """Return values above zero: what has no light has no direction either."""
    return xp.maximum(values, xp.finfo(values.dtype).tiny)


def scale_probe(s: State, factor: Any) -> None:
    """Multiply the probe, and what varies of it, by a number."""
    s.probe = s.probe * factor
    if varies(s):
        s.opr_modes = s.opr_modes * factor


def settle(s: State) -> None:
    """Give modes and weights the form in which they are told apart; the probe of no view changes.

    Weights get mean zero, P_0 <- P_0 + <c> U; then U and c the singular vectors of what varies, as real numbers: modes
    orthogonal, Re <U_k, U_l> = 0, each of the power of the first mode, the strongest first. Directions and gradients of
    the conjugate gradients that the state keeps are turned along.

    Those of several scans have that form already: their weights are known.

    Source: Odstrcil et al., Opt. Express 24, 8360 (2016), for the singular value decomposition in each sweep.
    """
    if held(s):
        return
    xp, modes, weights = s.xp, s.opr_modes, s.opr_weights
    mean = s.total(weights.sum(axis=0, dtype=np.float64)) / s.measured.view_count
    off = (weights - mean).astype(np.float64)
    probe = s.probe
    probe[0] += combined(mean[None].astype(weights.dtype), modes)[0]
    turn, back = _basis(xp, modes, s.total(off.T @ off), probe[0])
    _carry_memory(s, mean.astype(weights.dtype), turn.astype(weights.dtype), back.astype(weights.dtype))
    s.opr_modes = combined(turn.astype(weights.dtype), modes)
    s.opr_weights = off @ back


def _basis(xp: Any, modes: Any, square: Any, first: Any) -> tuple[Any, Any]:
    """Return T and its inverse (K, K) float64: the modes become T U, the weights c T^-1; ``square`` (K, K) = c^T c."""
    flat = modes.reshape(len(modes), -1).view(modes.real.dtype)
    gram = xp.nan_to_num((flat @ flat.T).astype(np.float64))  # what is not finite stays so in the modes
    sizes = xp.sqrt(xp.maximum(gram.diagonal(), np.finfo(np.float64).tiny))
    powers, axes = xp.linalg.eigh(gram / sizes[:, None] / sizes)  # of the shapes, whatever their sizes
    roots = xp.sqrt(xp.maximum(powers, float(np.finfo(flat.dtype).eps)))  # of modes alike, the difference is rounding
    scaled = sizes[:, None] * axes * roots
    _, order = xp.linalg.eigh(xp.nan_to_num(scaled.T @ square @ scaled))
    order = order[:, ::-1]
    size = xp.sqrt(xp.maximum((xp.abs(first) ** 2).sum(dtype=np.float64), np.finfo(np.float64).tiny))
    turn = size * order.T @ (axes / roots / sizes[:, None]).T
    # Either sign is as good: that which keeps the direction lets weights be followed from sweep to sweep.
    sign = xp.where((turn * gram).sum(axis=1) < 0, -1.0, 1.0)
    return sign[:, None] * turn, scaled @ order * (sign / size)


def _carry_memory(s: State, mean: Any, turn: Any, back: Any) -> None:
    """Turn what searches keep: gradients against, directions along, and estimates as the state's own."""
    if s.has("kept_direction_opr_modes"):
        _turn_gradient(s, "kept_gradient", mean, turn, back)
        _turn_direction(s, "kept_direction", mean, turn, back)
    if s.has("kept_base_opr_modes"):
        s.kept_base_opr_weights -= mean
        _turn_direction(s, "kept_base", mean, turn, back)
        _turn_gradient(s, "kept_base_gradient", mean, turn, back)
        for place in range(len(s.kept_curvatures)):
            _turn_direction(s, "kept_steps", mean, turn, back, place)
            _turn_gradient(s, "kept_changes", mean, turn, back, place)


def _turn_gradient(s: State, kept: str, mean: Any, turn: Any, back: Any, place: int | None = None) -> None:
    probe, modes, weights = _parts_of(s, kept, place)
    modes[...] = combined(back.T, modes - mean[:, None, None] * probe[0])
    weights[...] = weights @ turn.T


def _turn_direction(s: State, kept: str, mean: Any, turn: Any, back: Any, place: int | None = None) -> None:
    probe, modes, weights = _parts_of(s, kept, place)
    probe[0] += combined(mean[None], modes)[0]
    modes[...] = combined(turn, modes)
    weights[...] = weights @ back


def _parts_of(s: State, kept: str, place: int | None) -> tuple[Any, Any, Any]:
    """Return what is kept of probe, OPR modes and weights, to be written to; ``place`` : of one pair."""
    probe, modes, weights = (getattr(s, f"{kept}_{name}") for name in ("probe", "opr_modes", "opr_weights"))
    return (probe, modes, weights) if place is None else (probe[place], modes[place], weights[:, place])
