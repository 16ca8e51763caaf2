"""Agreement of two halves of a scan: Fourier ring correlation, both pictures, and the local resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.frc import RingCorrelation
from opty.plot.figure import BLUE, GREEN, GREY, VERMILION, canvas, panel, root, styled
from opty.plot.images import (
    UNITS,
    centred_phase,
    colour_bar,
    draw_magnitude,
    draw_phase,
    label_pixels,
    magnitude_limits,
    robust_limits,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.analysis.resolution import Resolution

LOCAL = "viridis_r"  # dark is coarse, bright is fine
CURVES = (("half_bit", 0.5, VERMILION, "--", "half bit"), ("one_bit", 1.0, GREEN, ":", "one bit"))


@styled
def frc(found: Resolution | RingCorrelation, ax: Axes | None = None) -> Figure:
    """Draw a Fourier ring correlation with the half-bit and one-bit curves and the resolution; returns the figure.

    Parameters: found, of ``opty.analysis.resolution`` or ``opty.analysis.frc``; ax, to draw on.
    """
    axes = panel(ax, 6.0, 4.2)
    draw_frc(axes, found)
    return root(axes)


@styled
def resolution(found: Resolution, ax: Axes | None = None) -> Figure:
    """Draw both halves, their Fourier ring correlation and the map of local resolution; returns the figure.

    Parameters: found, of ``opty.analysis.resolution``; ax, whose place the panels take.
    """
    from opty.plot.images import height_to_width

    lit = np.ones(found.halves.shape[1:], bool)
    height = min(max(4.4 * height_to_width(lit), 2.4), 6.0) + 0.7
    fig = canvas(ax, 11.0, height + 4.4)
    upper, lower = fig.subplots(2, 2, height_ratios=(height, 4.2))
    images = found.halves
    phases = np.array([centred_phase(image, lit) for image in images])
    by_phase = phases.std() > np.abs(images).std() / max(float(np.abs(images).mean()), 1e-30)
    limits = robust_limits(phases, least=0.1) if by_phase else magnitude_limits(np.abs(images))
    draw, what = (draw_phase, "phase (rad)") if by_phase else (draw_magnitude, "magnitude")
    for axes, image, name in zip(upper, images, ("first", "second"), strict=True):
        draw(axes, image, lit, found.pixel, title=f"{name} half: {what}", limits=limits)
    draw_frc(lower[0], found)
    draw_local(lower[1], found)
    return root(fig)


def draw_frc(axes: Axes, found: Resolution | RingCorrelation) -> None:
    """Draw the curves of a Fourier ring correlation on ``axes``, with a second scale of half periods above."""
    curve, pixel = (found, None) if isinstance(found, RingCorrelation) else (found.curve, found.pixel)
    size, unit = 1.0, "px"
    if pixel is not None:
        size, unit = next((u for u in UNITS if pixel >= u[0] * (1 - 1e-9)), UNITS[-1])
        size = pixel / size
    axes.axhline(0, color=GREY, lw=0.6)
    axes.plot(curve.frequency, curve.correlation, color=BLUE, lw=1.4, label="correlation")
    for name, bits, colour, style, label in CURVES:
        at = curve.crossing(bits)
        told = f"{label}: {size / (2 * at):.3g} {unit}" if at else f"{label}: nowhere"
        axes.plot(curve.frequency, getattr(curve, name), color=colour, lw=1.2, ls=style, label=told)
        if at:
            axes.axvline(at, color=colour, lw=0.9, ls=style)
    axes.set_xlim(0, 0.5)
    axes.set_ylim(min(-0.1, float(curve.correlation.min()) - 0.02), 1.05)
    axes.set_xlabel("spatial frequency (cycles / px)")
    axes.set_ylabel("correlation")
    axes.set_title("Fourier ring correlation")
    axes.legend(loc="best")
    ticks = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    above = axes.secondary_xaxis("top")
    above.set_ticks(ticks, labels=[f"{size / (2 * f):.3g}" for f in ticks])
    above.set_xlabel(f"half period ({unit})")


def draw_local(axes: Axes, found: Resolution) -> None:
    """Draw the half-bit resolution of each tile, where the tile lies in the frame of the object."""
    size, unit = 1.0, "px"
    told = found.local[np.isfinite(found.local)]
    if found.pixel is not None and len(told):
        size, unit = next((u for u in UNITS if np.median(told) >= u[0] * (1 - 1e-9)), UNITS[-1])
    rows, columns = found.places[:, 0, 0], found.places[0, :, 1]
    half = [np.diff(steps).mean() / 2 if len(steps) > 1 else found.tile / 2 for steps in (rows, columns)]
    low, high = robust_limits(told / size) if len(told) else (0.0, 1.0)
    picture = axes.imshow(
        np.ma.masked_invalid(found.local / size),
        cmap=LOCAL,
        vmin=low,
        vmax=high,
        extent=(columns[0] - half[1], columns[-1] + half[1], rows[-1] + half[0], rows[0] - half[0]),
    )
    axes.set_facecolor("0.92")
    axes.set_title(f"half period ({unit}) in tiles of {found.tile} px")
    label_pixels(axes)
    colour_bar(axes, picture)
