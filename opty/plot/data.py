"""What was measured: mean and maximum of the frames, mask, photons where the views lie; and frames side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.data import PtychoData
from opty.plot.figure import canvas, root, styled
from opty.plot.images import colour_bar, label_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.state import BareState

_RANGE = 1e6  # from the darkest colour to the brightest
MOST_FRAMES = 64


@styled
def data(measured: PtychoData | BareState, ax: Axes | None = None) -> Figure:
    """Draw mean and maximum of all frames [photons, log], mask, and photons where the views lie; returns the figure.

    One pass over the frames. ``ax`` : axes whose place the panels take. Raises SourceError where the frames are not
    here.
    """
    scan = measurement(measured)
    mean, most = np.zeros((scan.n, scan.n)), np.zeros((scan.n, scan.n))
    for _, images in scan.blocks():
        mean += images.sum(axis=0, dtype=np.float64) / scan.views
        most = np.maximum(most, images.max(axis=0))
    fig = canvas(ax, 10.5, 9.2)
    if fig.figure is fig:
        fig.suptitle(head(scan), ha="left", x=0.01)
    (first, second), (third, fourth) = fig.subplots(2, 2)
    _log_image(first, mean, "mean of the frames (photons)")
    _log_image(second, most, "maximum of the frames (photons)")
    _draw_mask(third, scan)
    at = scan.positions_px
    size = min(max(3000 / scan.views, 6.0), 90.0)
    fourth.plot(at[:, 1], at[:, 0], color="0.8", lw=0.5, zorder=1)
    dots = fourth.scatter(at[:, 1], at[:, 0], c=scan.photons(), s=size, cmap="viridis", lw=0, zorder=2)
    fourth.set_aspect("equal", adjustable="datalim")
    fourth.invert_yaxis()
    fourth.set_title("photons of each view, where it lies")
    label_pixels(fourth)
    colour_bar(fourth, dots)
    return root(fig)


@styled
def frames(measured: PtychoData | BareState, views: Sequence[int] | None = None, ax: Axes | None = None) -> Figure:
    """Draw some frames side by side [photons, on one logarithmic scale]; masked pixels are grey; returns the figure.

    Parameters: views, their numbers, at most 64; default: 16 spread over the scan. ax, whose place the panels take.
    Raises ValueError for no views or too many, IndexError for one that there is not.
    """
    scan = measurement(measured)
    if views is None:
        views = np.unique(np.linspace(0, scan.views - 1, min(16, scan.views)).round().astype(int)).tolist()
    if not 0 < len(views) <= MOST_FRAMES:
        raise ValueError(f"views has {len(views)} numbers; give 1 to {MOST_FRAMES}")
    if wrong := [view for view in views if not -scan.views <= view < scan.views]:
        raise IndexError(f"view is {wrong[0]}, and the scan has views 0 to {scan.views - 1}")
    columns = math.ceil(math.sqrt(len(views)))
    rows = math.ceil(len(views) / columns)
    fig = canvas(ax, 2.3 * columns + 0.7, 2.5 * rows + 0.5)
    if fig.figure is fig:
        fig.suptitle(head(scan), ha="left", x=0.01)
    panels = fig.subplots(rows, columns, squeeze=False).ravel()
    numbers = [view % scan.views for view in views]
    brightest = nonempty_maximum(scan, numbers)
    for axes, view in zip(panels, numbers, strict=False):
        picture = _log(axes, _masked(scan, view), brightest)
        axes.set_title(f"view {view}", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in panels[len(views) :]:
        axes.set_axis_off()
    colour_bar(panels[columns - 1], picture)
    return root(fig)


def measurement(measured: PtychoData | BareState) -> PtychoData:
    """Return the measurement, of a state too; raises SourceError where its frames are not here."""
    scan = measured if isinstance(measured, PtychoData) else measured.data
    scan.need_frames()
    return scan


def head(scan: PtychoData) -> str:
    """Return the file and the size of a scan, to write above a picture."""
    file = [Path(scan.source["path"]).name] if scan.source else []
    return "  ·  ".join([*file, f"{scan.views} views of {scan.n} × {scan.n}"])


def nonempty_maximum(scan: PtychoData, views: Sequence[int] | np.ndarray) -> float:
    """Return the most photons of an unmasked pixel in some views, and 1 where there is none."""
    return max(1.0, *(float(np.nanmax(_masked(scan, view), initial=0.0)) for view in views))


def draw_frame(axes: Axes, scan: PtychoData, view: int, brightest: float) -> None:
    """Draw one frame [photons, log] up to ``brightest``, with its number; with a colour bar where there is none yet."""
    image = _masked(scan, view)
    if axes.images:
        axes.images[0].set_data(_from_darkest(image, brightest))
    else:
        _log_bar(axes, _log(axes, image, brightest))
        label_pixels(axes)
    axes.set_title(f"view {view}: {np.nansum(image):.4g} photons")


def _masked(scan: PtychoData, view: int) -> np.ndarray:
    image = np.asarray(scan.intensities[view], np.float64)
    if scan.mask is None:
        return image
    return np.where(scan.mask if scan.mask.ndim == 2 else scan.mask[view], image, np.nan)


def _log(axes: Axes, image: np.ndarray, brightest: float) -> Any:
    """Draw counts on a logarithmic scale from 1, or a millionth of the brightest, on; darker ones as the darkest."""
    from matplotlib.colors import LogNorm

    shown = _from_darkest(image, brightest)
    picture = axes.imshow(shown, cmap="viridis", norm=LogNorm(_darkest(brightest), brightest), interpolation="nearest")
    axes.set_facecolor("0.75")
    return picture


def _darkest(brightest: float) -> float:
    return min(max(1.0, brightest / _RANGE), brightest / 10)


def _from_darkest(image: np.ndarray, brightest: float) -> Any:
    return np.ma.masked_invalid(np.maximum(image, _darkest(brightest)))


def _log_bar(axes: Axes, picture: Any) -> None:
    from matplotlib.ticker import LogLocator

    bar = axes.figure.colorbar(picture, cax=axes.inset_axes((1.03, 0.0, 0.045, 1.0)))
    bar.locator = LogLocator()


def _log_image(axes: Axes, image: np.ndarray, title: str) -> None:
    _log_bar(axes, _log(axes, image, max(float(image.max()), 1e-30)))
    axes.set_title(title)
    label_pixels(axes)


def _draw_mask(axes: Axes, scan: PtychoData) -> None:
    """Draw the share of the views in which each pixel counts."""
    mask = scan.mask
    if mask is None:
        share = np.ones((scan.n, scan.n))
    elif mask.ndim == 2:
        share = np.asarray(mask, np.float64)
    else:
        share = np.zeros((scan.n, scan.n))
        for view in range(scan.views):
            share += np.asarray(mask[view], np.float64) / scan.views
    picture = axes.imshow(share, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(f"mask: {share.mean():.2%} of the pixels count")
    label_pixels(axes)
    colour_bar(axes, picture)
