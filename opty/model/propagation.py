"""From the exit waves to the detector: which of the propagators a model means. All of them are unitary."""

from __future__ import annotations

from typing import Any, ClassVar

from opty.errors import RecipeError
from opty.model.element import Element
from opty.model.probe import slopes
from opty.model.views import ModelViews


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
    which its probe was moved, so that the positions enter here too.
    Source: Paganin, Coherent X-ray Optics (2006), sec. 1.8.
    """

    kind = "near"
    moved_by = frozenset({"positions"})

    def forward(self, v: ModelViews, wave: Any) -> Any:
        if "positions" in v.wanted:
            v.memory["exit"] = wave
        return wave

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        if "positions" not in changes:
            return dwave
        row, col = slopes(v, v.memory["exit"], 1.0)
        move = v.xp.asarray(changes["positions"], v.real_dtype)[:, :, None, None, None]
        moved = row * move[:, 0] + col * move[:, 1]
        return moved if dwave is None else dwave + moved

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        if v.wants("positions"):
            along = [(slope.conj() * chi).real.sum(axis=(1, 2, 3)) for slope in slopes(v, v.memory["exit"], 1.0)]
            v.add("positions", v.xp.stack(along, axis=1))
        return chi, power


def propagation_of(geometry: Any) -> Propagation:
    """Return the propagation that a geometry names; the far field where there is none."""
    kind = "far" if geometry is None else geometry.propagation
    return next(cls() for cls in (FarField, ConeBeam, NearField) if cls.kind == kind)
