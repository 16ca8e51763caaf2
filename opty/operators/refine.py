"""Refine: numbers of a model's element (a spacing, a tilt of each view), and lengths of the geometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import ViewOperator
from opty.errors import RecipeError
from opty.model.element import LEAVES
from opty.model.geometry_numbers import LENGTHS, check_told, first_value, told_by
from opty.model.slices import Slices
from opty.operators import lengths
from opty.operators.fourier import intensity_of
from opty.remedies import option
from opty.words import joined

_FLOOR = 1.0  # photons that count as read-out noise of a pixel; less where patterns are darker
_RIDGE = 1e-3  # of the mean curvature: keeps undetermined parts unchanged
_LARGEST = 0.1  # of a number of the whole scan: the longest step in one sweep
MEASURED_IN_PIXELS = frozenset({"positions", "travel"})
_UP, _DOWN, _LEAST, _MOST = 1.5, 0.4, 0.3, 40.0  # changes of a gain in one sweep, and its bounds


class Refine(ViewOperator, reads="illum patches"):
    """Refine numbers of an element of the model, such as tilts, the space between slices, or a length of the geometry.

    theta <- theta + gain M^-1 g once a sweep: g_k = sum w dA_k (sqrt I - A), M_kl = sum w dA_k dA_l, A = sqrt Ihat and
    dA_k = dA/dtheta_k. Both are sums over all views for a leaf over the scan, and of each view for one over views.

    Object and probe explain most of a residual before theta can, so that a full step is short: gains grow by half while
    the step keeps its direction, up to 40, and shrink to two fifths where it turns back, down to 0.3. A number of the
    whole scan changes by at most a tenth in a sweep.

    "spacing" of several slices is one number, the factor by which all gaps change. It is found as lengths of the
    geometry are, below, and changes by at most 4 percent in a sweep.

    Lengths of the geometry, "distance", "pixel_size", "focus_to_sample", are leaves that a state gets with the first
    step (``p.geometry`` holds what was found). Of a far field and a cone beam data tell the distance over the pixel
    size, for which "distance" stands; the focus of a cone beam is the curvature of the probe. Where the pixel at the
    sample changes, positions keep their metres and their middle. Far from the sample intensities are compared over the
    variance of counts. Of the slope only the part counts that no change of object and probe makes too, found by
    conjugate gradients, an iteration a sweep; in a near field, beside an engine that updates in four batches or more,
    by a step of each batch, as long as the misfit falls by a tenth in six sweeps or more. Nothing moves in the first
    eight sweeps, nor, but for a near field's distance, before the misfit has come to fall by less than a tenth in six;
    nor by a step of less than two standard errors. A length changes by at most 2 percent in a sweep.

    Parameters
    ----------
    leaf : a length of the geometry, or the name of a leaf of the model without pixels, such as "spacing".
    gain : at the start.

    Reads illum, patches and the leaf; writes the leaf and its memory <leaf>_gain, <leaf>_step. For a length the memory
    is distance_obj, distance_probe, distance_obj_way, distance_probe_way in the shapes of object and probe,
    distance_search (6,); pixel_size_*, focus_*, spacing_* of the others; and it writes positions (N, 2) px,
    travel (N, 2) px, but for "spacing".
    History, once a sweep: "<leaf>" = mean value, in the leaf's unit, "<leaf>_iteration", and of a leaf over the scan
    "<leaf>_error", its standard error: of a length and of "spacing" with object and probe free, of others with both
    held.
    Raises RecipeError for a number that the model has not, or the data cannot tell (the tilt of Slices, which
    RegisterSlices finds); ValueError where positions, in
    pixels of the length found, leave the frame of the object.
    Source: Gauss-Newton at the detector: Dwivedi et al., Ultramicroscopy 192, 29 (2018); gains that learn: Zhang et
    al., Opt. Express 21, 13592 (2013); what other unknowns explain taken out: Golub, Pereyra, SIAM J. Numer. Anal. 10,
    413 (1973); variance of a slope from its residuals: White, Econometrica 48, 817 (1980).
    """

    leaf: str
    gain: float = 1.0
    over_ranks = True
    joins_before_update = True
    scale_free = True
    estimates = False
    scratch_slices = (1.0, 3.5, 2.5)
    advice = "a smaller gain of Refine, or starting it later with After(20, Refine(...))"

    def check(self) -> None:
        if not self.leaf.isidentifier() or self.leaf in ("positions", "obj", "probe"):
            raise ValueError(
                f"Refine({self.leaf!r}): give a length of the geometry, {joined(map(repr, sorted(LENGTHS)))}, or a "
                "leaf of the model without pixels, such as 'spacing'; PosCorrect() refines positions, every engine "
                "object and probe"
            )
        if not self.gain > 0:
            raise ValueError(f"Refine(gain={self.gain}): give a gain above 0")

    @property
    def slots(self) -> tuple[Leaf, ...]:  # type: ignore[override]
        """Memory from sweep to sweep: gains and the last steps."""
        if self.leaf in lengths.MEMORY:
            return lengths.MEMORY[self.leaf]
        known = LEAVES.get(self.leaf)
        rows = "view" if known is not None and known.over == "view" else "1"
        first = Leaf(f"{self.leaf}_gain", rows, scale=0)
        return first, Leaf(f"{self.leaf}_step", f"{rows} number", scale=0)

    @property
    def sums_batches(self) -> bool:  # type: ignore[override]
        """Whether sums over a batch are those of all ranks: for a length, beside live updates in a near field."""
        return self.leaf in LENGTHS

    @property
    def scratch_waves(self) -> tuple[float, float]:  # type: ignore[override]
        """Slopes and waves of the leaf, and of what object and probe explain of a length: measured."""
        return (8.5, 8.5) if self.leaf in lengths.MEMORY else (8.0, 4.0)

    @property
    def deferred_writes(self) -> frozenset[str]:  # type: ignore[override]
        """The leaf, and what is measured in pixels that it changes, change only when a sweep is over."""
        return self._written

    @property
    def _written(self) -> frozenset[str]:
        return frozenset({self.leaf}) | (MEASURED_IN_PIXELS if self.leaf in LENGTHS else frozenset())

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        memory = {leaf.name for leaf in self.slots}
        return self.reads | self._written | memory, self._written | memory

    def begin(self, s: Any) -> None:
        if self.leaf in LENGTHS and s.model.owner(self.leaf) is None:
            check_told(self.leaf, s.data.geometry)
            if s.create(self.leaf):
                setattr(s, self.leaf, first_value(self.leaf, s.data.geometry))
            lengths.begin(s, self.leaf, self._floor(s))
            return
        leaf = next((one for one in s.model.leaves if one.name == self.leaf), None)
        if leaf is None or leaf.grid != "none" or leaf.part_of:
            mine = (one for one in s.model.leaves if one.grid == "none" and not one.part_of)
            numbers = [one.name for one in mine if not _is_freedom(s, one.name)]
            numbers += told_by(s.data.geometry)
            found = leaf is not None and leaf.part_of
            if found:
                raise RecipeError(f"{self!r}: every engine finds {self.leaf!r} along with the {found}: leave it out")
            those = joined(map(repr, numbers)) if numbers else "nothing"
            raise RecipeError(
                f"{self!r}: the model {s.model!r} has no such numbers; what can be refined here is {those}"
            )
        if _is_freedom(s, self.leaf):
            raise RecipeError(
                f"{self!r}: slices moved against each other make the same patterns as a tilt, so that data do not tell "
                "it: RegisterSlices() finds it where something stands upright through the slices, and "
                f"{option('model', 'Slices(..., tilt=(row, column))')} has one that is known"
            )
        if self.leaf in lengths.MEMORY:
            lengths.begin(s, self.leaf, self._floor(s))
            return
        self._prepare(s, leaf.over)

    def _floor(self, s: Any) -> Any:
        return s.real_dtype.type(min(_FLOOR, s.measured.photons / max(s.measured.pixels, 1)))

    def _prepare(self, s: Any, over: str) -> None:
        """Make memory and sums ready, for a leaf over views or over the scan."""
        value = getattr(s, self.leaf)
        rows = len(value) if over == "view" else 1
        count = value.size // rows
        if s.create(f"{self.leaf}_gain"):
            setattr(s, f"{self.leaf}_gain", s.xp.full(rows, self.gain))
        s.create(f"{self.leaf}_step", number=count)
        s.memo["view"] = over == "view"
        s.memo["climb"] = s.xp.zeros((rows, count), np.float64)
        s.memo["curvature"] = s.xp.zeros((rows, count, count), np.float64)
        s.memo["scatter"] = s.xp.zeros((rows, count, count), np.float64)

    def apply(self, s: Any, b: Any) -> None:
        if self.leaf in lengths.MEMORY:
            lengths.apply(s, b, self.leaf)
            return
        slopes, left = self._slopes(s, b)
        uneven = slopes * left[:, None]
        found = {
            "climb": uneven.sum(axis=2),
            "curvature": slopes @ slopes.swapaxes(1, 2),
            "scatter": uneven @ uneven.swapaxes(1, 2),
        }
        for name, of_views in found.items():
            if s.memo["view"]:
                s.memo[name][b.selection] += of_views
            else:
                s.memo[name][0] += of_views.sum(axis=0, dtype=np.float64)

    def _slopes(self, s: Any, b: Any) -> tuple[Any, Any]:
        """Return dA/dtheta_k (B, K, n n) and sqrt I - A (B, n n), A = sqrt Ihat; zero on masked pixels."""
        xp, value = s.xp, getattr(s, self.leaf)
        there = b.at_detector(b.exit_waves(follows=self.leaf), True)
        predicted = xp.maximum(intensity_of(s, b, there), np.finfo(s.real_dtype).tiny ** 0.5)
        amplitude = xp.sqrt(predicted)
        mask = s.measured.mask_of(b.selection)
        shape = (b.size, *value.shape[1:]) if s.memo["view"] else value.shape
        count = s.memo["climb"].shape[1]
        slopes = []
        for k in range(count):
            unit = np.zeros((shape[0] if s.memo["view"] else 1, count))
            unit[:, k] = 1
            moved = b.at_detector(b.tangent({self.leaf: s.backend.asarray(unit.reshape(shape))}), True)
            change = b.seen((there.conj() * moved).real.sum(axis=1)) / amplitude
            slopes.append(change if mask is None else change * mask)
        left = xp.sqrt(b.measured(predicted)) - amplitude
        flat = xp.stack(slopes, axis=1).reshape(b.size, count, -1)
        return flat, left.reshape(b.size, -1)

    def finish(self, s: Any) -> None:
        if self.leaf in lengths.MEMORY:
            found, value = lengths.conclude(s, self.leaf, self.gain), getattr(s, self.leaf)
            self._move(s, value * (1 + found.step))
            self._record(s, found.error * float(s.backend.to_host(value).mean()))
            return
        xp, value = s.xp, getattr(s, self.leaf)
        climb, curvature, scatter = (s.memo[name] for name in ("climb", "curvature", "scatter"))
        if not s.memo["view"]:
            climb, curvature, scatter = (s.total(a) for a in (climb, curvature, scatter))
        count = climb.shape[1]
        ridge = _RIDGE * xp.trace(curvature, axis1=1, axis2=2)[:, None, None] / count + np.finfo(float).tiny
        held = xp.linalg.inv(curvature + ridge * xp.eye(count))
        step = (held @ climb[..., None])[..., 0]
        gains, last = getattr(s, f"{self.leaf}_gain"), getattr(s, f"{self.leaf}_step")
        along = (step * last).sum(axis=1)
        gains = xp.clip(gains * xp.where(along > 0, _UP, xp.where(along < 0, _DOWN, 1.0)), _LEAST, _MOST)
        setattr(s, f"{self.leaf}_gain", gains)
        setattr(s, f"{self.leaf}_step", step)
        step = (gains[:, None] * step).reshape(value.shape)
        if not s.memo["view"]:
            most = xp.where(value != 0, _LARGEST * xp.abs(value), np.inf)
            step = xp.clip(step, -most, most)
        self._move(s, value + step.astype(value.dtype))
        covariance = held @ scatter @ held
        error = None if s.memo["view"] else s.xp.trace(covariance[0]) / count
        self._record(s, None if error is None else float(s.backend.to_host(error)) ** 0.5)

    def _move(self, s: Any, value: Any) -> None:
        """Take over the new value; where it changes the pixel at the sample, measure what lies there anew."""
        before = None if self.leaf not in LENGTHS else s.store.geometry.sample_pixel(s.n)
        setattr(s, self.leaf, value)
        if before is None or (pixel := s.store.geometry.sample_pixel(s.n)) == before:
            return
        middle = s.backend.asarray(s.store.middle)
        positions = middle + (s.positions - middle) * (before / pixel)
        check_inside(s, positions, self.leaf)
        s.positions = positions
        if s.has("travel"):
            s.travel = s.travel * (before / pixel)

    def _record(self, s: Any, error: float | None) -> None:
        value = getattr(s, self.leaf)
        mean = s.total(value.sum(axis=0)) / s.measured.view_count if s.memo.get("view") else value
        s.record(self.leaf, float(s.backend.to_host(mean).mean()))
        s.record(f"{self.leaf}_iteration", s.memo["number"])
        if error is not None:
            s.record(f"{self.leaf}_error", error)


def _is_freedom(s: Any, leaf: str) -> bool:
    """Say whether a number of the model can be changed, with the object, without a change of any pattern."""
    return leaf == "tilt" and isinstance(s.model.owner(leaf), Slices)


def check_inside(s: Any, positions: Any, leaf: str) -> None:
    """Raise ValueError where positions (N, 2) px in other pixels leave the frame of the object."""
    host = s.backend.to_host(positions)
    low, high = -host.min(axis=0), host.max(axis=0) - np.array(s.store.largest_corner)
    if (gone := max(low.max(), high.max())) > 0:
        raise ValueError(
            f"Refine({leaf!r}): in pixels of the {leaf.replace('_', ' ')} found, the scan leaves the frame of the "
            f"object by {gone:.1f} px: give it more room, {option('margin', s.n // 4 + 2 * math.ceil(gone))}"
        )
