"""The illumination: the probe, moved to each view."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.model.element import Element
from opty.model.scan import Scan
from opty.model.views import ModelViews

PROBE = Leaf("probe", "mode row col", unit="sqrt(photons)", dtype="complex", grid="window", scale=1, role="estimate")


class Probe(Element):
    """The probe: P_m(r - f_j), M incoherent modes, moved by the fraction f_j [px] by which view j lies off its window.

    Parameters: modes, how many; None for as many as the starting probe has, else one.
    Leaf: probe (M, n, n) complex [sqrt(photons)].
    Positions enter here: d/dr_a of the moved probe w is F^-1 [-2 pi i q_a F w].
    Source: Thibault, Menzel, Nature 494, 68 (2013) for the modes.
    """

    modes: int | None = None
    leaves = (PROBE,)
    source = thin = closed = True
    moved_by = frozenset({"positions"})

    def check(self) -> None:
        if self.modes is not None and self.modes < 1:
            raise ValueError(f"Probe(modes={self.modes}): give a number of modes from 1 on")

    def initial(self, name: str, scan: Scan) -> np.ndarray:
        return scan.probe(self.modes)

    def states(self, count: int) -> int:
        return count

    def forward(self, v: ModelViews, wave: Any) -> Any:
        return v.illum

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        out = v.as_seen(changes["probe"]) if "probe" in changes else None
        if "positions" in changes:
            row, col = self._slopes(v)
            move = v.xp.asarray(changes["positions"], v.real_dtype)[:, :, None, None, None]
            moved = row * move[:, 0] + col * move[:, 1]
            out = moved if out is None else out + moved
        return out

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        if v.wants("positions"):
            along = [(slope.conj() * chi).real.sum(axis=(1, 2, 3)) for slope in self._slopes(v)]
            v.add("positions", v.xp.stack(along, axis=1))
        if v.wants("probe"):
            weight = v.xp.ones((1, v.n, v.n), v.real_dtype) if power is None else power
            if v.brightness is not None:
                weight = weight * v.brightness**2
            v.add("probe", v.on_source(chi), v.xp.broadcast_to(weight, (v.size, v.n, v.n)))
        return None, None

    def _slopes(self, v: ModelViews) -> tuple[Any, Any]:
        """Return d/drow and d/dcol of the moved probe, (B or 1, M, n, n)."""
        if "slopes" not in v.memory:
            v.memory["slopes"] = slopes(v, v.illum, -1.0)
        return v.memory["slopes"]


def slopes(v: ModelViews, wave: Any, sign: float) -> tuple[Any, Any]:
    """Return the derivatives F^-1 [sign 2 pi i q F w] of a wave w (B or 1, S, n, n) along rows and columns."""
    q = (sign * 2j * np.pi) * v.xp.fft.fftfreq(v.n)
    spectrum = v.backend.fft2(wave, False, v.threads)
    # The Nyquist frequency stays in: the ramp that moves the probe moves it too.
    along = (q[:, None].astype(v.dtype), q[None, :].astype(v.dtype))
    row, col = (v.backend.ifft2(spectrum * factor, True, v.threads) for factor in along)
    return row, col
