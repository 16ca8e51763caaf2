"""A browser of frames: one view at a time, and where it lies in the scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opty.data import PtychoData
from opty.plot.data import draw_frame, head, measurement, nonempty_maximum
from opty.plot.figure import GREY, VERMILION, new_figure, styled
from opty.plot.images import label_pixels

if TYPE_CHECKING:
    from opty.plot.picture import Picture
    from opty.state import BareState

_LOOKED_AT = 16  # frames that set the scale of the colours


@styled
def browse(measured: PtychoData | BareState, view: int = 0) -> Picture:
    """Show one frame at a time [photons, log], with a slider, and where its view lies; returns the figure.

    In a notebook the slider is a widget, on a screen it is part of the figure, where the arrow keys step too. Masked
    pixels are grey. Colours have one scale, from 16 frames spread over the scan. ``view`` : the first one shown.

    Raises IndexError for a view that there is not, SourceError where the frames are not here.
    """
    scan = measurement(measured)
    if not -scan.views <= view < scan.views:
        raise IndexError(f"view is {view}, and the scan has views 0 to {scan.views - 1}")
    from matplotlib.widgets import Slider

    fig = new_figure(10.5, 5.4)
    fig.suptitle(head(scan), ha="left", x=0.01)
    grid = fig.add_gridspec(2, 2, height_ratios=(1, 0.06))
    left, right = fig.add_subplot(grid[0, 0]), fig.add_subplot(grid[0, 1])
    spread = np.unique(np.linspace(0, scan.views - 1, min(_LOOKED_AT, scan.views)).round().astype(int))
    shown = _Shown(fig, left, right, scan, nonempty_maximum(scan, spread))
    last = max(scan.views - 1, 1)
    slider = Slider(fig.add_subplot(grid[1, :]), "view", 0, last, valinit=view % scan.views, valstep=1, valfmt="%d")
    slider.on_changed(lambda value: shown.draw(int(value)))
    fig.canvas.mpl_connect("key_press_event", lambda event: _step(slider, getattr(event, "key", None)))
    shown.draw(view % scan.views)
    fig.browses = slider
    return fig


def _step(slider: Any, key: str | None) -> None:
    """Go to the next view, or the one before, for an arrow key."""
    steps = {"right": 1, "left": -1}
    if key in steps:
        slider.set_val(min(max(slider.val + steps[key], slider.valmin), slider.valmax))


class _Shown:
    """The two panels: a frame, and the positions with its view marked."""

    def __init__(self, figure: Picture, frame: Any, places: Any, scan: PtychoData, brightest: float):
        self.figure, self.frame, self.scan, self.brightest = figure, frame, scan, brightest
        self.at = scan.positions_px
        places.plot(self.at[:, 1], self.at[:, 0], color="0.85", lw=0.5, zorder=1)
        places.scatter(self.at[:, 1], self.at[:, 0], s=8, color=GREY, lw=0, zorder=2)
        (self.mark,) = places.plot([], [], "o", ms=9, mfc="none", mec=VERMILION, mew=1.8, zorder=3)
        places.set_aspect("equal", adjustable="datalim")
        places.invert_yaxis()
        places.set_title("where it lies")
        label_pixels(places)

    @styled
    def draw(self, view: int) -> None:
        """Put up a view."""
        draw_frame(self.frame, self.scan, view, self.brightest)
        self.mark.set_data(self.at[view : view + 1, 1], self.at[view : view + 1, 0])
        self.figure.canvas.draw_idle()
