"""The probe: its incoherent modes with their share of the power; amplitude as brightness, phase as hue."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from opty.physics.modes import orthogonal
from opty.plot.figure import canvas, root, styled
from opty.plot.headline import put_headline
from opty.plot.images import scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.gridspec import SubplotSpec

    from opty.state import BareState

MOST_SHOWN = 12
# The circle of hues in Oklab: the widest at this lightness that a screen can show; and the matrices of that space.
_LIGHTNESS, _CHROMA, _HUE_OF_ZERO = 0.74, 0.124, 0.4
_TO_LMS = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@styled
def probe(p: BareState, ax: Axes | None = None) -> Figure:
    """Draw the orthogonal modes of the probe, one panel each with its power in percent; returns the figure.

    ``ax`` : axes whose place the panels take.
    """
    shown = min(len(p.numpy("probe")), MOST_SHOWN)
    columns = min(shown, 4)
    width = max(2.4 * columns + 0.5, 4.2)
    fig = canvas(ax, width, 2.4 * math.ceil(shown / columns) + 0.9)
    put_headline(fig, p, width)
    draw_modes(fig, fig.add_gridspec(1, 1)[0], p.numpy("probe"), p.pixel, columns)
    return root(fig)


def phase_as_hue(waves: np.ndarray) -> np.ndarray:
    """Colour complex numbers (...): brightness = amplitude / largest, hue = phase -> RGB (..., 3) in [0, 1].

    Equal steps of phase are equal steps of hue to the eye, all of one lightness: a circle in Oklab, which closes.
    Phase 0 is red, pi / 2 olive, pi teal, -pi / 2 blue.

    Source: Ottosson, A perceptual color space for image processing (2020), bottosson.github.io/posts/oklab.
    """
    amplitude = np.abs(waves)
    value = amplitude / max(float(amplitude.max()), np.finfo(amplitude.dtype).tiny)
    hue = np.angle(waves) + _HUE_OF_ZERO
    oklab = np.stack([np.full(hue.shape, _LIGHTNESS), _CHROMA * np.cos(hue), _CHROMA * np.sin(hue)], axis=-1)
    linear = np.clip((oklab @ _TO_LMS.T) ** 3 @ _TO_RGB.T, 0, 1)
    return value[..., None] * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def relative_powers(modes: np.ndarray) -> np.ndarray:
    """Share of each mode (M, n, n) in the power of all, (M,) [percent]."""
    power = (np.abs(modes.astype(np.complex128)) ** 2).sum((1, 2))
    return 100 * power / max(power.sum(), np.finfo(float).tiny)


def draw_modes(
    fig: FigureBase, spec: SubplotSpec, modes: np.ndarray, pixel: float | None, columns: int, title: str = ""
) -> None:
    """Draw modes (M, n, n) in their orthogonal basis, as panels inside a cell ``spec`` of a figure's grid."""
    modes = orthogonal(modes)
    powers = relative_powers(modes)
    shown = min(len(modes), MOST_SHOWN)
    grid = spec.subgridspec(math.ceil(shown / columns), columns, wspace=0.03, hspace=0.03)
    for k in range(shown):
        axes = fig.add_subplot(grid[divmod(k, columns)])
        draw_wave(axes, modes[k])
        if len(modes) > 1:
            axes.text(0.04, 0.96, _percent(powers[k]), transform=axes.transAxes, color="white", fontsize=8, va="top")
        if k == 0:
            axes.set_title(title or ("probe" if len(modes) == 1 else "probe modes"))
            scale_bar(axes, pixel)
        if k == columns - 1:
            _hue_bar(axes)
    if len(modes) > shown:
        axes.set_xlabel(f"and {len(modes) - shown} more: {_percent(powers[shown:].sum())}")


def draw_wave(axes: Axes, wave: np.ndarray) -> None:
    """Draw one complex wave (n, n) less its mean phase, phase as hue, without ticks."""
    axes.imshow(phase_as_hue(wave * np.exp(-1j * np.angle(wave.sum()))), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _percent(share: float) -> str:
    return f"{share:.1f} %" if share >= 0.1 else "< 0.1 %"


def _hue_bar(axes: Axes) -> None:
    bar = axes.inset_axes((1.03, 0.0, 0.045, 1.0))
    phase = np.linspace(-np.pi, np.pi, 256)
    bar.imshow(phase_as_hue(np.exp(1j * phase))[:, None], aspect="auto", origin="lower", extent=(0, 1, -np.pi, np.pi))
    bar.yaxis.tick_right()
    bar.set_xticks([])
    bar.set_yticks([-np.pi, 0, np.pi], labels=["−π", "0", "π"])
