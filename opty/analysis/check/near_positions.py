"""Do the images of a near field move as the positions say? Orientation, scale, rotation, and views that are off."""

from __future__ import annotations

import math

import numpy as np

from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.near_field import ImageShift, image_shift
from opty.analysis.check.scan_stretch import numbers_of
from opty.analysis.coverage import is_near
from opty.analysis.orientation import WAYS, Orientation
from opty.data import PtychoData
from opty.geometry import Geometry
from opty.remedies import here, option

SCALED, ASPECT, TURNED, SHEARED = 0.06, 0.1, 0.05, 0.08  # logarithms, rad, and a shear, from which on it is said
# Correlation of images with themselves from which on their shift is ambiguous; that of pictures is below 0.45.
REPEATS = 0.5
SURE = 5.0  # standard errors
POINTLESS = 0.25  # logarithm of the scale from which on
NO_MAP = 0.1  # standard error of the scale, relative, from which on no map of the positions explains the images
AWAY = 0.7  # px by which views are off one by one, in each direction
_ORDER = "the frames may be in another order, or the positions off one by one"


def near_positions(data: PtychoData, frames: Frames, one_by_one: bool = True) -> Findings | None:
    """Compare how the patterns of a near field move with their positions: no run is needed.

    Patterns are images of the sample: where positions and geometry are right, the image of one view is that of another,
    shifted by minus the difference of their positions, in pixels. One linear map is fitted to the shifts of all pairs
    of neighbours (``image_shift``). It shows the orientation of the axes, a rotation, a shear, and the scale, which in
    a cone beam depends on the distance from the focus. Large residuals mean that single positions are wrong.

    Parameters: data; its frames as looked at; whether positions that are off ``one_by_one`` are worth saying.
    Returns: Findings; None in another field, where the patterns are no such images, and for periodic samples.
    """
    if not is_near(data) or data.absent is not None:
        return None
    found = image_shift(data, frames)
    if found is None or found.repeats > REPEATS:
        return None
    pixel, geometry = data.pixel, data.geometry
    assert pixel is not None
    assert geometry is not None
    moved = -found.matrix * pixel
    if found.error > NO_MAP:
        return Findings(
            warnings=(f"the patterns are images of the sample, and they move unlike the positions: {_ORDER}",)
        )
    way = max((Orientation(*way, math.nan) for way in WAYS), key=lambda way: float((way.matrix * moved).sum()))
    if not way.as_given:
        said = f"the patterns are images of the sample, and they move as {way.name}, not as the positions given"
        return Findings((f"{said}: {way.remedy}, by {way.options}",))
    if found.beside > AWAY:
        return _one_by_one(found.beside) if one_by_one else Findings()
    return _of_map(moved, found, geometry)


def _one_by_one(beside: float) -> Findings:
    near = here("(PosCorrect() * rPIE()) ** 60", '--recipe "(PosCorrect() * rPIE())**60"')
    return Findings(
        warnings=(
            f"the patterns are images of the sample, and each is some {beside:.2g} px away from where its position "
            f"puts it: {_ORDER}: {near} refines them by a few pixels",
        )
    )


def _of_map(moved: np.ndarray, found: ImageShift, geometry: Geometry) -> Findings:
    """Judge the map (2, 2) from positions to shifts of the images, both in pixels."""
    scale, aspect, rotation, shear = numbers_of(moved)
    least = SURE * found.error
    said, remedies = [], []
    scaled = abs(math.log(scale)) > max(SCALED, least)
    uneven = abs(math.log(aspect)) > max(ASPECT, least)
    if uneven:
        root = math.sqrt(aspect)
        factors = (round(scale * root, 3), round(scale / root, 3))
        said.append(
            f"{factors[0]:.3g} times as far as the positions along rows and {factors[1]:.3g} times along columns"
        )
        remedies.append(option("position_scale", factors))
    elif scaled:
        said.append(f"{scale:.3g} times as far as the positions")
        remedies.append(_for_scale(scale, found, geometry))
    if abs(rotation) > max(TURNED, least):
        said.append(f"turned by {math.degrees(rotation):.3g} degrees")
        remedies.append(option("scan_rotation", f"{math.degrees(rotation):.3g}deg"))
    if abs(shear) > max(SHEARED, least):
        said.append(f"with a shear of {shear:.2g}")
        remedies.append(here("PosCorrect()", "a recipe with PosCorrect()"))
    if not said:
        return Findings()
    line = (
        f"the patterns are images of the sample, and they move {', '.join(said)}: {here('load with', 'give')} "
        f"{' and '.join(remedies)}"
    )
    return Findings((line,)) if scaled and abs(math.log(scale)) > POINTLESS else Findings(warnings=(line,))


def _for_scale(scale: float, found: ImageShift, geometry: Geometry) -> str:
    """Return what makes up for a scale: in a cone beam the distance of the focus that magnifies so many times."""
    remedy = option("position_scale", round(scale, 3))
    times = found.magnification * geometry.pixel_size
    if geometry.focus_to_sample is None or times <= 1:
        return f"{remedy}, or the pixel size that makes up for it"
    focus = option("focus_to_sample", float(f"{geometry.distance / (times - 1):.4g}"))
    return f"{focus}, which magnifies {times:.4g} times as they are, or {remedy}"
