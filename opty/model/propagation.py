"""From the exit waves to the detector: which of the propagators a model means. All of them are unitary."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from opty.errors import RecipeError
from opty.model.element import Element
from opty.model.free_space import phase_per_metre, phase_per_pixel
from opty.model.geometry_numbers import LENGTHS, added, relative_slopes
from opty.model.probe import slopes
from opty.model.views import ModelViews
from opty.physics.propagation import phase_ramp


class Propagation(Element, register=False):
    """What the propagators share. The maps between exit waves and detector are those of ``opty.physics.propagation``.

    Elements speak of exit waves: chi is brought back from the detector before it enters the model, and a change of the
    exit waves is brought to the detector after it leaves.
    """

    kind: ClassVar[str]
    propagates = thin = closed = True
    kept = 0.0

    def check_before_run(self, geometry: Any, n: int) -> None:
        kind = "far" if geometry is None else geometry.propagation
        if kind != self.kind:
            raise RecipeError(
                f"the model has {self!r} but the geometry of the measurement says propagation={kind!r}, which is "
                f"{propagation_of(geometry)!r}: write that, or leave it out"
            )

    def forward(self, v: ModelViews, wave: Any) -> Any:
        return wave

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        return dwave

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        return chi, power


class FarField(Propagation):
    """Propagate to a detector far away, or in the focal plane of a lens (Fraunhofer): Psi = F psi."""

    kind = "far"


class ConeBeam(Propagation):
    """Propagate a diverging beam to the detector: Psi = F psi times its curvature (Guzzi et al. 2022, supplement)."""

    kind = "cone"


class NearField(Propagation):
    """Propagate over the effective distance by the angular spectrum (Fresnel regime).

    Psi = F^-1 [T(q) exp(2 pi i f_j q) F psi].

    The detector stands still while the sample moves: the wave of view j is moved back by the fraction f_j of a pixel by
    which its probe was moved, so that the positions enter here too. Of a stage that moves during the view
    (``FlyScan``) each state is moved back by its own part of the way.
    Source: Paganin, Coherent X-ray Optics (2006), sec. 1.8.
    """

    kind = "near"
    moved_by = LENGTHS | {"positions"}

    def forward(self, v: ModelViews, wave: Any) -> Any:
        if v.moves is not None:
            wave = self._back(v, wave, -1.0)
        if v.followed & (LENGTHS | {"positions", "travel"}):
            v.memory["exit"] = wave
        return wave

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        if v.moves is not None and dwave is not None:
            dwave = self._back(v, dwave, -1.0)
        for name, share in self._shares(v).items():
            if name in changes:
                row, col = self._slopes(v)
                move = v.xp.asarray(changes[name], v.real_dtype)[:, :, None, None, None]
                moved = share * (row * move[:, 0] + col * move[:, 1])
                dwave = added(dwave, moved)
        for name in changes.keys() & LENGTHS:
            dwave = added(dwave, self._stretched(v, name) * v.xp.asarray(changes[name], v.real_dtype)[0])
        return dwave

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        for name, share in self._shares(v).items():
            if v.wants(name):
                along = [(share * (slope.conj() * chi).real).sum(axis=(1, 2, 3)) for slope in self._slopes(v)]
                v.add(name, v.xp.stack(along, axis=1))
        for name in LENGTHS:
            if v.wants(name):
                v.add(name, (self._stretched(v, name).conj() * chi).real.sum(dtype=np.float64).reshape(1))
        return chi if v.moves is None else self._back(v, chi, 1.0), power

    def _shares(self, v: ModelViews) -> dict[str, Any]:
        """Return by how much each state moves with a leaf, 1 or (S, 1, 1)."""
        if v.moves is None:
            return {"positions": 1}
        return {"positions": 1, "travel": v.moves.places.astype(v.real_dtype)[:, None, None]}

    def _slopes(self, v: ModelViews) -> tuple[Any, Any]:
        if "slopes" not in v.memory:
            v.memory["slopes"] = slopes(v, v.memory["exit"], 1.0)
        return v.memory["slopes"]

    def _stretched(self, v: ModelViews, name: str) -> Any:
        """Return the derivative by a length, brought back from the detector: F^-1 [i d(k z)/dtheta F psi]."""
        known = v.memory.setdefault("stretched", {})
        if name not in known:
            if (key := (self, name, v.n)) not in v.sweep:
                of_pixel, of_distance = relative_slopes(v.geometry, name)
                turns = of_distance * phase_per_metre(v.geometry, v.n) + of_pixel * phase_per_pixel(v.geometry, v.n)
                v.sweep[key] = v.backend.asarray(1j * v.geometry.effective_distance * turns, dtype=v.dtype)
            spectrum = v.backend.fft2(v.memory["exit"], False, v.threads)
            spectrum *= v.sweep[key]
            known[name] = v.backend.ifft2(spectrum, True, v.threads)
        return known[name]

    def _back(self, v: ModelViews, waves: Any, sign: float) -> Any:
        """Return waves (B, S, n, n) moved by ``sign`` times what the stage moves during the view."""
        ramps = v.memory.setdefault("ramps", {})
        if sign not in ramps:
            way = sign * v.moves.places[:, None] * v.moves.travel[:, None]
            states = way.shape[:2]
            row, col = phase_ramp(way.reshape(-1, 2), v.n, v.xp, v.dtype)
            ramps[sign] = row.reshape(*states, v.n, 1), col.reshape(*states, 1, v.n)
        spectrum = v.backend.fft2(waves, False, v.threads)
        for ramp in ramps[sign]:
            spectrum *= ramp
        return v.backend.ifft2(spectrum, True, v.threads)


def propagation_of(geometry: Any) -> Propagation:
    """Return the propagation that a geometry names; the far field where there is none."""
    kind = "far" if geometry is None else geometry.propagation
    return next(cls() for cls in (FarField, ConeBeam, NearField) if cls.kind == kind)
