"""A beam of several wavelengths: each makes its own pattern, and the detector sees their sum."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.errors import RecipeError
from opty.geometry import Geometry
from opty.model.element import Element
from opty.model.free_space import phase_per_metre, phase_per_pixel
from opty.model.geometry_numbers import LENGTHS, added, relative_slopes
from opty.model.moved_beam import Moves
from opty.model.scan import Scan
from opty.model.views import ModelViews

_FAR = 5.0  # times the wavelength of the geometry: harmonics of a monochromator are nearer


class Wavelengths(Element):
    """A beam of several wavelengths: states sqrt(p_w) G_w psi that add up incoherently, p_w the share of each.

    G_w is what the propagation over the same distance does at the wavelength r_w lambda and not at lambda, the one of
    the geometry. In the far field a pattern is wider by r_w: G_w = F^-1 A_w, A_w the transform at 1 / r_w times the
    frequencies, Psi(k) = sum psi(x) exp(-2 pi i k x / (r_w n)) / (r_w n), as matrices along rows and columns. In the
    near field G_w = F^-1 [T_w / T] F. One object and one probe serve all wavelengths.

    Parameters
    ----------
    ratios : r_w, wavelengths over that of the geometry, such as (0.98, 1, 1.02); between 1/5 and 5.
    weights : of the wavelengths, above 0, in any unit; None for equal ones.

    Leaf: spectrum (W,), what weights were given over their sum; the shares p_w are its values over their sum, so that a
    factor of it changes nothing. Refine("spectrum") moves it.
    It stands between propagation and object: ``Wavelengths((0.98, 1, 1.02)) * Object()``. Slices in front of it are
    crossed at the wavelength of the geometry.
    Raises RecipeError for a cone beam, whose curvature at another wavelength the geometry does not say.
    Source: Abbey et al., Nat. Photon. 5, 420 (2011); Enders et al., Appl. Phys. Lett. 104, 171104 (2014).
    """

    ratios: tuple[float, ...]
    weights: tuple[float, ...] | None = None
    leaves = (Leaf("spectrum", "wavelength", scale=0, role="estimate"),)
    side = "exit"
    moved_by = LENGTHS  # in the near field

    def check(self) -> None:
        if len(self.ratios) < 2 or not min(self.ratios) > 0 or len(set(self.ratios)) < len(self.ratios):
            raise ValueError(f"{self!r}: give two different ratios or more, above 0; one is that of the geometry")
        if far := [r for r in self.ratios if not _FAR > r > 1 / _FAR]:
            raise ValueError(
                f"{self!r}: ratios are wavelengths over that of the geometry, near 1, such as (0.98, 1, 1.02), and "
                f"{far[0]:g} is far from it; of wavelengths in metres give each over the wavelength of the geometry"
            )
        if self.weights is not None and (len(self.weights) != len(self.ratios) or not min(self.weights) > 0):
            raise ValueError(f"{self!r}: give a weight above 0 for each of the {len(self.ratios)} ratios")

    def check_before_run(self, geometry: Geometry | None, n: int) -> None:
        if geometry is not None and geometry.propagation == "cone":
            raise RecipeError(
                f"{self!r}: in a cone beam the curvature of the beam changes with the wavelength, and the geometry "
                "does not say how; describe the scan as far field, with the curvature in the probe"
            )

    def initial(self, name: str, scan: Scan) -> np.ndarray:
        weights = np.array(self.weights or np.ones(len(self.ratios)), np.float64)
        return weights / weights.sum()

    def states_behind(self, count: int) -> int:
        return count * len(self.ratios)

    def forward(self, v: ModelViews, wave: Any) -> Any:
        spectrum = v.leaf("spectrum")
        v.memory["shares"] = spectrum / spectrum.sum()
        v.memory["out"] = self._spread(v, wave)
        if v.moves is not None:
            v.moves = Moves(v.xp.repeat(v.moves.places, len(self.ratios)), v.moves.travel)
        return v.memory["out"]

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        out = None if dwave is None else self._spread(v, dwave)
        if "spectrum" in changes:
            shares, total = v.memory["shares"], v.leaf("spectrum").sum()
            change = v.xp.asarray(changes["spectrum"], np.float64)
            grown = ((change - shares * change.sum()) / (2 * total * shares)).astype(v.real_dtype)
            more = self._each(v, v.memory["out"]) * grown[:, None, None]
            out = added(out, more.reshape(v.memory["out"].shape))
        if v.propagator.kind == "near":
            for name in changes.keys() & LENGTHS:
                out = added(out, self._stretched(v, name) * v.xp.asarray(changes[name], v.real_dtype)[0])
        return out

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        each = self._each(v, chi)
        if v.wants("spectrum"):
            shares, total = v.memory["shares"], v.leaf("spectrum").sum()
            product = (self._each(v, v.memory["out"]).conj() * each).real
            along = product.sum(axis=(0, 1, 3, 4), dtype=np.float64) / (2 * shares)
            v.add("spectrum", (along - (shares * along).sum()) / total)
        if v.propagator.kind == "near":
            for name in LENGTHS:
                if v.wants(name):
                    v.add(name, (self._stretched(v, name).conj() * chi).real.sum(dtype=np.float64).reshape(1))
        if v.last:
            return None, None
        out = v.xp.zeros(each.shape[:2] + each.shape[3:], v.dtype)
        roots = v.xp.sqrt(v.memory["shares"]).astype(v.real_dtype)
        for w, back in enumerate(self._maps(v, adjoint=True)):
            out += roots[w] * back(each[:, :, w])
        return out, power

    def _each(self, v: ModelViews, waves: Any) -> Any:
        """Return waves (B, S W, n, n) as (B, S, W, n, n)."""
        return waves.reshape(len(waves), -1, len(self.ratios), v.n, v.n)

    def _spread(self, v: ModelViews, wave: Any) -> Any:
        """Return waves (B, S, n, n) at all wavelengths, (B, S W, n, n)."""
        out = v.xp.empty((*wave.shape[:2], len(self.ratios), v.n, v.n), v.dtype)
        roots = v.xp.sqrt(v.memory["shares"]).astype(v.real_dtype)
        for w, forth in enumerate(self._maps(v)):
            out[:, :, w] = roots[w] * forth(wave)
        return out.reshape(len(wave), -1, v.n, v.n)

    def _stretched(self, v: ModelViews, name: str) -> Any:
        """Return the derivative of the waves by a length, (B, S W, n, n), in the near field."""
        known = v.memory.setdefault("stretched", {})
        if name not in known:
            if (key := (self, name, v.n)) not in v.sweep:
                turns = np.array([_transfer_slope(ratio, v.geometry, v.n, name) for ratio in self.ratios])
                v.sweep[key] = v.backend.asarray(1j * turns, dtype=v.dtype)
            made = _across(v, v.sweep[key], self._each(v, v.memory["out"]))
            known[name] = made.reshape(v.memory["out"].shape)
        return known[name]

    def _maps(self, v: ModelViews, adjoint: bool = False) -> list[Any]:
        """Return G_w, or its adjoint, of each wavelength."""
        near = v.propagator.kind == "near"
        if (key := (self, v.n)) not in v.sweep:
            made = (_transfer(ratio, v.geometry, v.n) if near else _matrix(ratio, v.n) for ratio in self.ratios)
            v.sweep[key] = [None if a is None else v.backend.asarray(a, dtype=v.dtype) for a in made]
        kind = _across if near else _product
        found = v.sweep[key]
        if adjoint:
            found = [a if a is None else a.conj() if near else a.conj().T for a in found]
        return [_same if a is None else functools.partial(kind, v, a) for a in found]


def _same(wave: Any) -> Any:
    return wave


def _product(v: ModelViews, matrix: Any, wave: Any) -> Any:
    return matrix @ wave @ matrix.T


def _across(v: ModelViews, transfer: Any, wave: Any) -> Any:
    spectrum = v.backend.fft2(wave, False, v.threads)
    spectrum *= transfer
    return v.backend.ifft2(spectrum, True, v.threads)


@functools.lru_cache(maxsize=32)
def _matrix(ratio: float, n: int) -> np.ndarray | None:
    """Return F^-1 A of one axis, (n, n); None for the wavelength of the geometry, where it is the identity."""
    if ratio == 1:
        return None
    k, middle = np.fft.fftfreq(n, 1 / n), n // 2
    turns = k[:, None] * ((np.arange(n) - middle) / ratio + middle)  # a phase at the detector, which no pattern shows
    return np.fft.ifft(np.exp(-2j * np.pi * turns / n) / np.sqrt(ratio * n), axis=0, norm="ortho")


def _transfer(ratio: float, geometry: Any, n: int) -> np.ndarray | None:
    """Return T_w / T (n, n) of the near field; None for the wavelength of the geometry."""
    if ratio == 1:
        return None
    more = phase_per_metre(geometry, n, ratio) - phase_per_metre(geometry, n)
    return np.exp(1j * geometry.effective_distance * more)


def _transfer_slope(ratio: float, geometry: Any, n: int, name: str) -> np.ndarray:
    """Return the derivative of the phase of ``_transfer`` by a length, (n, n)."""
    of_pixel, of_distance = relative_slopes(geometry, name)
    of_waves = phase_per_metre(geometry, n, ratio) - phase_per_metre(geometry, n)
    of_grid = phase_per_pixel(geometry, n, ratio) - phase_per_pixel(geometry, n)
    return geometry.effective_distance * (of_distance * of_waves + of_pixel * of_grid)
