"""Keys and values of a text file against the names and the types that are expected of them."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import numpy as np

from opty.words import near

_UNFIT = object()
_SPOKEN = {float: "a number", int: "a whole number", str: "a text in quotes", bool: "true or false"}


def known(where: str, table: Iterable[str], names: Iterable[str]) -> None:
    """Refuse a key that is none of ``names``; the error names the nearest one."""
    names = list(names)
    for key in table:
        if key not in names:
            raise ValueError(f"{where} has no key {key!r}{meant(key, names)}")


def meant(word: str, names: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: the nearest known one, or all."""
    names = list(names)
    close = near(word, names)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


def taken(where: str, table: dict[str, Any], key: str) -> Any:
    """Take a key out of a table that must have it."""
    if key not in table:
        raise ValueError(f"{where} lacks {key}")
    return table.pop(key)


def fitting(name: str, value: Any, hint: Any) -> Any:
    """Return a value as the type that ``hint`` annotates; ValueError where it is of another one."""
    found = _fit(value, hint)
    if found is _UNFIT:
        raise ValueError(f"{name} is {value!r}; give {_spoken(hint)}")
    return found


@contextmanager
def blaming(path: Path, where: str) -> Iterator[None]:
    """Add a note to whatever is raised: the place in the file that is to blame."""
    try:
        yield
    except Exception as error:
        error.add_note(f"({where} in {path})")
        raise


def _fit(value: Any, hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next((found for one in get_args(hint) if (found := _fit(value, one)) is not _UNFIT), _UNFIT)
    if get_origin(hint) is tuple:
        return _fit_tuple(value, get_args(hint))
    if hint is np.ndarray:
        array = np.asarray(value) if isinstance(value, list) else np.zeros(0)
        return array.astype(np.float64) if array.size and array.dtype.kind in "if" else _UNFIT
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is hint else _UNFIT


def _fit_tuple(value: Any, hints: tuple) -> Any:
    if not isinstance(value, (list, tuple)):
        return _UNFIT
    each = (hints[0],) * len(value) if hints[-1] is Ellipsis else hints
    if len(each) != len(value):
        return _UNFIT
    found = tuple(_fit(one, hint) for one, hint in zip(value, each, strict=True))
    return _UNFIT if any(one is _UNFIT for one in found) else found


def _spoken(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_spoken(one) for one in get_args(hint) if one not in (types.NoneType, np.ndarray))
    if get_origin(hint) is tuple:
        hints = get_args(hint)
        return f"a list, each {_spoken(hints[0])}" if hints[-1] is Ellipsis else f"[{', '.join(map(_spoken, hints))}]"
    return _SPOKEN[hint]
