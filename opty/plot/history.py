"""The error curve: the misfit after each iteration, on a logarithmic scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.plot.figure import BLUE, panel, root, styled
from opty.plot.headline import put_headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.state import BareState

GAP = 3.0  # times the usual distance of two records, from which on a line between them would be made up


@styled
def history(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the misfit of each iteration, as its sweep met it, on ``ax`` or a new figure; returns the figure."""
    axes = panel(ax, 5.6, 3.8)
    if ax is None:
        put_headline(root(axes), p, 5.6)
    draw_history(axes, p)
    return root(axes)


def draw_history(axes: Axes, p: BareState, title: str = "misfit") -> None:
    """Draw the misfit (sum of (sqrt I - sqrt Ihat)^2 over sum of I) of each iteration on ``axes``, log scale."""
    from matplotlib.ticker import MaxNLocator

    misfit = np.asarray(p.history.get("misfit", ()), np.float64)
    iteration = np.asarray(p.history.get("iteration", np.arange(1, len(misfit) + 1)))
    drawn = np.isfinite(misfit) & (misfit > 0)
    axes.set_xlabel("iteration")
    axes.set_ylabel("Σ(√I − √Î)² / ΣI")
    axes.set_title(title)
    if not drawn.any():
        axes.text(0.5, 0.5, "no iteration yet", transform=axes.transAxes, ha="center", va="center", color="0.4")
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.set_title(f"{title}: {misfit[drawn][-1]:.3g} after iteration {iteration[drawn][-1]}")
    _draw_curve(axes, iteration[drawn], misfit[drawn])
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(True, which="major", color="0.88", lw=0.6)
    axes.set_axisbelow(True)
    _label_decades(axes, misfit[drawn])


def _draw_curve(axes: Axes, iteration: np.ndarray, misfit: np.ndarray) -> None:
    """Draw a line, dotted where no misfit is on record, as within ``FindPositions()``."""
    apart = np.diff(iteration)
    gaps = np.flatnonzero(apart > GAP * np.median(apart)) + 1 if apart.size else ()
    x, y = np.insert(iteration.astype(np.float64), gaps, np.nan), np.insert(misfit, gaps, np.nan)
    axes.semilogy(x, y, color=BLUE, lw=1.4, marker="o" if len(misfit) < 40 else "", ms=3)
    for gap in gaps:
        axes.semilogy(iteration[gap - 1 : gap + 1], misfit[gap - 1 : gap + 1], color=BLUE, lw=1.0, ls=":")


def _label_decades(axes: Axes, misfit: np.ndarray) -> None:
    """Label round numbers where the curve spans too few decades for powers of ten alone."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = misfit.min() / 1.15, misfit.max() * 1.15
    if high < 100 * low:
        few = MaxNLocator(8, steps=[1, 2, 5, 10]) if high < 8 * low else LogLocator(subs=(1, 2, 5))
        axes.yaxis.set_major_locator(few)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(low, high)
