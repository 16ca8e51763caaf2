"""Geometry of the experiment: wavelength, distances and pixels; turns metres into pixels, once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from opty.console import table
from opty.remedies import named, option
from opty.units import metres
from opty.words import clear_init, joined

Propagation = Literal["far", "cone", "near"]
PLANCK_TIMES_C = 6.62607015e-34 * 299792458.0  # J m, exact in the SI
ELEMENTARY_CHARGE = 1.602176634e-19  # C, exact in the SI
ELECTRON_REST_ENERGY = 8.1871057880e-14  # J, m c^2; CODATA 2022
PHOTON_MAX = 50e3 * ELEMENTARY_CHARGE  # J: ptychography with photons ends below, electrons and storage rings begin
LEAST_VOLTAGE = 500.0  # V: a smaller number was meant in kV
LONGEST = 2e-3  # m: no ptychography uses longer waves
LARGEST_PIXEL = 0.1  # m: of a detector; a larger number was meant in another unit
WIDEST_ANGLE = 0.5  # rad: no lens of ptychography is wider, so a larger number was meant in mrad


def electron_wavelength(voltage: float) -> float:
    """Wavelength [m] of electrons behind an accelerating voltage [V]: h c / sqrt(E (E + 2 m c^2)), E = e U.

    Raises ValueError for a voltage that is not positive and finite, and for one below 500 V, which was meant in kV.

    Source: Kirkland, Advanced Computing in Electron Microscopy (2020), Eq. 2.5.
    """
    if not (isinstance(voltage, (int, float)) and math.isfinite(voltage) and voltage > 0):
        raise ValueError(f"voltage is {voltage!r}; give a positive one in volt")
    if voltage < LEAST_VOLTAGE:
        raise ValueError(f"voltage is {voltage!r} V, too low for electrons that see an atom: give 300e3 for 300 kV")
    energy = ELEMENTARY_CHARGE * voltage
    return PLANCK_TIMES_C / math.sqrt(energy * (energy + 2 * ELECTRON_REST_ENERGY))


def interaction_constant(voltage: float) -> float:
    """Phase of electrons per projected potential [rad/(V m)]: sigma = 2 pi m e lambda / h^2, m = m_0 + e U / c^2.

    Raises ValueError as ``electron_wavelength`` does.

    Source: Kirkland, Advanced Computing in Electron Microscopy (2020), ch. 5.
    """
    wavelength = electron_wavelength(voltage)
    energy = ELECTRON_REST_ENERGY + ELEMENTARY_CHARGE * voltage
    return 2 * math.pi * energy * ELEMENTARY_CHARGE * wavelength / PLANCK_TIMES_C**2


@dataclass(frozen=True, init=False)
class Geometry:
    """Wavelength, distances and pixel size of an experiment, all in metres.

    Parameters
    ----------
    wavelength : wavelength of the radiation [m]; not needed with a ``voltage``.
    distance : from the sample to the detector [m].
    pixel_size : edge of a (square) detector pixel [m].
    focus_to_sample : from the focus to the sample [m]; needed for "cone", optional for "near"
        (without it the beam is parallel), refused for "far".
    propagation : "far" (Fraunhofer), "cone" (far field of a diverging beam, sample out of focus) or
        "near" (Fresnel regime; a diverging beam magnifies by the Fresnel scaling theorem).
    voltage : that accelerates the electrons [V], where the radiation is electrons; None for photons.
    semi_angle : half the opening angle of the lens that focuses the beam on the sample [rad], 21.4e-3 for 21.4 mrad;
        its numerical aperture. A state whose data bring no probe then starts with that of the aperture, in focus;
        ``opty.physics.optics.lens_probe`` makes it with a defocus and aberrations. Far field only; None: not known.

    Raises
    ------
    TypeError : a length that is missing. ValueError : a length that is not positive and finite, a focus that does not
        go with the propagation, a wavelength that electrons of the voltage do not have, an angle that no lens has.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement Eq. 1; Paganin, Coherent X-ray Optics (2006), sec. 1.8
    for the Fresnel scaling theorem.
    """

    wavelength: float
    distance: float
    pixel_size: float
    focus_to_sample: float | None = None
    propagation: Propagation = "far"
    voltage: float | None = None
    semi_angle: float | None = None

    def __init__(
        self,
        wavelength: float | None = None,
        distance: float | None = None,
        pixel_size: float | None = None,
        focus_to_sample: float | None = None,
        propagation: Propagation = "far",
        *,
        voltage: float | None = None,
        semi_angle: float | None = None,
    ):
        if voltage is not None:
            of_electrons = electron_wavelength(voltage)
            if wavelength is not None and not math.isclose(wavelength, of_electrons, rel_tol=1e-3):
                raise ValueError(
                    f"wavelength is {wavelength!r} m, and electrons of {voltage!r} V have {of_electrons:.6g} m: give "
                    "one of the two"
                )
            wavelength = of_electrons if wavelength is None else wavelength
        given = {"wavelength": wavelength, "distance": distance, "pixel_size": pixel_size}
        if missing := [name for name, value in given.items() if value is None]:
            raise TypeError(
                f"Geometry needs {joined(missing)}: wavelength (or the voltage of electrons), distance and pixel_size"
            )
        for name, value in {**given, "focus_to_sample": focus_to_sample, "propagation": propagation}.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "voltage", voltage)
        object.__setattr__(self, "semi_angle", semi_angle)
        self._check()

    def _check(self) -> None:
        for name in ("wavelength", "distance", "pixel_size"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value!r}; give a positive length in metres")
        for name, most in {"wavelength": LONGEST, "pixel_size": LARGEST_PIXEL}.items():
            if getattr(self, name) > most:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, and no {name} of ptychography is: give it in metres"
                )
        if self.propagation not in get_args(Propagation):
            raise ValueError(f"propagation is {self.propagation!r}; choose one of {', '.join(get_args(Propagation))}")
        field = self.wavelength * self.distance / self.pixel_size
        if not 0 < field < math.inf:
            raise ValueError(
                f"wavelength {self.wavelength!r}, distance {self.distance!r} and pixel_size {self.pixel_size!r} give a "
                f"field of {field!r} m at the sample; give all three in metres"
            )
        self._check_lens()
        fs = self.focus_to_sample
        if fs is None:
            if self.propagation == "cone":
                cone, focus = option("propagation", "cone"), named("focus_to_sample")
                raise ValueError(f"{cone} needs {focus} in metres; without a focus use 'far'")
        elif self.propagation == "far":
            focus, far = option("focus_to_sample", fs), option("propagation", "far")
            raise ValueError(f"{focus} has no meaning for {far}; use 'cone' or 'near'")
        elif not (math.isfinite(fs) and fs > 0):
            raise ValueError(f"focus_to_sample is {fs!r}; give a positive length in metres")

    def _check_lens(self) -> None:
        angle = self.semi_angle
        if angle is None:
            return
        if not (isinstance(angle, (int, float)) and 0 < angle < WIDEST_ANGLE):
            raise ValueError(f"semi_angle is {angle!r}; give an angle in radians, {option('semi_angle', 21e-3)}")
        if self.propagation != "far":
            raise ValueError(
                f"{option('semi_angle', angle)} is of a lens in the far field, and the geometry says "
                f"{self.propagation!r}: leave it out"
            )

    @classmethod
    def from_energy(cls, energy: float, **lengths: Any) -> Geometry:
        """Make a geometry from the photon energy [J] instead of the wavelength.

        Raises ValueError if a ``voltage`` is given too: electrons and photons of one energy differ in wavelength.
        """
        if lengths.get("voltage") is not None:
            raise ValueError(
                f"energy {energy!r} J is for photons, and voltage {lengths['voltage']!r} V is for electrons: leave the "
                "energy out"
            )
        if energy > PHOTON_MAX:
            volts = energy / ELEMENTARY_CHARGE
            raise ValueError(
                f"energy is {energy!r} J, {volts:.6g} eV, which is no energy of photons for ptychography: for "
                f"electrons give {option('voltage', volts)}, for photons the wavelength"
            )
        return cls(wavelength=PLANCK_TIMES_C / energy, **lengths)

    @classmethod
    def from_reciprocal(
        cls,
        pixel: float,
        wavelength: float | None = None,
        voltage: float | None = None,
        semi_angle: float | None = None,
    ) -> Geometry:
        """Make the geometry of a diffraction camera whose ``pixel`` is known as an angle [rad] (1e-3 for 1 mrad).

        A detector at 1 m with pixels of as many metres: pixel at the sample = wavelength / (n angle). An angle per
        pixel of q [1/m] is wavelength q.
        """
        return cls(wavelength, 1.0, pixel, voltage=voltage, semi_angle=semi_angle)

    def lines(self) -> dict[str, str]:
        """Return the geometry in words, one subject a line."""
        field = {"far": "far field", "cone": "far field of a diverging beam (cone)", "near": "near field"}
        photons = f"photons of {self.energy / ELEMENTARY_CHARGE / 1e3:.5g} keV"
        radiation = photons if self.voltage is None else f"electrons of {self.voltage / 1e3:.5g} kV"
        told = {
            "propagation": field[self.propagation],
            "wavelength": f"{metres(self.wavelength)}, {radiation}",
            "distance": f"{metres(self.distance)} from sample to detector",
            "pixel_size": f"{metres(self.pixel_size)} on the detector",
        }
        if self.focus_to_sample is not None:
            told["focus_to_sample"] = metres(self.focus_to_sample)
        if self.semi_angle is not None:
            told["semi_angle"] = f"{self.semi_angle * 1e3:.4g} mrad"
        return told

    def _repr_html_(self) -> str:
        return table(self.lines().items())

    @property
    def energy(self) -> float:
        """Energy of a photon [J], h c / wavelength; of an electron its kinetic energy, e U."""
        return PLANCK_TIMES_C / self.wavelength if self.voltage is None else ELEMENTARY_CHARGE * self.voltage

    @property
    def photon_energy(self) -> float:
        """Energy of a photon of this wavelength [J], whatever the radiation is; programs for photons expect it."""
        return PLANCK_TIMES_C / self.wavelength

    @property
    def magnification(self) -> float:
        """(z1 + z2) / z1 of a diverging beam in the near field; 1 otherwise."""
        if self.propagation != "near" or self.focus_to_sample is None:
            return 1.0
        return (self.focus_to_sample + self.distance) / self.focus_to_sample

    @property
    def effective_distance(self) -> float:
        """Distance of the equivalent parallel-beam experiment [m] (near field)."""
        return self.distance / self.magnification

    def sample_pixel(self, n: int) -> float:
        """Edge of a pixel at the sample [m] for patterns of n x n pixels (far field: Guzzi et al. 2022, Eq. S1)."""
        if self.propagation == "near":
            return self.pixel_size / self.magnification
        return self.wavelength * self.distance / (n * self.pixel_size)


clear_init(Geometry)
