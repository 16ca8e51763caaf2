"""Model: elements from the detector to the source. Flat, so that equal models are equal values."""

from __future__ import annotations

import json
from functools import cached_property
from itertools import takewhile
from typing import Any

from opty.algebra.leaf import Leaf
from opty.algebra.reader import Grammar, cut, make, read_text
from opty.algebra.text import VERSION, decode, encode
from opty.algebra.unknown import IMPORT, Absent, import_installed
from opty.algebra.value import Value
from opty.errors import RecipeError
from opty.model.element import ELEMENTS, Element
from opty.words import meant


class Model(Value, register=False):
    """How object, probe and positions make the waves at the detector: a product of elements.

    ``FarField() * Object() * Probe()`` is written as formulae are, the source on the right. ``*`` is associative.
    Raises RecipeError for two elements that bring the same leaf, and where a source or a propagation stands in the
    middle.
    """

    elements: tuple[Any, ...]

    def check(self) -> None:
        for k, element in enumerate(self.elements):
            if not isinstance(element, Element):
                raise RecipeError(f"a model is made of elements, such as Object(); got {element!r}")
            if element.source and k < len(self.elements) - 1:
                raise RecipeError(f"{element!r} makes the waves: it stands on the right of all other elements")
            if element.propagates and k != len(self.detection):
                raise RecipeError(f"{element!r} brings the waves to the detector: it stands on the left of all others")
            if element.detects and k >= len(self.detection):
                raise RecipeError(f"{element!r} acts on intensities: it stands on the left of the propagation")
        self._check_sides()
        names = [leaf.name for leaf in self.leaves]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            if twice == ["obj"] and any(getattr(e, "mixture", False) for e in self.elements):
                raise RecipeError(
                    f"{self!r}: states of a thick object are not supported: take Object(states=L) for a thin one that "
                    "changes, or Slices for a thick one"
                )
            raise RecipeError(f"{self!r}: two elements bring the leaf {twice[0]!r}; a state holds one array of a name")

    def _check_sides(self) -> None:
        """Refuse an element on the wrong side of the object."""
        at = next((k for k, e in enumerate(self.elements) if e is self.sample), None)
        for k, element in enumerate(self.elements):
            if at is not None and element.side == ("exit" if k > at else "beam"):
                side, acts = ("left", "wave behind the object") if k > at else ("right", "beam")
                raise RecipeError(f"{element!r} acts on the {acts}: it stands on the {side} of {self.elements[at]!r}")

    def __mul__(self, other: Any) -> Model:
        return product(self, other)

    def __rmul__(self, other: Any) -> Any:
        raise refuse_factor(other, self)

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.elements))

    def to_json(self) -> str:
        """Return the model as JSON text; ``opty.model.from_json`` reads it back."""
        return json.dumps({"opty": VERSION, "model": [encode(element) for element in self.elements]})

    @cached_property
    def path(self) -> tuple[Element, ...]:
        """The elements as the wave meets them: the source first; what acts on intensities is not among them."""
        return tuple(reversed(self.elements[len(self.detection) :]))

    @cached_property
    def detection(self) -> tuple[Any, ...]:
        """The elements that act on intensities, as these meet them."""
        return tuple(reversed([*takewhile(lambda element: element.detects, self.elements)]))

    @cached_property
    def censors(self) -> bool:
        """Whether with what a prediction is compared depends on it (``Saturation``)."""
        return any(element.censors for element in self.detection)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves that the elements bring to the state, those of the object first."""
        return tuple(leaf for element in self.elements for leaf in element.leaves)

    @cached_property
    def sample(self) -> Element | None:
        """The element that brings the object."""
        return self.owner("obj")

    @cached_property
    def thin(self) -> bool:
        """Whether exit waves are P O, object and probe alone: the single slice, for which there are fused kernels."""
        return len(self.elements) == 3 and all(element.thin for element in self.elements)

    @cached_property
    def varies(self) -> bool:
        """Whether exit waves are P_j O, the probe of each view times one object: not thin, but for the probe."""
        return len(self.elements) == 3 and not self.thin and all(e.thin for e in self.elements[:2])

    @cached_property
    def thick(self) -> bool:
        """Whether exit waves are those of a steady probe through several slices."""
        return len(self.elements) == 3 and type(self.elements[1]).sliced and self.elements[0].thin and self.path[0].thin

    @cached_property
    def moves_beam(self) -> bool:
        """Whether the element behind a steady probe takes its spectrum, and returns chi by ``Spectra``."""
        return len(self.path) > 1 and self.path[1].moves_beam and self.path[0].thin

    @property
    def thin_object(self) -> bool:
        """Whether the object is thin, one slice or a mixture, of a probe that is steady or varies."""
        return self.thin or self.varies or (len(self.elements) == 3 and self.elements[0].thin and self.mixture)

    @cached_property
    def mixture(self) -> bool:
        """Whether the first axis of the object counts incoherent states, and not slices."""
        return self.sample is not None and self.sample.mixture

    @cached_property
    def closed(self) -> bool:
        """Whether the nearest waves that the model makes are known, which the difference map and RAAR need."""
        return all(element.closed for element in self.elements)

    @cached_property
    def unknown(self) -> tuple[Any, ...]:
        """The elements of a file whose classes are not here (``UnknownElement``)."""
        return tuple(element for element in self.elements if isinstance(element, Absent))

    @cached_property
    def obj_step(self) -> float:
        """The step of the object that converges, 1 the full one."""
        return min(element.obj_step for element in self.elements)

    @cached_property
    def probe_step(self) -> float:
        """The step of the probe that converges where it is fitted to all views at once, 1 the full one."""
        return min(element.probe_step for element in self.elements)

    def owner(self, name: str) -> Element | None:
        """Return the element that brings a leaf, or None."""
        return next((e for e in self.elements if any(leaf.name == name for leaf in e.leaves)), None)

    def states(self, modes: int) -> int:
        """Return how many incoherent states the exit waves have for ``modes`` of the probe."""
        for element in self._changing_states:
            modes = element.states_behind(modes)
        return modes

    @cached_property
    def states_behind_object(self) -> int:
        """How many states of the exit waves each state behind the object becomes."""
        count = 1
        for element in reversed(self.elements[: self.elements.index(self.sample)]):
            count = element.states_behind(count) if not (element.propagates or element.detects) else count
        return count

    @cached_property
    def _changing_states(self) -> list[Element]:
        return [element for element in self.path if type(element).states_behind is not Element.states_behind]


def product(left: Any, right: Any) -> Model:
    """Return the model of two elements or models, or raise RecipeError for anything else."""
    for one, other in ((left, right), (right, left)):
        if not isinstance(one, (Element, Model)):
            raise refuse_factor(one, other)
    return Model(elements_of(left) + elements_of(right))


def refuse_factor(other: Any, beside: Any) -> RecipeError:
    """Return the error for a product of a model and what is none."""
    return RecipeError(
        f"{cut(repr(other))} stands beside {cut(repr(beside))}: elements multiply elements and make a model; a state "
        "takes one when it is made, PtychoState(data, model=...)"
    )


def elements_of(part: Element | Model) -> tuple[Element, ...]:
    """Return the elements of a model, or the one."""
    return part.elements if isinstance(part, Model) else (part,)


def parse(text: str) -> Model:
    """Return the model that a text describes, such as ``"FarField() * Slices(2, spacing=1e-6) * Probe(modes=3)"``.

    Nothing is evaluated. Raises RecipeError with the position in the text.
    """
    found = read_text(text, Grammar((Element, Model), _joined, look_up, "element", "model", "Object() * Probe()"))
    return Model(elements_of(found))


def _joined(*parts: Any) -> Model:
    return Model(tuple(element for part in parts for element in elements_of(part)))


def from_json(text: str) -> Model:
    """Return the model of a JSON text that ``Model.to_json`` made.

    Raises RecipeError for text that is no such JSON, another format version, or unknown names; ValueError for a
    parameter out of range.
    """
    return Model(decode(read_json(text), _made))


def read_json(text: str) -> list[Any]:
    """Return the elements of a JSON text that ``Model.to_json`` made, as JSON has them; raises as it does."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:
        raise RecipeError(f"not a model in JSON: {error}") from None
    if not isinstance(whole, dict) or set(whole) != {"opty", "model"} or not isinstance(whole["model"], list):
        raise RecipeError('not a model in JSON: expected {"opty": 1, "model": [...]}')
    if whole["opty"] != VERSION or isinstance(whole["opty"], bool):
        raise RecipeError(f"model format {cut(repr(whole['opty']))}; this opty reads version {VERSION}: update opty")
    return whole["model"]


def _made(name: str, parameters: dict[str, Any]) -> Any:
    return make(look_up(name), [], {key: decode(value, _made) for key, value in parameters.items()})


def look_up(name: str) -> type[Element]:
    """Return the element of that name, or raise RecipeError with the nearest names."""
    if name not in ELEMENTS:
        import_installed()
    if name in ELEMENTS:
        return ELEMENTS[name]
    raise RecipeError(f"unknown element {name!r}{meant(name, sorted(ELEMENTS), 'known:')}; one that is yours: {IMPORT}")
