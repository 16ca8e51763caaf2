"""Fused steps of the fits (likelihood, least squares): few passes over the arrays; the rules are in ``rules``."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType
from typing import Any, cast

from opty.algebra.operator import ViewOperator
from opty.fusion import thick, varying
from opty.fusion.sweeps import _from_fused
from opty.fusion.trials import follow_trials
from opty.kernels.buffers import Accumulators, Pieces, Scratch
from opty.kernels.operands import WaveStore
from opty.operators.conjugate import LineSearch
from opty.operators.likelihood import LikelihoodGradient
from opty.operators.lsq import LSQUpdate
from opty.operators.variation import HALF
from opty.runtime.all_views import conclude
from opty.runtime.fused_step import FusedContext, FusedStep
from opty.state.views import Batch


class _Fit(FusedStep, register=False):
    """Base of the fused steps of fits: the last of the parts begins and finishes as it does alone."""

    def supports(self, leaves: Collection[str], backend: ModuleType, whole: bool) -> bool:
        return "intensity_factors" not in leaves

    def begin(self, s: FusedContext) -> None:
        _, s.memo["seen"] = self.seen_by_parts(s)[-1]
        self.parts[-1].begin(s.memo["seen"])

    def finish(self, s: FusedContext) -> None:
        conclude(self.parts[-1], s.memo["seen"])


class Gradient(_Fit, register=False):
    """Exit waves to the detector, the slope of the likelihood on them, back, and the gradients added up."""

    omits = frozenset({"waves", "predicted", "probe_gradient"})
    buffers = (Scratch("waves"), *FusedStep.buffers)
    varying = thick = True
    beside = (-1.0, 0.0)

    def begin(self, s: FusedContext) -> None:
        super().begin(s)
        s.put_in_place("obj_gradient", "probe_gradient", "obj_weight", "probe_weight")
        s.memo["values"] = s.persistent("values", (s.store.data.views,))
        if not s.whole:
            s.memo["spectrum"] = s.persistent("spectrum", s.store.probe_shape, s.store.dtype)
            s.memo["spectrum"][...] = 0

    def apply(self, s: FusedContext, b: Batch) -> None:
        step, leaves, values = self.parts[-1], s.store.leaves, (s.memo["values"], b.leaves["index"])
        assert isinstance(step, LikelihoodGradient)
        obj, waves = leaves["obj"], s.engine.scratch("waves", b.size)
        frames, rows = s.store.measured.frames(b), s.engine.rows(b.size)
        of_obj = leaves["obj_gradient"], leaves["obj_weight"]
        of_probe = leaves["probe_gradient"], leaves["probe_weight"]
        b.source = WaveStore(waves, rows)
        if s.store.model.thick:
            thick.slope(s, b, step.noise, waves, *values)
            thick.add_up(s, b, of_obj, of_probe, None if s.whole else s.memo["spectrum"])
            return
        illum = varying.probe_of_views(s, b) if s.store.model.varies else b.illum
        s.engine.follow_slope(obj, b.corners, illum, frames, step.noise, waves, *values, b.fraction)
        if s.store.model.varies:
            varying.add_gradients(s, b, of_obj)
            return
        if b.fraction is None:
            s.engine.add_to_both(waves, rows, b.corners, b.illum, obj, *of_obj, *of_probe)
            return
        s.engine.add_to_object(waves, rows, b.corners, b.illum, *of_obj)
        s.engine.add_on_probe(waves, rows, obj, b.corners, b.fraction, s.memo["spectrum"])
        s.engine.add_seen(obj, b.corners, leaves["probe_weight"])

    def collect(self, s: FusedContext) -> None:
        if not s.whole and not s.store.model.varies:
            s.store.leaves["probe_gradient"] += s.store.backend.ifft2(s.memo["spectrum"], True)
        # One sum over all views in order, so that it does not depend on the batches.
        s.memo["seen"].memo["sum"] += s.memo["values"].sum()


class Search(_Fit, register=False):
    """Bring exit waves, and their change by a step, to the detector, and sum the changes of the likelihood there."""

    omits = frozenset({"waves"})
    buffers = (Scratch("illum", moved=True), Scratch("illum_step", moved=True), Pieces(3))
    varying = thick = True
    beside = (-1.2, 3.0)  # waves here and there, and the object after each trial step

    def touched_leaves(self) -> frozenset[str]:
        return frozenset({"kept_direction_obj", "kept_direction_probe"})

    def begin(self, s: FusedContext) -> None:
        super().begin(s)
        s.put_in_place(*self.touched_leaves())
        trials = s.memo["seen"].memo["trials"]
        s.memo["trials"] = s.persistent("trials", trials.shape, trials.dtype)
        s.memo["trials"][...] = trials
        s.memo["changes"] = s.persistent("changes", (s.store.data.views, *trials.shape))
        search = cast(LineSearch, self.parts[-1])
        s.memo["ahead"] = [] if s.store.model.thin else search.ahead(s.memo["seen"])

    def apply(self, s: FusedContext, b: Batch) -> None:
        step, leaves, changes = self.parts[-1], s.store.leaves, (s.memo["changes"], b.leaves["index"])
        assert isinstance(step, LineSearch)
        if not s.store.model.thin:
            follow_trials(s, b, step.noise)
            return
        probe_step = leaves["kept_direction_probe"]
        illum_step = probe_step[None] if b.fraction is None else s.engine.shifted(probe_step, b.fraction, "illum_step")
        steps = b.illum, leaves["kept_direction_obj"], illum_step
        args = leaves["obj"], b.corners, *steps, s.store.measured.frames(b), step.noise, s.memo["trials"]
        s.engine.changes(*args, *changes, b.fraction)

    def collect(self, s: FusedContext) -> None:
        s.store.leaves["line_sums"] += s.memo["changes"].sum(axis=0)  # one sum, as in Gradient


class BestSteps(_Fit, register=False):
    """LSQUpdate on the difference that a fused step left."""

    buffers = (
        Scratch("back", moved=True),
        Scratch("illum_step", moved=True),
        Accumulators("obj"),
        Accumulators("probe"),
    )
    varying = thick = True
    beside = (-1.0, 0.0)

    @classmethod
    def matches(cls, parts: tuple[ViewOperator, ...], before: tuple[ViewOperator, ...]) -> bool:
        """Return whether the difference comes from a fused step, and no earlier step has changed object or probe."""
        changed = frozenset().union(*(op.effects()[1] for op in before))
        return _from_fused("delta", before) and not changed & {"obj", "probe", "patches", "illum"}

    def apply(self, s: FusedContext, b: Batch) -> None:
        op, obj, probe = self.parts[0], s.store.leaves["obj"], s.store.leaves["probe"]
        assert isinstance(op, LSQUpdate)
        if s.store.model.thick:
            thick.best_steps(op, s, b)
            return
        on_obj, on_probe = op.update != "probe", op.update != "obj"
        of_obj, light, of_probe, seen = self._directions(op, s, b, on_obj, on_probe)
        lengths, rows = self._lengths(op, s, b, of_obj, of_probe), s.job.object.rows
        on_frame, on_window = [], []
        if on_obj:
            on_frame = [
                s.engine.light(b.corners, b.illum, lengths[0], light) if b.size else s.store.xp.zeros_like(light)
            ]
        if on_probe:
            on_window = [
                s.engine.transmission(obj, b.corners, lengths[1], seen) if b.size else s.store.xp.zeros_like(seen)
            ]
        s.job.object.add(on_frame, *on_window)
        for along in on_frame:  # only now that both are summed: illum may be the probe itself
            s.engine.add_average(obj[None, rows], of_obj[:, rows], along[rows], light[rows])
        for along in on_window:
            s.engine.add_average(probe, of_probe, along, seen)
        if "varied" in b.leaves:
            varying.move_said(varying.engine_of(s), s.memo["seen"], b, b.leaves.pop("varied"), op.step * HALF)

    def collect(self, s: FusedContext) -> None:
        s.job.object.complete()

    def _lengths(self, op: LSQUpdate, s: FusedContext, b: Batch, of_obj: Any, of_probe: Any) -> Any:
        """Return the lengths (2, B) of the steps that fit each view best."""
        if not b.size:
            return None
        assert b.source is not None  # see ``matches``
        moved = op.update != "obj" and b.fraction is not None
        illum_step = s.engine.shifted(of_probe, b.fraction, "illum_step") if moved else of_probe[None]
        products = s.engine.products(*b.source, s.store.leaves["obj"], b.corners, b.illum, of_obj[0], illum_step)
        return s.engine.lengths(products, op.ridge, op.step)

    def _directions(
        self, op: LSQUpdate, s: FusedContext, b: Batch, on_obj: bool, on_probe: bool
    ) -> tuple[Any, Any, Any, Any]:
        """Return the directions of object (1, H, W) and probe (M, n, n), each with its weight, in accumulators.

        The direction of what must not change stays zero.
        """
        obj, probe = s.store.leaves["obj"], s.store.leaves["probe"]
        of_obj, light = s.engine.accumulators("obj", (1, *obj.shape))
        of_probe, seen = s.engine.accumulators("probe", probe.shape)
        if b.size:  # over ranks the views of the batch may all be those of others
            of_probe = self._add_up(s, b, on_obj, on_probe, (of_obj, light, of_probe, seen))
        others, rows = (of_probe, seen) if on_probe else (), s.job.object.rows
        if on_obj:
            largest = s.job.object.add_weighted(of_obj, light, *others)
            s.engine.divide(of_obj[:, rows], light[rows], op.alpha, largest)
        else:
            s.job.object.add((), *others)
        if on_probe:
            s.engine.divide(of_probe, seen, op.beta)
        return of_obj, light, of_probe, seen

    def _add_up(self, s: FusedContext, b: Batch, on_obj: bool, on_probe: bool, sums: tuple[Any, Any, Any, Any]) -> Any:
        """Add the views of a batch to the sums; return that of the probe, which may be another array."""
        assert b.source is not None
        (waves, rows), obj = b.source, s.store.leaves["obj"]
        of_obj, light, of_probe, seen = sums
        if s.store.model.varies and on_probe:
            b.leaves["varied"] = found = varying.said(s, b)
            of_probe, on_probe = found.probe, False
            seen += found.seen
        if on_obj and on_probe and b.fraction is None:
            s.engine.add_to_both(waves, rows, b.corners, b.illum, obj, of_obj[0], light, of_probe, seen)
            return of_probe
        if on_obj:
            s.engine.add_to_object(waves, rows, b.corners, b.illum, of_obj[0], light)
        if on_probe and b.fraction is None:
            s.engine.add_to_probe(waves, rows, obj, b.corners, of_probe, seen)
        elif on_probe:
            of_probe = s.engine.on_probe(waves, rows, obj, b.corners, b.fraction)
            s.engine.add_seen(obj, b.corners, seen)
        return of_probe
