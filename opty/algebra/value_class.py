"""The metaclass of values: it refuses ``rPIE * p``, ``rPIE ** 3``, where ``rPIE()`` is meant."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

from opty.errors import RecipeError


class ValueClass(type):
    """The metaclass of operators and elements. Arithmetic with a class is an error that shows how to make the value."""

    def __mul__(cls, other: Any) -> NoReturn:
        raise RecipeError(unmade(cls))

    __rmul__ = __pow__ = __rpow__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__


def unmade(cls: type) -> str:
    """Say that a class was named where a value is meant, and how to make one."""
    return f"{cls.__name__} is the class; write {made(cls)}"


def made(cls: type) -> str:
    """Return the code that makes a value, with the parameters that have no default left open."""
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    needed = [f"{f.name}=..." for f in fields if f.default is dataclasses.MISSING]
    return f"{cls.__name__}({', '.join(needed)})"
