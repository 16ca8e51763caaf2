"""Error bars of the object and of the positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.illumination import crop_to
from opty.plot.figure import BLUE, VERMILION, canvas, root, styled
from opty.plot.images import colour_bar, height_to_width, label_pixels, robust_limits, scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.analysis.uncertainty import Uncertainty


@styled
def uncertainty(found: Uncertainty, ax: Axes | None = None) -> Figure:
    """Draw standard deviations of phase [rad] and magnitude over the lit area, and of positions; returns the figure.

    Parameters: found, of ``opty.analysis.uncertainty``; ax, whose place the panels take.
    """
    count = 2 if found.positions is None else 3
    fig = canvas(ax, 5.0 * count, min(max(4.2 * height_to_width(found.lit), 2.6), 7.0) + 0.8)
    panels = fig.subplots(1, count)
    for axes, image, name in zip(panels, (found.phase, found.magnitude), ("phase (rad)", "magnitude"), strict=False):
        _draw(axes, image, found, f"standard deviation of the {name}")
    if found.positions is not None:
        _positions(panels[2], found.positions)
    return root(fig)


def _draw(axes: Axes, image: np.ndarray, found: Uncertainty, title: str) -> None:
    rows, columns = crop_to(found.lit)
    low, high = robust_limits(image[found.lit])
    picture = axes.imshow(
        np.ma.masked_array(image, ~found.lit)[rows, columns],
        cmap="viridis",
        vmin=low,
        vmax=high,
        extent=(columns.start - 0.5, columns.stop - 0.5, rows.stop - 0.5, rows.start - 0.5),
    )
    axes.set_facecolor("0.92")
    axes.set_title(f"{title}: median {np.median(image[found.lit]):.2g}")
    label_pixels(axes)
    scale_bar(axes, found.pixel)
    colour_bar(axes, picture)


def _positions(axes: Axes, deviations: np.ndarray) -> None:
    for values, colour, marker, name in zip(deviations.T, (BLUE, VERMILION), "o^", ("row", "column"), strict=True):
        axes.semilogy(values, marker, ms=3, color=colour, label=name)
    axes.set_xlabel("view")
    axes.set_ylabel("px")
    axes.set_title(f"standard deviation of positions: median {np.median(deviations):.2g} px")
    axes.legend(loc="best")
