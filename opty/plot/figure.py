"""Figures: one style for all, and writing them to files, completely or not at all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE, "backend": matplotlib.rcParams["backend"]}):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of width x height [inch] with automatic layout; no window, no pyplot."""
    import_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))


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
