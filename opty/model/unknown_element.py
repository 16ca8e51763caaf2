"""Models out of result files: read as far as their elements are here, and kept as they were where they are not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import field
from functools import partial
from typing import Any

from opty.algebra.kept_recipes import code_of, codes_of
from opty.algebra.leaf import Leaf
from opty.algebra.reader import make
from opty.algebra.text import decode
from opty.algebra.unknown import IMPORT, REMODEL, Absent
from opty.errors import RecipeError
from opty.model.compose import Model, look_up, read_json
from opty.model.element import Element


class UnknownElement(Absent, Element, register=False):
    """An element of a file that no class here makes: kept as it was, written again as it was, never computed with.

    Parameters
    ----------
    name : of its class. encoded : its JSON. place : in its model, "source", "propagation", "detector" or "". brings :
    its leaves, as JSON. why : it could not be made. remedy : what to do. text : its code.
    """

    name: str
    encoded: str
    place: str = ""
    brings: str = field(default="{}", compare=False)
    why: str = field(default="", compare=False)
    remedy: str = field(default=IMPORT, compare=False)
    text: str = field(default="", compare=False)

    @property
    def leaves(self) -> tuple[Leaf, ...]:  # type: ignore[override]
        """The declarations, from the file, of the leaves that no other element of the model brings."""
        return tuple(Leaf(name, **declaration) for name, declaration in json.loads(self.brings).items())

    @property
    def source(self) -> bool:  # type: ignore[override]
        """A whole model ends with a source."""
        return self.place == "source"

    @property
    def propagates(self) -> bool:  # type: ignore[override]
        """A whole model begins with a propagation."""
        return self.place == "propagation"

    @property
    def detects(self) -> bool:  # type: ignore[override]
        """What stands in front of the propagation acts on intensities."""
        return self.place == "detector"

    def forward(self, v: Any, wave: Any) -> Any:
        raise self.refusal()

    def refusal(self) -> RecipeError:
        """Return the error for a computation with the element."""
        return RecipeError(f"{self.text} cannot be computed with: {self.why}; {self.remedy}")


def kept_model(text: str, code: str, estimates: Iterable[Leaf]) -> Model:
    """Return the whole model of a JSON text, with an ``UnknownElement`` for each unknown class.

    ``code`` : its repr when it was written, for the text of unknown elements. ``estimates`` : declarations of the
    arrays that the model brings; those that no element here brings belong to the first unknown one.
    Raises RecipeError for text that is no such JSON, or another format version.
    """
    elements = read_json(text)
    codes = codes_of({"Compose": {"steps": elements}} if len(elements) > 1 else elements[0], code)
    last = len(elements) - 1
    ahead = next((k for k, one in enumerate(elements) if _propagates(one)), 0)  # what stands in front of it detects
    places = (
        "source" if k == last else "detector" if k < ahead else "propagation" if k == ahead else ""
        for k in range(len(elements))
    )
    found = [decode(one, partial(_made, place, codes)) for one, place in zip(elements, places, strict=True)]
    here = {leaf.name for element in found for leaf in element.leaves}
    first = next((k for k, element in enumerate(found) if isinstance(element, UnknownElement)), None)
    if first is not None:
        brings = {leaf.name: leaf.to_dict() for leaf in estimates if leaf.name not in here}
        found[first] = dataclasses.replace(found[first], brings=json.dumps(brings))
    return Model(tuple(found))


def _propagates(encoded: Any) -> bool:
    """Say whether an element of a JSON text is a propagation that is known here."""
    try:
        return look_up(next(iter(encoded))).propagates
    except (RecipeError, TypeError, StopIteration):
        return False  # what it is not will be said where it is decoded


def _made(place: str, codes: dict[int, str], name: str, parameters: dict[str, Any]) -> Element:
    kept, written = json.dumps({name: parameters}), codes.get(id(parameters)) or code_of(name, parameters)
    try:
        cls = look_up(name)
    except RecipeError:
        return UnknownElement(name, kept, place, why=f"there is no element {name!r} here", text=written)
    try:
        return make(cls, [], {key: decode(value, partial(_made, "", codes)) for key, value in parameters.items()})
    except Exception as error:  # whatever the check of a user's own class raises
        why = str(error) or type(error).__name__
        return UnknownElement(name, kept, place, why=why, remedy=REMODEL, text=written)
