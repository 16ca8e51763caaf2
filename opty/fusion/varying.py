"""The updates of object and probe, of a probe that varies: each view has a probe of its own and moves its weights."""

from __future__ import annotations

from typing import Any, cast

from opty.algebra.protocols import Views
from opty.kernels.cpu_engine import CpuEngine
from opty.operators.variation import held, move, parts
from opty.runtime.fused_step import FusedContext
from opty.state.views import Batch


def update_varying(s: FusedContext, b: Batch) -> None:
    """Do what ``Update.apply`` does with a probe for each view, and move OPR modes and weights along."""
    obj, probe = s.store.leaves["obj"], s.store.leaves["probe"]
    of_obj, of_probe, engine = s.memo["obj"], s.memo["probe"], s.engine
    assert isinstance(engine, CpuEngine)  # see ``FusedStep.varying``
    assert b.source is not None  # see ``Update.matches``
    waves, rows = b.source
    if of_probe[1] and b.size == 1 and not held(s.memo["seen"]):  # before the object changes
        back, seen = _vary_alone(s, b, engine, of_probe[1])
    elif of_probe[1]:
        at_probe = engine.through_object(waves, rows, obj, b.corners)
        back, modes, weights = b.model.path[0].directions(b, at_probe)  # type: ignore[attr-defined]
        seen_each = b.patches.real**2 + b.patches.imag**2
        move(s.memo["seen"], cast(Views, b), modes, weights, seen_each, of_probe[1])
        seen = seen_each.sum(axis=0)
    if of_obj[1] and b.size == 1:
        alpha, length = of_obj
        engine.update_both(obj, b.corners, b.illum[0], waves, alpha, length, 1.0, 0.0)
    elif of_obj[1]:
        along, light = engine.accumulators("obj", (1, *obj.shape))
        engine.add_to_object(waves, rows, b.corners, b.illum, along[0], light)
        engine.add_scaled(obj[None], along, light, *of_obj)
    if of_probe[1]:
        engine.add_scaled(probe, back, seen, *of_probe)


def _vary_alone(s: FusedContext, b: Batch, engine: CpuEngine, step: float) -> tuple[Any, Any]:
    """Move OPR modes and the weights of one view; return the direction of the probe and its weight."""
    assert b.source is not None
    leaves, (waves, rows) = s.store.leaves, b.source
    obj, (back, seen) = leaves["obj"], engine.accumulators("probe", leaves["probe"].shape)
    if b.fraction is None:
        engine.add_to_probe(waves, rows, obj, b.corners, back, seen)
    else:
        back = engine.on_probe(waves, rows, obj, b.corners, b.fraction)
        engine.add_seen(obj, b.corners, seen)
    if lengths := parts(s.memo["seen"], step):
        row, square = leaves["opr_weights"][b.number[0]], s.memo["seen"].memo["opr_square"]
        engine.vary_one(leaves["opr_modes"], row, square, back[0], obj, b.corners, *lengths)
    return back, seen
