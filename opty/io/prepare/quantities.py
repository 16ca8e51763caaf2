"""Numbers with units out of HDF5 files: lengths in metres, energies in joule."""

from __future__ import annotations

import h5py

from opty.errors import warn_user
from opty.files.tree import Tree, number
from opty.geometry import LONGEST
from opty.io.prepare.units import joules, metres, unit_name, unitless_energy, wavelength
from opty.remedies import option


def unit_of(tree: Tree, found: h5py.Dataset) -> str | None:
    """Return the unit that a dataset has in its attribute ``units`` (or ``unit``), None where it has none."""
    return unit_name(tree.attribute(found, "units")) or unit_name(tree.attribute(found, "unit"))


def length(tree: Tree, found: h5py.Dataset, unit: str | None = None) -> float:
    """Read a length [m]; ``unit`` : from a mapping; default: that of the attribute, or else the metre."""
    return number(found) * metres(unit or unit_of(tree, found) or "m", found.name)


def wave(tree: Tree, found: h5py.Dataset, unit: str | None = None) -> float:
    """Read a wavelength [m]; ValueError for one too long for ptychography."""
    return checked_wave(length(tree, found, unit), found.name)


def checked_wave(value: float, where: str) -> float:
    """Return a wavelength [m]; ValueError for one too long for ptychography."""
    if value > LONGEST:
        nm = option("wavelength", f"{value:g}nm")
        raise ValueError(f"{where} is {value:g} m, which is no wavelength: give it with its unit, {nm}")
    return value


def of_photons(tree: Tree, found: h5py.Dataset | None) -> dict[str, float] | None:
    """Read an energy of photons as their ``wavelength`` [m]; for a number without a unit see ``in_joule``."""
    if found is None:
        return None
    return {"wavelength": wavelength(in_joule(number(found), unit_of(tree, found), found.name), found.name)}


def in_joule(value: float, unit: str | None, where: str) -> float:
    """Return a number in a unit as an energy [J]; without one, in the only possible unit (if eV, with a warning)."""
    if unit is not None:
        return value * joules(unit, where)
    found, meant = unitless_energy(value, where)
    if meant != "J":
        warn_user(f"{where} is {value:g} and has no unit; it is taken as {meant}", UserWarning)
    return found
