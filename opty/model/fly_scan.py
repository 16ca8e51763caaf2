"""A stage that moves while a view is taken: the beam at several places of the way, incoherently."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.model.element import Element
from opty.model.moved_beam import Moves, Spectra
from opty.model.probe import slopes
from opty.model.scan import Scan
from opty.model.views import ModelViews
from opty.physics.propagation import phase_ramp
from opty.physics.stage_travel import stage_travel, turns

if TYPE_CHECKING:
    from opty.data import PtychoData

TURNS = 0.6  # share of the views at which a stage that flies along lines of four views or more does not turn


class FlyScan(Element):
    """A stage that moves during the exposure: states psi_mk(r) = sqrt(w_k) psi_m(r - t_k d_j) that add up incoherently.

    d_j [px] is how far the stage moves while view j is taken, half of it before the place of the view and half after;
    t_k in (-1/2, 1/2) and w_k are the points and weights of Gauss and Legendre. It stands between object and probe:
    ``Object() * FlyScan(3) * Probe()``.

    Parameters
    ----------
    points : K, how many places of the way, from 2 on. K of them are exact where a pattern changes along the way no
        faster than a polynomial of degree 2 K - 1: two or three for a way as long as the details of the object.
    duty : share of the time between two views in which the detector counts, above 0 to 1: d_j is half the way from the
        view before to the view after, times this.
    line : views on a line, at whose ends d_j is the way to the neighbour on the line; None: lines end where the stage
        turns or jumps (``opty.simulate.scans.travel``).
    travel : d, (row, column), the same for all views, in the unit of the data's positions: metres, pixels where the
        measurement has no geometry; no longer than the window of a view. None: from the positions, by ``duty`` and
        ``line``.

    Leaf: travel (N, 2) [px]; ``p.replace(leaves={"travel": d})`` gives each view its own, and Refine("travel") moves
    them. Positions that are refined take theirs along.
    Source: Pelz et al., Appl. Phys. Lett. 105, 251101 (2014); Huang et al., Sci. Rep. 5, 9074 (2015).
    """

    points: int
    duty: float = 1.0
    line: int | None = None
    travel: tuple[float, float] | None = None
    leaves = (Leaf("travel", "view 2", unit="px", scale=0, role="estimate"),)
    side = "beam"
    moves_beam = True

    def check(self) -> None:
        if self.points < 2:
            raise ValueError(f"FlyScan({self.points}): give two points or more; a stage that stands is no FlyScan")
        if not 0 < self.duty <= 1:
            raise ValueError(f"{self!r}: duty is a share of the time, above 0 and up to 1")
        if self.line is not None and self.line < 2:
            raise ValueError(f"{self!r}: line is a number of views from 2 on")
        if self.travel is not None and (self.duty != 1 or self.line is not None):
            raise ValueError(f"{self!r}: travel says how far; leave duty and line out")

    def check_before_run(self, geometry: Any, n: int) -> None:
        if self.travel is None:
            return
        pixel, unit = (1.0, "px") if geometry is None else (geometry.sample_pixel(n), "m")
        longest = max(map(abs, self.travel))
        if longest > n * pixel:
            raise ValueError(
                f"{self!r}: a travel of {longest:.3g} {unit} is longer than the window of a view, {n * pixel:.3g} "
                f"{unit} ({n} px): give it in {'pixels' if geometry is None else 'metres'}"
            )

    def doubt(self, data: PtychoData) -> str | None:
        if self.travel is not None or self.line is not None or (share := turns(data.positions)) <= TURNS:
            return None
        return (
            f"{self!r}: the way of the stage is taken from view to view, and turns by more than 60 degrees at "
            f"{share:.0%} of the views: are they in the order in which they were taken? If not, load them in that "
            "order, or give the element its travel or line"
        )

    def initial(self, name: str, scan: Scan) -> np.ndarray:
        if self.travel is not None:
            pixel = 1.0 if scan.geometry is None else scan.geometry.sample_pixel(scan.n)
            return np.broadcast_to(np.array(self.travel) / pixel, (scan.views, 2)).copy()
        return stage_travel(scan.positions, self.duty, self.line)

    def states_behind(self, count: int) -> int:
        return count * self.points

    @cached_property
    def rule(self) -> list[tuple[float, float]]:
        """t_k and sqrt(w_k) of each point; the middle one of an odd number is 0."""
        places, weights = np.polynomial.legendre.leggauss(self.points)
        return [(float(t) / 2, math.sqrt(w / 2)) for t, w in zip(places, weights, strict=True)]

    def forward(self, v: ModelViews, wave: Any) -> Any:
        travel = v.rows("travel")
        v.memory["ramps"] = [phase_ramp(t * travel, v.n, v.xp, v.dtype) if t else None for t, _ in self.rule]
        arrives = v.fields.get("illum_spectrum") if wave is v.fields.get("illum") else None
        v.memory["moved"] = self._moved(v, wave, arrives)
        v.moves = Moves(self._places(v, wave.shape[1]), travel)
        return v.memory["moved"]

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        out = None if dwave is None else self._moved(v, dwave)
        if "travel" in changes:
            step = v.xp.asarray(changes["travel"], v.real_dtype)[:, :, None, None, None]
            row, col = self._slopes(v)
            more = row * step[:, 0] + col * step[:, 1]
            out = more if out is None else out + more
        return out

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        if v.wants("travel"):
            along = [(slope.conj() * chi).real.sum(axis=(1, 2, 3)) for slope in self._slopes(v)]
            v.add("travel", v.xp.stack(along, axis=1))
        if v.last:
            return None, None
        each = chi.reshape(v.size, -1, self.points, v.n, v.n)
        spectrum: Any = 0.0
        for k, (ramp, (_, root)) in enumerate(zip(v.memory["ramps"], self.rule, strict=True)):
            back = v.backend.fft2(each[:, :, k] * v.real_dtype.type(root), True, v.threads)
            if ramp is not None:
                back *= ramp[0][:, None].conj()
                back *= ramp[1][:, None].conj()
            spectrum = back + spectrum
        direct = v.model.moves_beam and v.model.path[1] is self
        return Spectra(spectrum) if direct else v.backend.ifft2(spectrum, True, v.threads), power

    def _moved(self, v: ModelViews, wave: Any, spectrum: Any = None) -> Any:
        """Return waves (B or 1, S, n, n), whose spectrum may be known, at all points of the way, (B, S K, n, n)."""
        out = v.xp.empty((v.size, wave.shape[1], self.points, v.n, v.n), v.dtype)
        spectrum = v.backend.fft2(wave, False, v.threads) if spectrum is None else spectrum
        for k, (ramp, (_, root)) in enumerate(zip(v.memory["ramps"], self.rule, strict=True)):
            if ramp is None:
                out[:, :, k] = root * wave
            else:
                there = spectrum * (root * ramp[0][:, None])
                there *= ramp[1][:, None]
                out[:, :, k] = v.backend.ifft2(there, True, v.threads)
        return out.reshape(v.size, -1, v.n, v.n)

    def _places(self, v: ModelViews, count: int) -> Any:
        """Return t_k of each state that ``count`` states become, (count K,)."""
        return v.xp.tile(v.xp.asarray([t for t, _ in self.rule]), count)

    def _slopes(self, v: ModelViews) -> tuple[Any, Any]:
        """Return by how much the waves change with the travel along rows and columns, (B, S K, n, n)."""
        if "slopes" not in v.memory:
            moved = v.memory["moved"]
            each = self._places(v, moved.shape[1] // self.points).astype(v.real_dtype)[:, None, None]
            row, col = slopes(v, moved, -1.0)
            v.memory["slopes"] = row * each, col * each
        return v.memory["slopes"]
