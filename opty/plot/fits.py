"""Pictures of how well a state predicts its data, and of two states compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opty.analysis.illumination import crop_to
from opty.plot.agreement import draw_frc
from opty.plot.figure import BLUE, GREY, canvas, root, styled
from opty.plot.images import (
    centred_phase,
    colour_bar,
    draw_magnitude,
    draw_phase,
    height_to_width,
    label_pixels,
    robust_limits,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.state import BareState

SIGNED, SEQUENTIAL = "RdBu_r", "viridis"
_FAR = 4.0  # standard deviations at the ends of the colours of a residual


@styled
def fit(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the misfit of each view along the scan and where it lies, and detector maps of the fit; returns the figure.

    The Poisson likelihood of a detector pixel is 1/2 where the model is right and the pixel is lit; the residual is the
    mean of measured less predicted counts. ``ax`` : axes whose place the panels take.
    """
    from opty.analysis.fit import fit as compare

    found = compare(p)
    fig = canvas(ax, 11.0, 8.8)
    (along, across), (maps, residual) = fig.subplots(2, 2)
    along.plot(found.misfit, ".", ms=3, color=BLUE)
    along.axhline(float(np.nanmedian(found.misfit)), color=GREY, lw=0.8)
    along.set_xlabel("view")
    along.set_ylabel("Σ(√I − √Î)² / ΣI")
    along.set_yscale("log")
    along.set_title(f"misfit of each view: median {np.nanmedian(found.misfit):.3g}")
    draw_misfits(across, p, found.misfit)
    likelihood = found.poisson.pixels
    low, high = robust_limits(likelihood[np.isfinite(likelihood)])
    _image(maps, likelihood, SEQUENTIAL, (min(low, 0.5), max(high, 0.5)), "Poisson likelihood a pixel (½ is perfect)")
    most = max(abs(v) for v in robust_limits(found.residual[np.isfinite(found.residual)]))
    _image(residual, found.residual, SIGNED, (-most, most), "mean of I − Î (photons)")
    return root(fig)


def draw_misfits(axes: Axes, p: BareState, misfit: np.ndarray) -> None:
    """Draw the misfit (N,) of each view where the view lies [px] on ``axes``."""
    centres = p.numpy("positions") + p.data.n / 2
    low, high = robust_limits(misfit[np.isfinite(misfit)])
    size = min(max(3000 / len(centres), 6.0), 90.0)
    dots = axes.scatter(centres[:, 1], centres[:, 0], c=misfit, s=size, cmap=SEQUENTIAL, vmin=low, vmax=high, lw=0)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_title("misfit where the views lie")
    label_pixels(axes)
    colour_bar(axes, dots)


@styled
def pattern(p: BareState, view: int, ax: Axes | None = None) -> Figure:
    """Draw one view: measured and predicted counts, and their difference in standard deviations; returns the figure.

    The difference is (I - Ihat) / sqrt(Ihat + 1); masked pixels are left out. ``ax`` : whose place the panels take.
    """
    from opty.analysis.fit import pattern as compare

    found = compare(p, view)
    fig = canvas(ax, 12.0, 3.9)
    left, middle, right = fig.subplots(1, 3)
    counts = [np.where(found.mask, one, np.nan) for one in (found.measured, found.predicted)]
    limits = 0.0, max(float(np.nanmax(np.sqrt(np.maximum(one, 0)))) for one in counts)
    for axes, one, name in zip((left, middle), counts, ("measured", "predicted"), strict=True):
        bar = _image(axes, np.sqrt(one), SEQUENTIAL, limits, f"view {found.view}, {name} (photons)")
        _in_photons(bar, limits[1])
    away = (counts[0] - counts[1]) / np.sqrt(counts[1] + 1)
    _image(right, away, SIGNED, (-_FAR, _FAR), "difference (standard deviations)")
    return root(fig)


@styled
def comparison(p: BareState, q: BareState, ax: Axes | None = None) -> Figure:
    """Draw two states of one measurement: their objects, aligned, and how they differ; returns the figure.

    See ``opty.analysis.difference``. ``ax`` : axes whose place the panels take.
    """
    from opty.analysis.difference import difference

    found = difference(p, q)
    height = min(max(3.0 * height_to_width(found.lit), 1.8), 5.0) + 0.8
    fig = canvas(ax, 13.0, 2 * height + 0.4)
    fig.suptitle(
        f"objects differ by {found.obj:.3g}  ·  positions by {found.positions:.3g} px  ·  misfits "
        f"{found.misfits[0]:.4g} and {found.misfits[1]:.4g}",
        ha="left",
        x=0.01,
    )
    upper, lower = fig.subplots(2, 3)
    images, lit, pixel = found.objects, found.lit, q.pixel
    magnitudes = robust_limits(np.abs(images[:, lit]))
    phases = robust_limits(np.array([centred_phase(image, lit)[lit] for image in images]), least=0.1)
    for column, (name, image) in enumerate(zip(("first", "second"), images, strict=True)):
        draw_magnitude(upper[column], image, lit, pixel, title=f"{name}, magnitude", limits=magnitudes)
        draw_phase(lower[column], image, lit, pixel, title=f"{name}, phase (rad)", limits=phases)
    rest = np.where(lit, np.abs(images[0] - images[1]), np.nan)
    rows, columns = crop_to(lit)
    _image(upper[2], rest, SEQUENTIAL, robust_limits(rest[lit]), "|difference|")
    upper[2].set_xlim(columns.start - 0.5, columns.stop - 0.5)
    upper[2].set_ylim(rows.stop - 0.5, rows.start - 0.5)
    if found.curve is None:
        lower[2].set_axis_off()
    else:
        draw_frc(lower[2], found.curve)
    return root(fig)


def _image(axes: Axes, image: np.ndarray, colours: str, limits: tuple[float, float], title: str) -> Any:
    low, high = limits
    picture = axes.imshow(np.ma.masked_invalid(image), cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set_facecolor("0.92")
    axes.set_title(title)
    label_pixels(axes)
    return colour_bar(axes, picture)


def _in_photons(bar: Any, most: float) -> None:
    """Label a colour bar of square roots of counts, up to ``most``, in photons."""
    ticks = np.linspace(0, most, 5)
    bar.set_ticks(ticks, labels=[f"{tick**2:.3g}" for tick in ticks])
