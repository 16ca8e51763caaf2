"""Coarse: a recipe at a lower resolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from opty.algebra.operator import Identity, Operator
from opty.data import PtychoData
from opty.data.parts import coarser, kept_cone, kept_light, middle, near
from opty.errors import RecipeError
from opty.operators import variation
from opty.operators.position.check import GIVEN
from opty.operators.position.refinement import kept_inside
from opty.runtime.nested import Nested, run_inside, take_record
from opty.runtime.nodes import steps_of
from opty.runtime.plan import plan
from opty.state import BareState, handle

_BLUR = 0.4  # standard deviation, in coarse pixels, of what an object is smoothed by before it is sampled
_EDGE = 16  # pixels along an edge of a level that is worth it
_CONE = 0.95  # of the light of the beam's cone in a level that is worth it
_UP = frozenset({"obj", "probe", "positions", "background", "intensity_factors"})


class Coarse(Nested, slots=GIVEN):
    """Run a recipe at 1/factor of the resolution, and transfer its changes back.

    In the far field and the cone beam the middle of each pattern is kept, m = n // factor pixels along an edge, so that
    pixels at the sample are n / m times as wide; in the near field patterns are binned. The probe goes down and up as
    its spectrum, (n / m)^2 as bright a pixel; the object smoothed and sampled, and up by cubic splines; positions by
    m / n. What comes up is the change that the recipe made: detail that the coarse pixels do not resolve stays, and
    ``Coarse(2, Identity())`` changes nothing. The mean of the positions stays. Memory of operators does not go down,
    but for the places at which a refinement of positions began.

    A coarse iteration takes a factor^2 less time and finds its way from farther off: ``ePIE() ** 20 * Coarse(2, ePIE()
    ** 40)``. Levels nest: ``Coarse(2, A * Coarse(2, B))`` runs B at a quarter.

    Parameters
    ----------
    factor : how many times coarser, from 2 up.
    recipe : what runs there; its iterations count. One that searches, with ``BestOf`` and its like, warns of no misfit
        that rises on the way.
    keep : the step is left out where the middle of the patterns keeps less than this share of the photons, or less than
        16 pixels along an edge, or cuts off the cone of the beam (where the mean pattern has a tenth of its brightest
        pixel), or near-field patterns do not divide evenly; 0 for never. Without the cone, probe and object have
        nothing to do with each other.

    Reads and writes obj (H, W), probe (M, n, n), positions (N, 2) px and all other estimates that the recipe writes.
    Raises RecipeError where fewer than 8 pixels are left, where near-field patterns do not divide evenly, for objects
    that are not thin, and for ``Save`` inside.
    """

    factor: int
    recipe: Operator
    keep: float = 0.0
    scratch_arrays = 1.0

    def check(self) -> None:
        if self.factor < 2:
            raise ValueError(f"Coarse({self.factor}, ...): give how many times coarser, from 2 up")
        if not 0 <= self.keep <= 1:
            raise ValueError(f"Coarse(keep={self.keep}): give a share of the photons from 0 to 1")
        super().check()

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        up = self.recipe_writes & _UP
        return self.reading | up, up | ({GIVEN.name} if GIVEN.name in self.recipe_writes else set())

    @property
    def _searches(self) -> bool:
        """Whether a step of the recipe tries other positions (``BestOf``, ``HoldOut``): misfits rise behind it."""
        return any(isinstance(one.op, Nested) and not isinstance(one.op, Coarse) for one in steps_of(plan(self.recipe)))

    def apply(self, s: Any) -> None:
        store = s.store
        if not store.model.thin_object:
            raise RecipeError(f"{self!r}: the model {store.model!r} is no thin object; Coarse needs a thin one")
        if self.keep and not worth(store.data, self.factor, self.keep):
            return
        level = Level(store, self.factor)
        before = level.down()
        inside = None if self._searches else f", inside Coarse({self.factor}, ...)"
        after = run_inside(self.recipe, before, s.memo["run"], inside)
        take_record(s, after)
        level.bring_up(s, before, after, self.recipe_writes)


def worth(data: PtychoData, factor: int, keep: float) -> bool:
    """Say whether a coarse level has 16 pixels along an edge, the cone of the beam, and this share of the photons."""
    if data.n // factor < _EDGE or (near(data) and data.n % factor):
        return False
    return kept_cone(data, factor) >= _CONE and kept_light(data, factor) >= keep


class Level:
    """The way from a state to a coarser one, and back. On the host: it is gone once, and not every iteration."""

    def __init__(self, store: Any, factor: int):
        self.store, self.data = store, coarser(store.data, factor)
        self.n, self.m = store.data.n, self.data.n
        self.ratio = self.n / self.m
        # A binned pixel lies in the middle of those that it is the sum of; in the far field the centres, n // 2, agree.
        self.beside = (factor - 1) / 2 if near(store.data) else 0.0
        self.turned = factor * (self.m // 2) - self.n // 2 + self.beside if near(store.data) else 0.0

    def down(self) -> BareState:
        """Return the coarse state."""
        store = self.store
        host = {name: store.backend.to_host(a) for name, a in store.leaves.items()}
        shape = [int(np.ceil(size / self.ratio)) + 1 for size in store.object_shape]
        leaves = {
            "obj": self._sampled(host["obj"], shape),
            "probe": self._cut(host["probe"]),
            "positions": self._place_down(host["positions"]),
        }
        if "background" in host:
            # In a state it lies in the order of the transform.
            leaves["background"] = store.backend.to_host(handle()(self.data, device="cpu")._live.leaves["background"])
        if "intensity_factors" in host:
            leaves["intensity_factors"] = host["intensity_factors"]
        if "opr_modes" in host:
            leaves |= {"opr_modes": self._cut(host["opr_modes"]), "opr_weights": host["opr_weights"]}
        if GIVEN.name in host:
            leaves[GIVEN.name] = self._place_down(host[GIVEN.name])
        largest = np.array(shape) - self.m
        leaves["positions"] = np.clip(leaves["positions"], 0, largest)
        origin = self._place_down(store.origin)
        record = {"seed": store.seed, "iteration": store.iteration, "history": store.history, "visits": store.visits}
        record["model"] = store.model
        machine = {"device": store.backend.name, "threads": store.threads, "deterministic": store.deterministic}
        return handle().restore(self.data, leaves, origin=origin, recipe=Identity(), **record, **machine)

    def bring_up(self, s: Any, before: BareState, after: BareState, written: frozenset[str]) -> None:
        """Transfer the changes of the recipe to the state ``s``."""
        backend = s.backend

        def change(name: str) -> np.ndarray:
            return after.numpy(name) - before.numpy(name)

        if "obj" in written:
            s.obj = s.obj + backend.asarray(self._interpolated(change("obj"), s.object_shape).astype(s.dtype))
        if "probe" in written:
            s.probe = s.probe + backend.asarray(self._padded(change("probe")).astype(s.dtype))
            if variation.varies(s):
                found = after.numpy("opr_modes"), after.numpy("opr_weights")
                self._bring_up_variation(s, before.numpy("opr_modes"), *found)
        if "positions" in written:
            if GIVEN.name in written and not s.has(GIVEN.name):
                s.create(GIVEN.name)
                s.position_given += s.positions
            moved = self.ratio * change("positions")
            s.positions = kept_inside(s, s.positions + backend.asarray(moved - moved.mean(axis=0)))
        if "intensity_factors" in written and "intensity_factors" in after._live.leaves:
            s.intensity_factors = backend.asarray(after.numpy("intensity_factors"))

    def _bring_up_variation(self, s: Any, before: np.ndarray, after: np.ndarray, weights: np.ndarray) -> None:
        """Take OPR modes and weights; the detail that modes had beyond the coarse pixels goes with the new weights."""
        host = s.backend.to_host
        old, detail = host(s.opr_weights).astype(np.float64), host(s.opr_modes) - self._padded(before)
        turn = np.linalg.pinv(weights.astype(np.float64)) @ old
        modes = self._padded(after) + np.tensordot(turn, detail, 1)
        s.opr_modes, s.opr_weights = s.backend.asarray(modes.astype(s.dtype)), s.backend.asarray(weights)
        variation.settle(s)

    def _place_down(self, corners: np.ndarray) -> np.ndarray:
        """Return window corners (..., 2) in coarse pixels."""
        if near(self.data):
            return corners / self.ratio
        return (corners + self.n // 2) / self.ratio - self.m // 2

    def _cut(self, probe: np.ndarray) -> np.ndarray:
        spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
        some = middle(self.n, self.m)
        spectrum *= self._ramp(1)
        cut = np.fft.ifft2(np.fft.ifftshift(spectrum[..., some, some], axes=(-2, -1)), norm="ortho")
        return np.fft.fftshift(cut, axes=(-2, -1)).astype(probe.dtype)

    def _padded(self, probe: np.ndarray) -> np.ndarray:
        spectrum = np.zeros((*probe.shape[:-2], self.n, self.n), complex)
        some = middle(self.n, self.m)
        moved = np.fft.ifftshift(probe, axes=(-2, -1))
        spectrum[..., some, some] = np.fft.fftshift(np.fft.fft2(moved, norm="ortho"), axes=(-2, -1))
        spectrum *= self._ramp(-1)
        return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))

    def _ramp(self, sign: int) -> np.ndarray:
        """Return the factor (n, n) of a spectrum whose image is looked at ``turned`` pixels further on."""
        one = np.exp(sign * 2j * np.pi * np.fft.fftshift(np.fft.fftfreq(self.n)) * self.turned)
        return one[:, None] * one

    def _sampled(self, obj: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Return the object at the places of coarse pixels, smoothed over about one of them."""
        sigma = (*[0] * (obj.ndim - 2), _BLUR * self.ratio, _BLUR * self.ratio)
        smooth = gaussian_filter(obj.astype(complex), sigma, mode="nearest")
        return _looked_up(smooth, shape, lambda k: k * self.ratio + self.beside).astype(obj.dtype)

    def _interpolated(self, obj: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        return _looked_up(obj.astype(complex), shape, lambda k: (k - self.beside) / self.ratio)


def _looked_up(images: np.ndarray, shape: Sequence[int], place: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return images (..., H, W) at the places ``place(k)`` of pixels k of ``shape``, by cubic splines."""
    rows, columns = (place(np.arange(size, dtype=float)) for size in shape)
    grid = np.meshgrid(rows, columns, indexing="ij")
    flat = images.reshape(-1, *images.shape[-2:])

    def at(image: np.ndarray) -> np.ndarray:
        return map_coordinates(image, grid, order=3, mode="nearest")

    return np.array([at(a.real) + 1j * at(a.imag) for a in flat]).reshape(*images.shape[:-2], *shape)
