"""Steps of a probe that varies, on a CPU: each view has a probe of its own and moves its weights."""

from __future__ import annotations

from typing import Any, cast

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views
from opty.fusion.thick import engine_of
from opty.kernels.cpu_engine import CpuEngine
from opty.kernels.operands import VaryingProbe
from opty.kernels.variation.cpu import Variation
from opty.operators.likelihood import LikelihoodGradient
from opty.operators.variation import curvature, floored, held, move_weights, parts
from opty.runtime.fused_step import FusedContext
from opty.state.views import Batch


def probe_of_views(s: FusedContext, b: Batch, ahead: dict[str, Any] | None = None) -> Any:
    """Return the probe as the views see it, on whole pixels what it is made of; then ``illum`` is filled on the way.

    ``ahead`` : leaves in the place of those of the state, for which ``illum`` is not filled.
    """
    if b.fraction is not None or b.brightness is not None or (ahead is None and "illum" in b.fields):
        return b.illum if ahead is None else b.with_estimates(**ahead).illum
    if ahead is None:
        leaves, kept = s.store.leaves, s.engine.scratch("illum", b.size)
        b.fields["illum"] = kept
    else:
        leaves, kept = s.store.leaves | ahead, None
    return VaryingProbe(leaves["probe"], leaves["opr_weights"][b.selection], leaves["opr_modes"], kept)


def begin(s: FusedContext, step: ViewOperator, seen: State) -> None:
    """Begin the step of the probe, and note what it makes of OPR modes and weights: the same for all batches."""
    step.begin(seen)
    s.memo |= dict(seen=seen, held=held(seen), square=seen.memo["opr_square"], lengths=parts(seen, s.memo["probe"][1]))


def update(s: FusedContext, b: Batch) -> None:
    """Do what ``Update.apply`` does with a probe for each view, and move OPR modes and weights along."""
    obj, probe = s.store.leaves["obj"], s.store.leaves["probe"]
    of_obj, of_probe, engine = s.memo["obj"], s.memo["probe"], engine_of(s)
    assert b.source is not None  # see ``Update.matches``
    waves, rows = b.source
    alone = b.size == 1 and of_probe[1] and not s.memo["held"]
    if alone:  # before the object changes
        back, seen = _vary_alone(s, b, engine)
    elif of_probe[1]:
        summed = of_obj[1] and b.size > 1
        sums = engine.accumulators("obj", (1, *obj.shape)) if summed else None
        found = said(s, b, of_obj=(sums[0][0], sums[1]) if sums else None)
        move_said(engine, s.memo["seen"], b, found, of_probe[1])
        back, seen = found.probe, found.seen
    if alone and b.fraction is None:
        engine.update_seen(obj, b.corners, probe, b.illum, waves, *of_obj, *of_probe)
        return
    if of_obj[1] and b.size == 1:
        alpha, length = of_obj
        engine.update_both(obj, b.corners, b.illum[0], waves, alpha, length, 1.0, 0.0)
    elif of_obj[1]:
        along, light = engine.accumulators("obj", (1, *obj.shape))
        if not of_probe[1]:
            engine.add_to_object(waves, rows, b.corners, b.illum, along[0], light)
        engine.add_scaled(obj[None], along, light, *of_obj)
    if of_probe[1]:
        engine.add_scaled(probe, back, seen, *of_probe)


def _vary_alone(s: FusedContext, b: Batch, engine: CpuEngine) -> tuple[Any, Any]:
    """Move OPR modes and the weights of one view; return the direction of the probe and its weight, of moved ones."""
    assert b.source is not None
    leaves, (waves, rows) = s.store.leaves, b.source
    obj, back, seen, through = leaves["obj"], waves[rows[0]], None, b.fraction is None
    if not through:
        _, seen = engine.accumulators("probe", leaves["probe"].shape)
        back = engine.on_probe(waves, rows, obj, b.corners, b.fraction)
        engine.add_seen(obj, b.corners, seen)
    if lengths := s.memo["lengths"]:
        row = leaves["opr_weights"][b.number[0]]
        engine.vary_one(leaves["opr_modes"], row, s.memo["square"], back[0], obj, b.corners, through, *lengths)
    return back, seen


def directions(s: FusedContext, b: Batch, projected: bool = False) -> tuple[Any, Any, Any, Any]:
    """Return the directions of the probe, the OPR modes and the views' weights, and |O_j|^2 (B, n, n).

    ``projected`` : the waves are exit waves with the measured modulus, and not their change.
    """
    assert b.source is not None
    obj, engine = s.store.leaves["obj"], engine_of(s)
    at_probe = engine.behind(*b.source, obj, b.corners, b.illum if projected else None)
    found = b.model.path[0].directions(b, at_probe)  # type: ignore[attr-defined]
    return (*found, engine.let_through_each(obj, b.corners))


def said(s: FusedContext, b: Batch, projected: bool = False, of_obj: Any = None, sums: Any = None) -> Variation:
    """Return what a batch says of the probe and of what varies.

    Added to are ``of_obj``, sum and weight of the object, and ``sums``, those of the probe, its weight and the modes.
    """
    assert b.source is not None
    leaves, engine = s.store.leaves, engine_of(s)
    if b.fraction is None:
        weights = leaves["opr_weights"][b.selection]
        args = leaves["obj"], b.corners, b.illum, projected, leaves["opr_modes"], weights, of_obj
        return engine.add_up_variation(*b.source, *args, sums=sums)
    if of_obj is not None:
        engine.add_to_object(*b.source, b.corners, b.illum, *of_obj)
    back, modes, along, each = directions(s, b, projected)
    of_part = cast(State, s.memo["seen"] if not isinstance(s.memo["seen"], list) else s.memo["seen"][-1][1])
    seen = each.sum(axis=0)
    for total, more in zip(sums or (), (back, seen, modes), strict=False):
        total += more
    return Variation(back, seen, modes, along, curvature(of_part, each), each.max(axis=(1, 2)))


def move_said(engine: CpuEngine, s: Any, b: Batch, found: Variation, step: float) -> None:
    """Move OPR modes and weights by what a batch says of them."""
    if parts(s, step) is not None:
        curved, brightest = floored(s.xp, found.curved), found.brightest.max()
        lengths = move_weights(s, cast(Views, b), found.weights, curved, brightest, step)
        engine.move_modes(s.opr_modes, found.modes, lengths)


def adds_changes(s: FusedContext) -> bool:
    """Say whether a projection leaves the change of the waves to the sums: no other step looks at the waves."""
    return s.store.model.varies and s.alone


def add_up(s: FusedContext, b: Batch, of_obj: Any, of_probe: Any) -> None:
    """Add projected waves to the sums of object and probe, each (sum, weight) or None, and of what varies.

    The sum of the probe is that of the change of the waves, that of the object too where ``adds_changes``.
    """
    assert b.source is not None
    leaves = s.store.leaves
    if of_probe is None:
        s.engine.add_to_object(*b.source, b.corners, b.illum, *of_obj)
        return
    found = said(s, b, not adds_changes(s), of_obj, (*of_probe, leaves["opr_modes_sum"]))
    leaves["opr_weights_sum"][b.selection] = found.weights / floored(s.store.xp, found.curved)


def add_gradients(s: FusedContext, b: Batch, of_obj: Any) -> None:
    """Add the gradients of object, probe and what varies, and the light of each, as LikelihoodGradient does.

    ``of_obj`` : the gradient of the object and its light.
    """
    assert b.source is not None
    leaves, engine = s.store.leaves, engine_of(s)
    if b.fraction is not None:
        engine.add_to_object(*b.source, b.corners, b.illum, *of_obj)
        back, modes, weights, each = directions(s, b)
        leaves["probe_gradient"] += back
        leaves["probe_weight"] += each.sum(axis=0)
        leaves["opr_modes_gradient"] += modes
        LikelihoodGradient.add_light(s.memo["seen"], b.selection, weights, each)
        return
    weights, light = leaves["opr_weights"][b.selection], leaves["opr_modes_light"]
    args = leaves["obj"], b.corners, b.illum, False, leaves["opr_modes"], weights, of_obj
    sums = leaves["probe_gradient"], leaves["probe_weight"], leaves["opr_modes_gradient"]
    squares = LikelihoodGradient.squares(s.memo["seen"], b.selection)
    found = engine.add_up_variation(*b.source, *args, (light, squares), sums)
    leaves["opr_weights_gradient"][b.selection] = found.weights
    leaves["opr_weights_light"][b.selection] = floored(s.store.xp, found.curved)
