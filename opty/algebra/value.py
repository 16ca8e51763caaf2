"""Value: what operators and elements of a model have in common. Parameters, equality, text, a name that files know."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, dataclass_transform

from opty.algebra.parameters import check_annotated, checked, class_statement, types_of
from opty.algebra.value_class import ValueClass
from opty.errors import RecipeError, warn_user
from opty.words import clear_init


@dataclass_transform(frozen_default=True)
class Value(metaclass=ValueClass):
    """An immutable value with parameters: numbers, texts, tuples and values, never arrays.

    A subclass declares its parameters as annotated fields, becomes a frozen dataclass and is registered by its name,
    which texts and files use. That gives ``==``, hash, repr that is code, and JSON.

    Raises
    ------
    TypeError : a parameter of a type that its annotation does not allow; ValueError : a value out of range.
    """

    _registry: ClassVar[dict[str, Any]] = {}  # each kind of value has its own
    _kind: ClassVar[str] = "value"  # of value, in messages
    _types: ClassVar[dict[str, Any]] = {}  # of the parameters
    _place: ClassVar[str] = ""  # of the class statement: file and line

    def __init_subclass__(cls, *, register: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_annotated(cls)
        by_hand = "__init__" in cls.__dict__
        dataclasses.dataclass(frozen=True, repr=False)(cls)
        if not by_hand:
            clear_init(cls, RecipeError)
        frame = class_statement()
        cls._types = types_of(cls, frame)
        cls._place = f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        if register:
            _register(cls)

    def __post_init__(self) -> None:
        for name, hint in self._types.items():
            value = getattr(self, name)
            try:
                right = checked(value, hint, type(self).__name__, name)
            except RecipeError as error:
                if meant := self._exchanged(name):
                    raise RecipeError(f"{error}; did you mean {meant}?") from None
                raise
            if right is not value:
                object.__setattr__(self, name, right)
        self.check()

    def _exchanged(self, name: str) -> str:
        """Return the call in which two arguments change places so that both have a type that fits, "" for none."""
        fields = dataclasses.fields(type(self))  # type: ignore[arg-type]
        given = {field.name: getattr(self, field.name) for field in fields}
        defaults = {field.name: field.default for field in fields}

        def fits(value: Any, hint: Any) -> bool:
            try:
                checked(value, hint, "", "")
            except (RecipeError, ValueError):
                return False
            return True

        for other, hint in self._types.items():
            if (
                other != name
                and given[other] != defaults[other]
                and fits(given[name], hint)
                and fits(given[other], self._types[name])
            ):
                given[name], given[other] = given[other], given[name]
                parts = (f"{key}={value!r}" for key, value in given.items() if value != defaults[key])
                return f"{type(self).__name__}({', '.join(parts)})"
        return ""

    def check(self) -> None:
        """Refuse parameters that are out of range; subclasses override it."""

    def __repr__(self) -> str:
        from opty.algebra.text import to_text

        return to_text(self)


def _register(cls: type[Value]) -> None:
    """Let texts and files know a value by the name of its class; warn where they know another one by that name.

    A cell that runs again, or a module that is loaded again, defines the same class and not another one.
    """
    old = cls._registry.get(cls.__name__)
    if old is not None and old.__module__.startswith("opty.") and old.__module__ != cls.__module__:
        raise RecipeError(f"{cls.__name__} is an {cls._kind} of opty's own; choose another name for yours")
    cls._registry[cls.__name__] = cls
    if old is None or (
        old.__qualname__ == cls.__qualname__ and (old.__module__ == cls.__module__ or old._place == cls._place)
    ):
        return
    warn_user(
        f"two {cls._kind}s are named {cls.__name__}, one in {old._place}, and one in {cls._place}: texts and files "
        "that name it mean the later one from now on; give one of them another name",
        UserWarning,
    )
