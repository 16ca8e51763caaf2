"""The sample as one thin slice, and as a mixture of such."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.model.element import Element
from opty.model.moved_beam import Moves
from opty.model.scan import Scan
from opty.model.sums import state_power, state_sum, times
from opty.model.views import ModelViews

_FIRST_STATES = 0.1  # rms of the states of a mixture behind the first, which is one
OBJ = Leaf("obj", "slice row col", dtype="complex", grid="frame", scale=-1, role="estimate")


class Object(Element):
    """A thin object: psi = O(r + w_j) psi_in, windows of the transmission O at the whole-pixel places w_j.

    With ``states`` = L above 1 it is an incoherent mixture, an object that changes within a view: psi_sl =
    O_l(r + w_j) psi_s for each incoming state s, and the intensities of all add up, I = sum_sl |F P_s O_l|^2.

    Parameters
    ----------
    states : L, how many.

    Leaf: obj (H, W) complex (no unit), which starts at one; (L, H, W) of a mixture, whose first state starts at one and
    the others as noise of 0.1 rms, seeded: equal states would stay equal. No pattern tells the O_l from
    sum_k u_lk O_k, u unitary: ``OrthogonaliseStates`` and pictures choose those that are orthogonal, the strongest
    first. A u that varies slowly over the object changes patterns little, and may be left in what is found.
    Source: Rodenburg, Faulkner, Appl. Phys. Lett. 85, 4795 (2004), Eq. 1; mixtures: Thibault, Menzel, Nature 494, 68
    (2013); Li, Edo, Batey, Rodenburg, Maiden, Opt. Express 24, 9038 (2016).
    """

    states: int = 1
    leaves = (OBJ,)
    closed = True

    def check(self) -> None:
        if self.states < 1:
            raise ValueError(f"Object(states={self.states}): give a number of states from 1 on")

    @property
    def thin(self) -> bool:  # type: ignore[override]
        """One state is O of the exit waves P O."""
        return self.states == 1

    @property
    def mixture(self) -> bool:  # type: ignore[override]
        """Whether it has several states."""
        return self.states > 1

    def initial(self, name: str, scan: Scan) -> np.ndarray:
        if self.states == 1:
            return np.ones(scan.shape, scan.dtype)
        rng = np.random.default_rng([scan.seed, self.states, 1])
        noise = rng.normal(size=(2, self.states, *scan.shape)) * (_FIRST_STATES / math.sqrt(2))
        first = noise[0] + 1j * noise[1]
        first[0] = 1
        return first.astype(scan.dtype)

    def states_behind(self, count: int) -> int:
        return count * self.states

    def forward(self, v: ModelViews, wave: Any) -> Any:
        v.memory["incident"] = wave
        if not self.mixture:
            return wave * v.patches[:, None]
        if v.moves is not None:
            v.moves = Moves(v.xp.repeat(v.moves.places, self.states), v.moves.travel)
        return self._behind(v, wave, v.patches)

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        out = None if dwave is None else self._behind(v, dwave, v.patches)
        if "obj" in changes:
            more = self._behind(v, v.memory["incident"], v.windows(changes["obj"]))
            out = more if out is None else out + more
        return out

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        incident = v.memory["incident"]
        if self.mixture:
            return self._backward_each(v, chi, power)
        if v.wants("obj"):
            v.add("obj", state_sum(incident, chi), times(power, incident_power(v, incident)))
        if v.last:
            return None, None
        seen = v.xp.abs(v.patches)
        seen *= seen
        return v.patches.conj()[:, None] * chi, times(power, seen)

    def _behind(self, v: ModelViews, wave: Any, windows: Any) -> Any:
        """Return waves (B or 1, S, n, n) times windows (B, n, n), or (B, L, n, n) of states: (B, S L, n, n)."""
        if not self.mixture:
            return wave * windows[:, None]
        return (wave[:, :, None] * windows[:, None]).reshape(len(windows), -1, v.n, v.n)

    def _backward_each(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        incident, windows = v.memory["incident"], v.patches
        each = chi.reshape(len(chi), -1, self.states, v.n, v.n)
        if v.wants("obj"):
            direction = v.xp.empty((len(chi), self.states, v.n, v.n), v.dtype)
            for k in range(self.states):
                direction[:, k] = state_sum(incident, each[:, :, k])
            weight = times(power, incident_power(v, incident))[:, None]  # all states see the same light
            v.add("obj", direction, v.xp.broadcast_to(weight, (len(weight), self.states, v.n, v.n)))
        if v.last:
            return None, None
        out: Any = 0.0
        for k in range(self.states):
            back = windows[:, k, None].conj() * each[:, :, k]
            out = back + out
        return out, times(power, state_power(v.xp, windows))


def transmission(obj: Any, mixture: bool) -> Any:
    """Return what an object (H, W) lets through; of slices (L, H, W) their product, as if they touched.

    Of the states (L, H, W) of a ``mixture`` it is sqrt(sum_l |O_l|^2), real: the magnitude that the light sees.
    """
    if mixture:
        return (obj.real**2 + obj.imag**2).sum(axis=0) ** 0.5
    return obj if obj.ndim == 2 else obj.prod(axis=0)


def incident_power(v: ModelViews, incident: Any) -> Any:
    """Return sum_s |incident_s|^2 of the waves (B or 1, S, n, n) that meet the object."""
    return v.illum_power if incident is v.fields.get("illum") else state_power(v.xp, incident)
