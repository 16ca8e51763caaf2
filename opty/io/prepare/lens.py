"""The options of electron lenses and scan generators: the starting probe of an aperture, the rotation found by curl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from opty.geometry import Geometry
from opty.io.prepare.preparation import Preparation
from opty.io.prepare.units import quantity
from opty.physics.optics import checked_aberrations, lens_probe
from opty.remedies import named, option

LENS = ("semi_angle", "defocus", "aberrations")


def check_lens(options: Preparation) -> None:
    """Refuse options of the lens that make no sense, before any file is read."""
    if not (given := given_of(options)):
        return
    if options.probe is not None:
        raise ValueError(f"{named('probe')} and {named(given[0])} both make the starting probe: give one of the two")
    _defocus(options)
    _aberrations(options)


def given_of(options: Preparation) -> list[str]:
    """Return the names of the options of the lens that are given."""
    return [name for name in LENS if getattr(options, name) is not None]


def probe_of(options: Preparation, geometry: Geometry | None, n: int) -> np.ndarray:
    """Return the starting probe (1, n, n) that the options describe, centred in its array.

    The aperture is that of the geometry. Raises ValueError for a geometry that has none.
    """
    name = given_of(options)[0]
    if geometry is None or geometry.semi_angle is None:
        raise ValueError(f"{named(name)} needs the aperture, {option('semi_angle', '21mrad')}")
    return lens_probe(geometry, n, defocus=_defocus(options), aberrations=_aberrations(options))[None]


def turned(fields: Mapping[str, Any], grid: tuple[int, int]) -> np.ndarray:
    """Return the positions of a scan on a grid rotated by the angle found from the frames.

    Raises ValueError where the angle is not certain, or where the detector image has to be transposed.
    """
    from opty.analysis.check.scan_rotation import find_rotation
    from opty.data import PtychoData
    from opty.data.scan_grid import rotated

    data = PtychoData(**fields)
    found = find_rotation(data, grid)
    if not found.sure:
        raise ValueError(
            f"the frames do not determine the rotation of the scan (curl {found.curl:.2g} of the largest): give the "
            f"angle, {option('scan_rotation', '12deg')}"
        )
    if found.transpose:
        raise ValueError(f"the frames fit the scan when they are transposed: give {option('transpose', True)} as well")
    return rotated(data.positions, found.angle)


def _defocus(options: Preparation) -> float:
    return 0.0 if options.defocus is None else quantity("length", "defocus", options.defocus)


def _aberrations(options: Preparation) -> dict[str, float]:
    given = options.aberrations
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"aberrations is {given!r}; give names and lengths, as {{'C30': '1.2mm'}}")
    kinds = {name: "angle" if str(name).lower().startswith("phi") else "length" for name in given}
    return checked_aberrations({name: quantity(kinds[name], str(name), value) for name, value in given.items()})
