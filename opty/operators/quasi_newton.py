"""A quasi-Newton step on object and probe together (L-BFGS): the curvature comes from the last gradients."""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.model.probe import OPR_MODES, OPR_WEIGHTS
from opty.operators import variation
from opty.operators.conjugate import FIRST, GRADIENT, LIGHT, bending, brightest, free, inner
from opty.operators.lsq import moved, updating
from opty.state.leaves import OBJ, PROBE

_ESTIMATES = {"obj": OBJ, "probe": PROBE, "opr_modes": OPR_MODES, "opr_weights": OPR_WEIGHTS}
_PAIRED = {"opr_weights": "view pair variation"}  # the axes of what is kept for each pair


def _name(what: str, name: str) -> str:
    return f"kept_{what}_{name}"


def _kept(what: str, leaves: dict[str, Leaf], paired: bool) -> dict[str, Leaf]:
    """Return the memory called kept_what_*, of the shape of the estimates or with an axis for the pairs."""
    out = {}
    for name, leaf in leaves.items():
        axes = _PAIRED.get(name, ("pair", *leaf.axes)) if paired else leaf.axes
        of_probe = name in (OPR_MODES.name, OPR_WEIGHTS.name)
        part_of = _name(what, PROBE.name) if of_probe else ""
        kept = leaf.like(_name(what, name), axes=axes, belongs_to="obj probe", part_of=part_of)
        out[name] = kept.as_part() if of_probe else kept
    return out


BASE = _kept("base", _ESTIMATES, paired=False)
BASE_GRADIENT = _kept("base_gradient", GRADIENT, paired=False)
STEPS = _kept("steps", _ESTIMATES, paired=True)
CHANGES = _kept("changes", GRADIENT, paired=True)
_COUNT = Leaf("kept_pairs", "3", scale=0, belongs_to="obj probe")  # how many were found, memory, and what is updated
_SEARCH = Leaf("kept_search", "4", scale=0, belongs_to="obj probe")  # gamma, t, steps taken back in a row, lowest L
_CURVATURES = Leaf("kept_curvatures", "pair", scale=0, belongs_to="obj probe")
_OF_BASE = tuple(leaves[name] for name in ("obj", "probe") for leaves in (BASE, BASE_GRADIENT))
_OF_PAIRS = (_CURVATURES, *(leaves[name] for name in ("obj", "probe") for leaves in (STEPS, CHANGES)))
_UPDATES = ("both", "obj", "probe")
_FLAT = 1e-6  # a pair whose curvature is a smaller share of the metric's says nothing
_LEVEL = 1e-7  # of L: by how much rounding may change it; the pair of such a step may be rounding, too
_PATIENCE = 4  # steps taken back in a row, the last of them 1/64 as long


@functools.lru_cache
def _slots(memory: int) -> tuple[Leaf, ...]:
    paired = (leaf.like(leaf.name, axes=(str(memory), *leaf.axes[1:])) for leaf in _OF_PAIRS)
    return (_COUNT, _SEARCH, *_OF_BASE, *paired)


class QuasiNewtonStep(
    Operator,
    reads="obj probe obj_gradient probe_gradient obj_weight probe_weight likelihood",
    writes="obj probe",
):
    """Step from the best object and probe x so far along the quasi-Newton direction: x <- x - t H g (L-BFGS).

    g is the gradient of L at x. H approximates the inverse of the second derivative of L by the last pairs (s, y) of a
    step and what it changed the gradient by, from the metric gamma / M on: M is that of ConjugateDirection, gamma =
    <s, y> / <y, y / M> of the newest pair, and <a, b> = Re sum conj(a) b over object, probe and what varies of it. The
    two loops of Nocedal make H g without a matrix. A turn takes one gradient, and there is no search along a line: t =
    1, and a step that has not lowered L is taken back, and t <- t / 4. Where L differs by rounding, the slopes at the
    two ends of the step tell. After four steps in a row that were taken back all begins anew from where the last one
    led: other steps have changed L meanwhile.

    Parameters
    ----------
    memory : pairs that are kept, from 1 on; object and probe are kept twice for each.
    smooth : weight of the prior on the object's gradient, from 0 (none) up (no unit), as in ConjugateDirection.
    update : "both", or the only one of "obj" and "probe" that may change.
    damping : share of the largest light that is added to the light in M, above 0.

    Reads obj_gradient, probe_gradient, obj_weight,
    probe_weight, likelihood (freed after use); writes obj (H, W), probe (M, n, n) and its memory: kept_base_* and
    kept_base_gradient_* in the shapes of object and probe, kept_steps_* and kept_changes_* with one more axis for the
    pairs, kept_curvatures (memory,), kept_search (4,), kept_pairs (3,). Of a probe that varies the OPR modes are made
    orthogonal again, and the memory is turned along.
    Source: Nocedal, Math. Comput. 35, 773 (1980); Liu, Nocedal, Math. Program. 45, 503 (1989), for gamma; Hager, Zhang,
    SIAM J. Optim. 16, 170 (2005), for the slopes. The rule for t is opty's.
    """

    memory: int = 5
    smooth: float = 0.0
    update: Literal["both", "obj", "probe"] = "both"
    damping: float = 0.03
    frees = frozenset({"obj_gradient", "probe_gradient", "obj_weight", "probe_weight", "likelihood", "kept_waves"})
    outdates = True
    learns = True

    @property
    def scale_free(self) -> bool:  # type: ignore[override]
        """Whether there is no prior: that has the unit of the object."""
        return not self.smooth

    @property
    def scratch_arrays(self) -> float:  # type: ignore[override]
        """Those of the direction, of the metric, and of the prior: measured."""
        return 5.4 if self.smooth else 3.6

    def check(self) -> None:
        if self.memory < 1:
            raise ValueError(f"QuasiNewtonStep(memory={self.memory}): give how many pairs are kept, from 1 on")
        if self.smooth < 0:
            raise ValueError(f"QuasiNewtonStep(smooth={self.smooth}): give a weight from 0 (no prior) up")
        if not self.damping > 0:
            raise ValueError(f"QuasiNewtonStep(damping={self.damping}): give a share above 0")

    @property
    def slots(self) -> tuple[Leaf, ...]:  # type: ignore[override]
        """What the last turns found, with the number of pairs, so that their memory can be told."""
        return _slots(self.memory)

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        memory = frozenset(leaf.name for leaf in self.slots)
        return self.reads | memory, moved(self.update) | memory

    def fixed(self, leaves: frozenset[str]) -> Operator | None:
        return updating(self, leaves)

    def apply(self, s: State) -> None:
        names, (pairs, *told) = free(s, self.update), self._prepare(s)
        gradient = {name: getattr(s, GRADIENT[name].name) for name in names}
        metric = {name: (light := getattr(s, LIGHT[name].name)) + self.damping * brightest(light) for name in names}
        likelihood = s.likelihood[0]
        if self.smooth and "obj" in names:
            weight = self.smooth * s.measured.photons / s.obj.size
            bend = bending(s.xp, s.obj, weight)
            likelihood = likelihood + inner(s.xp, [s.obj], [bend])
            gradient["obj"] = bend + gradient["obj"]
            metric["obj"] += 4 * weight  # four neighbours: the prior's own curvature
        pairs, length, share = self._judge(s, gradient, metric, likelihood, pairs, told)
        newest_first = [(pairs - 1 - k) % self.memory for k in range(min(pairs, self.memory))]
        for name, along in self._direction(s, names, metric, newest_first, length).items():
            leaf = getattr(s, name)
            leaf[...] = getattr(s, BASE[name].name) - s.real_dtype.type(share) * along
        if "opr_modes" in names:
            variation.settle(s)

    def _prepare(self, s: State) -> tuple[int, ...]:
        """Make the memory where there is none that fits; return how many pairs were found, or -1 at the start."""
        signature = [self.memory, _UPDATES.index(self.update)]
        s.create("kept_pairs")
        pairs, *found = (int(number) for number in s.backend.to_host(s.kept_pairs))
        if found == signature:
            return (pairs, *found)
        every, of_pairs = free(s, "both"), {"pair": self.memory}
        s.drop("kept_curvatures", "kept_search", *(kept[name].name for name in every for kept in (STEPS, CHANGES)))
        for name in every:
            for kept in (BASE, BASE_GRADIENT):
                s.create(kept[name].name)
            for kept in (STEPS, CHANGES):
                s.create(kept[name].name, **(of_pairs if kept[name].part_of else {}))
        s.create("kept_curvatures")
        s.create("kept_search")
        return (-1, *signature)

    def _judge(
        self, s: State, gradient: dict[str, Any], metric: dict[str, Any], likelihood: Any, pairs: int, signature: Any
    ) -> tuple[int, float, float]:
        """Keep the pair of a step that led down, and start from there; return pairs, and the lengths gamma and t."""
        length, share, taken_back, lowest = FIRST, 1.0, 0.0, np.inf
        fell = True
        place = pairs % self.memory
        if pairs >= 0:
            length, share, taken_back, lowest = (float(number) for number in s.backend.to_host(s.kept_search))
            steps, changes = self._last(s, gradient)
            found = self._measured(s, steps, changes, metric)
            new, curvature, square, slope = (float(v) for v in s.backend.to_host(s.xp.stack([likelihood, *found])))
            level = abs(new - lowest) <= _LEVEL * abs(lowest)
            fell = 2 * slope + curvature < 0 if level else new < lowest
            if fell and not level and curvature > _FLAT * length * square:
                length = curvature / square
                s.kept_curvatures[place] = curvature
                for name in gradient:
                    for kept, new in zip(_pair(s, name, place), (steps[name], changes[name]), strict=True):
                        kept[...] = new
                pairs += 1
            share, taken_back = (1.0, 0.0) if fell else (share / 4, taken_back + 1)
        if taken_back == _PATIENCE:
            fell, pairs, length, share, taken_back = True, 0, FIRST, 1.0, 0.0
        if fell:
            pairs, lowest = max(pairs, 0), float(s.backend.to_host(likelihood))
            for name, g in gradient.items():
                s.backend.copy_into(getattr(s, BASE[name].name), getattr(s, name))
                s.backend.copy_into(getattr(s, BASE_GRADIENT[name].name), g)
        s.kept_search = s.backend.asarray(np.array([length, share, taken_back, lowest]))
        s.kept_pairs = s.backend.asarray(np.array([pairs, *signature], float))
        return pairs, length, share

    def _last(self, s: State, gradient: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the last step, and what it changed the gradient by."""
        steps = {name: getattr(s, name) - getattr(s, BASE[name].name) for name in gradient}
        return steps, {name: g - getattr(s, BASE_GRADIENT[name].name) for name, g in gradient.items()}

    def _measured(
        self, s: State, steps: dict[str, Any], changes: dict[str, Any], metric: dict[str, Any]
    ) -> tuple[Any, ...]:
        """Return <s, y>, <y, y / M> and <g, s> with the gradient before the step."""
        before = {name: getattr(s, BASE_GRADIENT[name].name) for name in steps}
        by_metric = {name: y / metric[name] for name, y in changes.items()}
        return _product(s, steps, changes), _product(s, changes, by_metric), _product(s, before, steps)

    def _direction(
        self, s: State, names: list[str], metric: dict[str, Any], places: list[int], length: float
    ) -> dict[str, Any]:
        """Return H g by the pairs in some places, the newest first: the two loops."""
        shares = []
        out = {name: getattr(s, BASE_GRADIENT[name].name).copy() for name in names}
        pairs = [({n: _pair(s, n, k)[0] for n in names}, {n: _pair(s, n, k)[1] for n in names}) for k in places]
        for (step, change), place in zip(pairs, places, strict=True):
            shares.append(_product(s, step, out) / s.kept_curvatures[place])
            _add(s, out, -shares[-1], change)
        for name in names:
            out[name] *= s.real_dtype.type(length) / metric[name]
        for (step, change), place, share in zip(reversed(pairs), reversed(places), reversed(shares), strict=True):
            _add(s, out, share - _product(s, change, out) / s.kept_curvatures[place], step)
        return out


def _pair(s: State, name: str, place: int) -> tuple[Any, Any]:
    """Return step and change of the gradient in a place, as views."""
    found = (getattr(s, leaves[name].name) for leaves in (STEPS, CHANGES))
    step, change = (kept[:, place] if name == "opr_weights" else kept[place] for kept in found)
    return step, change


def _add(s: State, to: dict[str, Any], share: Any, what: dict[str, Any]) -> None:
    share = share.astype(s.real_dtype)
    for name, array in to.items():
        array += share * what[name]


def _product(s: State, a: dict[str, Any], b: dict[str, Any]) -> Any:
    """Return Re <a, b> over all that may change, float64 on the device."""
    return inner(s.xp, list(a.values()), [b[name] for name in a])
