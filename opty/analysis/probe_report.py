"""What the probe is: powers and coherence of its modes, size, and where along the beam it is in focus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.fft
import scipy.optimize

from opty.analysis.coverage import diameter
from opty.physics.modes import orthogonal
from opty.units import metres

if TYPE_CHECKING:
    from opty.state import BareState

PLANES = 81
_WEAK = 1e-2  # share of the brightest pixel below which angles and places do not decide how far to look
_WEAKEST = 5e-3  # share of the power below which a mode stays out of the caustic


@dataclass(frozen=True, eq=False)
class Caustic:
    """The beam around the sample, which is at z = 0: ``z`` (Z,) [m], growing with the beam; ``axis`` (K,) [m].

    ``rows``, ``columns`` (Z, K) : intensity summed along the other axis, as parts of the power. ``sharpness`` (Z,) :
    sum of I^2 over the squared power [1/px]. ``focus`` [m] : where it is largest, or None where that is an end of the
    range; ``width`` (row, column) [m] : full widths at half maximum there. ``depth`` [m] : over which the beam stays in
    focus.
    """

    z: np.ndarray
    axis: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    sharpness: np.ndarray
    focus: float | None
    width: tuple[float, float] | None
    depth: float


@dataclass(frozen=True, eq=False)
class ProbeReport:
    """What ``probe_report`` found.

    ``powers`` (M,) : shares of the orthogonal modes, from the strongest, with sum 1. ``coherence`` : global degree of
    coherence, sum w^2 over powers w; 1 for one mode. ``photons`` : sum |P|^2. ``width`` (row, column) : full widths at
    half maximum of the intensity summed along the other axis; ``diameter`` : of a uniform disc with the same half-power
    radius; both at the sample [m], [px] without a geometry (``pixel`` None). ``caustic`` : of far-field and cone beams
    with a geometry; else None.
    """

    powers: np.ndarray
    coherence: float
    photons: float
    width: tuple[float, float]
    diameter: float
    pixel: float | None
    caustic: Caustic | None

    def lines(self) -> dict[str, str]:
        """Return the report in words, one subject a line."""
        rows, columns = (self._length(width) for width in self.width)
        told = {
            "modes": ", ".join(f"{100 * share:.3g} %" for share in self.powers),
            "coherence": f"{self.coherence:.3g} (global degree; 1 is one mode)",
            "photons": f"{self.photons:.4g}",
            "size": f"{self._length(self.diameter)} across, {rows} x {columns} at half maximum (rows x columns)",
        }
        beam = self.caustic
        if beam is not None:
            there = "beyond the range searched"
            if beam.focus is not None and beam.width is not None:
                at_sample = abs(beam.focus) < beam.depth / 2
                side = "behind" if beam.focus > 0 else "before"
                wide = " x ".join(metres(width) for width in beam.width)
                place = "at the sample" if at_sample else f"{metres(abs(beam.focus))} {side} the sample"
                there = f"{place}, {wide} at half maximum there"
            told["focus"] = f"{there}; depth of focus {metres(beam.depth)}"
        return told

    def _length(self, value: float) -> str:
        return f"{value:.3g} px" if self.pixel is None else metres(value)

    def __str__(self) -> str:
        return "\n".join(f"{name:<14} {line}" for name, line in self.lines().items())


def probe_report(p: BareState, reach: float | None = None) -> ProbeReport:
    """Describe the probe of a state: powers and coherence of its modes, size, caustic and focus.

    The caustic is the intensity of all modes propagated by the angular spectrum, exp(2 pi i z / lambda (sqrt(1 -
    lambda^2 q^2) - 1)). The focus is the plane of largest sum I^2. The probe is taken for the wave at the sample; the
    curvature of the far field that it may hold moves the focus z by z^2 / L, L the distance of the detector.

    Parameters
    ----------
    p : state. reach : to look for the focus from -reach to reach [m]; default: one and a half times as far as the
        second moments of the beam say, at least four depths of focus.

    Raises ValueError for a reach that is not positive.

    Source: global degree of coherence: Vartanyants, Singer, New J. Phys. 12, 035004 (2010), eq. 13.
    """
    if reach is not None and not reach > 0:
        raise ValueError(f"reach is {reach!r}; give a positive length in metres")
    modes = orthogonal(p.numpy("probe")).astype(np.complex128)
    intensity = (np.abs(modes) ** 2).sum(axis=0)
    power = (np.abs(modes) ** 2).sum(axis=(1, 2))
    shares, geometry, pixel = power / power.sum(), p.geometry, p.pixel
    unit = 1.0 if pixel is None else pixel
    beam = None
    if geometry is not None and geometry.propagation != "near" and pixel is not None:
        beam = _caustic(modes[shares > _WEAKEST], pixel, geometry.wavelength, reach)
    return ProbeReport(
        powers=shares,
        coherence=float((shares**2).sum()),
        photons=float(power.sum()),
        width=_widths(intensity, unit),
        diameter=diameter(intensity) * unit,
        pixel=pixel,
        caustic=beam,
    )


def _caustic(modes: np.ndarray, pixel: float, wavelength: float, reach: float | None) -> Caustic:
    n = modes.shape[-1]
    spectra = scipy.fft.fft2(np.pad(modes, ((0, 0), (n // 2, n // 2), (n // 2, n // 2))))
    q = scipy.fft.fftfreq(spectra.shape[-1], pixel)
    sine2 = wavelength**2 * np.minimum(q[:, None] ** 2 + q**2, (1 - 1e-9) / wavelength**2)
    path = -sine2 / (1 + np.sqrt(1 - sine2)) / wavelength

    def at(z: float) -> np.ndarray:
        return np.asarray((np.abs(scipy.fft.ifft2(spectra * np.exp(2j * np.pi * z * path))) ** 2).sum(axis=0))

    def sharpness(z: float) -> float:
        intensity = at(z)
        return float((intensity**2).sum() / intensity.sum() ** 2)

    waist, depth = _moments(modes, pixel, wavelength)
    reach = max(1.5 * abs(waist), 4 * depth) if reach is None else reach
    planes = np.linspace(-reach, reach, PLANES)
    rows, columns, sharp = [], [], []
    for z in planes:
        intensity = at(z)
        total = intensity.sum()
        rows.append(intensity.sum(axis=1) / total)
        columns.append(intensity.sum(axis=0) / total)
        sharp.append((intensity**2).sum() / total**2)
    best, focus, width = int(np.argmax(sharp)), None, None
    if 0 < best < PLANES - 1:
        around = (planes[best - 1], planes[best + 1])
        focus = float(scipy.optimize.minimize_scalar(lambda z: -sharpness(z), bounds=around, method="bounded").x)
        width = _widths(at(focus), pixel)
    axis = (np.arange(len(q)) - len(q) // 2) * pixel
    return Caustic(planes, axis, np.array(rows), np.array(columns), np.array(sharp), focus, width, depth)


def _moments(modes: np.ndarray, pixel: float, wavelength: float) -> tuple[float, float]:
    """Return where the second moments of a beam are least [m], and its depth of focus [m].

    <x^2> of a beam at z is <x^2> + 2 z <x a> + z^2 <a^2>, a the angle: <x a> is found from the slope of the phase.
    """
    n = modes.shape[-1]
    intensity = (np.abs(modes) ** 2).sum(axis=0)
    angle = np.fft.fftshift(np.fft.fftfreq(n, pixel)) * wavelength
    spectrum = np.fft.fftshift((np.abs(np.fft.fft2(modes)) ** 2).sum(axis=0))
    lit = intensity > _WEAK * intensity.max()
    spread = product = 0.0
    for axis in (0, 1):
        profile = np.where(spectrum > _WEAK * spectrum.max(), spectrum, 0).sum(axis=1 - axis)
        middle = (profile * angle).sum() / profile.sum()
        spread += (profile * (angle - middle) ** 2).sum() / profile.sum()
        step = (np.roll(modes, -1, axis) * modes.conj()).sum(axis=0)
        slope = np.angle(step) * wavelength / (2 * np.pi * pixel)
        x = (np.arange(n) - n // 2 + 0.5)[:, None] * pixel if axis == 0 else (np.arange(n) - n // 2 + 0.5) * pixel
        weight = np.where(lit & np.roll(lit, -1, axis), np.abs(step), 0)
        x = x - (weight * x).sum() / weight.sum()
        product += (weight * x * (slope - middle)).sum() / weight.sum()
    return float(-product / spread), float(wavelength / (2 * spread))


def _widths(intensity: np.ndarray, pixel: float) -> tuple[float, float]:
    """Full widths at half maximum (row, column) of an intensity summed along the other axis."""
    rows, columns = (_width(intensity.sum(axis=axis)) * pixel for axis in (1, 0))
    return rows, columns


def _width(profile: Any) -> float:
    """Distance between the outermost places where a profile crosses half of its maximum [px]."""
    half = profile.max() / 2
    above = np.flatnonzero(profile >= half)
    first, last = int(above[0]), int(above[-1])
    before = (profile[first] - half) / (profile[first] - profile[first - 1]) if first else 0.5
    behind = (profile[last] - half) / (profile[last] - profile[last + 1]) if last < len(profile) - 1 else 0.5
    return float(last - first + before + behind)
