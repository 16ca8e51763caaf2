"""Parameters of operators: the types that they may have, and the check of a value against its type.

A parameter is a number, a string, a bool, None, an operator, a stopping rule, or a tuple of these: values that compare,
hash, print as code and go into JSON. Types that allow anything else are refused where a class is defined.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import math
import sys
import types
import typing
from collections.abc import Hashable, Iterator
from typing import Any, Union

import numpy as np

from opty.algebra.value_class import ValueClass, unmade
from opty.errors import RecipeError
from opty.words import joined

_PLAIN: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "True or False",
    types.NoneType: "None",
    tuple: "a tuple",
    Any: "a number, a text, a tuple, an operator or None",
}


_SEQUENCES = (list, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)


def parameter_type(cls: type, words: str) -> None:
    """Let parameters have the type ``cls``, whose values a message calls ``words``."""
    _PLAIN[cls] = words


def check_annotated(cls: type) -> None:
    """Refuse a parameter without annotation, which would silently be no parameter."""
    annotated = {name for base in cls.__mro__ for name in inspect.get_annotations(base)}
    for name, value in cls.__dict__.items():
        known = name in annotated or name.startswith("_") or any(hasattr(base, name) for base in cls.__bases__)
        if not known and isinstance(value, (bool, int, float, str, tuple)):
            raise RecipeError(
                f"{cls.__name__}.{name} = {value!r} is no parameter without a type; write "
                f"{name}: {type(value).__name__} = {value!r}, or ClassVar[{type(value).__name__}] for a constant"
            )


# -- types


def class_statement() -> types.FrameType:
    """Return the frame that runs the class statement which is being carried out."""
    frame = sys._getframe(2)
    while frame.f_code.co_name == "__init_subclass__" and frame.f_back is not None:  # of a user's base class
        frame = frame.f_back
    return frame


def types_of(cls: type, frame: types.FrameType) -> dict[str, Any]:
    """Return the types of an operator's parameters, by name; ``frame`` runs the class statement.

    Raises RecipeError for an annotation with an unknown name, and for one that allows arrays or other
    values that no recipe can hold.
    """
    inherited = [base.__dict__.get("_types", {}) for base in reversed(cls.__mro__)]
    found = {name: hint for base in inherited for name, hint in base.items()}
    own = inspect.get_annotations(cls)
    for field in dataclasses.fields(cls):
        if field.name in own:
            found[field.name] = _resolved(cls, field.name, own[field.name], frame)
    return found


def _names_in_sight(cls: type, frame: types.FrameType | None) -> dict[str, Any]:
    """Return the names that a class statement sees beside the globals: its own, and those of the scopes around it."""
    found: dict[str, Any] = {cls.__name__: cls}
    while frame is not None and frame.f_locals is not frame.f_globals:
        found = {**frame.f_locals, **found}
        if frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # a function; the body of a class runs inside another scope
            break
        frame = frame.f_back
    return found


def _resolved(cls: type, name: str, annotation: Any, frame: types.FrameType) -> Any:
    written = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", repr(annotation))
    where = f"{cls.__name__}.{name}: {written}"
    bearer = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        hint = typing.get_type_hints(bearer, frame.f_globals, _names_in_sight(cls, frame))[name]
    except NameError as error:
        raise RecipeError(
            f"{where} is a type that cannot be looked up: {error}; import or define {error.name or 'it'} before the "
            "class, at the level of the module and not under TYPE_CHECKING"
        ) from None
    except Exception as error:
        raise RecipeError(f"{where} is no type: {error}; write one such as float, or int | None") from None
    if (unfit := _unfit(hint)) is not None:
        raise RecipeError(f"{where}: {_refusal(unfit, name)}")
    return hint


def _unfit(hint: Any) -> Any:
    """Return the part of a type whose values no recipe can hold, or None."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return next((type(a) for a in typing.get_args(hint) if type(a) not in _PLAIN), None)
    if origin in (Union, types.UnionType, tuple):
        parts = (_unfit(part) for part in typing.get_args(hint) if part is not Ellipsis)
        return next((part for part in parts if part is not None), None)
    known = isinstance(hint, ValueClass) or (isinstance(hint, Hashable) and hint in _PLAIN)
    return None if known else hint


def _refusal(hint: Any, name: str) -> str:
    """Say why a parameter cannot have a type, and what to write instead."""
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)[:1]
    if origin in _SEQUENCES and not (inner and _unfit(inner[0])):
        each = getattr(inner[0], "__name__", "float") if inner else "float"
        return f"a parameter is a tuple, which cannot change; write {name}: tuple[{each}, ...]"
    if origin in (complex, bytes):
        return f"a recipe's text and JSON hold no {origin.__name__}; write numbers (float) or a text (str)"
    return f"a parameter is a number, a text, a tuple or an operator; {_array_remedy(name)}"


def _array_remedy(name: str) -> str:
    return (
        "an array lives in the state, not in a recipe: put it there by name, "
        f"p = p.replace(arrays={{'{name}': ...}}), give the operator that name ({name}: str = '{name}'), and let "
        f"effects() declare it as read and apply(s) read getattr(s, self.{name})"
    )


def spoken(hint: Any) -> str:
    """Return in words which values a type allows: "a whole number, 'all' or None"."""
    return joined(dict.fromkeys(_spoken(hint)), "or")


def _spoken(hint: Any) -> Iterator[str]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        for part in inner:
            yield from _spoken(part)
    elif origin is typing.Literal:
        yield from map(repr, inner)
    elif origin is tuple:
        each = [spoken(part) for part in inner if part is not Ellipsis]
        yield f"a tuple, each {each[0]}" if Ellipsis in inner else f"a tuple ({', '.join(each)})"
    elif isinstance(hint, ValueClass):
        yield "an operator" if hint.__name__ == "Operator" else f"an operator of the kind {hint.__name__}"
    else:
        yield _PLAIN[hint]


# -- values

_FIXED = {("noise", typing.Literal["poisson", "gaussian", "amplitude"]): " (a noise model of your own cannot be added)"}


def checked(value: Any, hint: Any, owner: str, name: str) -> Any:
    """Return the value of the parameter ``name`` of ``owner`` in its type, or raise RecipeError or ValueError."""
    where = f"{owner}({name}=...)"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value!r}; give a finite number")
    options = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
    if isinstance(value, (tuple, list)):
        value = _checked_items(tuple(value), options, owner, name)
    for option in options:
        if _allows(option, value):
            return value
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > sys.float_info.max:
            raise ValueError(f"{where} is a whole number of {value.bit_length()} bits; give one that a float can hold")
        return float(value)
    if isinstance(value, ValueClass):
        raise RecipeError(f"{where}: {unmade(value)}")
    for array in (one for one in (value, *(value if isinstance(value, tuple) else ())) if hasattr(one, "shape")):
        raise RecipeError(
            f"{where} {'is' if array is value else 'holds'} an array of shape {array.shape}; give {spoken(hint)}; "
            f"{_array_remedy(name)}"
        )
    text = repr(value)
    fixed = _FIXED.get((name, hint), "")
    raise RecipeError(f"{where} is {text if len(text) <= 60 else text[:57] + '...'}; give {spoken(hint)}{fixed}")


def _checked_items(value: tuple[Any, ...], options: tuple[Any, ...], owner: str, name: str) -> tuple[Any, ...]:
    """Return a tuple with its items in the types that the first fitting option gives them; unfit ones are refused."""
    wrong = None
    for hints in (_hints_of_items(option, len(value)) for option in options):
        if hints is not None:
            try:
                return tuple(checked(item, hint, owner, name) for item, hint in zip(value, hints, strict=True))
            except RecipeError as error:
                wrong = error
    if wrong is not None:
        raise wrong
    return value


def _hints_of_items(option: Any, count: int) -> tuple[Any, ...] | None:
    """Return the types of the ``count`` items of a tuple; None where the type allows no such tuple."""
    if option in (Any, tuple):
        return (Any,) * count
    if typing.get_origin(option) is not tuple:
        return None
    inner = typing.get_args(option)
    if Ellipsis in inner:
        return inner[:1] * count
    return inner if len(inner) == count else None


def _allows(option: Any, value: Any) -> bool:
    origin = typing.get_origin(option)
    if option is Any:
        return value is None or isinstance(value, (bool, int, float, str, tuple)) or _is_operator(value)
    if origin is typing.Literal:
        return any(type(value) is type(a) and value == a for a in typing.get_args(option))
    if origin is tuple:  # its items have been checked; check their number
        return isinstance(value, tuple) and _hints_of_items(option, len(value)) is not None
    if option in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, option)


def _is_operator(value: Any) -> bool:
    return isinstance(type(value), ValueClass)
