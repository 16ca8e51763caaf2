"""Lengths of the geometry that a reconstruction may find along, as it finds positions.

They belong to the scan and not to one element. A state has one of them once a step refines it; until then the geometry
of the measurement holds. Lengths act in two ways: on the edge of a pixel at the sample, in which positions are
measured, and on the distance over which a near field propagates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.errors import RecipeError
from opty.geometry import Geometry
from opty.remedies import named

DISTANCE = Leaf("distance", "1", unit="m", scale=0, role="estimate", optional=True)
PIXEL_SIZE = Leaf("pixel_size", "1", unit="m", scale=0, role="estimate", optional=True)
FOCUS_TO_SAMPLE = Leaf("focus_to_sample", "1", unit="m", scale=0, role="estimate", optional=True)

GEOMETRY_LEAVES = (DISTANCE, PIXEL_SIZE, FOCUS_TO_SAMPLE)
LENGTHS = frozenset({"distance", "pixel_size", "focus_to_sample"})


def told_by(geometry: Geometry | None) -> tuple[str, ...]:
    """Return the lengths that data tell; of a far field the distance over the pixel size, for which "distance" stands.

    In a cone beam the curvature of the beam is one of the probe, so that the near field alone tells focus_to_sample.
    """
    if geometry is None:
        return ()
    if geometry.propagation != "near":
        return ("distance",)
    return ("distance", "pixel_size") + (("focus_to_sample",) if geometry.focus_to_sample is not None else ())


def check_told(name: str, geometry: Geometry | None) -> None:
    """Raise RecipeError, with the reason, for a number that the data cannot tell."""
    if name in told_by(geometry):
        return
    if geometry is None:
        raise RecipeError(
            f"Refine({name!r}) needs lengths to begin with: give the measurement a geometry ({named('wavelength')}, "
            f"{named('distance')}, {named('pixel_size')}); positions in pixels are scaled by PosCorrect()"
        )
    if name == "pixel_size":
        raise RecipeError(
            "Refine('pixel_size'): far from the sample data tell the distance over the pixel size alone; "
            "Refine('distance') finds it"
        )
    if geometry.propagation == "near":
        raise RecipeError("Refine('focus_to_sample'): the geometry has no focus; the beam is parallel")
    raise RecipeError(
        f"Refine({name!r}): far from the sample the curvature of the beam is one of the probe, which every engine finds"
    )


def first_value(name: str, geometry: Geometry | None) -> np.ndarray:
    """Return a length (1,) [m] as the measurement has it."""
    return np.array([getattr(geometry, name)], np.float64)


def with_lengths(geometry: Geometry | None, numbers: Mapping[str, np.ndarray]) -> Geometry | None:
    """Return a geometry with the lengths (1,) that are among ``numbers``."""
    lengths: dict[str, Any] = {name: float(numbers[name][0]) for name in LENGTHS & numbers.keys()}
    return dataclasses.replace(geometry, **lengths) if geometry is not None and lengths else geometry


def relative_slopes(geometry: Geometry, name: str) -> tuple[float, float]:
    """Return the derivatives by a length [1/m] of the logarithms of the sample's pixel and of the effective distance.

    With M = (f + z) / f the pixel is p / M and the distance z / M in the near field, and lambda z / (n p) the pixel in
    the far field.
    """
    z, f = geometry.distance, geometry.focus_to_sample
    if geometry.propagation != "near":
        return {"distance": 1 / z, "pixel_size": -1 / geometry.pixel_size}.get(name, 0.0), 0.0
    if name == "pixel_size":
        return 1 / geometry.pixel_size, 0.0
    if f is None:
        return 0.0, 1 / z
    if name == "distance":
        return -1 / (f + z), f / (z * (f + z))
    return z / (f * (f + z)), z / (f * (f + z))


def added(a: Any, b: Any) -> Any:
    """Return a sum of which the first term may be None."""
    return b if a is None else a + b
