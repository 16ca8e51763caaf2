"""Waves through slices and back, on a CPU: with the kernels of one slice, slice by slice.

The wave that meets a slice stands in the probe's place. Between slices the power of the squared derivative is a number
for each view, its mean over the window: the weights of a slice are those of one slice times that number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from opty.kernels.cpu_engine import CpuEngine
from opty.operators.lsq import LSQUpdate
from opty.runtime.fused_step import FusedContext
from opty.state.views import Batch


class Passed(NamedTuple):
    """What comes back to slice ``k``: waves at ``rows``, what met the slice, and the weight of each view (B,)."""

    k: int
    waves: Any
    rows: Any
    met: Any
    share: Any


def project(s: FusedContext, b: Batch, difference: bool, waves: Any) -> None:
    """Do what ``Project.apply`` does, through slices; the batch keeps the waves that meet them."""
    obj, frames = s.store.leaves["obj"], s.store.measured.frames(b)
    args = b.corners, b.illum, transfers(b), frames, difference, room(s, b), waves, b.fraction
    engine_of(s).project_through(obj, *args)


def room(s: FusedContext, b: Batch) -> list[Any]:
    """Return memory for the waves that meet the second slice and those behind it, which the batch keeps."""
    b.met = [s.engine.scratch(f"incident {k}", b.size) for k in range(1, len(s.store.leaves["obj"]))]
    return b.met


def transfers(b: Batch) -> tuple[Any, ...]:
    """Return the transfer functions (n, n) of the gaps."""
    return b.model.sample.transfers(b)  # type: ignore[union-attr]


def passed_back(s: FusedContext, b: Batch, waves: Any, rows: Any, projected: bool = False) -> Iterator[Passed]:
    """Yield what comes back to each slice, the last one first; then the slice may be changed.

    ``projected`` : the waves are exit waves with the measured modulus, and not their change. What comes to the last
    slice is the waves as they are, and to those in front of it what the change makes there.
    """
    obj, engine, gaps = s.store.leaves["obj"], engine_of(s), transfers(b)
    if not b.met:  # over ranks views come from elsewhere
        engine.through(obj, b.corners, b.illum, gaps, room(s, b), engine.scratch("further back", b.size))
    share = s.store.xp.ones(b.size, s.store.real_dtype)
    for k in range(len(obj) - 1, 0, -1):
        met, more, less = b.met[k - 1], share.copy(), projected and k == len(obj) - 1
        name = ("back", "further back")[k % 2]
        back = engine.behind(waves, rows, obj[k], b.corners, met if less else None, name)
        engine.let_through(obj[k], b.corners, more)
        yield Passed(k, waves, rows, met, share)
        engine.across(back, gaps[k - 1], True)
        waves, rows, share = back, engine.rows(b.size), more
    yield Passed(0, waves, rows, b.illum, share)


def update(s: FusedContext, b: Batch) -> None:
    """Do what ``Update.apply`` does: each slice from what all of them were."""
    obj, engine, (alpha, step) = s.store.leaves["obj"], engine_of(s), s.memo["obj"]
    assert b.source is not None  # see ``Update.matches``
    for one in passed_back(s, b, *b.source):
        if not one.k:
            _update_first(s, b, one)
        elif step and b.size == 1:
            length = float(step / one.share[0])  # the weight is as much smaller
            engine.update_both(obj[one.k], b.corners, one.met[0], one.waves, alpha, length, 1.0, 0.0)
        elif step:
            _update_slice(s, b, one)


def _update_first(s: FusedContext, b: Batch, one: Passed) -> None:
    """Take the steps of the first slice and of the probe."""
    leaves, engine, (alpha, step), (beta, probe_step) = s.store.leaves, engine_of(s), s.memo["obj"], s.memo["probe"]
    obj, probe, moved = leaves["obj"][0], leaves["probe"], b.fraction is not None
    if b.size == 1 and not moved:
        lengths = [float(length / one.share[0]) for length in (step, probe_step)]
        engine.update_both(obj, b.corners, probe, one.waves, alpha, lengths[0], beta, lengths[1])
        return
    if probe_step:  # before the object changes
        back, seen = engine.accumulators("probe", probe.shape)
        if moved:
            back = engine.on_probe(one.waves, one.rows, obj, b.corners, b.fraction)
        else:
            engine.add_to_probe(one.waves, one.rows, obj, b.corners, back, None)
        seen[...] = engine.transmission(obj, b.corners, one.share, seen)
    if step and b.size == 1:
        length = float(step / one.share[0])
        engine.update_both(obj, b.corners, b.illum[0], one.waves, alpha, length, 1.0, 0.0)
    elif step:
        _update_slice(s, b, one)
    if probe_step:
        engine.add_scaled(probe, back, seen, beta, probe_step)


def _update_slice(s: FusedContext, b: Batch, one: Passed) -> None:
    """Take the step of a slice along the sums over the views of a batch."""
    obj, engine, (alpha, step) = s.store.leaves["obj"][one.k : one.k + 1], engine_of(s), s.memo["obj"]
    along, light = engine.accumulators(f"obj {one.k}", obj.shape)
    engine.add_to_slice(one.waves, one.rows, b.corners, one.met, along[0], light, one.share)
    engine.add_scaled(obj, along, light, alpha, step)


def add_up(
    s: FusedContext, b: Batch, of_obj: Any, of_probe: Any, spectrum: Any = None, projected: bool = False
) -> list[Any]:
    """Add what comes back to the sums of slices and probe, each (sum, weight) or None; return what met each slice.

    ``spectrum`` : in the place of the probe's sum, where probes are moved by fractions of a pixel. ``projected`` : as
    for ``passed_back``. The slices are returned from the first to the last, each (met, weight of each view).
    """
    engine, obj, found = engine_of(s), s.store.leaves["obj"], []
    assert b.source is not None
    for one in passed_back(s, b, *b.source, projected):
        if of_obj is not None:
            total, light = (a[one.k] for a in of_obj)
            engine.add_to_slice(one.waves, one.rows, b.corners, one.met, total, light, one.share)
        if not one.k and of_probe is not None:
            if b.fraction is None:
                engine.add_to_probe(one.waves, one.rows, obj[0], b.corners, of_probe[0], None)
            else:
                engine.add_on_probe(one.waves, one.rows, obj[0], b.corners, b.fraction, spectrum)
            of_probe[1][...] += engine.transmission(obj[0], b.corners, one.share, of_probe[1])
        found.append((one.met, one.share))
    return found[::-1]


def change_of(s: FusedContext, b: Batch, obj_step: Any, probe_step: Any) -> tuple[Any, Any]:
    """Return the changes (B, M, n, n) of exit waves by steps of slices (L, H, W) and of the probe as views see it."""
    obj, engine, gaps = s.store.leaves["obj"], engine_of(s), transfers(b)
    by_obj, by_probe = (engine.scratch(name, b.size) for name in ("back", "further back"))
    engine.exit_waves(obj_step[0], b.corners, b.illum, by_obj)
    engine.exit_waves(obj[0], b.corners, probe_step, by_probe)
    for k, gap in enumerate(gaps, 1):
        engine.across(by_obj, gap, False)
        engine.across(by_probe, gap, False)
        engine.change_behind(by_obj, obj[k], b.corners, b.met[k - 1], obj_step[k])
        engine.exit_waves(obj[k], b.corners, by_probe, by_probe)
    return by_obj, by_probe


def best_steps(op: LSQUpdate, s: FusedContext, b: Batch) -> None:
    """Do what ``BestSteps.apply`` does, with one length for all slices and one for the probe."""
    leaves, engine, shared, xp = s.store.leaves, engine_of(s), s.job.object, s.store.xp
    obj, probe, rows = leaves["obj"], leaves["probe"], shared.rows
    on_obj, on_probe = op.update != "probe", op.update != "obj"
    slices = [engine.accumulators(f"obj {k}", (1, *layer.shape)) for k, layer in enumerate(obj)]
    of_probe, seen = engine.accumulators("probe", probe.shape)
    met: list[Any] = [(None, None)] * len(obj)
    if b.size:  # over ranks the views of the batch may all be those of others
        of_obj = ([along[0] for along, _ in slices], [light for _, light in slices]) if on_obj else None
        spectrum = None if b.fraction is None else xp.zeros_like(probe)
        met = add_up(s, b, of_obj, (of_probe, seen) if on_probe else None, spectrum)
        if on_probe and spectrum is not None:
            of_probe[...] = s.store.backend.ifft2(spectrum, True)
    others: tuple[Any, ...] = (of_probe, seen) if on_probe else ()
    for along, light in slices if on_obj else ():
        largest = shared.add_weighted(along, light, *others)
        engine.divide(along[:, rows], light[rows], op.alpha, largest)
        others = ()
    shared.add((), *others)
    if on_probe:
        engine.divide(of_probe, seen, op.beta)
    lengths = _lengths(op, s, b, [along[0] for along, _ in slices], of_probe)
    of_slices = zip(met, slices, strict=True) if on_obj else ()
    on_frame = [_lit(s, b, one, share, light, lengths) for (one, share), (_, light) in of_slices]
    on_window = []
    if on_probe:
        share = lengths[1] * met[0][1] if b.size else None
        on_window = [engine.transmission(obj[0], b.corners, share, seen) if b.size else xp.zeros_like(seen)]
    shared.add(on_frame, *on_window)
    for layer, (along, light), total in zip(obj, slices, on_frame, strict=False):
        engine.add_average(layer[None, rows], along[:, rows], total[rows], light[rows])
    for total in on_window:
        engine.add_average(probe, of_probe, total, seen)


def _lengths(op: LSQUpdate, s: FusedContext, b: Batch, obj_step: Any, probe_step: Any) -> Any:
    """Return the lengths (2, B) of the steps of slices and of the probe that fit each view best."""
    if not b.size:
        return None
    assert b.source is not None
    engine, moved = engine_of(s), op.update != "obj" and b.fraction is not None
    seen = engine.shifted(probe_step, b.fraction, "illum_step") if moved else probe_step[None]
    products = engine.products_of(*b.source, *change_of(s, b, obj_step, seen))
    return engine.lengths(products, op.ridge, op.step)


def _lit(s: FusedContext, b: Batch, met: Any, share: Any, light: Any, lengths: Any) -> Any:
    """Return sum_j lengths_j times the light of view j on a slice, (H, W)."""
    return s.engine.light(b.corners, met, lengths[0] * share, light) if b.size else s.store.xp.zeros_like(light)


def slope(s: FusedContext, b: Batch, noise: str, waves: Any, values: Any, index: Any) -> None:
    """Do what ``follow_slope`` of the engine does, through slices; the batch keeps the waves that meet them."""
    obj, frames = s.store.leaves["obj"], s.store.measured.frames(b)
    args = b.corners, b.illum, transfers(b), frames, noise, room(s, b), waves, values, index, b.fraction
    engine_of(s).slope_through(obj, *args)


def engine_of(s: FusedContext) -> CpuEngine:
    """Return the engine of a run on the CPU."""
    assert isinstance(s.engine, CpuEngine)  # see ``FusedStep.thick``
    return s.engine
