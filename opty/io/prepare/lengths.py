"""The lengths of the geometry: from the options, or else from the file, which is read only where it is needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from opty.geometry import LARGEST_PIXEL, Geometry, electron_wavelength
from opty.io.prepare.quantities import checked_wave
from opty.io.prepare.units import angle_of_pixel, beam, quantity
from opty.remedies import named, option

if TYPE_CHECKING:
    from opty.io.prepare.options import Preparation, Raw

RECIPROCAL = "reciprocal_pixel"
LENGTHS = ("wavelength", "distance", "pixel_size")
BEAM = ("wavelength", "energy", "voltage")
LENS = ("aperture", "focal_length")


def said(options: Preparation) -> dict[str, Any]:
    """Return the lengths that the options give, in SI units, with the wavelength in place of an energy or a voltage.

    Raises ValueError for values that do not fit, and for more than one of the three.
    """
    given = [name for name in BEAM if getattr(options, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(map(named, given))} are given, of which one is enough: leave the others out")
    out: dict[str, Any] = {}
    if options.reciprocal_pixel is not None:
        for name in ("distance", "pixel_size"):
            if getattr(options, name) is not None:
                raise ValueError(f"{named(RECIPROCAL)} is in place of {named('distance')} and {named('pixel_size')}")
        angle_of_pixel(options.reciprocal_pixel, 1.0)
        out[RECIPROCAL] = options.reciprocal_pixel
    for name in ("wavelength", "distance", "pixel_size", "focus_to_sample"):
        if (value := getattr(options, name)) is not None:
            out[name] = quantity("length", name, value)
    if "wavelength" in out:
        checked_wave(out["wavelength"], named("wavelength"))
    if options.energy is not None:
        out |= beam(quantity("energy", "energy", options.energy), named("energy"))
    if options.voltage is not None:
        out["voltage"] = quantity("voltage", "voltage", options.voltage)
        out["wavelength"] = electron_wavelength(out["voltage"])
    if (angle := _semi_angle(options)) is not None:
        out["semi_angle"] = angle
    if options.propagation is not None:
        out["propagation"] = options.propagation
    return out


def _semi_angle(options: Preparation) -> float | None:
    """Return half the opening angle of the lens [rad], given as such or by its aperture and focal length, or None.

    Raises ValueError for one of these two without the other, and for both ways at once.
    """
    lens = [name for name in LENS if getattr(options, name) is not None]
    if options.semi_angle is not None:
        if lens:
            raise ValueError(f"{named('semi_angle')} is in place of {named('aperture')} and {named('focal_length')}")
        return quantity("angle", "semi_angle", options.semi_angle)
    if not lens:
        return None
    if len(lens) < len(LENS):
        missing = next(name for name in LENS if name not in lens)
        raise ValueError(f"{named(lens[0])} makes the starting probe only with {named(missing)}: give both")
    aperture, focal_length = (quantity("length", name, getattr(options, name)) for name in LENS)
    if not (aperture > 0 and focal_length > 0):
        raise ValueError(f"{named('aperture')} is {aperture:g} m, {named('focal_length')} {focal_length:g} m; both > 0")
    return math.atan(aperture / 2 / focal_length)


def known(raw: Raw, options: Preparation) -> dict[str, Any]:
    """Return the lengths of the Geometry from the options and the file; empty for pixels only.

    What an option gives is not read from the file, where the value may be invalid.
    """
    out = said(options)
    beam_given = "wavelength" in out
    voltage = raw.lengths.get("voltage")
    if options.energy is not None and "voltage" not in out and voltage is not None:
        raise ValueError(
            f"the file was made with electrons, and {named('energy')} is for photons: give {option('voltage')}"
        )
    if voltage is not None and not beam_given:
        out["voltage"] = _number("voltage", voltage(out) if callable(voltage) else voltage)
        out["wavelength"] = electron_wavelength(out["voltage"])
    lengths = dict(raw.lengths)
    if RECIPROCAL in out:
        lengths.pop("distance", None), lengths.pop("pixel_size", None)
    elif "distance" in out or "pixel_size" in out:
        lengths.pop(RECIPROCAL, None)
    for name, given in lengths.items():
        if name in out or (name in BEAM and "wavelength" in out):
            continue
        value = given(out) if callable(given) else given
        if isinstance(value, dict):
            out |= value
        elif value is not None:
            out[name] = value if name in ("propagation", RECIPROCAL) else _number(name, value)
    if RECIPROCAL in out and "wavelength" in out:
        out |= {"distance": 1.0, "pixel_size": angle_of_pixel(out.pop(RECIPROCAL), out["wavelength"])}
    if out.get("pixel_size", 0.0) > LARGEST_PIXEL:
        pixel = out["pixel_size"]
        raise ValueError(f"pixel_size is {pixel!r} m: give it with its unit, {option('pixel_size', f'{pixel:g}um')}")
    return out


def check(raw: Raw, known: dict[str, Any], in_pixels: bool) -> None:
    """Refuse lengths that neither file nor options give, and those that make no geometry."""
    missing = [name for name in (LENGTHS[:1] if RECIPROCAL in known else LENGTHS) if name not in known]
    if missing and set(known) == {"semi_angle"}:
        raise ValueError(
            f"{named('semi_angle')} makes the probe of a far field, and needs wavelength, distance and pixel size: "
            f"give {option('voltage')} and {option('reciprocal_pixel')}"
        )
    if missing and (known or not in_pixels):
        where = [raw.wanted.get(name, f"no {name.replace('_', ' ')}") for name in missing]
        raise ValueError(f"{'; '.join(where)}: give {', '.join(map(option, missing))} in metres")
    if not missing:
        Geometry(**known)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; give a length in metres") from None
