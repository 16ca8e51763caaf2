"""Fused steps of sweeps: few passes over the arrays, with special kernels; the rules are in ``rules``."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType
from typing import Any

from opty.algebra.operator import ViewOperator
from opty.fusion import thick, varying
from opty.kernels.buffers import Accumulators, Scratch
from opty.kernels.operands import WaveStore
from opty.operators.exitwave import KEPT_WAVES, LoadKeptWaves, RelaxedStep
from opty.operators.fourier import DeltaProject, WaveProject
from opty.operators.merge import AccumObj, AccumProbe
from opty.operators.object import ObjUpdate
from opty.operators.probe import ProbeUpdate
from opty.runtime.all_views import conclude
from opty.runtime.fused_step import FusedContext, FusedStep
from opty.state.leaves import FIELDS
from opty.state.views import Batch


class Project(FusedStep, register=False):
    """Exit waves to the detector, the measured modulus on them, and back: ExitWave with what FourierProject became."""

    buffers = (Scratch("waves"), Scratch("illum", moved=True))
    varying = thick = True

    @classmethod
    def matches(cls, parts: tuple[ViewOperator, ...], before: tuple[ViewOperator, ...]) -> bool:
        """Whether no later step reads the predicted intensities."""
        last = parts[-1]
        return isinstance(last, (DeltaProject, WaveProject)) and not last.predicted

    def begin(self, s: FusedContext) -> None:
        s.memo["makes"] = "delta" if isinstance(self.parts[-1], DeltaProject) else "waves"
        s.memo["difference"] = s.memo["makes"] == "delta" or varying.adds_changes(s)

    def apply(self, s: FusedContext, b: Batch) -> None:
        store, made = s.store, s.memo["makes"]
        waves = s.engine.scratch("waves", b.size)
        frames = store.measured.frames(b)
        if store.model.thick:
            thick.project(s, b, s.memo["difference"], waves)
        else:
            illum = varying.probe_of_views(s, b) if store.model.varies else b.illum
            args = store.leaves["obj"], b.corners, illum, frames, s.memo["difference"], waves, b.fraction
            s.engine.project(*args)
        b.leaves[made] = waves
        b.source = WaveStore(waves, s.engine.rows(b.size))


class KeptStep(FusedStep, register=False):
    """A relaxed step, as of the difference map, on kept waves: Reflect, WaveProject, RelaxedStep."""

    buffers = (Scratch("waves"), Scratch("illum", moved=True))

    @classmethod
    def matches(cls, parts: tuple[ViewOperator, ...], before: tuple[ViewOperator, ...]) -> bool:
        """Whether no later step reads the predicted intensities."""
        project = parts[1]
        return isinstance(project, WaveProject) and not project.predicted

    def begin(self, s: FusedContext) -> None:
        s.memo["fresh"] = s.store.create(KEPT_WAVES)

    def is_capturable(self, s: FusedContext) -> bool:
        return not s.memo["fresh"]

    def apply(self, s: FusedContext, b: Batch) -> None:
        obj, last = s.store.leaves["obj"], self.parts[-1]
        assert isinstance(last, RelaxedStep)
        kept = WaveStore(s.store.leaves["kept_waves"], b.leaves["index"])
        waves = s.engine.scratch("waves", b.size)
        if s.memo["fresh"]:
            s.engine.exit_waves(obj, b.corners, b.illum, waves)
            kept.waves[b.selection] = waves
        args = obj, b.corners, b.illum, s.store.measured.frames(b), waves, kept, last.beta, last.keep, b.fraction
        s.engine.step_kept(*args)
        b.source = kept
        if not s.alone:
            b.leaves["waves"] = kept.waves[b.selection]


def _from_fused(name: str, before: tuple[Any, ...]) -> bool:
    """Return whether a fused step was the last to write waves, or delta."""
    writers = [op for op in before if name in op.effects()[1]]
    return bool(writers) and isinstance(writers[-1], FusedStep)


class Accumulate(FusedStep, register=False):
    """AccumObj and AccumProbe, or one of them; the waves are the waves of the batch or kept ones."""

    omits = frozenset({"probe_sum"})  # for shifted probes the spectra are added up until the sweep ends
    varying = thick = True
    beside = (-0.5, 0.0)

    @classmethod
    def matches(cls, parts: tuple[ViewOperator, ...], before: tuple[ViewOperator, ...]) -> bool:
        """Return whether the waves are loaded, or come from a fused step."""
        return isinstance(parts[0], LoadKeptWaves) or _from_fused("waves", before)

    def supports(self, leaves: Collection[str], backend: ModuleType, whole: bool) -> bool:
        return "intensity_factors" not in leaves

    def begin(self, s: FusedContext) -> None:
        s.memo["seen"] = self.seen_by_parts(s)
        for part, seen in s.memo["seen"]:
            part.begin(seen)
            s.put_in_place(*part.effects()[1] - FIELDS.keys())
        s.memo["spectrum"] = None
        if not (s.whole and s.store.model.thin) and any(isinstance(part, AccumProbe) for part in self.parts):
            s.memo["spectrum"] = s.persistent("spectrum", s.store.probe_shape, s.store.dtype)
            s.memo["spectrum"][...] = 0

    def apply(self, s: FusedContext, b: Batch) -> None:
        leaves, kinds = s.store.leaves, {type(part) for part in self.parts}
        kept = WaveStore(leaves["kept_waves"], b.leaves["index"]) if LoadKeptWaves in kinds else b.source
        assert kept is not None  # see ``matches``
        waves, rows = kept
        of_obj, of_probe = ([leaves.get(leaf.name) for leaf in kind.slots] for kind in (AccumObj, AccumProbe))
        spectrum = s.memo["spectrum"]
        if not s.store.model.thin:
            some = of_obj if AccumObj in kinds else None, (spectrum, of_probe[1]) if AccumProbe in kinds else None
            if s.store.model.thick:
                thick.add_up(s, b, *some, spectrum, projected=True)
            else:
                varying.add_up(s, b, *some)
            return
        if {AccumObj, AccumProbe} <= kinds and spectrum is None:
            s.engine.add_to_both(waves, rows, b.corners, b.illum, leaves["obj"], *of_obj, *of_probe)
            return
        if AccumObj in kinds:
            s.engine.add_to_object(waves, rows, b.corners, b.illum, *of_obj)
        if spectrum is not None:
            s.engine.add_on_probe(waves, rows, leaves["obj"], b.corners, b.fraction, spectrum, b.illum)
            s.engine.add_seen(leaves["obj"], b.corners, of_probe[1])
        elif AccumProbe in kinds:
            s.engine.add_to_probe(waves, rows, leaves["obj"], b.corners, *of_probe)

    def collect(self, s: FusedContext) -> None:
        model, leaves, along = s.store.model, s.store.leaves, s.memo["spectrum"]
        if along is not None:
            along = along if s.whole or model.varies else s.store.backend.ifft2(along, True)
            leaves["probe_sum"] += along if model.thin else model.probe_step * along
        of_waves = not (model.thin or varying.adds_changes(s))
        if of_waves and any(isinstance(part, AccumObj) for part in self.parts):
            # Of the change of the waves, and not of the projected ones: behind the last slice, or the only one.
            total, obj, light = (leaves[name][-1 if model.thick else ...] for name in ("obj_sum", "obj", "obj_weight"))
            total -= obj * light

    def finish(self, s: FusedContext) -> None:
        for part, seen in s.memo["seen"]:
            conclude(part, seen)


class Update(FusedStep, register=False):
    """ObjUpdate and ProbeUpdate, or one of them: both from object and probe as they were."""

    buffers = (*FusedStep.buffers, Accumulators("obj"), Accumulators("probe"))
    varying = thick = True

    @classmethod
    def matches(cls, parts: tuple[ViewOperator, ...], before: tuple[ViewOperator, ...]) -> bool:
        """Return whether the difference comes from a fused step, and no earlier step has changed object or probe."""
        changed = frozenset().union(*(op.effects()[1] for op in before))
        return _from_fused("delta", before) and not changed & {"obj", "probe", "patches", "illum"}

    def supports(self, leaves: Collection[str], backend: ModuleType, whole: bool) -> bool:
        return "intensity_factors" not in leaves

    def begin(self, s: FusedContext) -> None:
        steps = {type(part): part for part in self.parts}
        obj, probe = steps.get(ObjUpdate), steps.get(ProbeUpdate)
        s.memo["obj"] = (obj.alpha, obj.length(s.store.model)) if isinstance(obj, ObjUpdate) else (1.0, 0.0)
        s.memo["probe"] = (probe.beta, probe.step) if isinstance(probe, ProbeUpdate) else (1.0, 0.0)
        s.memo["varies"] = probe is not None and "opr_modes" in s.store.leaves
        if probe is not None and s.memo["varies"]:
            varying.begin(s, probe, self.seen_by_parts(s)[-1][1])

    def finish(self, s: FusedContext) -> None:
        if s.memo["varies"]:
            conclude(self.parts[-1], s.memo["seen"])

    def apply(self, s: FusedContext, b: Batch) -> None:
        if s.store.model.thick:
            thick.update(s, b)
            return
        if "opr_modes" in s.store.leaves:
            varying.update(s, b)
            return
        obj, probe = s.store.leaves["obj"], s.store.leaves["probe"]
        of_obj, of_probe, moved = s.memo["obj"], s.memo["probe"], b.fraction is not None
        assert b.source is not None  # see ``matches``
        waves, rows = b.source
        if b.size == 1 and not moved:
            s.engine.update_both(obj, b.corners, probe, waves, *of_obj, *of_probe)
            return
        illum, at_once = b.illum, b.size > 1 and of_obj[1] and of_probe[1] and not moved
        along: Any = None
        light: Any = None
        if b.size > 1:
            along, light = s.engine.accumulators("obj", (1, *obj.shape))
        back, seen = s.engine.accumulators("probe", probe.shape)
        if at_once:
            s.engine.add_to_both(waves, rows, b.corners, illum, obj, along[0], light, back, seen)
        elif of_probe[1] and moved:  # before the object changes
            back = s.engine.on_probe(waves, rows, obj, b.corners, b.fraction)
            s.engine.add_seen(obj, b.corners, seen)
        elif of_probe[1]:
            s.engine.add_to_probe(waves, rows, obj, b.corners, back, seen)
        if of_obj[1] and b.size == 1:
            alpha, step = of_obj
            s.engine.update_both(obj, b.corners, illum[0], waves, alpha, step, 1.0, 0.0)
        elif of_obj[1]:
            if not at_once:
                s.engine.add_to_object(waves, rows, b.corners, illum, along[0], light)
            s.engine.add_scaled(obj[None], along, light, *of_obj)
        if of_probe[1]:
            s.engine.add_scaled(probe, back, seen, *of_probe)
