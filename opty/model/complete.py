"""Completion of a model: the elements that the user left out, and the first value of each leaf."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from opty.algebra.reader import cut
from opty.errors import RecipeError
from opty.geometry import Geometry
from opty.model.compose import Model, elements_of, parse
from opty.model.element import Element
from opty.model.probe import Probe
from opty.model.propagation import propagation_of
from opty.model.sample import Object
from opty.model.scan import Scan


def complete(model: Any, geometry: Geometry | None, n: int, modes: int | None = None) -> Model:
    """Return a model with the elements that were left out: the propagation of the geometry, Object(), Probe().

    ``model`` : a Model, an element, a text, or None for ``FarField() * Object() * Probe(modes)``, with the propagation
    of the geometry. The propagation, the object and the source on the right may be left out. ``geometry`` and
    ``n`` : of the measurement, with patterns of n x n pixels.

    Raises RecipeError for a model that leaves the place of the object open, one that does not fit the measurement, and
    modes that are given twice.
    """
    if isinstance(model, str):
        model = parse(model)
    if model is not None and not isinstance(model, (Model, Element)):
        raise RecipeError(f"model is {cut(repr(model))}; give elements of opty.model, such as Object() * Probe()")
    if model is not None and modes is not None:
        raise RecipeError(f"modes={modes} beside model={model!r}: give them to the probe, Probe(modes={modes})")
    elements = () if model is None else elements_of(model)
    has = {leaf.name for element in elements for leaf in element.leaves}
    if "obj" not in has:
        sides = [element.detects or element.propagates or element.source or element.side for element in elements]
        if elements and elements[-1].source and not all(sides):
            raise RecipeError(f"{model!r} has no object: write Object() where the beam meets the sample")
        beam = next((k for k, e in enumerate(elements) if e.source or e.side == "beam"), len(elements))
        elements = (*elements[:beam], Object(), *elements[beam:])
    if not any(element.source for element in elements):
        elements = (*elements, Probe(modes))
    first = next(k for k, element in enumerate(elements) if not element.detects)
    if not elements[first].propagates:
        elements = (*elements[:first], propagation_of(geometry), *elements[first:])
    whole = Model(elements)
    for element in whole.elements:
        element.check_before_run(geometry, n)
    return whole


def with_modes(model: Model, modes: int) -> Model:
    """Return a model whose probe has its number of modes."""
    path = (replace(e, modes=modes) if isinstance(e, Probe) else e for e in model.elements)
    return Model(tuple(path))


def first_leaves(model: Model, scan: Scan) -> dict[str, np.ndarray]:
    """Return the first value of each leaf of a model, by name."""
    owned = ((element, leaf.name) for element in model.elements for leaf in element.leaves)
    return {name: np.asarray(element.initial(name, scan)) for element, name in owned}


def fitting(model: Model, name: str, value: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return a value that a user gives for a leaf, in the type of its first value, or say what is wrong with it.

    It has the shape of the first value; an object may have another number of rows and columns.
    """
    leaf = next(leaf for leaf in model.leaves if leaf.name == name)
    fixed = len(first.shape) - 2 * (leaf.grid == "frame")
    if value.ndim != first.ndim or value.shape[:fixed] != first.shape[:fixed]:
        sizes = [str(size) for size in first.shape[:fixed]] + ["H", "W"][: len(first.shape) - fixed]
        raise ValueError(f"{name} has shape {value.shape}; {model.owner(name)!r} has ({', '.join(sizes)})")
    if value.dtype.kind not in "biufc" or (value.dtype.kind == "c" and first.dtype.kind != "c"):
        raise ValueError(f"{name} has dtype {value.dtype}; give numbers that {first.dtype} holds")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} has {int((~np.isfinite(value)).sum())} values that are not finite")
    return value.astype(first.dtype)
