"""Recipes as text and as JSON, and back. Nothing is imported from, or evaluated out of, either."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from opty.algebra.compose import Compose, Repeat, compose
from opty.algebra.control import Until
from opty.algebra.old_names import translated
from opty.algebra.operator import REGISTRY, Operator
from opty.algebra.reader import Grammar, cut, make, read_text
from opty.algebra.unknown import Absent, import_installed
from opty.algebra.value import Value
from opty.errors import RecipeError
from opty.words import meant

VERSION = 1


# -- text


def to_text(value: Any) -> str:
    """Return the code that makes a recipe: only what differs from the defaults, brackets by precedence."""
    if isinstance(value, Compose):
        return " * ".join(to_text(step) for step in value.steps)
    if isinstance(value, Repeat):
        body = to_text(value.body)
        if isinstance(value.body, (Compose, Repeat)):
            body = f"({body})"
        return f"{body} ** {value.times!r}"
    if isinstance(value, tuple):
        return "(" + ", ".join(to_text(v) for v in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, Absent):
        return value.text
    if not isinstance(value, Value):
        return repr(value)
    parts = []
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        argument = getattr(value, field.name)
        if field.default is dataclasses.MISSING:
            parts.append(to_text(argument))
        elif argument != field.default or type(argument) is not type(field.default):
            parts.append(f"{field.name}={to_text(argument)}")
    return f"{type(value).__name__}({', '.join(parts)})"


def parse(text: str) -> Operator:
    """Return the recipe that a text describes, such as ``"(PosCorrectAdam() * rPIE(alpha=0.05)) ** 200"``.

    The text may hold registered operators, Until, numbers, strings, tuples, ``*``, ``**`` and ``.fix(...)``: nothing
    else, and nothing is evaluated. Raises RecipeError with the position in the text.
    """
    return read_text(text, Grammar(Operator, compose, look_up, "operator", "recipe", "rPIE() ** 10", powers=True))


def look_up(name: str) -> type:
    """Return the registered class of that name, or raise RecipeError with the nearest names."""
    if name not in REGISTRY and name != "Until":
        import_installed()
    classes: dict[str, type] = {**REGISTRY, "Until": Until}
    if name in classes:
        return classes[name]
    raise RecipeError(f"unknown operator {name!r}{meant(name, sorted(classes), 'known:')}")


def made_by(recipe: str, iteration: int) -> str:
    """Return what made a state: the text of its recipe; or, where arrays were put in by hand, that and when."""
    if recipe != "Identity()":
        return recipe
    return f"none since arrays were put in by hand at iteration {iteration}" if iteration else "none, a start"


# -- JSON


def to_json(op: Operator) -> str:
    """Return a recipe as JSON text with a format version."""
    return json.dumps({"opty": VERSION, "recipe": encode(op)})


def encode(value: Any) -> Any:
    """Return a parameter or a value in the types that JSON has."""
    if isinstance(value, Absent):
        return json.loads(value.encoded)
    if isinstance(value, (Until, Value)):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]
        return {type(value).__name__: {f.name: encode(getattr(value, f.name)) for f in fields}}
    if isinstance(value, tuple):
        return [encode(v) for v in value]
    return value


def from_json(text: str) -> Operator:
    """Return the recipe of a JSON text that ``to_json`` made.

    Raises RecipeError for text that is no such JSON, another format version, or unknown names; ValueError for a
    parameter out of range.
    """
    return read_json(text, _made)


def read_json(
    text: str, made: Callable[[str, dict[str, Any]], Any], seen: Callable[[Any], None] = lambda recipe: None
) -> Operator:
    """Return the recipe of a JSON text; ``made`` makes one operator of its name and its parameters, as JSON has them.

    ``seen`` is called with the whole recipe, as JSON has it, before any operator is made.
    """
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:
        raise RecipeError(f"not a recipe in JSON: {error}") from None
    if not isinstance(whole, dict) or set(whole) != {"opty", "recipe"}:
        raise RecipeError('not a recipe in JSON: expected {"opty": 1, "recipe": {...}}')
    if whole["opty"] != VERSION or isinstance(whole["opty"], bool):
        raise RecipeError(f"recipe format {cut(repr(whole['opty']))}; this opty reads version {VERSION}: update opty")
    try:
        seen(whole["recipe"])
        value = decode(whole["recipe"], made)
    except RecursionError:
        raise RecipeError("not a recipe in JSON: it is nested too deep") from None
    if not isinstance(value, Operator):
        raise RecipeError(f"not a recipe in JSON: it holds {cut(repr(value))}")
    return value


def decode(value: Any, made: Callable[[str, dict[str, Any]], Any]) -> Any:
    """Decode a value in JSON: lists are tuples, objects are operators."""
    if isinstance(value, list):
        return tuple(decode(v, made) for v in value)
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise RecipeError(f'an operator in JSON is {{"name": {{parameters}}}}; got the keys {cut(str(sorted(value)))}')
    ((name, parameters),) = value.items()
    if not isinstance(parameters, dict):
        raise RecipeError(f'an operator in JSON is {{"name": {{parameters}}}}; got {cut(repr(value))}')
    return made(name, parameters)


def _made(name: str, parameters: dict[str, Any]) -> Any:
    name, parameters = translated(name, parameters)
    return make(look_up(name), [], {key: decode(v, _made) for key, v in parameters.items()})
