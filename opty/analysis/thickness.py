"""Phase and transmission of the object as thickness of a material."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.analysis.phase_map import GAUSSIAN, Background, Box, PhaseMap, phase_map
from opty.units import metres

if TYPE_CHECKING:
    from opty.geometry import Geometry
    from opty.state import BareState

_INDEX = 0.5  # of refraction, from which on a delta was meant as the index itself


@dataclass(frozen=True, eq=False)
class Thickness:
    """What ``thickness`` found. Maps (H, W) float64 [m], cropped to the lit area, NaN outside of it.

    ``from_phase`` : from delta, or the inner potential; None where neither was given. ``from_transmission`` : from
    beta, NaN where no light went through; None without beta. ``noise`` [m] : of each, where the background was fitted;
    None with its map. ``ratio`` : of the second to the first over the map, by least squares, 1 where delta and beta are
    those of the material; None without both. ``map`` : the phase map that they were made of. ``pixel`` [m].
    """

    from_phase: np.ndarray | None
    from_transmission: np.ndarray | None
    noise: tuple[float | None, float | None]
    ratio: float | None
    map: PhaseMap
    pixel: float

    def lines(self) -> dict[str, str]:
        """Return the report in words, one subject a line."""
        told = {}
        names = ("from phase", "transmission")
        for name, image, noise in zip(names, (self.from_phase, self.from_transmission), self.noise, strict=True):
            if image is not None and noise is not None:
                low, high = (_length(value) for value in np.nanpercentile(image, (0.5, 99.5)))
                told[name] = f"{low} to {high} (0.5 to 99.5 percent of the pixels), noise {_length(noise)}"
        if self.ratio is not None:
            told["ratio"] = f"{self.ratio:.3g}, transmission to phase; 1 where delta and beta are of the material"
        return told | self.map.lines()

    def __str__(self) -> str:
        return "\n".join(f"{name:<14} {line}" for name, line in self.lines().items())


def thickness(
    p: BareState,
    delta: float | None = None,
    beta: float | None = None,
    potential: float | None = None,
    vacuum: np.ndarray | Box | None = None,
    background: Background = "plane",
) -> Thickness:
    """Return the thickness of a sample of one material, from its phase, its transmission, or both.

    Photons, with an index n = 1 - delta + i beta: t = -phi lambda / (2 pi delta) from the phase, and
    t = -ln|O|^2 lambda / (4 pi beta) from the transmission.
    Electrons in a mean inner potential V: t = phi / (sigma V), sigma = 2 pi m e lambda / h^2.

    Parameters
    ----------
    p : state of a measurement with a geometry.
    delta, beta : of the material at the wavelength of the geometry (no unit); delta below 0 where n is above 1.
    potential : mean inner potential of the material [V], for electrons.
    vacuum, background : as in ``phase_map``. From the phase without a vacuum come differences of thickness, less their
        mean slope. From the transmission comes none: the scale of |O| is known only against a vacuum.

    Raises
    ------
    ValueError : no geometry, none of the three numbers, or one that is not finite or has the wrong sign; delta and beta
        for electrons, a potential for photons; beta without a vacuum; and what ``phase_map`` refuses.

    Source: Paganin, Coherent X-ray Optics (2006), sec. 2.2; Kirkland, Advanced Computing in Electron Microscopy (2020),
    ch. 5.
    """
    geometry = p.geometry
    if geometry is None or p.pixel is None:
        raise ValueError(
            "a thickness is a length, and this measurement has no wavelength: give it a geometry, "
            "data.replace(geometry=opty.Geometry(...), positions=metres), or wavelength, distance and pixel_size of "
            "opty.load"
        )
    _check(geometry, delta, beta, potential)
    if beta is not None and vacuum is None:
        raise ValueError(
            "beta needs a vacuum: no data tell the scale of |O|, which is 1 there; give vacuum=np.s_[10:60, 20:200], "
            "the rows and columns where the sample is not, or delta alone"
        )
    found = phase_map(p, vacuum, background)
    of_phase = of_light = None
    noise: list[float | None] = [None, None]
    if delta is not None or potential is not None:
        a_radian = _per_radian(geometry.wavelength, delta, potential, found.interaction)
        of_phase, noise[0] = found.phase * a_radian, found.noise * abs(a_radian)
    if beta is not None and found.vacuum is not None:
        with np.errstate(divide="ignore"):
            light = np.where(found.magnitude > 0, 2 * np.log(found.magnitude), np.nan)
        of_light = -light * geometry.wavelength / (4 * math.pi * beta)
        noise[1] = float(GAUSSIAN * np.median(np.abs(of_light[found.vacuum])))
    return Thickness(of_phase, of_light, (noise[0], noise[1]), _ratio(of_phase, of_light), found, p.pixel)


def _per_radian(wavelength: float, delta: float | None, potential: float | None, interaction: float | None) -> float:
    """Return the thickness of a phase of 1 rad [m]."""
    if delta is not None:
        return -wavelength / (2 * math.pi * delta)
    assert potential is not None  # checked
    assert interaction is not None
    return 1 / (interaction * potential)


def _ratio(one: np.ndarray | None, two: np.ndarray | None) -> float | None:
    """Return the slope through zero of the second map over the first."""
    if one is None or two is None:
        return None
    both = np.isfinite(one) & np.isfinite(two)
    return float((one[both] * two[both]).sum() / (one[both] ** 2).sum())


def _check(geometry: Geometry, delta: Any, beta: Any, potential: Any) -> None:
    electrons = geometry.voltage is not None
    for name, value in {"delta": delta, "beta": beta, "potential": potential}.items():
        if value is not None and not (isinstance(value, Real) and math.isfinite(value) and value):
            raise ValueError(f"{name} is {value!r}; give the number of the material, not 0 and finite")
    if electrons and (delta is not None or beta is not None):
        raise ValueError(
            "delta and beta are of photons, and the geometry has electrons: give potential=, the mean inner potential "
            "in volt"
        )
    if not electrons and potential is not None:
        raise ValueError(f"potential={potential!r} is for electrons, and the geometry has no voltage: give delta=")
    if delta is None and beta is None and potential is None:
        wanted = (
            "potential=, the mean inner potential in volt"
            if electrons
            else "delta=, beta= or both, of n = 1 - delta + i beta"
        )
        raise ValueError(f"the material is missing: give {wanted}")
    if delta is not None and delta >= _INDEX:
        raise ValueError(f"delta is {delta!r}, an index of refraction: give delta = 1 - n, such as {1 - delta:.3g}")
    for name, value in {"beta": beta, "potential": potential}.items():
        if value is not None and value < 0:
            raise ValueError(f"{name} is {value!r}; give a positive number")


def _length(value: float) -> str:
    return f"-{metres(-value)}" if value < 0 else metres(value)
