"""The sample as several slices with free space between them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.model.element import Element
from opty.model.free_space import frequencies, phase_per_metre, phase_per_pixel
from opty.model.geometry_numbers import LENGTHS, added, relative_slopes
from opty.model.sample import OBJ, incident_power
from opty.model.scan import Scan
from opty.model.sums import state_sum, times
from opty.model.views import ModelViews
from opty.remedies import here, option

if TYPE_CHECKING:
    from opty.data import PtychoData

_FAR = 2.0  # lambda z / (n dx^2) of a gap: the beams of most scans fill half the pattern, and stay in the window
_TOO_FAR = 10.0  # lambda z / (n dx^2) of a gap, from which on a wave of no usual aperture is sampled


class Slices(Element):
    """A thick object: n thin slices with free space between them.

    psi_1 = P, phi_l = O_l psi_l, psi_{l+1} = F^-1 [exp(i z_l (k(q) - 2 pi q . tan t)) F phi_l]; the exit wave is phi_n.
    k(q) = 2 pi / lambda (sqrt(1 - lambda^2 q^2) - 1), the angular spectrum without its constant phase; t the tilt: on
    its way from slice to slice the beam moves by z_l tan t across them.

    Parameters
    ----------
    n : slices, from 2 on; the first is the one that the beam meets first.
    spacing : distances z_l between them [m], one number for all or one for each gap.
    tilt : angles t (row, column) [rad] between the beam and what stands upright in the sample, such as columns of
        atoms; above 0 the beam moves to larger rows or columns. Without it such columns lean in the slices.

    Leaves: obj (n, H, W) complex, each slice starting at one; spacing (n - 1,) [m], which Refine("spacing") moves;
    tilt (2,) [rad]. No pattern tells a tilt from slices moved by Z_l tan t, Z_l their depths.
    Slices and probe explain one residual: each slice takes 1 / n of a step, the probe half a one. Full steps diverge.
    Raises ValueError for a measurement without a geometry: q needs the pixel at the sample; and for a gap of
    lambda z / (n dx^2) > 10, dx the pixel at the sample, across which the wave is not sampled. Above 2 a state warns.
    Source: Maiden, Humphry, Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012) (3PIE), Eqs. 1 to 6; the update of each slice
    is the adjoint of the derivative with the largest weight of the slice. The propagator of a small tilt: Sha, Cui, Yu,
    Science Advances 8, eabn2275 (2022), in the sign of abTEM.
    """

    n: int
    spacing: float | tuple[float, ...]
    tilt: tuple[float, float] = (0.0, 0.0)
    leaves = (
        OBJ,
        Leaf("spacing", "gap", unit="m", scale=0, role="estimate"),
        Leaf("tilt", "2", unit="rad", scale=0, role="estimate"),
    )
    sliced = True
    probe_step = 0.5
    moved_by = LENGTHS  # by the pixel, in which frequencies are measured

    def check(self) -> None:
        if self.n < 2:
            raise ValueError(f"Slices({self.n}, ...): give two slices or more; one is Object()")
        if isinstance(self.spacing, tuple) and len(self.spacing) != self.n - 1:
            raise ValueError(
                f"Slices({self.n}, spacing={self.spacing}): {self.n} slices have {self.n - 1} gaps; give one "
                f"number, or {self.n - 1}"
            )
        for one in self._gaps():
            if not one > 0:
                raise ValueError(f"Slices({self.n}, spacing={self.spacing}): give distances above 0, in metres")
        if not max(map(abs, self.tilt)) < math.pi / 2:
            raise ValueError(
                f"Slices({self.n}, ..., tilt={self.tilt}): give two angles (row, column) in radians, nearer to 0 than "
                "a right angle"
            )

    def _gaps(self) -> tuple[float, ...]:
        return self.spacing if isinstance(self.spacing, tuple) else (self.spacing,) * (self.n - 1)

    @property
    def obj_step(self) -> float:  # type: ignore[override]
        """All slices explain one residual: together they take one full step."""
        return 1 / self.n

    @property
    def kept(self) -> float:  # type: ignore[override]
        """Incident waves of all slices, and what goes through the transforms."""
        return self.n + 1.0

    def check_before_run(self, geometry: Any, n: int) -> None:
        if geometry is None:
            raise ValueError(
                f"{self!r} needs the wavelength and the pixel size at the sample: give the measurement a geometry, "
                + here(
                    "PtychoData(..., geometry=opty.Geometry(...))",
                    ", ".join(map(option, ("wavelength", "distance", "pixel_size"))),
                )
            )
        across = sum(self._gaps()) * np.abs(np.tan(self.tilt)).max() / geometry.sample_pixel(n)
        if across > n / 2:
            raise ValueError(
                f"{self!r}: between the first slice and the last the beam moves by {across:.3g} px, which is more than "
                f"half of its window of {n} px; tilts are in radians, and distances in metres"
            )
        if (turns := self._sampling(geometry, n)) > _TOO_FAR:
            raise ValueError(
                f"{self!r}: lambda z / (n dx^2) is {turns:.3g} for a gap of {max(self._gaps()):.3g} m, and pixels dx "
                f"of {geometry.sample_pixel(n):.3g} m sample the wave behind it only up to 1, or "
                f"{max(self._gaps()) / turns:.3g} m: give spacing in metres"
            )

    def doubt(self, data: PtychoData) -> str | None:
        if data.geometry is None or (turns := self._sampling(data.geometry, data.n)) <= _FAR:
            return None
        return (
            f"{self!r}: lambda z / (n dx^2) is {turns:.3g} for a gap of {max(self._gaps()):.3g} m: light at large "
            f"angles leaves the window of {data.n} px between two slices and comes back at its other side; up to "
            f"{max(self._gaps()) / turns:.3g} m none does"
        )

    def _sampling(self, geometry: Any, n: int) -> float:
        """Return lambda z / (n dx^2) of the widest gap: at 1 light to the rim of the pattern crosses half a window."""
        return float(geometry.wavelength * max(self._gaps()) / (n * geometry.sample_pixel(n) ** 2))

    def initial(self, name: str, scan: Scan) -> np.ndarray:
        if name == "spacing":
            return np.array(self._gaps(), np.float64)
        if name == "tilt":
            return np.array(self.tilt, np.float64)
        return np.ones((self.n, *scan.shape), scan.dtype)

    def forward(self, v: ModelViews, wave: Any) -> Any:
        incident = v.memory["incident"] = []
        for o, step in zip(self._windows(v), (None, *self.transfers(v)), strict=True):
            if step is not None:
                wave = self._across(v, wave, step)
            incident.append(wave)
            wave = wave * o
        return wave

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        incident = v.memory["incident"]
        moved: Any = v.windows(changes["obj"]) if "obj" in changes else None
        for k, (o, step) in enumerate(zip(self._windows(v), (None, *self.transfers(v)), strict=True)):
            if step is not None:
                dwave = None if dwave is None else self._across(v, dwave, step)
                if "spacing" in changes:
                    dwave = added(dwave, self._stretched(v, k) * v.xp.asarray(changes["spacing"][k - 1], v.real_dtype))
                if "tilt" in changes:
                    for axis in (0, 1):
                        turned = v.xp.asarray(changes["tilt"], v.real_dtype)[axis] * self._of_tilt(v, axis, k)
                        dwave = added(dwave, self._moved_across(v, k, axis) * turned)
                for name in changes.keys() & LENGTHS:
                    grown = v.xp.asarray(changes[name], v.real_dtype)[0] * self._of_pixel(v, name, k)
                    dwave = added(dwave, self._stretched(v, k, by_pixel=True) * grown)
            dwave = None if dwave is None else dwave * o
            if "obj" in changes:
                dwave = added(dwave, incident[k] * moved[:, k, None])
        return dwave

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        incident, windows, steps = v.memory["incident"], self._windows(v), self.transfers(v)
        found: Any = None  # directions and weights of all slices
        if v.wants("obj"):
            stack = (v.size, self.n, v.n, v.n)
            found = v.xp.empty(stack, v.dtype), v.xp.empty(stack, v.real_dtype)
        along = []
        inclined: Any = 0.0
        for k in range(self.n - 1, -1, -1):
            if found is not None:
                found[0][:, k] = state_sum(incident[k], chi)
                found[1][:, k] = times(power, incident_power(v, incident[k]))
            if not k and v.last:
                break
            chi = windows[k].conj() * chi
            power = times(power, v.xp.abs(windows[k][:, 0]) ** 2)
            if k:
                if v.wants("spacing"):
                    along.append((self._stretched(v, k).conj() * chi).real.sum(dtype=np.float64))
                if v.wants("tilt"):
                    asked = [
                        (self._moved_across(v, k, axis).conj() * chi).real.sum(dtype=np.float64)
                        * self._of_tilt(v, axis, k)
                        for axis in (0, 1)
                    ]
                    inclined = inclined + v.xp.stack(asked)
                for name in LENGTHS:
                    if v.wants(name):
                        product = (self._stretched(v, k, by_pixel=True).conj() * chi).real.sum(dtype=np.float64)
                        v.add(name, (product * self._of_pixel(v, name, k)).reshape(1))
                chi = self._across(v, chi, steps[k - 1].conj())
                power = power.mean(axis=(1, 2), keepdims=True)  # the light of a pixel spreads over the window
        if found is not None:
            v.add("obj", *found)
        if v.wants("spacing"):
            v.add("spacing", v.xp.stack(along[::-1]))
        if v.wants("tilt"):
            v.add("tilt", inclined)
        return chi, power

    def _windows(self, v: ModelViews) -> list[Any]:
        return [v.patches[:, k, None] for k in range(self.n)]

    def _across(self, v: ModelViews, wave: Any, transfer: Any) -> Any:
        spectrum = v.backend.fft2(wave, False, v.threads)
        spectrum *= transfer
        return v.backend.ifft2(spectrum, True, v.threads)

    def _stretched(self, v: ModelViews, k: int, by_pixel: bool = False) -> Any:
        """Return the derivative of the wave that falls on slice k by the distance in front of it; ``by_pixel``: by the
        logarithm of the pixel, for a distance of one metre.
        """
        stretched: dict[tuple[int, bool], Any] = v.memory.setdefault("stretched", {})
        if (k, by_pixel) not in stretched:
            turns = self._turns(v)
            if by_pixel:  # q shrinks as the pixel grows, and with it what a tilt adds
                turns = v.backend.asarray(phase_per_pixel(v.geometry, v.n)) - self._inclination(v)
            stretched[k, by_pixel] = self._across(v, v.memory["incident"][k], (1j * turns).astype(v.dtype))
        return stretched[k, by_pixel]

    def _moved_across(self, v: ModelViews, k: int, axis: int) -> Any:
        """Return the derivative of the wave that falls on slice k by a move along rows (axis 0) or columns [1/m]."""
        moved: dict[tuple[int, int], Any] = v.memory.setdefault("moved", {})
        if (k, axis) not in moved:
            slope = v.backend.asarray((-2j * math.pi * frequencies(v.geometry, v.n)[axis]).astype(v.dtype))
            moved[k, axis] = self._across(v, v.memory["incident"][k], slope)
        return moved[k, axis]

    def _of_tilt(self, v: ModelViews, axis: int, k: int) -> Any:
        """Return the derivative of the way across in front of slice k by the tilt [m/rad]."""
        return (v.leaf("spacing")[k - 1] / v.xp.cos(v.leaf("tilt")[axis]) ** 2).astype(v.real_dtype)

    def _of_pixel(self, v: ModelViews, name: str, k: int) -> Any:
        """Return the distance in front of slice k, times the change of the pixel's logarithm with a length."""
        return (v.leaf("spacing")[k - 1] * relative_slopes(v.geometry, name)[0]).astype(v.real_dtype)

    def transfers(self, v: ModelViews) -> tuple[Any, ...]:
        """Return exp(i k z_l) (n, n) of each gap; the distances stand still within a sweep."""
        if self not in v.sweep:
            turns, spacing = self._turns(v), v.leaf("spacing")
            v.sweep[self] = tuple(v.xp.exp(1j * turns * spacing[k]).astype(v.dtype) for k in range(self.n - 1))
        return v.sweep[self]

    def _turns(self, v: ModelViews) -> Any:
        """Return k(q) - 2 pi q . tan t (n, n) float64 [rad/m] in FFT order."""
        key = type(self), "turns", v.n
        if key not in v.sweep:
            v.sweep[key] = v.backend.asarray(phase_per_metre(v.geometry, v.n)) + self._inclination(v)
        return v.sweep[key]

    def _inclination(self, v: ModelViews) -> Any:
        """Return -2 pi q . tan t (n, n) float64 [rad/m] in FFT order."""
        row, col = (v.backend.asarray(-2 * math.pi * q) for q in frequencies(v.geometry, v.n))
        slope = v.xp.tan(v.leaf("tilt"))
        return row * slope[0] + col * slope[1]
