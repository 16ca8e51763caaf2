"""What a file of a measurement gets of a state: its probe and its positions, and what it has no place for."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.analysis.position_report import STILL, moved
from opty.model.geometry_numbers import LENGTHS
from opty.remedies import here, option

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.io.reading import Format
    from opty.state import BareState

_HELD = ("positions", "probe", "background")  # estimates that a measurement has as well


def as_data(
    path: str | Path, p: BareState, form: Format | None, refined_positions: bool | None
) -> tuple[PtychoData, str]:
    """Return the measurement of a state with what was reconstructed, as far as a format has a place, and what is said.

    The reconstructed probe becomes the starting probe, a refined background the background, and lengths of the geometry
    are those found: in their pixels the metres of the positions are those of the state, given or refined. The text, ""
    for nothing, is a warning for after the file is written: it names what is left out.

    Parameters
    ----------
    path : the file to be written. form : its format; None for opty's own, which has a place for all that data have.
    refined_positions : whether the positions of the state are written in place of those given. None: those given, and
        the text names the others.
    """
    data = p.data
    lacks = () if form is None else form.lacks
    changes: dict[str, Any] = {}
    left: list[str] = []
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
    pixel, corners = p.pixel or 1.0, p.numpy("positions")
    given = data.positions / pixel
    away = moved(corners, given)
    if refined_positions:  # about the same middle, which another pixel leaves where it is
        changes["positions"] = (corners - p.origin - data.positions_px.mean(axis=0) + given.mean(axis=0)) * pixel
    if ran:
        left += ["the object", *beyond_thin(p, _HELD)]
    said = []
    if p.geometry != data.geometry:
        changes["geometry"] = p.geometry
        found = [name for name in sorted(LENGTHS) if getattr(p.geometry, name) != getattr(data.geometry, name)]
        said.append(
            "it holds the geometry that was found, "
            + _listed(
                [f"{name} {getattr(p.geometry, name):.7g} m for {getattr(data.geometry, name):.7g}" for name in found]
            )
        )
    if refined_positions is None and away > STILL:
        said.append(
            f"it holds the positions that were given, and not those of the result, which were refined by {away:.3g} px "
            f"rms: {option('refined_positions', True)} writes these, {option('refined_positions', False)} those given"
        )
    if left:
        said.append(no_place_for(left))
    return data.replace(**changes), f"{path} is a file of a measurement: {'; '.join(said)}" if said else ""


def beyond_thin(p: BareState, held: Collection[str]) -> list[str]:
    """Return what a state has beside object, probe and lengths of the geometry, and beside the estimates ``held``.

    Elements of the model as they are written, then other estimates by name.
    """
    plain = [e for e in p.model.elements if e.propagates or {leaf.name for leaf in e.leaves} in ({"obj"}, {"probe"})]
    elements = [e for e in p.model.elements if e not in plain]
    named = {leaf.name for e in p.model.elements for leaf in e.leaves}
    estimates = [name for name, leaf in p._live.layout.items() if leaf.role == "estimate"]
    others = [name for name in estimates if name not in (*held, *named, *LENGTHS)]
    return [*map(repr, elements), *others]


def no_place_for(left: list[str]) -> str:
    """Say that a file has no place for what is named, and what has."""
    kept = here("a result, opty.save('result.h5', p), keeps all", "the result keeps all")
    return f"it has no place for {_listed(left)}; {kept}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
