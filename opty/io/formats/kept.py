"""Kept: the contents of a result file, read before its measurement; native.py describes the layout."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import h5py
import numpy as np

from opty.algebra.leaf import Leaf, Role
from opty.files.container import Container
from opty.io.formats import measurement
from opty.io.formats.measurement import need
from opty.io.reading import blaming
from opty.model.unknown_element import kept_model
from opty.state.leaves import ESTIMATED

if TYPE_CHECKING:
    from opty.model import Model
    from opty.runtime.checkpoint import PendingRun

OWN = "entry_1/reconstruction"
GROUPS: dict[Role, str] = {"estimate": "leaves", "slot": "slots", "array": "arrays"}


@dataclass(kw_only=True)
class Kept:
    """The contents of a result file but its measurement."""

    fields: dict[str, Any]  # of PtychoData but its intensities
    frames: measurement.FramesKept
    leaves: dict[str, np.ndarray]
    record: dict[str, Any]
    unfinished: PendingRun | None
    device: str
    software: dict[str, str]

    def at_the_start(self) -> Kept:
        """Return the contents of a file written at the start of the run; for results that keep the start."""
        from opty.algebra.operator import Identity

        began = self.record["began"]
        record = self.record | {"recipe": Identity(), "began": None}
        record |= {name: began[name] for name in ("iteration", "history", "visits")}
        record |= {"declared": began["declared"]}
        return dataclasses.replace(self, leaves=began["leaves"], record=record, unfinished=None)


def read_kept(file: Container) -> Kept:
    """Read everything in a result file; FormatError where it is damaged or of a later format.

    Operators of its recipe and elements of its model that are not here are kept as they were.
    """
    from opty.algebra.kept_recipes import kept_recipe
    from opty.runtime.checkpoint import PendingRun

    measurement.check_version(file)
    with file.hdf5() as f, blaming(file):
        own = need(f, OWN)
        code = kept_text(need(own, "recipe"))
        recipe = kept_recipe(kept_text(need(own, "recipe_json")), code)
        unfinished = PendingRun.from_json(kept_text(own["unfinished"])) if "unfinished" in own else None
        leaves, declared = _leaves(own)
        record = {
            "declared": declared,
            "origin": need(own, "origin")[()],
            "seed": int(own.attrs["seed"]),
            "iteration": int(own.attrs["iteration"]),
            "history": _history(own),
            "recipe": recipe,
            "model": _model(own, declared),
            "visits": _visits(own),
            "began": _start(own),
        }
        fields, frames = measurement.read_fields(f), measurement.read_kept_frames(f)
        device, software = measurement.text(own.attrs.get("device", "cpu")), json.loads(own.attrs.get("software", "{}"))
        return Kept(
            fields=fields,
            frames=frames,
            leaves=leaves,
            record=record,
            unfinished=unfinished,
            device=device,
            software=software,
        )


def _model(own: h5py.Group, declared: Mapping[str, Leaf]) -> Model | None:
    """Return the model; None in a file of an earlier version, where all objects were thin."""
    if "model_json" not in own:
        return None
    beside = {name for name, leaf in ESTIMATED.items() if not leaf.image}
    estimates = [leaf for name, leaf in declared.items() if leaf.role == "estimate" and name not in beside]
    return kept_model(kept_text(own["model_json"]), kept_text(need(own, "model")), estimates)


def kept_text(found: h5py.Dataset) -> str:
    """Return a text that a file holds."""
    value = found.asstr()[()]
    return value if isinstance(value, str) else str(value[0])  # a long text is stored as an array of one


def _start(own: h5py.Group) -> dict[str, Any] | None:
    """Return the start of the run, or None where it follows from the data."""
    if "start" not in own:
        return None
    start = own["start"]
    leaves, declared = _leaves(start)
    found = {"leaves": leaves, "declared": declared, "visits": _visits(start)}
    return found | {"iteration": int(start.attrs["iteration"]), "history": _history(start)}


def _leaves(own: h5py.Group) -> tuple[dict[str, np.ndarray], dict[str, Leaf]]:
    """Return arrays by name, and their declarations, which files of earlier versions lack."""
    leaves, declared = {}, {}
    for role, group in GROUPS.items():
        for key, found in need(own, group).items():
            name = unquote(key)
            leaves[name] = found[()]
            declaration = found.attrs.get("declaration")
            if declaration is not None:
                declared[name] = Leaf(name, **{**json.loads(measurement.text(declaration)), "role": role})
            elif role == "array":
                declared[name] = Leaf.found(name, leaves[name], role)
    return leaves, declared


def _history(own: h5py.Group) -> dict[str, np.ndarray]:
    return {unquote(name): series[()] for name, series in need(own, "history").items()}


def _visits(own: h5py.Group) -> dict[str, Any]:
    return json.loads(kept_text(own["visits"])) if "visits" in own else {}
