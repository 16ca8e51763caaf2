"""Figures: one style for all, and writing them to files, completely or not at all."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

    from opty.plot.picture import Picture

P = ParamSpec("P")
R = TypeVar("R")
FORMATS = {
    ".png": "png",
    ".pdf": "pdf",
    ".svg": "svg",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
}
DOTS_PER_INCH = 200

# Colours of Okabe & Ito, distinguishable with any kind of colour blindness (jfly.uni-koeln.de/color).
GREY, BLUE, VERMILION, GREEN = "0.55", "#0072B2", "#D55E00", "#009E73"

STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 8.0,
    "legend.framealpha": 0.9,
    "figure.titlesize": 11.0,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def import_matplotlib() -> ModuleType:
    """Return matplotlib; raises ImportError naming the extra that brings it."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "opty-ptycho[plot]"') from error
    return matplotlib


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw in the style of opty, whatever the settings of the user, which stay unchanged."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        matplotlib = import_matplotlib()
        # A notebook shows at the end of a cell what was made while "interactive" was set, which its backend does once,
        # when it is loaded: not inside the context, which would undo it.
        if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
            pyplot._get_backend_mod()
        kept = {name: matplotlib.rcParams[name] for name in ("backend", "interactive")}
        with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE, **kept}):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> Picture:
    """Return an empty figure of width x height [inch] with automatic layout.

    It is one of pyplot's, so that ``plt.show()`` shows it, where the user has imported pyplot; else it ends with its
    last name. A notebook shows it once, whether matplotlib was set up there or not.
    """
    import_matplotlib()
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from opty.plot.picture import Picture

    kind: dict[str, Any] = {"figsize": (width, height), "dpi": 100}
    kind["layout"] = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return Picture(**kind)
    with pyplot.rc_context({"figure.max_open_warning": 0}):
        return cast(Picture, pyplot.figure(FigureClass=Picture, **kind))


def canvas(ax: Any, width: float, height: float) -> FigureBase:
    """Return where several panels go: a new figure of width x height [inch], or the place of axes ``ax``.

    The axes are removed, and the panels take their place in the grid of their figure.
    """
    if ax is None:
        return new_figure(width, height)
    checked_axes(ax)
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError("ax is not in a grid of its figure: take axes of plt.subplots(...) or fig.add_subplot(...)")
    figure = ax.figure
    ax.remove()
    return figure.add_subfigure(place)


def panel(ax: Any, width: float, height: float) -> Axes:
    """Return axes to draw one panel on: ``ax``, or those of a new figure of width x height [inch]."""
    return new_figure(width, height).subplots() if ax is None else checked_axes(ax)


def checked_axes(ax: Any) -> Axes:
    """Return ``ax``; raises TypeError where it is no axes of matplotlib."""
    import_matplotlib()
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"ax is a {type(ax).__name__}; give axes of matplotlib, as of fig, ax = plt.subplots()")
    return ax


def root(drawn: Any) -> Figure:
    """Return the whole figure of axes or of a part of a figure."""
    figure = drawn.figure
    while figure is not getattr(figure, "figure", figure):
        figure = figure.figure
    return figure


def figure_format(path: str | Path) -> str:
    """Return the file format of the suffix of ``path``; ValueError for a suffix of no picture."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        found = f"has the suffix {suffix!r}" if suffix else "has no suffix"
        raise ValueError(f"{Path(path).name} {found}; a picture ends with one of {', '.join(FORMATS)}")
    return FORMATS[suffix]


@styled
def save_figure(fig: Figure, path: str | Path) -> None:
    """Write a figure to ``path`` in the format of its suffix; a failure leaves no file and keeps the old one.

    Raises ValueError for an unknown suffix, OSError where the folder cannot be written.
    """
    from opty.files.atomic import atomic

    kind = figure_format(path)
    with atomic(path) as temporary:
        fig.savefig(temporary, format=kind, dpi=DOTS_PER_INCH)
