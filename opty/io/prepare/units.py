"""Units as files and options name them: one table of lengths, energies, voltages and angles, all to SI."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from opty.errors import warn_user
from opty.geometry import ELEMENTARY_CHARGE, PHOTON_MAX, PLANCK_TIMES_C, electron_wavelength
from opty.remedies import option

ELECTRON_VOLT = ELEMENTARY_CHARGE  # J
ELECTRON_MAX = 2e6 * ELECTRON_VOLT  # J: microscopes end below, storage rings begin
JOULES_MAX = 1e-12  # 6 MeV: a number above it is no energy in joule
NO_EV = 1e-6  # a number below it is no energy in eV or a multiple of it
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*)", re.DOTALL)
_RECIPROCAL = re.compile(r"1\s*/\s*(\S+)|([^\s^\d-]+)\s*(?:\^?\s*-1|⁻¹)")
_POWERS = {"kilo": 1e3, "centi": 1e-2, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "pico": 1e-12, "": 1.0}
_METRES = ("meter", "metre", "meters", "metres")

# Keys are in lower case, except in _CASED, where the case distinguishes milli from mega.
LENGTHS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "angstrom": 1e-10, "pm": 1e-12, "km": 1e3}
LENGTHS |= {f"{prefix}{name}": factor for prefix, factor in _POWERS.items() for name in _METRES}
LENGTHS |= dict.fromkeys(("µm", "μm", "micron", "microns", "mum", "mu m", "mkm"), 1e-6)
LENGTHS |= dict.fromkeys(("a", "å", "ang", "angstroms", "ångström", "ångströms", "ångstrom", "ångstroms"), 1e-10)
ENERGIES = {"j": 1.0, "ev": ELECTRON_VOLT, "kev": 1e3 * ELECTRON_VOLT, "gev": 1e9 * ELECTRON_VOLT}
ENERGIES |= dict.fromkeys(("joule", "joules"), 1.0)
ENERGIES |= dict.fromkeys(("electronvolt", "electronvolts", "electron volt", "electron volts"), ELECTRON_VOLT)
ENERGIES |= dict.fromkeys(("kiloelectronvolt", "kiloelectronvolts"), 1e3 * ELECTRON_VOLT)
VOLTAGES = {"v": 1.0, "kv": 1e3, "volt": 1.0, "volts": 1.0, "kilovolt": 1e3, "kilovolts": 1e3}
ANGLES = {"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "µrad": 1e-6, "μrad": 1e-6, "radian": 1.0, "radians": 1.0}
ANGLES |= {"milliradian": 1e-3, "milliradians": 1e-3}
ANGLES |= dict.fromkeys(("deg", "degree", "degrees", "°"), math.pi / 180)
_CASED = {"MeV": 1e6 * ELECTRON_VOLT, "meV": 1e-3 * ELECTRON_VOLT}
TABLES = {"length": LENGTHS, "energy": ENERGIES, "voltage": VOLTAGES, "angle": ANGLES}
EXAMPLES = {"length": "75um", "energy": "6.2keV", "voltage": "300kV", "angle": "12deg"}
SI = {"length": "metres", "energy": "joule", "voltage": "volt", "angle": "radians"}


def metres(unit: Any, where: str) -> float:
    """Return a unit in metres; ValueError for a name that is no unit of length."""
    return factor("length", unit, where)


def joules(unit: Any, where: str) -> float:
    """Return a unit in joule; ValueError for a name that is no unit of energy."""
    return factor("energy", unit, where)


def factor(kind: str, unit: Any, where: str) -> float:
    """Return a unit in SI units; ``kind``: "length", "energy", "voltage" or "angle".

    Raises ValueError, which lists the known units, for any other name.
    """
    name, known = unit_name(unit), TABLES[kind]
    found = _CASED.get(name or "") if kind == "energy" else None
    if found is None and (found := known.get((name or "").lower())) is None:
        raise ValueError(f"{where} has the unit {name or ''!r}, no unit of {kind} that opty knows: {', '.join(known)}")
    return found


def unit_name(unit: Any) -> str | None:
    """Return the name of a unit as files store it (text, bytes, an array of one); None where it is empty."""
    if isinstance(unit, np.ndarray):
        unit = unit.reshape(-1)[0] if unit.size == 1 else ",".join(map(str, unit.reshape(-1)))
    if unit is None:
        return None
    text = unit.decode("utf-8", errors="replace") if isinstance(unit, bytes) else str(unit)
    return text.strip().strip("[]()\0").strip() or None


def quantity(kind: str, name: str, value: Any) -> float:
    """Return the value of an option in SI units: a number in them, or a text with a unit such as "6.2keV".

    Raises ValueError for any other text, a number that is not finite, and a number too large for an energy in joule or
    an angle in radians.
    """
    shown = EXAMPLES[kind]
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is None:
            raise ValueError(f"{option(name, value)}: give a number with a unit, such as {option(name, shown)}")
        number, unit = float(match[1]), unit_name(match[2])
        if unit is not None:
            return number * factor(kind, unit, option(name, value))
        value = number
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name} is {value!r}; give a number in {SI[kind]}, or a text with a unit, such as {shown!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; give a finite number in {SI[kind]}")
    too_large = {"energy": JOULES_MAX, "angle": 2 * math.pi}.get(kind, math.inf)
    if abs(float(value)) > too_large:
        raise ValueError(f"{name} is {value!r}, too large to be in {SI[kind]}: give the unit, {option(name, shown)}")
    return float(value)


def angle_of_pixel(text: Any, wavelength: float) -> float:
    """Return the angle [rad] that a pixel of a diffraction camera spans: "0.8mrad", or wavelength q for "0.02 1/A"."""
    match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    unit = unit_name(match[2]) if match is not None else None
    if match is None or unit is None:
        raise ValueError(
            f"{option('reciprocal_pixel', text)}: give an angle or a reciprocal length, as '0.8mrad', '0.02 1/A'"
        )
    one = _RECIPROCAL.fullmatch(unit)
    if one is not None:
        return float(match[1]) * wavelength / metres(one[1] or one[2], option("reciprocal_pixel", text))
    return float(match[1]) * factor("angle", unit, option("reciprocal_pixel", text))


def wavelength(energy: float, where: str) -> float:
    """Wavelength [m] of photons of an energy [J].

    Raises ValueError for an energy that is not positive, or too high for ptychography with photons: that of electrons,
    or of a storage ring.
    """
    if not 0 < energy < math.inf:
        raise ValueError(f"{where} is {energy} J; expected a positive energy")
    if energy > PHOTON_MAX:
        kev = f"{energy / ELECTRON_VOLT / 1e3:.6g}"
        raise ValueError(
            f"{where} is {kev} keV, which is no energy of photons for ptychography: for electrons give "
            f"{option('voltage', f'{kev}kV')}, where it is the storage ring's, that of the photons, "
            f"{option('energy', '6.2keV')}"
        )
    return PLANCK_TIMES_C / energy


def wavelength_as_of_photons(energy: float, where: str) -> float:
    """Wavelength [m] of photons of an energy [J] in the file of a program made for photons only.

    For electrons its users give the energy of photons of the same wavelength; a higher energy is warned of.
    """
    if energy <= PHOTON_MAX or not energy < math.inf:
        return wavelength(energy, where)
    warn_user(
        f"{where} is {energy / ELECTRON_VOLT / 1e3:.6g} keV, and its program makes a wavelength of "
        f"{PLANCK_TIMES_C / energy:.5g} m of it, as of photons; that is taken: for electrons of a known voltage give "
        f"{option('voltage')}",
        UserWarning,
    )
    return PLANCK_TIMES_C / energy


def beam(energy: float, where: str) -> dict[str, float]:
    """Return ``wavelength``, and ``voltage`` for electrons, of the Geometry from an energy [J] that a user wrote.

    From 50 keV to 2 MeV it can only be the energy of electrons; then a warning is given. Raises ValueError beyond.
    """
    if not PHOTON_MAX < energy < ELECTRON_MAX:
        return {"wavelength": wavelength(energy, where)}
    volts = float(f"{energy / ELEMENTARY_CHARGE:.12g}")
    warn_user(
        f"{where} is {volts / 1e3:g} keV, more than photons have in ptychography: it is taken as that of electrons; "
        f"{option('voltage', f'{volts / 1e3:g}kV')} says so",
        UserWarning,
    )
    return {"wavelength": electron_wavelength(volts), "voltage": volts}


def unitless_energy(value: float, where: str) -> tuple[float, str]:
    """Return an energy that has no unit in a file in joule, and the unit that it must be in.

    A number is accepted where only one unit is possible: up to 1e-6 it is joule, from 1000 to 50,000 it is eV.
    Raises ValueError for any other, with the option to give.
    """
    if 0 < value < NO_EV:
        return value, "J"
    if 1e3 < value <= PHOTON_MAX / ELECTRON_VOLT:
        return value * ELECTRON_VOLT, "eV"
    if 0 < value * 1e3 * ELECTRON_VOLT <= PHOTON_MAX:
        remedy = f"{option('energy', f'{value:g}keV')} if it is in keV"
    else:  # of electrons, of a storage ring
        remedy = f"{option('energy', '6.2keV')} of the photons, or {option('voltage', '300kV')} of electrons"
    raise ValueError(f"{where} is {value:g} and has no unit: give {remedy}")
