"""Positions of the views: nominal, refined and true, with magnified displacements; the curves of the refinement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opty.plot.figure import BLUE, GREEN, GREY, VERMILION, canvas, panel, root, styled
from opty.plot.headline import put_headline
from opty.plot.images import label_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.state import BareState

# Below this the positions are unchanged but for rounding [px].
STILL = 1e-6
# Series of the history: colour and label.
CURVES = {
    "position_error": (VERMILION, "mean distance from the truth"),
    "position_signal": (GREEN, "mean displacement found"),
    "position_step": (BLUE, "longest step"),
}


@styled
def positions(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the centres of all views in the object's frame [px], and curves of their refinement; returns the figure.

    Nominal positions are dots, arrows lead to the refined ones, circles are at the true ones if the data hold them.
    Lines are the ways of the stage during the views of a fly scan.
    Curves from the history are drawn beside them if positions were refined. ``ax`` : to draw on, or whose place the
    panels take.
    """
    went = [name for name in CURVES if p.history.get(name) is not None]
    if not went:
        axes = panel(ax, 6.0, 6.3)
        if ax is None:
            put_headline(root(axes), p, 6.0)
        draw_positions(axes, p)
        return root(axes)
    fig = canvas(ax, 10.5, 6.3)
    put_headline(fig, p, 10.5)
    left, right = fig.subplots(1, 2, width_ratios=(1.25, 1))
    draw_positions(left, p)
    draw_refinement(right, p)
    return root(fig)


def draw_refinement(axes: Axes, p: BareState, title: str = "refinement of positions") -> None:
    """Draw errors (if known), displacements found and steps of the positions [px] on ``axes``, log scale."""
    from matplotlib.ticker import MaxNLocator

    iteration = p.history["position_iteration"]
    for name, (colour, label) in CURVES.items():
        values = p.history.get(name)
        if values is not None and (values > 0).any():
            axes.semilogy(iteration[values > 0], values[values > 0], color=colour, lw=1.3, label=label)
    axes.set_xlabel("iteration")
    axes.set_ylabel("px")
    axes.set_title(title)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(True, which="major", color="0.88", lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)


def displacements(p: BareState) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the shifts of the views and the true ones, (N, 2) [px] less their mean; None if there is no truth."""
    nominal = p.data.positions_px
    moved = _centred(p.numpy("positions") - nominal)
    truth = (p.data.truth or {}).get("positions")
    return moved, None if truth is None else _centred(truth - nominal)


def draw_positions(axes: Axes, p: BareState, title: str = "positions") -> None:
    """Draw nominal positions as dots, arrows to the refined ones, circles at the true ones, on ``axes``.

    The mean offset means nothing in ptychography (object and positions may move together) and is left out.
    """
    moved, missing = displacements(p)
    nominal = p.numpy("positions") - moved + p.data.n / 2
    refined = np.abs(moved).max() > STILL
    shifts = [moved] if refined else []
    if missing is not None:
        shifts.append(missing)
    by = _magnification(nominal, shifts)
    dot = min(max(150 / len(nominal) ** 0.5, 3.0), 12.0)
    axes.scatter(nominal[:, 1], nominal[:, 0], s=dot, color=GREY, label="nominal", lw=0)
    if missing is not None:
        end = nominal + by * missing
        axes.scatter(end[:, 1], end[:, 0], s=2.2 * dot, fc="none", ec=VERMILION, lw=0.8, label="true")
    if refined:
        _arrows(axes, nominal, by * moved)
    shown = [nominal, *(nominal + by * d for d in shifts)]
    if "travel" in p._live.leaves:
        shown += _ways(axes, p.numpy("positions") + p.data.n / 2, p.numpy("travel"))
    _frame(axes, np.concatenate(shown))
    _finish(axes, title if by == 1 else f"{title} (displacements × {by:g})")


def _centred(shift: np.ndarray) -> np.ndarray:
    return shift - shift.mean(0)


def _arrows(axes: Axes, start: np.ndarray, shift: np.ndarray) -> None:
    head: dict[str, Any] = {
        "units": "inches",
        "width": 0.014,
        "headwidth": 4,
        "headlength": 5,
        "headaxislength": 4.5,
        "minlength": 0,
    }
    axes.quiver(*start.T[::-1], *shift.T[::-1], angles="xy", scale_units="xy", scale=1, color=BLUE, zorder=3, **head)
    axes.plot([], [], color=BLUE, ls="", marker=r"$\rightarrow$", ms=11, label="refined")


def _ways(axes: Axes, middle: np.ndarray, travel: np.ndarray) -> list[np.ndarray]:
    """Draw the way of the stage during each view, of a fly scan; return where ways begin and end."""
    from matplotlib.collections import LineCollection

    ends = [middle - travel / 2, middle + travel / 2]
    lines = list(np.stack(ends, axis=1)[..., ::-1])
    axes.add_collection(LineCollection(lines, colors=GREEN, lw=1.2, zorder=2, label="way during the view"))
    return ends


def _frame(axes: Axes, points: np.ndarray) -> None:
    """Show all points (K, 2) with a margin; a scan along a line gets a frame half as wide as it is long."""
    low, high = points.min(0), points.max(0)
    half = 0.54 * (high - low)
    half = np.maximum(half, max(0.5 * half.max(), 1.0))
    (row, col), (up, across) = (low + high) / 2, half
    axes.set_xlim(col - across, col + across)
    axes.set_ylim(row + up, row - up)


def _finish(axes: Axes, title: str) -> None:
    from matplotlib.transforms import ScaledTranslation

    axes.set_aspect("equal")
    label_pixels(axes)
    axes.set_title(title)
    below_labels = axes.transAxes + ScaledTranslation(0, -32 / 72, axes.figure.dpi_scale_trans)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "bbox_transform": below_labels}
    axes.legend(**place, ncols=3, frameon=False, handletextpad=0.3)


def _magnification(nominal: np.ndarray, shifts: list[np.ndarray]) -> float:
    """A round factor that makes the larger displacements about as long as the views are apart."""
    if not shifts or len(nominal) < 2:
        return 1.0
    from scipy.spatial import cKDTree

    apart = float(np.median(cKDTree(nominal).query(nominal, k=2)[0][:, 1]))
    longest = max(float(np.percentile(np.hypot(*d.T), 95)) for d in shifts)
    if longest <= STILL or apart <= longest:
        return 1.0
    return max(by for by in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if by == 1 or by * longest <= apart)
