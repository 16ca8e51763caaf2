"""A length of the geometry, or between slices: the step left for it once object and probe have explained what they can.

The slope dIhat/dtheta of the predicted patterns is nearly what a change of object and probe makes too: a wrong length
hides in another probe and an object of another scale. What counts is the part t = dIhat/dtheta + J u that they cannot
make, u = argmin |dIhat/dtheta + J u|, J the derivative of the patterns by object and probe, found by an iteration of
conjugate gradients in each sweep. In a near field object and probe follow a wrong distance further than so few of these
explain, and the step found is short: there each batch improves u, with the step of a PIE, where it changes object and
probe too. Once the misfit has settled what is left is noise, which object and probe follow from batch to batch while
such a u does not: conjugate gradients again. To first order t is blind to what object and probe still lack, so that an
unfinished object moves no length, and <t, I - Ihat> / <t, t> is a whole step. Where the pixel at the sample changes,
the object keeps its place in metres.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from opty.algebra.leaf import Leaf
from opty.model.geometry_numbers import LENGTHS, relative_slopes
from opty.model.views import Windows
from opty.operators.conjugate import brightest
from opty.operators.fourier import intensity_of
from opty.operators.object import scaled
from opty.state.leaves import OBJ, PROBE

_BATCHES = 4  # in a sweep at least, where u is improved by each
_ALPHA, _STEP = 0.3, 0.5  # of u by a batch, as those of ObjUpdate and ProbeUpdate
_SOON = 4  # sweeps after which such steps have found most of u
_DAMPING = 0.03  # of the largest light, which is added to that of a pixel
_WAIT = 8  # sweeps in which nothing moves: u has to be found first
_SETTLED, _SETTLED_BETWEEN, _BACK = 0.1, 0.25, 6  # the misfit fell by less than this share in as many sweeps
_SURE = 2.0  # standard errors
_UP, _DOWN, _LEAST, _MOST = 1.5, 0.5, 0.25, 3.0  # changes of the gain in one sweep, and its bounds
_KEPT = 0.7  # of the unsteadiness, from sweep to sweep
_DOUBT, _DOUBT_NEAR = 1.0, 0.25  # of the squared difference between the step that was expected and that found
_LONGEST, _LONGEST_BETWEEN = 0.02, 0.04  # of a length, and of the space between slices, in one sweep
_NUMBERS = 6  # of the search: sweeps, gain, the last step found, that expected next, unsteadiness, whether it moves


class Found(NamedTuple):
    """What a sweep tells of a length: the change to make of its logarithm, and the standard error of that logarithm."""

    step: float
    error: float


class Memory(NamedTuple):
    """The memory of a length: u and the direction of the search, by object and probe, and the search's numbers."""

    obj: Leaf
    probe: Leaf
    obj_way: Leaf
    probe_way: Leaf
    search: Leaf

    def explained(self, s: Any, of: str) -> Any:
        """Return u of "obj" or "probe"."""
        return getattr(s, (self.obj if of == "obj" else self.probe).name)

    def way(self, s: Any, of: str) -> Any:
        """Return the direction of "obj" or "probe"."""
        return getattr(s, (self.obj_way if of == "obj" else self.probe_way).name)


def _memory(obj: str, probe: str, obj_way: str, probe_way: str, search: str) -> Memory:
    ways = OBJ.like(obj_way), PROBE.like(probe_way)
    return Memory(OBJ.like(obj), PROBE.like(probe), *ways, Leaf(search, str(_NUMBERS), scale=0))


MEMORY = {
    "distance": _memory("distance_obj", "distance_probe", "distance_obj_way", "distance_probe_way", "distance_search"),
    "pixel_size": _memory(
        "pixel_size_obj", "pixel_size_probe", "pixel_size_obj_way", "pixel_size_probe_way", "pixel_size_search"
    ),
    "focus_to_sample": _memory("focus_obj", "focus_probe", "focus_obj_way", "focus_probe_way", "focus_search"),
    "spacing": _memory("spacing_obj", "spacing_probe", "spacing_obj_way", "spacing_probe_way", "spacing_search"),
}


def begin(s: Any, name: str, floor: Any) -> None:
    """Make memory and sums ready; ``floor`` : photons that count as read-out noise of a pixel."""
    for leaf in MEMORY[name]:
        s.create(leaf.name)
    memo = s.memo
    memo["live"] = _is_live(s, name)
    memo["search"] = s.backend.to_host(getattr(s, MEMORY[name].search.name)).tolist()
    memo["floor"], memo["sums"] = floor, s.xp.zeros(5, np.float64)
    if not memo["live"]:
        kinds = {"told": s.dtype, "along": s.dtype, "light": s.real_dtype}
        memo |= {sums: _zeros(s, kind) for sums, kind in kinds.items()}


def apply(s: Any, b: Any, name: str) -> None:
    """Add up what a batch tells of a length, and of what object and probe explain of it."""
    if not b.size:  # of all its views none is of this rank
        if s.memo["live"]:
            _improve(s, b, MEMORY[name], None)
        return
    memo, there = s.memo, b.at_detector(b.exit_waves(follows=name), True)
    intensity = intensity_of(s, b, there)
    grows = _grows(b.geometry, name) * float(s.backend.to_host(getattr(s, name))[0])
    weight, left = _weighted(s, b, intensity)

    def slope(changes: dict[str, Any]) -> Any:
        moved = b.at_detector(b.tangent(changes, object_follows=True), True)
        return b.seen(2 * (there.conj() * moved).real.sum(axis=1))

    kept = MEMORY[name]
    of_obj = b.windows(kept.explained(s, "obj"))
    of_obj = of_obj + _zoomed(s, b, grows) if grows else of_obj
    told = slope({name: getattr(s, name), "obj": Windows(of_obj), "probe": kept.explained(s, "probe")})
    uneven = told * left
    sums = [uneven, weight * told * told, uneven * uneven]
    chi = _drawn(b, there, told * weight)
    if memo["live"]:
        _improve(s, b, kept, chi)
    else:
        _gather(s, b, chi, memo["told"], memo["light"])
        if memo["search"][0]:
            along = slope({"obj": kept.way(s, "obj"), "probe": kept.way(s, "probe")})
            _gather(s, b, _drawn(b, there, along * weight), memo["along"], memo["light"])
            sums += [weight * told * along, weight * along * along]
    for k, values in enumerate(sums):
        memo["sums"][k] += values.sum(dtype=np.float64)


def _is_live(s: Any, name: str) -> bool:
    """Say whether u is improved by each batch: in a near field, while the misfit falls, and not by what is noise."""
    near = name in LENGTHS and s.store.geometry.propagation == "near"
    return near and s.memo["live_batches"] >= _BATCHES and not _has_settled(s, _SETTLED)


def _drawn(b: Any, there: Any, values: Any) -> Any:
    """Return the adjoint (B, S, n, n) of the slope of the intensities, for values (B, n, n) of the pixels."""
    return b.from_detector(there * (2 * b.pulled(values))[:, None])


def _gather(s: Any, b: Any, chi: Any, into: Any, light: Any) -> None:
    """Add what chi asks of object and probe, and the light on both, to sums by their names."""
    direction, seen = b.gather("obj", chi)
    b.place(into["obj"], direction)
    b.place(light["obj"], seen)
    direction, seen = b.gather("probe", chi)
    into["probe"] += direction
    light["probe"] += seen.sum(axis=0)


def _zeros(s: Any, kind: Any) -> dict[str, Any]:
    """Return zeros in the shapes of object and probe."""
    shapes = {"obj": s.store.leaves["obj"].shape, "probe": s.probe_shape}
    return {of: s.xp.zeros(shape, kind) for of, shape in shapes.items()}


def _improve(s: Any, b: Any, kept: Memory, chi: Any) -> None:
    """Take a step of u by a batch, of which other ranks may have views; chi : for those of this rank, None for none."""
    told, light = _zeros(s, s.dtype), _zeros(s, s.real_dtype)
    if chi is not None:
        _gather(s, b, chi, told, light)
    for of, step in (("obj", _STEP * s.model.obj_step), ("probe", _STEP)):
        known = kept.explained(s, of)
        known -= scaled(s.xp, s.total(told[of]), s.total(light[of]), _ALPHA, step)


def _weighted(s: Any, b: Any, intensity: Any) -> tuple[Any, Any]:
    """Return the weights of the pixels (B, n, n) and the residual by which slopes are multiplied.

    In the near field, whose pixels are alike bright, that of the amplitudes, which the engines fit. Far from the sample
    most pixels are dark, where roots of counts are wrong on the mean: there I - Ihat over the variance of counts.
    """
    xp, counts = s.xp, b.measured(intensity)
    if b.geometry.propagation != "near":
        weight = 1 / (intensity + s.memo["floor"])
        left = weight * (counts - intensity)
    else:
        amplitude = xp.sqrt(xp.maximum(intensity, np.finfo(s.real_dtype).tiny ** 0.5))
        weight = 0.25 / amplitude**2
        left = (xp.sqrt(counts) - amplitude) / (2 * amplitude)
    mask = s.measured.mask_of(b.selection)
    return (weight, left) if mask is None else (weight * mask, left * mask)


def _grows(geometry: Any, name: str) -> float:
    """Return the derivative of the logarithm of the pixel at the sample by a length [1/m]."""
    return relative_slopes(geometry, name)[0] if name in LENGTHS else 0.0


def _zoomed(s: Any, b: Any, by: float) -> Any:
    """Return the change of the windows where the object keeps its place in metres and the pixel grows by a share."""
    x = ((s.xp.arange(b.n) - b.n // 2) * by).astype(s.real_dtype)
    return s.xp.gradient(b.patches, axis=-2) * x[:, None] + s.xp.gradient(b.patches, axis=-1) * x


def conclude(s: Any, name: str, gain: float) -> Found:
    """Take a step of the search, and return what the length does; ``gain`` : of its steps at the start."""
    memo = s.memo
    memo["sums"] = s.total(memo["sums"])
    for sums in () if memo["live"] else ("told", "along", "light"):
        memo[sums] = {of: s.total(a) for of, a in memo[sums].items()}
    climb, told, scatter, along, bend = s.backend.to_host(memo["sums"]).tolist()
    if not memo["live"]:
        _search(s, name, s.real_dtype.type(-along / bend if bend > 0 else 0.0))
    sweeps, held, taken, before, unsteady, moves = s.memo["search"]
    newton, error = (climb / told, scatter**0.5 / told) if told > 0 else (0.0, np.inf)
    # What was taken should be missing from what is found next; what differs is not known any better than that.
    surprise = (newton - before) ** 2 if sweeps >= (_SOON if memo["live"] else 1) else 0.0
    far = s.store.geometry.propagation != "near"
    unsteady = _KEPT * unsteady + (1 - _KEPT) * (_DOUBT if far else _DOUBT_NEAR) * surprise
    error = (error**2 + unsteady) ** 0.5
    held, step = held or gain, 0.0
    moves = float(moves or (sweeps >= _WAIT and _is_settled(s, name)))
    if moves and abs(newton) > _SURE * error:
        held = min(max(held * (_UP if newton * taken > 0 else _DOWN if newton * taken < 0 else 1), _LEAST), _MOST)
        taken, step = newton, held * newton * (1 - (_SURE * error / newton) ** 2)
        most = _LONGEST if name in LENGTHS else _LONGEST_BETWEEN
        step = min(max(step, -most), most)
    search = np.array([sweeps + 1, held, taken, newton - step, unsteady, moves])
    setattr(s, MEMORY[name].search.name, s.backend.asarray(search))
    return Found(step, error)


def _is_settled(s: Any, name: str) -> bool:
    """Say whether the engine has done its quick part. A near field waits for u alone: nothing there is quick."""
    if not _grows(s.store.geometry, name) and name in LENGTHS:
        return True
    return _has_settled(s, _SETTLED if name in LENGTHS else _SETTLED_BETWEEN)


def _has_settled(s: Any, share: float) -> bool:
    """Say whether the misfit is known to have fallen by less than a share in the last sweeps."""
    misfit = list(s.history["misfit"][-_BACK:]) if "misfit" in s.history else []
    return len(misfit) == _BACK and misfit[-1] > (1 - share) * misfit[0]


def _search(s: Any, name: str, step: Any) -> None:
    """Take the step along the direction d of the search, and make the next one: d <- -M G + beta d."""
    memo, kept, of_both, ups = s.memo, MEMORY[name], ("obj", "probe"), {}
    for of in of_both:
        known = kept.explained(s, of)
        known += step * kept.way(s, of)
        light = memo["light"][of]
        ups[of] = (memo["told"][of] + step * memo["along"][of]) / (light + _DAMPING * brightest(light))
    # G changes along d by J^T J d, which tells what makes the new direction conjugate to d.
    curved = sum(_product(s, kept.way(s, of), memo["along"][of]) for of in of_both)
    shared = sum(_product(s, ups[of], memo["along"][of]) for of in of_both)
    for of in of_both:
        way = kept.way(s, of)
        way *= s.real_dtype.type(shared / curved if curved > 0 else 0.0)
        way -= ups[of]


def _product(s: Any, a: Any, b: Any) -> float:
    return float(s.backend.to_host((a.conj() * b).real.sum(dtype=np.float64)))
