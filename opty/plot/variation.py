"""A probe that varies: its mean, what varies of it, and the weights along the scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.scan_probes import scan_probes
from opty.plot.figure import canvas, root, styled
from opty.plot.headline import put_headline
from opty.plot.images import colour_bar, scale_bar
from opty.plot.modes import draw_wave

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.state import BareState

MOST_SHOWN = 5


@styled
def variation(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the mean of a probe that varies, its OPR modes, and their weights; returns the figure.

    Above, the first mode of the probe and the OPR modes, each with sum_j c_jk^2 / N, the light in it over that of the
    mean [percent]; of more than five, the first five. Below, the weights of the first three in the order of the views,
    and those of the first where the views lie [px]. Of several scans, ``Probe(scans=...)``: the first mode of each
    scan, and where its views lie.

    ``ax`` : axes whose place the panels take. Raises ValueError for a probe that is steady.
    """
    if "opr_modes" not in p._live.leaves:
        raise ValueError("this probe is steady: draw it with opty.plot.probe(p), or give the model Probe(variable=4)")
    if getattr(p.model.owner("opr_weights"), "scans", None) is not None:
        return _of_scans(p, ax)
    modes, weights = p.numpy("opr_modes"), p.numpy("opr_weights").astype(np.float64)
    shown = min(len(modes), MOST_SHOWN)
    width = max(2.1 * (shown + 1), 8.0)
    fig = canvas(ax, width, 6.1)
    put_headline(fig, p, width)
    grid = fig.add_gridspec(2, 1, height_ratios=(2.2, 3.0))
    panels = grid[0].subgridspec(1, shown + 1, wspace=0.05).subplots(squeeze=False)[0]
    draw_wave(panels[0], p.numpy("probe")[0])
    panels[0].set_title("mean probe")
    scale_bar(panels[0], p.pixel)
    for k in range(shown):
        draw_wave(panels[k + 1], modes[k])
        panels[k + 1].set_title(f"mode {k + 1}: {100 * (weights[:, k] ** 2).mean():.2g} %")
    if len(modes) > shown:
        panels[-1].set_xlabel(f"and {len(modes) - shown} more")
    along, across = grid[1].subgridspec(1, 2, width_ratios=(1.7, 1.0)).subplots(squeeze=False)[0]
    for k in range(min(3, len(modes))):
        along.plot(weights[:, k], lw=1, label=f"mode {k + 1}")
    along.set_xlabel("view")
    along.set_ylabel("weight")
    along.set_title("weights along the scan")
    along.legend(loc="best", fontsize=8)
    row, col = p.numpy("positions").T
    most = max(float(np.abs(weights[:, 0]).max()), np.finfo(float).tiny)
    dots = across.scatter(col, row, c=weights[:, 0], cmap="RdBu_r", vmin=-most, vmax=most, s=14)
    across.set_aspect("equal")
    across.invert_yaxis()
    across.set_xlabel("column (px)")
    across.set_ylabel("row (px)")
    across.set_title("weight of mode 1")
    colour_bar(across, dots)
    return root(fig)


def _of_scans(p: BareState, ax: Axes | None) -> Figure:
    """Draw the probe of each scan, and the positions of all."""
    probes, weights, views = scan_probes(p)[:, 0], p.numpy("opr_weights"), p.numpy("positions")
    ends = np.flatnonzero((weights[1:] != weights[:-1]).any(axis=1)) + 1
    shown = min(len(probes), MOST_SHOWN)
    width = max(2.1 * shown, 6.0)
    fig = canvas(ax, width, 6.1)
    put_headline(fig, p, width)
    grid = fig.add_gridspec(2, 1, height_ratios=(2.2, 3.0))
    panels = grid[0].subgridspec(1, shown, wspace=0.05).subplots(squeeze=False)[0]
    for k in range(shown):
        draw_wave(panels[k], probes[k])
        panels[k].set_title(f"scan {k + 1}: {np.linalg.norm(probes[k]) ** 2:.3g} photons")
    scale_bar(panels[0], p.pixel)
    if len(probes) > shown:
        panels[-1].set_xlabel(f"and {len(probes) - shown} more")
    places = fig.add_subplot(grid[1])
    for k, part in enumerate(np.split(views, ends)):
        places.plot(part[:, 1], part[:, 0], ".", ms=4, label=f"scan {k + 1}")
    places.set_aspect("equal")
    places.invert_yaxis()
    places.set_xlabel("column (px)")
    places.set_ylabel("row (px)")
    places.legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=8)
    return root(fig)
