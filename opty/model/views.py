"""ModelViews: some views in a pass through a model, with the intermediate results that the pass needs."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from opty.algebra.leaf import Leaf
from opty.kernels.engine import Engine
from opty.model.compose import Model
from opty.model.geometry_numbers import LENGTHS, relative_slopes
from opty.model.moved_beam import MovedBeam
from opty.model.sums import state_power


class Windows(NamedTuple):
    """Windows (B, n, n), or (B, L, n, n) of slices, in the place of an image on the frame: a change that differs from
    view to view.
    """

    of_views: Any


class ModelViews(MovedBeam):
    """B views for a model: their windows, and the waves through its elements.

    Attributes
    ----------
    model : Model; backend, xp : of the arrays; n : pixels along an edge of a window; dtype : of the waves; threads.
    estimates : the leaves of the state by name. selection : the views as an index into arrays of all views.
    corners (B, 2) int : the whole-pixel windows nearest to the positions; fraction (B, 2) : the remainder, in
    [-1/2, 1/2], or None where all are whole. brightness (B, 1, 1) : the root of the views' intensity factors, or None.
    geometry, propagator : of the experiment. memory : dict of the element whose map is called. sweep : dict that lasts
    as long as the sweep, for values common to all batches. moves : ``Moves`` where a stage moves during the views
    (``FlyScan``), else None; an element that makes more states repeats its places. incident (B or 1, S, n, n) : the
    waves that fell on the object when exit waves were made. middle (2,) : the place [px] that stays where a length of
    the geometry changes the pixel, in which positions are measured.
    """

    model: Model
    backend: ModuleType
    n: int
    dtype: np.dtype
    threads: int
    estimates: dict[str, Any]
    selection: Any
    corners: Any
    fraction: Any
    brightness: Any
    geometry: Any
    propagator: Any
    middle: Any
    memory: dict[str, Any]
    sweep: dict[Any, Any]
    size: int
    deterministic: bool = False
    engine: Engine | None = None  # the kernels of a run, where they may be used

    def __init__(self, wanted: frozenset[str] = frozenset()):
        self.fields: dict[str, Any] = {}
        self.wanted = wanted  # leaves of which a step needs the sums
        self.followed = wanted  # and those along which derivatives are taken of the last exit waves
        self._memories: list[dict[str, Any]] | None = None
        self._sums: dict[str, tuple[Any, Any]] = {}
        self._summed: Any = None
        self._change: tuple[Any, Any] = (None, None)
        self.moves: Any = None
        self.incident: Any = None
        self.met: list[Any] = []  # of a fused step through slices: the waves that meet the second and those behind it

    # -- what elements use

    @property
    def xp(self) -> Any:
        """The array module: numpy or cupy."""
        return self.backend.xp

    @property
    def real_dtype(self) -> np.dtype:
        """Real type that goes with ``dtype``."""
        return np.dtype(self.dtype.type(0).real.dtype)

    def leaf(self, name: str) -> Any:
        """Return the current value of a leaf."""
        return self.estimates[name]

    def rows(self, name: str) -> Any:
        """Return the views' rows (B, ...) of a leaf over views."""
        return self.estimates[name][self.selection]

    def wants(self, name: str) -> bool:
        """Return whether this backward pass computes the sums of a leaf."""
        return name in self._needed

    @property
    def last(self) -> bool:
        """Whether no element in front of this one has a leaf whose sums are needed, so that chi and power are not."""
        return self._last

    def add(self, name: str, direction: Any, weight: Any = None) -> None:
        """Give the adjoint of the tangent with respect to a leaf, applied to chi, and its weight.

        For a leaf on the frame both are windows (B, ..., n, n), or (1, ..., n, n) where all views have the same; for
        one over views, rows (B, ...); for any other, the direction has its shape, summed over the views of the batch,
        and the weight is that of each view (B, n, n). A leaf of numbers has no weight: its curvature comes from
        ``tangent``. What several elements add sums up.
        """
        if name in self._sums:
            more, heavier = self._sums[name]
            direction = direction + more
            weight = heavier if weight is None else weight if heavier is None else weight + heavier
        self._sums[name] = direction, weight

    def windows(self, image: Any) -> Any:
        """Return the views' windows of an image on the frame: (H, W) -> (B, n, n), (L, H, W) -> (B, L, n, n)."""
        if isinstance(image, Windows):
            return image.of_views
        if image.ndim == 2:
            return self.backend.take_windows(image, self.corners, self.n)
        out = self.xp.empty((self.size, len(image), self.n, self.n), image.dtype)
        for k, one in enumerate(image):
            out[:, k] = self.windows(one)
        return out

    def place(self, image: Any, windows: Any) -> None:
        """Add windows (B or 1, n, n) to an image (H, W) where the views lie; (B or 1, L, n, n) to (L, H, W)."""
        if image.ndim == 2:
            self.backend.add_windows(image, self.corners, windows, self.deterministic)
            return
        for k, one in enumerate(image):
            self.place(one, self.xp.ascontiguousarray(windows[:, k]))

    @property
    def patches(self) -> Any:
        """Object windows (B, n, n), or (B, L, n, n) of several slices."""
        return self.opened("patches")

    @property
    def illum(self) -> Any:
        """The probe as each view sees it, (B or 1, M, n, n)."""
        return self.opened("illum")

    def opened(self, name: str) -> Any:
        """Return patches or illum, from now on as they are now."""
        if name not in self.fields:
            made = self.windows(self.leaf("obj")) if name == "patches" else self.model.path[0].illuminate(self)
            self.fields[name] = made
            if name == "illum" and self.model.moves_beam:
                self.fields["illum_spectrum"] = self._illum_spectrum()
        return self.fields[name]

    @cached_property
    def illum_power(self) -> Any:
        """Sum over modes of |illum|^2, (B or 1, n, n) real."""
        return state_power(self.xp, self.illum)

    @cached_property
    def patch_power(self) -> Any:
        """|patches|^2, times the view's intensity factor where there are any, (B, n, n) real."""
        a = self.xp.abs(self.patches)
        if self.brightness is not None:
            a *= self.brightness
        a *= a
        return a

    # -- the three passes

    def exit_waves(self, follows: str = "") -> Any:
        """Return the exit waves (B, S, n, n) of the current leaves; ``follows``: the leaf of the next ``tangent``."""
        wave: Any = None
        self.followed = self.wanted | {follows}
        self._memories, self.moves = [], None
        for element in self.model.path:
            self._memories.append({})
            self.memory = self._memories[-1]
            if element is self.model.sample:
                self.incident = wave
            wave = element.forward(self, wave)
        self.forget_sums()
        remembered = (kept for memory in self._memories for kept in memory.values())
        return wave.copy() if any(kept is wave for kept in remembered) else wave  # the caller may overwrite them

    def tangent(self, changes: dict[str, Any], object_follows: bool = False) -> Any:
        """Return the change (B, S, n, n) of the exit waves for small changes of leaves, by name.

        Each has the shape of its leaf; of a leaf over views, positions too, it is the views' rows (B, ...). The
        change of a leaf on the frame may be ``Windows``, which differ from view to view. Lengths of the geometry may be
        among them; ``object_follows`` : where they change the pixel at the sample, the object keeps
        its place in metres beside the positions, and what that changes in the windows is part of ``changes``.
        """
        dwave, changes = None, self._with_pixel(changes, object_follows)
        for element, memory in zip(self.model.path, self._passed(), strict=True):
            self.memory = memory
            dwave = element.tangent(self, dwave, changes)
        if dwave is None:
            raise ValueError(f"the model {self.model!r} has none of the leaves {sorted(changes)}")
        return dwave

    def gather(self, name: str, chi: Any) -> tuple[Any, Any]:
        """Return direction and weight of a leaf for chi (B, S, n, n) at the exit; shapes as for ``add``.

        The direction is the adjoint of ``tangent`` applied to chi. One pass back makes the sums of all leaves that the
        steps of the sweep need; each is given away once, for whoever asks may overwrite it.
        """
        if not _same(self._summed, chi) or name not in self._sums:
            self._pass_back(chi, self.wanted | {name})
        return self._sums.pop(name)

    def changed(self, waves: Any) -> Any:
        """Return waves (B, S, n, n) minus the exit waves of the leaves as the batch opened with them.

        One array for each array of waves, so that the sums of several leaves come from one pass back.
        """
        if not _same(self._change[0], waves):
            change = waves - self.exit_waves()
            self._change = waves, change
        return self._change[1]

    def _pass_back(self, chi: Any, needed: frozenset[str]) -> None:
        memories, power = self._passed(), None
        self._sums, self._needed = {}, needed
        brings = [frozenset(leaf.name for leaf in e.leaves) | e.moved_by for e in self.model.path]
        given = chi
        stretched = [name for name in LENGTHS & needed if self._stretches(name)]
        self._needed = needed = needed | ({"positions", "travel"} if stretched else set())
        for k in range(len(brings) - 1, -1, -1):
            self._last = not any(brings[j] & needed for j in range(k))
            self.memory = memories[k]
            chi, power = self.model.path[k].backward(self, chi, power)
            if self._last:
                break
        for name in stretched:
            along = sum((a * self._sums[of][0]).sum() for of, a in self._measured_in_pixels() if of in self._sums)
            self.add(name, (-relative_slopes(self.geometry, name)[0] * along).reshape(1))
        self._summed = given

    # -- lengths of the geometry, which change the pixel at the sample

    def _stretches(self, name: str) -> bool:
        """Whether a number of the geometry changes the pixel at the sample."""
        return name in LENGTHS and relative_slopes(self.geometry, name)[0] != 0

    def _measured_in_pixels(self) -> list[tuple[str, Any]]:
        """Return the leaves over views whose numbers shrink as the pixel grows, and by what (B, 2) of its logarithm."""
        places = self.corners if self.fraction is None else self.corners + self.fraction
        found = [("positions", places - self.middle)]
        return [*found, ("travel", self.rows("travel"))] if "travel" in self.estimates else found

    def _with_pixel(self, changes: dict[str, Any], object_follows: bool) -> dict[str, Any]:
        """Return changes with those of positions, and of what the stage moves, that lengths make by the pixel."""
        for name in changes.keys() & LENGTHS:
            if self._stretches(name):
                grown = relative_slopes(self.geometry, name)[0] * self.xp.asarray(changes[name]).reshape(())
                for of, places in self._measured_in_pixels()[int(object_follows) :]:
                    more = -grown * places
                    changes = {**changes, of: more + changes[of] if of in changes else more}
        return changes

    def _passed(self) -> list[dict[str, Any]]:
        """Return the intermediate results of the forward pass, one dict for each element."""
        if self._memories is None and self.model.thin_object and not self.wanted & (LENGTHS | {"positions"}):
            self._memories = [{}, {"incident": self.illum}, {}]  # all that they need, without computing waves
        if self._memories is None:
            self.exit_waves()
        assert self._memories is not None
        return self._memories

    def forget_sums(self) -> None:
        """Forget what was made of chi or of waves: somebody may have written into them."""
        self._sums, self._summed = {}, None
        self._change = (None, None)

    def with_estimates(self, **changed: Any) -> ModelViews:
        """Return the same views with other leaves, to compute the waves of these."""
        other = copy(self)
        other.estimates = {**self.estimates, **changed}
        other.fields = {}
        for name in ("illum_power", "patch_power"):
            other.__dict__.pop(name, None)
        other._memories = None
        other.sweep = self.sweep if changed.keys() <= {"obj", "probe"} else {}
        other.forget_sums()
        return other

    # -- to the detector and back

    def at_detector(self, waves: Any, overwrite: bool = False) -> Any:
        """Return the waves at the detector of exit waves (B, S, n, n)."""
        return self.propagator.forward(waves, self.fraction, overwrite, self.threads)

    def from_detector(self, there: Any, overwrite: bool = True) -> Any:
        """Return the adjoint of ``at_detector``."""
        return self.propagator.adjoint(there, self.fraction, overwrite, self.threads)

    def intensity(self, there: Any) -> Any:
        """Return what the detector sees (B, n, n) of waves (B, S, n, n) that reach it, without the background."""
        return self.seen(state_power(self.xp, there))

    def seen(self, intensity: Any) -> Any:
        """Return what the detector makes of intensities (B, n, n), or of a change of them."""
        for element in self.model.detection:
            intensity = element.see(self, intensity)
        return intensity

    def compared(self, measured: Any, predicted: Any) -> Any:
        """Return what predicted intensities (B, n, n), with the background, are compared with."""
        for element in self.model.detection:
            measured = element.compared(self, measured, predicted)
        return measured

    def pulled(self, values: Any) -> Any:
        """Return the transpose of ``seen`` applied to values (B, n, n) of the pixels."""
        for element in reversed(self.model.detection):
            values = element.pull(self, values)
        return values

    def number_leaf(self, name: str) -> Leaf | None:
        """Return the declaration of a leaf that the model brings and that is no image."""
        owner = self.model.owner(name)
        found = next((leaf for leaf in owner.leaves if leaf.name == name), None) if owner is not None else None
        return found if found is not None and found.grid == "none" else None


def _same(kept: Any, given: Any) -> bool:
    """Return whether two arrays are one, or two views of the same values: steps that only read get views."""
    if kept is given or kept is None:
        return kept is given
    if not isinstance(kept, np.ndarray) or not isinstance(given, np.ndarray):
        return False
    one, other = kept.__array_interface__, given.__array_interface__
    return all(one[key] == other[key] for key in ("typestr", "shape", "strides")) and one["data"][0] == other["data"][0]
