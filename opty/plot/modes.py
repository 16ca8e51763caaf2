"""The probe: its incoherent modes with their share of the power; amplitude as brightness, phase as hue."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from opty.physics.modes import orthogonal
from opty.plot.figure import new_figure, styled
from opty.plot.images import scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

    from opty.state import BareState

MOST_SHOWN = 12


@styled
def probe(p: BareState) -> Figure:
    """Draw the probe of a state, one panel a mode with its power in percent; returns a Figure."""
    shown = min(len(p.numpy("probe")), MOST_SHOWN)
    columns = min(shown, 4)
    fig = new_figure(2.4 * columns + 0.5, 2.4 * math.ceil(shown / columns) + 0.4)
    draw_modes(fig, fig.add_gridspec(1, 1)[0], p.numpy("probe"), p.data.pixel, columns)
    return fig


def phase_as_hue(waves: np.ndarray) -> np.ndarray:
    """Colour complex numbers (...): brightness = amplitude / largest, hue = phase (0 red) -> RGB (..., 3) in [0, 1].

    Source: HSV to RGB with saturation 1, Foley & van Dam, Computer Graphics (1990), sec. 13.3.4, in closed form.
    """
    amplitude = np.abs(waves)
    value = amplitude / max(float(amplitude.max()), np.finfo(amplitude.dtype).tiny)
    sextant = np.angle(waves) * (3 / np.pi)
    turns = (np.array([5.0, 3.0, 1.0]) + sextant[..., None]) % 6
    return value[..., None] * (1 - np.clip(np.minimum(turns, 4 - turns), 0, 1))


def relative_powers(modes: np.ndarray) -> np.ndarray:
    """Share of each mode (M, n, n) in the power of all, (M,) [percent]."""
    power = (np.abs(modes.astype(np.complex128)) ** 2).sum((1, 2))
    return 100 * power / max(power.sum(), np.finfo(float).tiny)


def draw_modes(
    fig: Figure, spec: SubplotSpec, modes: np.ndarray, pixel: float | None, columns: int, title: str = ""
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
