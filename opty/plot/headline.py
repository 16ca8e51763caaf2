"""The headline of a picture: file, recipe, R-factor and date, by which one in a folder of fifty is known."""

from __future__ import annotations

import contextlib
import datetime
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from opty.algebra.text import made_by
from opty.algebra.unknown import unknown_in
from opty.analysis.misfit import r_factor
from opty.errors import RecipeError
from opty.runtime.recipe_edit import without_outputs

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from opty.state import BareState

_CHARACTERS = 14.0  # of the headline on an inch
_SHORTEST = 12  # characters of a recipe


def headline(p: BareState, width: float = 12.0) -> str:
    """Return file, recipe, iterations, R-factor and date in one line or two, for a picture ``width`` [inch] wide.

    Steps of the recipe that write files or print are left out: they made nothing of what is seen.
    The R-factor costs a pass over the views; it is left out where the frames are not here or stay in their file,
    and where the model has elements that are not defined here.
    """
    source = p.data.source
    parts = [Path(source["path"]).name] if source else []
    parts.append(f"{p.data.views} view{'s' * (p.data.views > 1)} of {p.data.n} × {p.data.n}")
    if p.iteration:
        parts.append(f"{p.iteration} iterations")
        if p.data.absent is None and not p.data.in_file:
            with contextlib.suppress(RecipeError):
                parts.append(f"R-factor {r_factor(p):.3g}")
    else:
        parts.append("start, no iteration yet")
    parts.append(datetime.date.today().isoformat())
    lines = textwrap.wrap("  ·  ".join(parts), int(_CHARACTERS * width), break_long_words=False)
    if p.iteration:
        known = not any(unknown_in(p.recipe))  # or what its steps do cannot be told
        steps = without_outputs(p.recipe) if known else p.recipe
        recipe = " ".join(made_by(repr(steps), p.iteration).split())
        lines.append(textwrap.shorten(recipe, max(int(_CHARACTERS * width), _SHORTEST), placeholder=" …"))
    return "\n".join(lines)


def put_headline(fig: FigureBase, p: BareState, width: float) -> None:
    """Write the headline above a figure of its own, ``width`` [inch] wide; a part of another figure gets none."""
    if fig.figure is fig or fig.figure is None:
        fig.suptitle(headline(p, width), ha="left", x=0.01, fontsize=9.0)
