"""All of a state on one page; for a simulated scan, the truth beside the reconstruction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.illumination import lit_area, lit_by
from opty.model.sample import transmission
from opty.physics.modes import orthogonal
from opty.plot.figure import canvas, root, styled
from opty.plot.headline import put_headline
from opty.plot.history import draw_history
from opty.plot.images import centred_phase, draw_magnitude, draw_phase, height_to_width, magnitude_limits, robust_limits
from opty.plot.modes import MOST_SHOWN, draw_modes
from opty.plot.positions import draw_positions
from opty.plot.slices import draw_layers, layers_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.gridspec import GridSpec

    from opty.state import BareState


@styled
def overview(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw object magnitude and phase, probe modes, positions and error curve of a state; returns the figure.

    ``ax`` : axes whose place the panels take. Of several slices each is drawn, and their product; of a mixture
    its orthogonal states.
    """
    image, lit, pixel = p.numpy("obj"), lit_area(p), p.pixel
    width, upper = 12.0, min(max(4.4 * height_to_width(lit), 1.6), 6.0) + 0.7
    if image.ndim == 3:
        width, upper = layers_size(p, lit)
        width = max(width, 12.0)
    heights = upper, 3.8
    fig = canvas(ax, width, sum(heights) + 0.6)
    put_headline(fig, p, width)
    grid = fig.add_gridspec(2, 1, height_ratios=heights)
    top, bottom = grid[0], grid[1]
    if image.ndim == 3:
        draw_layers(fig, top, p, lit)
    else:
        pair = top.subgridspec(1, 2)
        left, right = fig.add_subplot(pair[0]), fig.add_subplot(pair[1])
        draw_magnitude(left, image, lit, pixel)
        draw_phase(right, image, lit, pixel)
    lower = bottom.subgridspec(1, 3)
    probe_cell, middle, last = lower[0], lower[1], lower[2]
    modes = p.numpy("probe")
    draw_modes(fig, probe_cell, modes, pixel, math.ceil(math.sqrt(min(len(modes), MOST_SHOWN))))
    draw_positions(fig.add_subplot(middle), p)
    draw_history(fig.add_subplot(last), p)
    return root(fig)


@styled
def demo_figure(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the true and the recovered object and probe, positions and error curve of a simulated scan.

    ``ax`` : axes whose place the panels take. Of several slices the products are compared; of a mixture the
    strongest orthogonal state of the truth, and the mix of those found that is the nearest.
    Raises ValueError where the data hold no truth.
    """
    truth = p.data.truth or {}
    if lacking := {"obj", "probe", "positions"} - set(truth):
        raise ValueError(f"the data hold no true {', '.join(sorted(lacking))}: draw overview(p) instead")
    fig = canvas(ax, 14.0, 7.7)
    put_headline(fig, p, 14.0)
    grid = fig.add_gridspec(2, 4)
    _compare_objects(fig, grid, p, truth)
    draw_modes(fig, grid[0, 2], truth["probe"], p.pixel, _columns(truth["probe"]), "true probe")
    draw_modes(fig, grid[0, 3], p.numpy("probe"), p.pixel, _columns(p.numpy("probe")), "recovered probe")
    draw_positions(fig.add_subplot(grid[1, 2]), p)
    draw_history(fig.add_subplot(grid[1, 3]), p)
    return root(fig)


def _columns(modes: np.ndarray) -> int:
    return math.ceil(math.sqrt(min(len(modes), MOST_SHOWN)))


def _compare_objects(fig: FigureBase, grid: GridSpec, p: BareState, truth: Mapping[str, np.ndarray]) -> None:
    """Truth in the first column, reconstruction in the second, on the same colour scales."""
    from opty.analysis import align, align_states

    true_obj = truth["obj"]
    lit = lit_by(truth["positions"], truth["probe"], true_obj.shape)
    # The state has a margin around the scan: the offset of its frame from the frame of the truth.
    offset = np.rint((p.numpy("positions") - truth["positions"]).mean(0)).astype(int)
    what = "product, " if true_obj.ndim == 3 else ""
    if p.model.mixture:
        true_obj, what = orthogonal(true_obj, lit.astype(float)), "state 1, "
        aligned = align_states(p.numpy("obj"), true_obj, lit, offset)[0][0]
        true_obj = true_obj[0]
    else:
        true_obj = transmission(true_obj, False)
        aligned, _ = align(transmission(p.numpy("obj"), False), true_obj, lit, offset=offset)
    magnitudes = magnitude_limits(np.abs(true_obj[lit]))
    phases = robust_limits(centred_phase(true_obj, lit)[lit], least=0.1)
    for column, name, image in ((0, "true", true_obj), (1, "recovered", aligned)):
        upper, lower = fig.add_subplot(grid[0, column]), fig.add_subplot(grid[1, column])
        bar = column == 1
        draw_magnitude(upper, image, lit, p.pixel, title=f"{name} {what}magnitude", limits=magnitudes, colorbar=bar)
        draw_phase(lower, image, lit, p.pixel, title=f"{name} {what}phase (rad)", limits=phases, colorbar=bar)
