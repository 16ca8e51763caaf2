"""The options that every measurement can be loaded with, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The options of ``opty.load`` for measurements.

    Parameters
    ----------
    views : which to load: a slice, its text ("0:100", "::4") or a list of view numbers. ``leave_out`` : which to
        leave out, in the same form, or "empty": those without a single photon, and those that are NaN throughout.
    crop : edge [px] of the square that is cut out around ``centre``. ``centre`` : (row, column) [px] of the beam on the
        detector as the file has it; "auto": the centre of mass. Default: from the file, or the middle n // 2.
    zero_frequency : "corner" where the frames have it there, at [0, 0], as an FFT leaves them; it is brought to the
        middle, n // 2, in masks, dark and flat as well. "centre": in the middle already. Default: from the file.
    transpose, flip : True, and "rows", "columns" or "both": turn the detector image, transposed first. Default: from
        the file; the zero frequency stays in the middle.
    rebin : factor; rebin x rebin pixels are added up to one, which is masked if any of them is.
    subdivide : factor; each pixel is divided into subdivide x subdivide, which share its counts, for a model with
        ``Bin``.
    mask : where a pixel counts, besides the file's own mask: an array (True counts), the path of one, or, found from
        the frames, "invalid" (NaN, infinite, negative in any view; of noise, in the views where it is), "dead", "hot",
        "saturated" (in the views where it is); "ignore": not the file's; or a list of these. ``saturation`` : counts
        from which a pixel is saturated.
    dark : incoherent background [counts], an array, the path of one, or a number for all pixels; fitted with the
        model, not subtracted.
    flat : sensitivity of each pixel, an array or a path; counts are divided by it, pixels where it is 0 are masked.
    clip : 0: negative counts, the noise of data from which a dark image was subtracted, become 0.
    wavelength, distance, pixel_size, focus_to_sample, propagation : of the Geometry [m], where the file has none or a
        wrong one. In place of the wavelength ``energy`` of the photons [J] or ``voltage`` of the electrons [V]. All
        take texts with a unit as well: "6.2keV", "75um", "300kV".
    positions : (N, 2) (row, column) of the views, in place of those of the file: an array, NPY, "file.h5:/path", or a
        text table; in metres, the unit in the file, or ``position_unit``.
    position_unit : of the positions in the file, in place of the unit in the file: "um", "px", or (rows', columns').
        ``position_swap`` : True exchanges row and column, then ``position_flip`` ("rows", "columns", "both") turns the
        sign, ``position_scale`` multiplies (one factor or (row, column)), and ``scan_rotation`` ([rad], or "12deg")
        turns the row axis towards the column axis: R f, R = [[cos, -sin], [sin, cos]]; "auto" finds it from the centres
        of mass of the frames, see ``opty.analysis.find_rotation``.
    frame_order : where frames are in another order than their positions: how they were taken on the grid of the
        positions, "rows", "snake", "columns", "column-snake"; "reversed"; or "shift:1", frame j belongs to position
        j + 1, and "shift:1@32", from frame 32 on. Frames that have no position are left out.
    scan_step : distance between neighbouring views of a scan on a grid (one, or (between rows, between columns)):
        metres, pixels without a geometry, or a text with a unit; in place of the file's positions. ``scan_shape`` :
        (rows, columns) of the grid where the frames of the file have one axis of views.
    reciprocal_pixel : of the detector, in place of ``distance`` and ``pixel_size``: "0.8mrad", "0.02 1/A".
    semi_angle : of the aperture [rad] or "21.4mrad"; or the ``aperture``, its diameter, and the ``focal_length`` of the
        lens [m]. The starting probe is made from it, ``defocus`` [m] (positive underfocus) and ``aberrations`` such as
        {"C30": 1e-3}; see ``opty.physics.optics.aperture_probe``.
    probe : the starting probe, in place of the file's: an array (M, n, n) or (n, n), centred; NPY; a result of opty;
        "file.h5:/path".
    links : names or patterns of other files that links in an HDF5 file may lead to.
    stream : True leaves the frames in the file, to be read batch by batch; False reads them into memory. Default: they
        stay if they would take more than a quarter of the free memory.
    """

    views: Any = None
    leave_out: Any = None
    crop: int | None = None
    centre: Any = None
    zero_frequency: str | None = None
    transpose: bool | None = None
    flip: str | None = None
    rebin: int = 1
    subdivide: int = 1
    mask: Any = None
    saturation: float | None = None
    dark: Any = None
    flat: Any = None
    clip: float | None = None
    wavelength: float | str | None = None
    energy: float | str | None = None
    voltage: float | str | None = None
    distance: float | str | None = None
    pixel_size: float | str | None = None
    focus_to_sample: float | str | None = None
    propagation: str | None = None
    positions: Any = None
    position_unit: Any = None
    position_swap: bool | None = None
    position_flip: str | None = None
    position_scale: Any = None
    scan_rotation: float | str | None = None
    frame_order: str | None = None
    scan_step: Any = None
    scan_shape: Any = None
    reciprocal_pixel: str | None = None
    semi_angle: float | str | None = None
    aperture: float | str | None = None
    focal_length: float | str | None = None
    defocus: float | str | None = None
    aberrations: Any = None
    probe: Any = None
    links: Any = None
    stream: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that differ from their defaults and change the measurement."""
        found = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not f.default and v is not None}
        return {name: value for name, value in found.items() if name != "stream"}
