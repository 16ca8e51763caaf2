"""What the steps of fits (likelihood, least squares) do in few passes over the arrays; ``fused`` has the rules."""

from __future__ import annotations

from opty.algebra.fusedstep import FusedStep
from opty.operators.fused_steps import _from_fused


class _Fit(FusedStep, register=False):
    """What the fused steps of fits share: the last of the parts begins and finishes as it does alone."""

    def suits(self, store, whole):
        return "intensity_factors" not in store.leaves

    def begin(self, s):
        from opty.algebra.run import access

        s.memo["seen"] = access(self.parts[-1], s.job)
        self.parts[-1].begin(s.memo["seen"])

    def finish(self, s):
        self.parts[-1].finish(s.memo["seen"])


class Gradient(_Fit, register=False):
    """Exit waves to the detector, the slope of the likelihood on them, back, and the gradients added up."""

    skips = frozenset({"waves", "predicted", "probe_gradient"})
    rooms = ("waves", "waves illum back")

    def repeats(self, s, whole):
        return False  # each batch keeps its sums in an array of its own, until the sweep is over

    def begin(self, s):
        super().begin(s)
        s.memo["spectrum"], s.memo["values"] = None, []

    def apply(self, s, b):
        leaves, noise = s.store.leaves, self.parts[-1].noise
        obj, waves, values = leaves["obj"], s.fused.room("waves", b.size), s.store.xp.empty(b.size)
        frames, rows = s.store.measured.frames(b), s.fused.rows(b.size)
        s.fused.follow_slope(obj, b.corners, b.illum, frames, noise, waves, values, b.fraction)
        s.memo["values"].append(values)
        of_obj = leaves["obj_gradient"], leaves["obj_weight"]
        if b.fraction is None:
            of_probe = leaves["probe_gradient"], leaves["probe_weight"]
            s.fused.add_to_both(waves, rows, b.corners, b.illum, obj, *of_obj, *of_probe)
            return
        s.fused.add_to_object(waves, rows, b.corners, b.illum, *of_obj)
        if s.memo["spectrum"] is None:
            s.memo["spectrum"] = s.store.xp.zeros_like(leaves["probe_gradient"])
        s.fused.add_on_probe(waves, rows, obj, b.corners, b.fraction, s.memo["spectrum"])
        s.fused.add_seen(obj, b.corners, leaves["probe_weight"])

    def finish(self, s):
        if s.memo["spectrum"] is not None:
            s.store.leaves["probe_gradient"] += s.store.backend.ifft2(s.memo["spectrum"], True)
        # All at once: the sum must not depend on how the views are dealt out.
        s.memo["seen"].memo["sum"] += s.store.xp.concatenate(s.memo["values"]).sum()
        super().finish(s)


class Search(_Fit, register=False):
    """Exit waves and what a step makes of them to the detector, and the changes of the likelihood summed there."""

    skips = frozenset({"waves"})
    rooms = ("", "illum illum_step")
    spare = 3

    def begin(self, s):
        super().begin(s)
        s.memo["changes"] = []

    def repeats(self, s, whole):
        return False  # as for Gradient

    def apply(self, s, b):
        leaves = s.store.leaves
        probe_step = leaves["kept_direction_probe"]
        illum_step = probe_step[None] if b.fraction is None else s.fused.shifted(probe_step, b.fraction, "illum_step")
        steps = b.illum, leaves["kept_direction_obj"], illum_step
        frames, trials = s.store.measured.frames(b), s.memo["seen"].memo["trials"]
        args = leaves["obj"], b.corners, *steps, frames, self.parts[-1].noise, trials, b.fraction
        s.memo["changes"].append(s.fused.changes(*args))

    def finish(self, s):
        s.store.leaves["line_sums"] += s.store.xp.concatenate(s.memo["changes"]).sum(axis=0)  # all at once: as above
        super().finish(s)


class BestSteps(_Fit, register=False):
    """LSQUpdate on the difference that a fused step left."""

    rooms = ("", "back illum_step")
    canvases = True

    @classmethod
    def fits(cls, parts, before):
        """Where the difference comes from a fused step, and no step before has changed object or probe."""
        changed = frozenset().union(*(op.effects()[1] for op in before))
        return _from_fused("delta", before) and not changed & {"obj", "probe", "patches", "illum"}

    def repeats(self, s, whole):
        return self.parts[0].update == "both"  # what must not change is put to zero by the array module

    def apply(self, s, b):
        op, obj, probe = self.parts[0], s.store.leaves["obj"], s.store.leaves["probe"]
        of_obj, light, of_probe, seen = self._directions(s, b, op, obj, probe)
        waves, rows = b.source
        illum_step = of_probe[None] if b.fraction is None else s.fused.shifted(of_probe, b.fraction, "illum_step")
        products = s.fused.products(waves, rows, obj, b.corners, b.illum, of_obj[0], illum_step)
        lengths = s.fused.lengths(products, op.ridge, op.step)
        # Both averages before either changes: illum may be the probe itself.
        on_obj = s.fused.light(b.corners, b.illum, lengths[0], light)
        on_probe = s.fused.transmission(obj, b.corners, lengths[1], seen)
        s.fused.add_average(obj[None], of_obj, on_obj, light)
        s.fused.add_average(probe, of_probe, on_probe, seen)

    def _directions(self, s, b, op, obj, probe):
        """Return the directions of object (1, H, W) and probe (M, n, n), each with its weight, in canvases."""
        waves, rows = b.source
        of_obj, light = s.fused.sums("obj", (1, *obj.shape))
        of_probe, seen = s.fused.sums("probe", probe.shape)
        if b.fraction is None:
            s.fused.add_to_both(waves, rows, b.corners, b.illum, obj, of_obj[0], light, of_probe, seen)
        else:
            s.fused.add_to_object(waves, rows, b.corners, b.illum, of_obj[0], light)
            of_probe = s.fused.on_probe(waves, rows, obj, b.corners, b.fraction)
            s.fused.add_seen(obj, b.corners, seen)
        if op.update != "both":
            (of_probe if op.update == "obj" else of_obj)[...] = 0
        s.fused.divide(of_obj, light, op.alpha)
        s.fused.divide(of_probe, seen, op.beta)
        return of_obj, light, of_probe, seen
