"""The object: magnitude and phase, cropped to the illuminated area, with robust colour limits and a scale bar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.analysis.illumination import crop_to, lit_area
from opty.analysis.object_states import one_image
from opty.plot.figure import canvas, panel, root, styled
from opty.plot.headline import put_headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

    from opty.state import BareState

# Both are perceptually uniform and safe for the colour-blind; twilight closes on itself, as a phase does.
GREYS, CYCLIC = "gray", "twilight_shifted"
# A phase that fits into half a turn is read better in grey levels; beyond that only a cyclic map is honest.
WIDEST_GREY_PHASE = math.pi
UNITS = ((1e-3, "mm"), (1e-6, "µm"), (1e-9, "nm"), (1e-10, "Å"), (1e-12, "pm"))
UNLIT = "0.92"


@styled
def obj(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the object of a state: magnitude and phase [rad] over the lit area; returns the figure.

    ``ax`` : axes whose place the panels take. Of several slices, each of them and their product;
    ``opty.plot.slices`` adds cuts along the beam. Of a mixture its orthogonal states, each with its share of the light
    that passes.
    """
    from opty.plot.slices import draw_layers, layers_size

    image, lit = p.numpy("obj"), lit_area(p)
    if image.ndim == 3:
        width, height = layers_size(p, lit)
        fig = canvas(ax, width, height)
        put_headline(fig, p, width)
        draw_layers(fig, fig.add_gridspec(1, 1)[0], p, lit)
        return root(fig)
    fig = canvas(ax, 10.0, min(max(4.0 * height_to_width(lit), 1.6), 8.0) + 1.1)
    put_headline(fig, p, 10.0)
    left, right = fig.subplots(1, 2)
    draw_magnitude(left, image, lit, p.pixel)
    draw_phase(right, image, lit, p.pixel)
    return root(fig)


@styled
def magnitude(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the magnitude of the object over the lit area on one panel; of several slices, of their product.

    Of a mixture, of its strongest orthogonal state. ``ax`` : to draw on. Returns the figure.
    """
    return _one_panel(p, ax, draw_magnitude, "magnitude")


@styled
def phase(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the phase of the object [rad] over the lit area on one panel; of several slices, of their product.

    Of a mixture, of its strongest orthogonal state. ``ax`` : to draw on. Returns the figure.
    """
    return _one_panel(p, ax, draw_phase, "phase (rad)")


def _one_panel(p: BareState, ax: Axes | None, draw: Any, what: str) -> Figure:
    lit = lit_area(p)
    axes = panel(ax, 5.6, min(max(4.4 * height_to_width(lit), 1.8), 8.0) + 1.1)
    if ax is None:
        put_headline(root(axes), p, 5.6)
    many = "state 1" if p.model.mixture else "product"
    draw(axes, one_image(p), lit, p.pixel, title=f"{many if p.numpy('obj').ndim == 3 else 'object'} {what}")
    return root(axes)


def height_to_width(lit: np.ndarray) -> float:
    """Aspect of the window that holds all True pixels of a mask (H, W)."""
    rows, cols = crop_to(lit)
    return (rows.stop - rows.start) / (cols.stop - cols.start)


def robust_limits(values: np.ndarray, least: float = 0.0) -> tuple[float, float]:
    """Colour limits from the 0.5 and 99.5 percentiles of ``values``, at least ``least`` apart; NaN are left out."""
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    size = max(abs(low), abs(high))
    lacking = max(least, 1e-3 * size if size > 0 else 1.0) - (high - low)
    return (low, high) if lacking <= 0 else (low - lacking / 2, high + lacking / 2)


def magnitude_limits(magnitude: np.ndarray) -> tuple[float, float]:
    """Colour limits of magnitudes, at least a twentieth of the median apart: noise of a clear object stays grey."""
    there = magnitude[np.isfinite(magnitude)]
    return robust_limits(there, least=0.05 * float(np.median(there)) if there.size else 0.0)


def centred_phase(image: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Phase (H, W) [rad] in (-pi, pi] of a complex image, less its mean over the lit area (the phase of the sum)."""
    total = image[lit].sum(dtype=np.complex128)
    return np.angle(image * np.exp(-1j * np.angle(total)).astype(image.dtype))


def draw_magnitude(
    axes: Axes,
    image: np.ndarray,
    lit: np.ndarray,
    pixel: float | None = None,
    *,
    title: str = "object magnitude",
    limits: tuple[float, float] | None = None,
    colorbar: bool = True,
) -> None:
    """Draw |image| (H, W) over its lit area (H, W) bool on ``axes``; ``pixel`` [m] or None; limits (low, high)."""
    magnitude = np.abs(image)
    limits = limits or magnitude_limits(magnitude[lit])
    _draw(axes, magnitude, lit, pixel, title, (GREYS, *limits), colorbar)


def draw_phase(
    axes: Axes,
    image: np.ndarray,
    lit: np.ndarray,
    pixel: float | None = None,
    *,
    title: str = "object phase (rad)",
    limits: tuple[float, float] | None = None,
    colorbar: bool = True,
) -> None:
    """Draw the phase of a complex image (H, W), less its mean, on ``axes``; grey within half a turn, else cyclic."""
    phase = centred_phase(image, lit)
    low, high = limits or robust_limits(phase[lit], least=0.1)
    colours = (GREYS, low, high) if high - low < WIDEST_GREY_PHASE else (CYCLIC, -math.pi, math.pi)
    bar = _draw(axes, phase, lit, pixel, title, colours, colorbar)
    if bar is not None and colours[0] == CYCLIC:
        label_turn(bar)


def label_turn(bar: Colorbar) -> None:
    """Label a colour bar of phases from -pi to pi [rad] with parts of pi."""
    bar.set_ticks([-math.pi, -math.pi / 2, 0, math.pi / 2, math.pi], labels=["−π", "−π/2", "0", "π/2", "π"])


def _draw(
    axes: Axes,
    image: np.ndarray,
    lit: np.ndarray,
    pixel: float | None,
    title: str,
    colours: tuple[str, float, float],
    colorbar: bool,
) -> Colorbar | None:
    rows, cols = crop_to(lit)
    cmap, low, high = colours
    picture = axes.imshow(
        np.ma.masked_array(image, ~lit)[rows, cols],
        cmap=cmap,
        vmin=low,
        vmax=high,
        extent=(cols.start - 0.5, cols.stop - 0.5, rows.stop - 0.5, rows.start - 0.5),
        interpolation_stage="rgba",  # averaging wrapped phases as numbers would draw false greys along the wraps
    )
    axes.set_facecolor(UNLIT)
    axes.set_title(title)
    label_pixels(axes)
    scale_bar(axes, pixel)
    return colour_bar(axes, picture) if colorbar else None


def label_pixels(axes: Axes) -> None:
    """Label axes with row and column in pixels, a few round numbers each."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("column (px)")
    axes.set_ylabel("row (px)")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))


def colour_bar(axes: Axes, picture: ScalarMappable) -> Colorbar:
    """Put a colour bar beside ``axes``; returns it."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    # An inset, because a bar laid out beside the axes would not keep the height of an image of fixed aspect.
    bar = axes.figure.colorbar(picture, cax=axes.inset_axes((1.03, 0.0, 0.045, 1.0)))
    bar.locator = MaxNLocator(5, steps=[1, 2, 5, 10])
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_powerlimits((-2, 3))
    bar.formatter = formatter
    bar.outline.set_linewidth(0.7)
    bar.update_ticks()
    return bar


def scale_bar(axes: Axes, pixel: float | None, fraction: float = 0.25) -> tuple[float, str]:
    """Draw a bar of round length in the lower left corner of an image; returns its length [px] and its label.

    axes : holds an image in pixel coordinates, row 0 on top. pixel : edge of a pixel [m], or None: the label says px.
    fraction : longest bar in parts of the width.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    length, label = _round_length(fraction * abs(right - left), pixel)
    rightwards, upwards = math.copysign(1, right - left), math.copysign(1, top - bottom)
    edge = min(abs(right - left), abs(top - bottom))
    x, y = left + 0.05 * edge * rightwards, bottom + 0.06 * edge * upwards
    ink, around = ("black", "white") if _light_corner(axes) else ("white", "black")
    bar = Line2D((x, x + length * rightwards), (y, y), color=ink, lw=2.5, solid_capstyle="butt", zorder=5)
    bar.set(gid="scale bar", path_effects=[withStroke(linewidth=3.7, foreground=around)])
    axes.add_line(bar)
    look: dict[str, Any] = {
        "color": ink,
        "fontsize": 8.5,
        "path_effects": [withStroke(linewidth=1.5, foreground=around)],
    }
    axes.annotate(label, (x, y), (0, 3), textcoords="offset points", va="bottom", zorder=5, **look)
    return length, label


def _light_corner(axes: Axes) -> bool:
    """Whether the picture is light in its last rows and first columns, where the scale bar is."""
    image = axes.images[0].get_array()
    assert image is not None  # the picture has been drawn
    corner = image[-max(1, image.shape[0] // 7) :, : max(1, image.shape[1] // 3)]
    colours = axes.images[0].to_rgba(corner)
    seen = colours[..., 3]
    return float((colours[..., :3].mean(-1) * seen + float(UNLIT) * (1 - seen)).mean()) > 0.6


def _round_length(longest: float, pixel: float | None) -> tuple[float, str]:
    """Longest of 1, 2, 5 x 10^k units within ``longest`` pixels -> (pixels, label)."""
    longest_length = longest if pixel is None else longest * pixel
    power = 10.0 ** math.floor(math.log10(longest_length))
    length = max(step * power for step in (1, 2, 5) if step * power <= longest_length * (1 + 1e-9))
    if pixel is None:
        return length, f"{length:g} px"
    size, unit = next((u for u in UNITS if length >= u[0] * (1 - 1e-9)), UNITS[-1])
    return length / pixel, f"{length / size:.4g} {unit}"
