"""The sample as one thin slice, as a mixture of such, and as several with free space between them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.model.element import Element
from opty.model.geometry_numbers import LENGTHS, added, relative_slopes
from opty.model.moved_beam import Moves
from opty.model.scan import Scan
from opty.model.sums import state_power, state_sum, times
from opty.model.views import ModelViews
from opty.remedies import here, option

if TYPE_CHECKING:
    from opty.data import PtychoData

_FAR = 2.0  # lambda z / (n dx^2) of a gap: the beams of most scans fill half the pattern, and stay in the window
_TOO_FAR = 10.0  # lambda z / (n dx^2) of a gap, from which on a wave of no usual aperture is sampled
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
            v.add("obj", state_sum(incident, chi), times(power, _power(v, incident)))
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
            weight = times(power, _power(v, incident))[:, None]  # all states see the same light
            v.add("obj", direction, v.xp.broadcast_to(weight, (len(weight), self.states, v.n, v.n)))
        if v.last:
            return None, None
        out: Any = 0.0
        for k in range(self.states):
            back = windows[:, k, None].conj() * each[:, :, k]
            out = back + out
        return out, times(power, state_power(v.xp, windows))


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
        for o, step in zip(self._windows(v), (None, *self._transfers(v)), strict=True):
            if step is not None:
                wave = self._across(v, wave, step)
            incident.append(wave)
            wave = wave * o
        return wave

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        incident = v.memory["incident"]
        moved: Any = v.windows(changes["obj"]) if "obj" in changes else None
        for k, (o, step) in enumerate(zip(self._windows(v), (None, *self._transfers(v)), strict=True)):
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
        incident, windows, steps = v.memory["incident"], self._windows(v), self._transfers(v)
        found: Any = None  # directions and weights of all slices
        if v.wants("obj"):
            stack = (v.size, self.n, v.n, v.n)
            found = v.xp.empty(stack, v.dtype), v.xp.empty(stack, v.real_dtype)
        along = []
        inclined: Any = 0.0
        for k in range(self.n - 1, -1, -1):
            if found is not None:
                found[0][:, k] = state_sum(incident[k], chi)
                found[1][:, k] = times(power, _power(v, incident[k]))
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

    def _transfers(self, v: ModelViews) -> tuple[Any, ...]:
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


def frequencies(geometry: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return q along rows (n, 1) and along columns (n,) [1/m] in FFT order."""
    q = np.fft.fftfreq(n, geometry.sample_pixel(n))
    return q[:, None], q


def phase_per_metre(geometry: Any, n: int, ratio: float = 1.0) -> np.ndarray:
    """Return 2 pi / lambda (sqrt(1 - lambda^2 q^2) - 1), (n, n) [rad/m] in FFT order.

    lambda is ``ratio`` times the wavelength of the geometry.
    Raises ValueError where pixels at the sample are finer than half the wavelength.
    """
    pixel = geometry.sample_pixel(n)
    wavelength = ratio * geometry.wavelength
    q = wavelength * np.fft.fftfreq(n, pixel)
    sine2 = q[:, None] ** 2 + q**2
    if sine2.max() >= 1:
        raise ValueError(
            f"pixels of {pixel:.3g} m at the sample are finer than half the wavelength {wavelength:.3g} m: "
            "check the units of the geometry"
        )
    return -2 * math.pi / wavelength * sine2 / (1 + np.sqrt(1 - sine2))  # without cancellation


def phase_per_pixel(geometry: Any, n: int, ratio: float = 1.0) -> np.ndarray:
    """Return the derivative of ``phase_per_metre`` by the logarithm of the pixel at the sample, (n, n) [rad/m]."""
    wavelength = ratio * geometry.wavelength
    q = wavelength * np.fft.fftfreq(n, geometry.sample_pixel(n))
    sine2 = q[:, None] ** 2 + q**2
    return 2 * math.pi / wavelength * sine2 / np.sqrt(1 - sine2)


def transmission(obj: Any, mixture: bool) -> Any:
    """Return what an object (H, W) lets through; of slices (L, H, W) their product, as if they touched.

    Of the states (L, H, W) of a ``mixture`` it is sqrt(sum_l |O_l|^2), real: the magnitude that the light sees.
    """
    if mixture:
        return (obj.real**2 + obj.imag**2).sum(axis=0) ** 0.5
    return obj if obj.ndim == 2 else obj.prod(axis=0)


def _power(v: ModelViews, incident: Any) -> Any:
    return v.illum_power if incident is v.fields.get("illum") else state_power(v.xp, incident)
