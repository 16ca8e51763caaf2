"""Several slices: each of them, their product, and cuts along the beam; and the states of a mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opty.analysis.illumination import crop_to, lit_area, photons_on
from opty.analysis.object_states import object_states
from opty.model.sample import transmission
from opty.model.slices import Slices
from opty.plot.figure import canvas, root, styled
from opty.plot.headline import put_headline
from opty.plot.images import (
    CYCLIC,
    GREYS,
    UNITS,
    WIDEST_GREY_PHASE,
    centred_phase,
    colour_bar,
    draw_magnitude,
    draw_phase,
    height_to_width,
    label_turn,
    magnitude_limits,
    robust_limits,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

    from opty.state import BareState

MOST_SHOWN = 5


@styled
def slices(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the slices of a thick object, their product, and cuts along z through the middle; returns the figure.

    The cuts show the phase [rad] of each slice, less its mean over the lit area, in a band that reaches halfway to the
    next slice: along the middle row, and along the middle column, of the lit area. z [m] runs with the beam, from the
    first slice. Phases that vary slowly across a slice may lie in any of the slices: data hardly determine in which.
    Where the beam is tilted against the sample, a dashed line shows its way.

    ``ax`` : axes whose place the panels take. Raises ValueError for a thin object, and for a mixture of states.
    """
    image = p.numpy("obj")
    if image.ndim == 2 or p.model.mixture:
        raise ValueError("this object is thin, one slice: draw it with opty.plot.obj(p)")
    lit = lit_area(p)
    width, height = layers_size(p, lit)
    fig = canvas(ax, width, height + 3.4)
    put_headline(fig, p, width)
    grid = fig.add_gridspec(2, 1, height_ratios=(height, 2.6))
    top, bottom = grid[0], grid[1]
    draw_layers(fig, top, p, lit)
    lower = bottom.subgridspec(1, 2)
    left, right = fig.add_subplot(lower[0]), fig.add_subplot(lower[1])
    depths = p.numpy("spacing") if "spacing" in p._live.leaves else None
    slopes = np.tan(p.numpy("tilt")) / p.pixel if isinstance(p.model.sample, Slices) else np.zeros(2)
    draw_cut(left, image, lit, depths, 0, slopes[1])
    draw_cut(right, image, lit, depths, 1, slopes[0])
    return root(fig)


def layers_size(p: BareState, lit: np.ndarray) -> tuple[float, float]:
    """Width and height [inch] of a picture of slices and their product, or of the states of a mixture."""
    columns = min(len(p.numpy("obj")), MOST_SHOWN) + (not p.model.mixture)
    width = max(8.0, min(3.3 * columns, 16.0))
    return width, 2 * (min(max((width / columns - 0.9) * height_to_width(lit), 1.2), 4.0) + 0.7)


def draw_layers(fig: FigureBase, spec: Any, p: BareState, lit: np.ndarray) -> None:
    """Draw the slices of a thick object, or the orthogonal states of a mixture, in two rows."""
    image = p.numpy("obj")
    if p.model.mixture:
        image = object_states(p)
        passed = (np.abs(image) ** 2 * photons_on(p.numpy("positions"), p.numpy("probe"), image.shape)).sum(axis=(1, 2))
        _draw_states(fig, spec, image, lit, p.pixel, passed / passed.sum())
    else:
        _draw_slices(fig, spec, image, lit, p.pixel)


def _draw_states(
    fig: FigureBase, spec: Any, image: np.ndarray, lit: np.ndarray, pixel: float | None, shares: np.ndarray
) -> None:
    """Draw magnitudes and phases of states (L, H, W), the strongest first, with their shares (L,) of the light."""
    shown = min(len(image), MOST_SHOWN)
    grid = spec.subgridspec(2, shown)
    for k in range(shown):
        upper, lower = (fig.add_subplot(grid[row, k]) for row in (0, 1))
        share = f"{100 * shares[k]:.1f} %" if shares[k] >= 1e-3 else "< 0.1 %"
        draw_magnitude(upper, image[k], lit, pixel, title=f"state {k + 1}, {share}: magnitude")
        draw_phase(lower, image[k], lit, pixel, title=f"state {k + 1}, phase (rad)")
        if k:
            upper.set_ylabel("")
            lower.set_ylabel("")
        upper.set_xlabel("")


def _draw_slices(fig: FigureBase, spec: Any, image: np.ndarray, lit: np.ndarray, pixel: float | None) -> None:
    """Draw magnitudes and phases of slices (L, H, W) in two rows, in the order of the beam, and of their product last.

    All slices have the same colours. Of more than five, five at equal steps are drawn.
    """
    shown = np.unique(np.linspace(0, len(image) - 1, min(len(image), MOST_SHOWN)).round().astype(int))
    grid = spec.subgridspec(2, len(shown) + 1)
    magnitudes = magnitude_limits(np.abs(image[:, lit]))
    phases = robust_limits(np.array([centred_phase(one, lit)[lit] for one in image]), least=0.1)
    of = "" if len(shown) == len(image) else f" of {len(image)}"
    for column, k in enumerate(shown):
        upper, lower = (fig.add_subplot(grid[row, column]) for row in (0, 1))
        name, bar = f"slice {k + 1}{of}", column == len(shown) - 1
        draw_magnitude(upper, image[k], lit, pixel, title=f"{name}, magnitude", limits=magnitudes, colorbar=bar)
        draw_phase(lower, image[k], lit, pixel, title=f"{name}, phase (rad)", limits=phases, colorbar=bar)
        if column:
            upper.set_ylabel("")
            lower.set_ylabel("")
        upper.set_xlabel("")
    upper, lower = (fig.add_subplot(grid[row, len(shown)]) for row in (0, 1))
    draw_magnitude(upper, transmission(image, False), lit, pixel, title="product, magnitude")
    draw_phase(lower, transmission(image, False), lit, pixel, title="product, phase (rad)")
    for axes in (upper, lower):
        axes.set_ylabel("")
    upper.set_xlabel("")


def draw_cut(
    axes: Axes, image: np.ndarray, lit: np.ndarray, depths: np.ndarray | None, axis: int, slope: float
) -> None:
    """Draw the phase of slices (L, H, W) along the middle row (``axis`` 0) or column (1) of the lit area, against z.

    ``depths`` : (L - 1,) distances between the slices [m]; None: z counts slices. ``slope`` : of the beam [px/m], of
    which the way is drawn where it is not 0.
    """
    window = crop_to(lit)
    across = window[1 - axis]
    middle = (window[axis].start + window[axis].stop) // 2
    line = (slice(None), middle, across) if axis == 0 else (slice(None), across, middle)
    phase = np.array([centred_phase(one, lit) for one in image])
    low, high = robust_limits(phase[:, lit], least=0.1)
    grey = high - low < WIDEST_GREY_PHASE
    colours = (GREYS, low, high) if grey else (CYCLIC, -np.pi, np.pi)
    seen = lit[middle, across] if axis == 0 else lit[across, middle]
    edges, label = _bands(len(image), depths)
    picture = axes.pcolormesh(
        np.arange(across.start, across.stop + 1) - 0.5,
        edges,
        np.ma.masked_array(phase[line], np.broadcast_to(~seen, phase[line].shape)),
        cmap=colours[0],
        vmin=colours[1],
        vmax=colours[2],
        rasterized=True,
    )
    if slope and depths is not None:
        half = slope * depths.sum() / 2
        centre = (across.start + across.stop - 1) / 2
        ends = [(edges[0] + edges[1]) / 2, (edges[-2] + edges[-1]) / 2]
        axes.plot([centre - half, centre + half], ends, "--", color="tab:red", label="beam")
        axes.legend(loc="upper right", fontsize="small")
    axes.invert_yaxis()
    axes.set_facecolor("0.92")
    axes.set_ylabel(label)
    axes.set_xlabel(("column (px)", "row (px)")[axis])
    axes.set_title(f"phase (rad) along {('row', 'column')[axis]} {middle}")
    bar = colour_bar(axes, picture)
    if not grey:
        label_turn(bar)


def _bands(count: int, depths: np.ndarray | None) -> tuple[np.ndarray, str]:
    """Return the edges (L + 1,) of the bands that stand for slices, and the label of their axis."""
    if depths is None or len(depths) != count - 1:
        return np.arange(count + 1) + 0.5, "slice"
    z = np.concatenate([[0.0], np.cumsum(depths)])
    size, unit = next((u for u in UNITS if z[-1] >= u[0] * (1 - 1e-9)), UNITS[-1])
    halfway = (z[1:] + z[:-1]) / 2
    edges = np.concatenate([[z[0] - depths[0] / 2], halfway, [z[-1] + depths[-1] / 2]])
    return edges / size, f"z ({unit})"
