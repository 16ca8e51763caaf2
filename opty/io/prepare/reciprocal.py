"""Geometry where a pixel is known as an angle or a spatial frequency, and no distance of the detector."""

from __future__ import annotations

from typing import Any


def of_angle(angle: float) -> dict[str, Any]:
    """Lengths of a detector at 1 m with pixels of as many metres as a pixel has radians; for ``Raw.lengths``.

    The pixel at the sample is wavelength / (n angle), whatever the distance. Where the distance is given, the pixel
    follows; a pixel that is given alone does not, since it is one of metres.
    """
    return {
        "distance": lambda known: None if "pixel_size" in known else 1.0,
        "pixel_size": lambda known: None if "distance" not in known else angle * known["distance"],
    }


def of_frequency(frequency: float) -> dict[str, Any]:
    """The same for a pixel of a spatial frequency [1/m]: its angle is wavelength times that.

    Without a wavelength, which is an error of its own, any pixel will do.
    """
    return {
        "distance": lambda known: None if "pixel_size" in known else 1.0,
        "pixel_size": lambda known: (
            None if "distance" not in known else known.get("wavelength", 1e-12) * frequency * known["distance"]
        ),
    }
