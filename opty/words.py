"""Names in messages: the known name that an unknown one may mean, and the fault in the arguments of a call."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

_ALIKE = 0.62  # above it, two words are one with a slip; "positions" and "propagation" have 0.6
_CALL = 100  # characters of a call that is proposed
_SHOWN = 48  # names; a longer list is not shown

Function = TypeVar("Function", bound=Callable[..., Any])


def near(word: str, names: Iterable[str], many: int = 1) -> list[str]:
    """Return up to ``many`` of ``names`` that are almost ``word``, ignoring case; nearest first.

    They are the names spelled almost like it; without any, those of three letters or more that it begins with, as
    ``tolerance`` begins with ``tol``.
    """
    by_lower: dict[str, str] = {}
    for name in names:
        by_lower.setdefault(name.lower(), name)
    word = word.lower()
    close = difflib.get_close_matches(word, by_lower, n=many, cutoff=_ALIKE)
    close = close or [one for one in by_lower if len(one) > 2 and word.startswith(one)][:many]
    return [by_lower[one] for one in close]


def meant(word: str, names: Iterable[str], holds: str = "it has", shown: Callable[[str], str] = str) -> str:
    """Return the end of a message about an unknown word: the nearest of ``names``, and all of them if they are few.

    ``shown`` : how a message writes a name.
    """
    names = list(names)
    close = near(word, names)
    hint = f"; did you mean {shown(close[0])}?" if close else ""
    if close and len(names) > _SHOWN:
        return hint
    listed = ", ".join(map(shown, names)) or "none"
    return f"{hint} {holds[0].upper()}{holds[1:]} {listed}" if close else f"; {holds} {listed}"


def joined(words: Iterable[str], last: str = "and") -> str:
    """Return words as a sentence lists them: "a, b and c"."""
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end


def clear_arguments(
    name: str = "", error: type[TypeError] = TypeError, of_instance: bool = False
) -> Callable[[Function], Function]:
    """Return a decorator: a call with wrong arguments raises ``error``, which lists the parameters of the function.

    ``name`` : of the function in messages. ``of_instance`` : the function is a method, whose first argument messages
    leave out; without a ``name``, they use the type of that argument.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except TypeError as wrong:
                if wrong.__traceback__ is None or wrong.__traceback__.tb_next is not None:
                    raise  # it comes from inside the function
            called = name or type(args[0]).__name__
            parameters = list(inspect.signature(function).parameters.values())[of_instance:]
            raise error(_unfit(called, parameters, args[of_instance:], kwargs)) from None

        return checked  # type: ignore[return-value]

    return decorate


def clear_init(cls: type, error: type[TypeError] = TypeError) -> None:
    """Make the constructor of a class list its parameters in the error about wrong arguments."""
    cls.__init__ = clear_arguments(error=error, of_instance=True)(cls.__init__)  # type: ignore[misc]


def _unfit(name: str, parameters: list[inspect.Parameter], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the message about arguments that do not fit a function with some parameters."""
    known = [p.name for p in parameters]
    for given in kwargs:
        if given not in known:
            return f"{name} has no parameter {given!r}{meant(given, known)}"
    placed = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(args) > len(placed):
        beside = "" if len(placed) == len(known) else "; give others by name"
        return f"{name} takes {_listed(placed)}, not {len(args)}{beside}"
    needed = [p.name for p in parameters if p.default is p.empty]
    if twice := [p for p in placed[: len(args)] if p in kwargs]:
        free = [p for p in placed if p not in kwargs][: len(args)]
        whole = dict(zip(free, args, strict=False)) | kwargs
        call = f"{name}({', '.join(f'{p}={whole[p]!r}' for p in placed if p in whole)})"
        exchanged = len(free) == len(args) and {*needed} - kwargs.keys() and whole.keys() >= {*needed}
        hint = f"; did you mean {call}?" if exchanged and len(call) <= _CALL else ""
        return f"{name} is given {twice[0]} twice, by its place and by its name{hint}"
    lacking = [one for one in needed if one not in kwargs and one not in placed[: len(args)]]
    return f"{name} needs {joined(lacking)}; write {name}({', '.join(f'{one}=...' for one in needed)})"


def _listed(names: list[str]) -> str:
    if not names:
        return "no values"
    return f"{names[0]} alone" if len(names) == 1 else f"{len(names)} values ({', '.join(names)})"
