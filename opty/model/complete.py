"""A model as a state needs it: with the elements that the user left out, and the first value of each leaf."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.reader import cut
from opty.data import PtychoData
from opty.errors import RecipeError
from opty.model.compose import Model, elements_of, parse
from opty.model.element import Element
from opty.model.probe import Probe
from opty.model.propagation import propagation_of
from opty.model.sample import Object
from opty.model.start import Start


def complete(model: Any, data: PtychoData, modes: int | None) -> Model:
    """Return a model with the elements that were left out: the propagation of the geometry, Object(), Probe().

    ``model`` : a Model, an element, a text, or None for ``FarField() * Object() * Probe(modes)`` or what the geometry
    says in place of the far field. Left out may be the propagation, and what stands on the right end.

    Raises RecipeError for a model without a place for the object, one that does not fit the measurement, and modes that
    are given twice.
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
        if any(element.source for element in elements):
            raise RecipeError(f"{model!r} has no object: write Object() where the beam meets the sample")
        elements = (*elements, Object())
    if not any(element.source for element in elements):
        elements = (*elements, Probe(modes))
    if not elements[0].propagates:
        elements = (propagation_of(data.geometry), *elements)
    whole = Model(elements)
    for element in whole.elements:
        element.foresee(data.geometry, data.n)
    return whole


def first_leaves(model: Model, start: Start) -> dict[str, np.ndarray]:
    """Return the first value of each leaf of a model, by name."""
    owned = ((element, leaf.name) for element in model.elements for leaf in element.leaves)
    return {name: np.asarray(element.initial(name, start)) for element, name in owned}
