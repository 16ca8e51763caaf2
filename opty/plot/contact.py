"""A contact sheet: the phase of many objects, small, side by side."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from opty.analysis.illumination import crop_to
from opty.plot.figure import VERMILION, new_figure, styled
from opty.plot.images import UNLIT, draw_phase

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = 30  # objects on a page
COLUMNS = 5
_EDGE = 256  # pixels of a small picture, at most


class Tile(NamedTuple):
    """One object, small: its name, what is written beneath it, and its picture; ``image`` is None where there is none.

    ``image`` (H, W) complex, ``lit`` (H, W) bool, ``pixel`` [m] or None.
    """

    name: str
    note: str
    image: np.ndarray | None = None
    lit: np.ndarray | None = None
    pixel: float | None = None


def tile(name: str, note: str, image: np.ndarray, lit: np.ndarray, pixel: float | None) -> Tile:
    """Return the tile of an object (H, W) complex: its lit area, blocks of pixels averaged to at most 256 x 256."""
    rows, columns = crop_to(lit)
    image, lit = image[rows, columns], lit[rows, columns]
    k = math.ceil(max(image.shape) / _EDGE)
    height, width = (size // k for size in image.shape)
    blocks = image[: height * k, : width * k].reshape(height, k, width, k)
    shown = lit[: height * k, : width * k].reshape(height, k, width, k)
    return Tile(
        name, note, blocks.mean(axis=(1, 3)), np.asarray(shown.any(axis=(1, 3))), None if pixel is None else pixel * k
    )


@styled
def contact_sheet(tiles: Sequence[Tile]) -> Figure:
    """Draw the phase [rad] of up to 30 objects, each over its own range of values; returns a Figure.

    One without a picture is a grey square with its note in red.
    """
    if not 0 < len(tiles) <= PAGE:
        raise ValueError(f"a contact sheet shows 1 to {PAGE} objects, not {len(tiles)}")
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    fig = new_figure(2.4 * columns + 0.2, 2.9 * rows + 0.2)
    cells = np.ravel(fig.subplots(rows, columns, squeeze=False))
    for axes, one in zip(cells, tiles, strict=False):
        if one.image is None or one.lit is None:
            axes.set_facecolor(UNLIT)
            axes.set_aspect("equal")
            axes.set_title(one.name, fontsize=8)
            axes.set_xlabel(_wrapped(one.note), fontsize=7, color=VERMILION)
        else:
            draw_phase(axes, one.image, one.lit, one.pixel, title=one.name, colorbar=False)
            axes.set_title(one.name, fontsize=8)
            axes.set_xlabel(_wrapped(one.note), fontsize=7)
        axes.set_ylabel("")
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in cells[len(tiles) :]:
        axes.set_axis_off()
    return fig


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 44, max_lines=3, placeholder=" …"))
