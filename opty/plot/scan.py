"""The picture of a raw scan: what the frames show by themselves, laid out where they were taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.plot.figure import VERMILION, canvas, root, styled
from opty.plot.images import colour_bar, robust_limits, scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.analysis.scan_overview import ScanOverview

NAMES = {
    "transmission": "transmission",
    "scattered": "dark field: share outside the beam",
    "row": "centre of mass, row (px)",
    "column": "centre of mass, column (px)",
}


@styled
def scan(found: ScanOverview, ax: Axes | None = None) -> Figure:
    """Draw a raw scan (``opty.analysis.scan_overview``); returns the figure.

    The maps of transmission, dark field and differential phase; the mean amplitude with the edge of the beam; all
    patterns stitched, and how much light and how many views lie on each pixel.

    ``ax`` : axes whose place the panels take.
    """
    fig = canvas(ax, 13.0, 6.4)
    if ax is None:
        root(fig).set_layout_engine(None)  # a layout by measuring text would take as long as all the rest
    fig.subplots_adjust(0.01, 0.02, 0.95, 0.95, wspace=0.25, hspace=0.1)
    panels = fig.subplots(2, 4).ravel()
    for axes, (name, image) in zip(panels, found.maps().items(), strict=False):
        low, high = robust_limits(image)
        signed = name in ("row", "column")
        low, high = (-max(-low, high), max(-low, high)) if signed else (low, high)
        _draw(axes, image, NAMES[name], "RdBu_r" if signed else "gray", (low, high), found.map_pixel)
    _draw(panels[4], found.white, "mean amplitude, edge of the beam", "viridis", (0, found.white.max()), None)
    panels[4].contour(found.beam, levels=[0.5], colors=[VERMILION], linewidths=0.8)
    lit = found.count > 0
    for axes, image, title in (
        (panels[5], found.stitched, "patterns stitched"),
        (panels[6], found.sum, "their light"),
        (panels[7], found.count, "views on each pixel"),
    ):
        _draw(axes, np.where(lit, image, np.nan), title, "gray", robust_limits(image[lit]), 1.0)
    return root(fig)


def _draw(
    axes: Axes, image: np.ndarray, title: str, colours: str, limits: tuple[float, float], pixel: float | None
) -> None:
    """Draw an image whose pixels are ``pixel`` pixels of the sample, with a bar of that length where it is given."""
    axes.set_xticks([])
    axes.set_yticks([])
    edge = 1.0 if pixel is None else pixel
    extent = (0, image.shape[1] * edge, image.shape[0] * edge, 0)
    picture = axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], extent=extent)
    axes.set_facecolor("0.92")
    axes.set_title(title)
    colour_bar(axes, picture)
    if pixel is not None:
        scale_bar(axes, None)
