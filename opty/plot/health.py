"""The picture of a scan check: mean pattern, photons, positions, and how well each orientation fits."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.plot.figure import BLUE, GREEN, GREY, VERMILION, canvas, root, styled
from opty.plot.images import label_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    from opty.analysis.check.health import Health


@styled
def health(h: Health, ax: Axes | None = None) -> Figure:
    """Draw the results of a scan check; ``ax`` : axes whose place the panels take; returns the figure."""
    fig = canvas(ax, 11.0, 8.6)
    verdict = "fit for a reconstruction" if h.verdict == "reconstruct" else h.verdict
    file = [Path(h.data.source["path"]).name] if h.data.source else []
    parts = [*file, f"{h.views} views of {h.pattern} × {h.pattern}", verdict, datetime.date.today().isoformat()]
    fig.suptitle("  ·  ".join(parts), ha="left", x=0.01)
    (pattern, positions), (photons, ways) = fig.subplots(2, 2)
    _draw_pattern(pattern, h)
    _draw_positions(positions, h)
    _draw_photons(photons, h)
    _draw_orientations(ways, h)
    return root(fig)


def _draw_pattern(axes: Axes, h: Health) -> None:
    from matplotlib.colors import LogNorm

    mean = np.where(h.frames.mean > 0, h.frames.mean, np.nan)
    low, high = np.nanpercentile(mean, 5), h.frames.light.max() or np.nanmax(mean)
    picture = axes.imshow(mean, cmap="viridis", norm=LogNorm(max(low, high * 1e-6), high))
    axes.figure.colorbar(picture, cax=axes.inset_axes((1.03, 0.0, 0.045, 1.0)))
    axes.axvline(h.pattern // 2, color="white", lw=0.5)
    axes.axhline(h.pattern // 2, color="white", lw=0.5)
    axes.plot(*h.centre[::-1], "+", ms=12, mew=1.6, color=VERMILION, label="centre of mass")
    for name, marker in (("dead", "s"), ("hot", "o"), ("saturated", "D")):
        rows, cols = np.nonzero(getattr(h.frames, name))
        if len(rows):
            style: dict[str, Any] = {"fc": "none", "ec": VERMILION, "lw": 0.9, "s": 26, "label": f"{name}: {len(rows)}"}
            axes.scatter(cols, rows, marker=marker, **style)
    axes.set_title("mean pattern (photons)")
    label_pixels(axes)
    axes.legend(loc="upper right")


def _draw_positions(axes: Axes, h: Health) -> None:
    at = h.data.positions_px
    axes.plot(at[:, 1], at[:, 0], lw=0.4, color="0.8", zorder=1)
    axes.scatter(at[:, 1], at[:, 0], s=8, color=BLUE, lw=0, zorder=2)
    for name, which in (("jump", h.far_views), ("repeat", h.repeated_views)):
        if which:
            there = at[list(which)]
            axes.scatter(there[:, 1], there[:, 0], s=40, fc="none", ec=VERMILION, lw=1, label=f"{name}: {len(which)}")
    corner = at.min(axis=0)
    axes.add_patch(_circle(corner, h.probe_diameter))
    axes.plot([], [], "o", mfc="none", mec=GREEN, label="size of the probe")
    axes.set_aspect("equal", adjustable="datalim")
    axes.invert_yaxis()
    axes.set_title("positions")
    label_pixels(axes)
    axes.legend(loc="upper right")


def _circle(centre: np.ndarray, diameter: float) -> Circle:
    from matplotlib.patches import Circle

    row, column = centre
    return Circle((column, row), diameter / 2, fc="none", ec=GREEN, lw=1.2, zorder=3)


def _draw_photons(axes: Axes, h: Health) -> None:
    axes.plot(h.frames.photons, ".", ms=3, color=BLUE)
    for name in ("frozen", "missing", "full", "dim", "bright"):
        if which := getattr(h, f"{name}_frames"):
            axes.plot(which, h.frames.photons[list(which)], "o", mfc="none", ms=6, label=f"{name}: {len(which)}")
    axes.set_ylim(0, 1.1 * h.frames.photons.max())
    axes.set_title("photons of each view")
    axes.set_xlabel("view")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")


def _draw_orientations(axes: Axes, h: Health) -> None:
    axes.set_title(f"positions fit: {h.fits}")
    if not h.orientations:
        axes.set_axis_off()
        return
    best = h.fits != "undecided"
    colours = [GREEN if best and k == 0 else GREY for k in range(len(h.orientations))]
    places = np.arange(len(h.orientations))
    axes.barh(places, [way.misfit for way in h.orientations], color=colours)
    names = [f"{way.name}{' = as given' if way.as_given else ''}" for way in h.orientations]
    axes.set_yticks(places, labels=names)
    axes.invert_yaxis()
    axes.set_xlabel("misfit of held-out views")
