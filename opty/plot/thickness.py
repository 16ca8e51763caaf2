"""The unwrapped phase of the object, and what thickness of a material it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.plot.figure import canvas, panel, root, styled
from opty.plot.images import UNITS, UNLIT, colour_bar, height_to_width, label_pixels, robust_limits, scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.analysis.phase_map import PhaseMap
    from opty.analysis.thickness import Thickness

COLOURS = "viridis"


@styled
def phase_map(found: PhaseMap, ax: Axes | None = None) -> Figure:
    """Draw the unwrapped phase [rad], its background taken off, the vacuum outlined; returns the figure.

    Parameters: found, of ``opty.analysis.phase_map``; ax, to draw on.
    """
    axes = panel(ax, 5.6, _height(found))
    _draw(axes, found.phase, found, "unwrapped phase (rad)")
    return root(axes)


@styled
def thickness(found: Thickness, ax: Axes | None = None) -> Figure:
    """Draw the thickness from the phase, from the transmission, or both, the vacuum outlined; returns the figure.

    Parameters: found, of ``opty.analysis.thickness``; ax, whose place the panels take.
    """
    maps = {"phase": found.from_phase, "transmission": found.from_transmission}
    shown = {name: image for name, image in maps.items() if image is not None}
    fig = canvas(ax, 5.0 * len(shown) + 0.6, _height(found.map))
    for axes, (name, image) in zip(fig.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        largest = np.nanpercentile(np.abs(image), 99.5)
        size, unit = next((u for u in UNITS if largest >= u[0]), UNITS[-1])
        _draw(axes, image / size, found.map, f"thickness from the {name} ({unit})")
    return root(fig)


def _height(found: PhaseMap) -> float:
    return min(max(4.4 * height_to_width(np.isfinite(found.phase)), 1.8), 8.0) + 0.8


def _draw(axes: Axes, image: np.ndarray, found: PhaseMap, title: str) -> None:
    low, high = robust_limits(image)
    (top, left), (rows, columns) = found.corner, image.shape
    picture = axes.imshow(
        np.ma.masked_invalid(image),
        cmap=COLOURS,
        vmin=low,
        vmax=high,
        extent=(left - 0.5, left + columns - 0.5, top + rows - 0.5, top - 0.5),
    )
    axes.set_facecolor(UNLIT)
    axes.set_title(title)
    if found.vacuum is not None and not found.vacuum.all():
        at = np.arange(left, left + columns), np.arange(top, top + rows)
        axes.contour(*at, found.vacuum, levels=[0.5], colors="white", linewidths=1.0, linestyles="--")
    label_pixels(axes)
    scale_bar(axes, found.pixel)
    colour_bar(axes, picture)
