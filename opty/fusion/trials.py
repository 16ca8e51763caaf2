"""The changes of the likelihood at trial steps, where waves are no product of object and probe, on a CPU."""

from __future__ import annotations

from opty.fusion import varying
from opty.fusion.thick import engine_of, room, transfers
from opty.runtime.fused_step import FusedContext
from opty.state.views import Batch


def follow_trials(s: FusedContext, b: Batch, noise: str) -> None:
    """Put the changes of the likelihood of each view, at trial steps, into ``s.memo["changes"]`` (N, 3).

    The waves of each trial are made of the leaves after the step.
    """
    engine, leaves, frames = engine_of(s), s.store.leaves, s.store.measured.frames(b)
    here, there = engine.scratch("waves", b.size), engine.scratch("back", b.size)
    thick = s.store.model.thick
    gaps, incident = (transfers(b), room(s, b)) if thick else ((), [])
    slices = (lambda obj: obj) if thick else (lambda obj: obj[None])
    illum = varying.probe_of_views(s, b) if s.store.model.varies else b.illum
    engine.to_detector(slices(leaves["obj"]), b.corners, illum, gaps, incident, here, b.fraction)
    for k, ahead in enumerate(s.memo["ahead"]):
        seen = varying.probe_of_views(s, b, ahead) if s.store.model.varies else b.with_estimates(**ahead).illum
        out = s.memo["changes"][:, k]
        args = frames, noise, there, here, out, b.leaves["index"], b.fraction
        engine.changes_to(slices(ahead["obj"]), b.corners, seen, gaps, incident, *args)
