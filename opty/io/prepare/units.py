"""Units as files name them, to metres and joule."""

from __future__ import annotations

import math
from typing import Any

from opty.geometry import PLANCK_TIMES_C

ELECTRON_VOLT = 1.602176634e-19  # J, exact in the SI
LENGTHS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "angstrom": 1e-10, "pm": 1e-12}
LENGTHS |= dict.fromkeys(("meter", "metre", "meters", "metres"), 1.0)
LENGTHS |= dict.fromkeys(("µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1e-06)
LENGTHS |= {"millimeter": 1e-3, "millimetre": 1e-3, "nanometer": 1e-9, "nanometre": 1e-9, "a": 1e-10, "å": 1e-10}
ENERGIES = {"j": 1.0, "joule": 1.0, "ev": ELECTRON_VOLT, "kev": 1e3 * ELECTRON_VOLT, "mev": 1e6 * ELECTRON_VOLT}


def metres(unit: Any, where: str) -> float:
    """How many metres one of a unit is; ValueError for a name that is no unit of length."""
    return _factor(LENGTHS, unit, where, "length")


def joules(unit: Any, where: str) -> float:
    """How many joule one of a unit is; ValueError for a name that is no unit of energy."""
    return _factor(ENERGIES, unit, where, "energy")


def wavelength(energy: float, where: str) -> float:
    """Wavelength [m] of photons of an energy [J]; ValueError for one that is not positive, or too small a number."""
    if not 0 < energy < math.inf:
        raise ValueError(f"{where} is {energy} J; expected a positive energy")
    return PLANCK_TIMES_C / energy


def _factor(known: dict[str, float], unit: Any, where: str, what: str) -> float:
    name = unit.decode("utf-8", errors="replace") if isinstance(unit, bytes) else str(unit)
    if (factor := known.get(name.strip().lower())) is None:
        raise ValueError(f"{where} has the unit {name!r}, no unit of {what} that opty knows: {', '.join(known)}")
    return factor
