"""What a file of a measurement gets of a state: its probe and its positions, and what it has no place for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.analysis.position_report import STILL, moved
from opty.errors import warn_user
from opty.remedies import here, option

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.io.reading import Format
    from opty.state import BareState

_HELD = ("positions", "probe", "background")  # estimates that a measurement has as well


def as_data(path: str | Path, p: BareState, form: Format | None, refined_positions: bool | None) -> PtychoData:
    """Return the measurement of a state with what was reconstructed, as far as a format has a place for it.

    The reconstructed probe becomes the starting probe, a refined background the background. Positions are those given,
    or those of the state; a warning names what is left out.

    Parameters
    ----------
    path : the file to be written. form : its format; None for opty's own, which has a place for all that data have.
    refined_positions : whether the positions of the state are written in place of those given. None: those given, and
        the warning names the others.
    """
    data = p.data
    lacks = () if form is None else form.lacks
    changes: dict[str, Any] = {}
    left: list[str] = []
    estimates = {name: leaf for name, leaf in p._live.layout.items() if leaf.role == "estimate"}
    ran = p.iteration > 0 or p._live.start is not None
    if "probe" in lacks:
        changes["probe"] = None
        left += ["the probe"] if ran or data.probe is not None else []
    elif ran:
        changes["probe"] = p.numpy("probe")
    if p.background is not None and p.background is not data.background:
        if "background" not in lacks:
            changes["background"] = np.asarray(p.background)
        elif data.background is None:
            left.append("the background")
    away = moved(p.numpy("positions"), data.positions_px)
    if refined_positions:
        changes["positions"] = (p.numpy("positions") - p.origin) * (data.pixel or 1.0)
    others = [name for name in estimates if name not in (*_HELD, "obj")]
    if ran:
        left += ["the object", *others]
    said = []
    if refined_positions is None and away > STILL:
        said.append(
            f"it holds the positions that were given, and not those of the result, which were refined by {away:.3g} px "
            f"rms: {option('refined_positions', True)} writes these, {option('refined_positions', False)} those given"
        )
    if left:
        kept = here("a result, opty.save('result.h5', p), keeps all", "the result keeps all")
        said.append(f"it has no place for {_listed(left)}; {kept}")
    if said:
        warn_user(f"{path} is a file of a measurement: {'; '.join(said)}", UserWarning)
    return data.replace(**changes)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
