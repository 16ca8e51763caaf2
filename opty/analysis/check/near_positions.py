"""Do the images of a near field move as the positions say? Orientation, scale, rotation, and views that are off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.near_field import ImageShift, image_shift
from opty.analysis.check.near_orders import shift_of_frames
from opty.analysis.check.scan_stretch import numbers_of
from opty.analysis.coverage import is_near
from opty.analysis.orientation import AS_GIVEN, WAYS, Orientation
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
    of neighbours (``image_shift``); where none fits, frames shifted against the positions are looked for
    (``shift_of_frames``). It shows the orientation of the axes, a rotation, a shear, and the scale, which in
    a cone beam depends on the distance from the focus. Large residuals mean that single positions are wrong.

    Parameters: data; its frames as looked at; whether positions that are off ``one_by_one`` are worth saying.
    Returns: Findings; None in another field, where the patterns are no such images, and for periodic samples.
    """
    if not is_near(data) or data.absent is not None:
        return None
    found = image_shift(data, frames)
    if found is not None and found.repeats > REPEATS:
        return None
    way = AS_GIVEN if found is None else _way(-found.matrix * _pixel(data))
    if found is None or found.error > NO_MAP or found.beside > AWAY or not way.as_given:
        order = shift_of_frames(data, frames, REPEATS)
        if order is not None:
            return _in_order(order)
    if found is None:
        return None
    moved = -found.matrix * _pixel(data)
    if found.error > NO_MAP:
        return Findings(
            warnings=(f"the patterns are images of the sample, and they move unlike the positions: {_ORDER}",)
        )
    if not way.as_given:
        said = f"the patterns are images of the sample, and they move as {way.name}, not as the positions given"
        return Findings((f"{said}: {way.remedy}, by {way.options}",))
    if found.beside > AWAY:
        return _one_by_one(found.beside) if one_by_one else Findings()
    geometry = _geometry(data)
    return _of_map(NearMap.of(moved, found, geometry), geometry)


def _in_order(order: str) -> Findings:
    return Findings(
        (
            "the patterns are images of the sample, and they are alike where the positions put them with the frames in "
            f"the order {order!r}, not as given: {here('load with', 'give')} {option('frame_order', order)}",
        )
    )


def _one_by_one(beside: float) -> Findings:
    near = here("(PosCorrect() * rPIE()) ** 60", '--recipe "(PosCorrect() * rPIE())**60"')
    return Findings(
        warnings=(
            f"the patterns are images of the sample, and each is some {beside:.2g} px away from where its position "
            f"puts it: {_ORDER}: {near} refines them by a few pixels",
        )
    )


@dataclass(frozen=True)
class NearMap:
    """How images of the sample move beside the positions: scale, aspect (row over column), rotation [rad] and shear.

    Each is None where it is not told from that of right positions. ``times``: the magnification of the images by the
    positions as they are.
    """

    scale: float | None
    aspect: float | None
    rotation: float | None
    shear: float | None
    times: float

    @classmethod
    def of(cls, moved: np.ndarray, found: ImageShift, geometry: Geometry) -> NearMap:
        """Judge the map (2, 2) from positions to shifts of the images, both in pixels."""
        scale, aspect, rotation, shear = numbers_of(moved)
        least = SURE * found.error
        uneven = abs(math.log(aspect)) > max(ASPECT, least)
        return cls(
            scale if uneven or abs(math.log(scale)) > max(SCALED, least) else None,
            aspect if uneven else None,
            rotation if abs(rotation) > max(TURNED, least) else None,
            shear if abs(shear) > max(SHEARED, least) else None,
            found.magnification * geometry.pixel_size,
        )

    @property
    def factors(self) -> float | tuple[float, float] | None:
        """What positions are to be multiplied by: one factor, or (row, column)."""
        if self.scale is None or self.aspect is None:
            return None if self.scale is None else round(self.scale, 3)
        root = math.sqrt(self.aspect)
        return round(self.scale * root, 3), round(self.scale / root, 3)

    @property
    def turn(self) -> str | None:
        """What positions are to be turned by, as ``opty.load(scan_rotation=)`` takes it."""
        return None if self.rotation is None else f"{math.degrees(self.rotation):.3g}deg"

    def focus(self, geometry: Geometry) -> float | None:
        """Return the distance [m] from the focus to the sample that makes up for one scale; None where none does."""
        alone = self.scale is not None and self.aspect is None
        if not alone or geometry.focus_to_sample is None or self.times <= 1:
            return None
        return float(f"{geometry.distance / (self.times - 1):.4g}")


def near_map(data: PtychoData, frames: Frames) -> NearMap | None:
    """Return the map by which the images of a near field move beside the positions, for what makes up for it.

    None where ``near_positions`` finds no map: in another field, for periodic samples, where the axes are taken in
    another way, and where single views are off.
    """
    found = None if not is_near(data) or data.absent is not None else image_shift(data, frames)
    if found is None or found.repeats > REPEATS or found.error > NO_MAP or found.beside > AWAY:
        return None
    moved = -found.matrix * _pixel(data)
    return NearMap.of(moved, found, _geometry(data)) if _way(moved).as_given else None


def _way(moved: np.ndarray) -> Orientation:
    return max((Orientation(*way, math.nan) for way in WAYS), key=lambda way: float((way.matrix * moved).sum()))


def _pixel(data: PtychoData) -> float:
    assert data.pixel is not None
    return data.pixel


def _geometry(data: PtychoData) -> Geometry:
    assert data.geometry is not None
    return data.geometry


def _of_map(found: NearMap, geometry: Geometry) -> Findings:
    said, remedies = [], []
    if isinstance(found.factors, tuple):
        rows, columns = found.factors
        said.append(f"{rows:.3g} times as far as the positions along rows and {columns:.3g} times along columns")
        remedies.append(option("position_scale", found.factors))
    elif found.scale is not None:
        said.append(f"{found.scale:.3g} times as far as the positions")
        remedies.append(_for_scale(found, geometry))
    if found.rotation is not None:
        said.append(f"turned by {math.degrees(found.rotation):.3g} degrees")
        remedies.append(option("scan_rotation", found.turn))
    if found.shear is not None:
        said.append(f"with a shear of {found.shear:.2g}")
        remedies.append(here("PosCorrect()", "a recipe with PosCorrect()"))
    if not said:
        return Findings()
    line = (
        f"the patterns are images of the sample, and they move {', '.join(said)}: {here('load with', 'give')} "
        f"{' and '.join(remedies)}"
    )
    pointless = found.scale is not None and abs(math.log(found.scale)) > POINTLESS
    return Findings((line,)) if pointless else Findings(warnings=(line,))


def _for_scale(found: NearMap, geometry: Geometry) -> str:
    """Return what makes up for a scale: in a cone beam the distance of the focus that magnifies so many times."""
    remedy = option("position_scale", found.factors)
    if (distance := found.focus(geometry)) is None:
        return f"{remedy}, or the pixel size that makes up for it"
    return f"{option('focus_to_sample', distance)}, which magnifies {found.times:.4g} times as they are, or {remedy}"
