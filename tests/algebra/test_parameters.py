"""Types of parameters: what no recipe can hold is refused in the class line, and no annotation switches a check off."""

from __future__ import annotations

import dataclasses
import importlib
import pickle
import sys
import warnings
from collections.abc import Sequence  # noqa: F401 - named in annotations
from typing import Annotated, Any, ClassVar, Literal, Optional, Union  # noqa: F401

import numpy as np
import pytest

import opty
from opty import Operator, RecipeError, Until
from opty.algebra.operator import REGISTRY

Kind = Literal["a", "b"]


def defined(annotation: Any, name: str = "weights") -> type[Operator]:
    """Return an operator with one parameter of a type."""
    return type(Operator)(
        "Own", (Operator,), {"__annotations__": {name: annotation}, name: None, "__module__": __name__}
    )


ARRAYS = [
    np.ndarray,
    "np.ndarray",
    "np.ndarray | None",
    Optional[np.ndarray],  # noqa: UP045 - as users write it
    Union[float, np.ndarray],  # noqa: UP007
    "list[np.ndarray]",
    "tuple[np.ndarray, ...]",
    "dict[str, float]",
    "Sequence[np.ndarray]",
    "object",
    "np.floating",
    "Annotated[np.ndarray, 'weights']",
    "opty.PtychoData",
    "Any | np.ndarray",
]


@pytest.mark.parametrize("annotation", ARRAYS, ids=str)
def test_a_type_that_allows_arrays_is_refused_in_the_class_line(annotation):
    with pytest.raises(RecipeError, match=r"Own\.weights: .*an array lives in the state, not in a recipe") as caught:
        defined(annotation)
    assert "p = p.replace(arrays={'weights': ...})" in str(caught.value)
    assert "getattr(s, self.weights)" in str(caught.value)
    assert "Own" not in REGISTRY


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("list[float]", r"a parameter is a tuple, which cannot change; write weights: tuple\[float, \.\.\.\]"),
        ("Sequence[int] | None", r"write weights: tuple\[int, \.\.\.\]"),
        ("complex", "hold no complex; write numbers"),
        ("bytes", "hold no bytes"),
        ("Literal[b'x']", "hold no bytes"),
        ("flaot", "is a type that cannot be looked up: name 'flaot' is not defined; import or define flaot before"),
        ("tuple[flaot, ...]", "cannot be looked up"),
        ("Litteral['a', 'b']", "import or define Litteral before the class, at the level of the module"),
        ("a number", "Own.weights: a number is no type"),
        ("np.flaot", "Own.weights: np.flaot is no type"),
    ],
)
def test_another_type_is_refused_with_what_to_write(annotation, message):
    with pytest.raises(RecipeError, match=message):
        defined(annotation)


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("float", [1, 2.5, np.float32(1.5)], ["a", None, True, (1.0,)]),
        ("int | None", [1, None, np.int64(4)], [1.5, "a"]),
        ("Kind", ["a", "b"], ["c", 1]),
        ("Literal['a'] | int", ["a", 3], ["b", 1.5]),
        ("tuple[float, ...]", [(), (1, 2.5), [1.0]], [1.0, ("a",)]),
        ("tuple[int, str]", [(1, "x")], [(1,), ("x", 1)]),
        ("tuple[tuple[float, float], ...]", [((1, 2), (3.0, 4.0))], [(1, 2), ((1, 2, 3),)]),
        ("bool", [True, False], [1, None]),
        ("str", ["a"], [1, None]),
        ("Operator", [opty.ePIE()], [1, opty.ePIE]),
        ("opty.ViewOperator | None", [opty.ObjUpdate(), None], [opty.ePIE()]),
        ("Until | int", [Until(), 3], [1.5]),
        ("Own | None", [None], [opty.ePIE(), 3]),
        ("Any", [1, "a", None, (1, "a")], [np.ones(2), {}, object()]),
        ("Annotated[float, 'px']", [1.5], ["a"]),
        ("None", [None], [1]),
    ],
)
def test_values_are_checked_against_their_type(annotation, good, bad):
    cls = defined(annotation)
    for value in good:
        made = cls(weights=value)
        assert made == cls(weights=value)
        assert hash(made) == hash(cls(weights=value))
        assert opty.from_json(made.to_json()) == made
    for value in bad:
        with pytest.raises(RecipeError, match=r"Own\(weights=\.\.\.\)"):
            cls(weights=value)


@pytest.mark.parametrize("wrong", [np.ones(3), np.ones((2, 2)), [np.ones(2)], np.array(1.0)])
def test_an_array_given_as_a_value_is_refused_with_the_right_way(wrong):
    for make in (lambda: opty.Support(region=wrong), lambda: opty.rPIE(alpha=wrong), lambda: defined("Any")(wrong)):
        with pytest.raises(
            RecipeError, match=r"(is|holds) an array of shape .*p = p\.replace\(arrays=\{'\w+': \.\.\.\}\)"
        ):
            make()


def test_names_of_a_function_are_seen():
    Local = Literal["x", "y"]

    class Shell(Operator):
        """Has a class inside, which sees what is around."""

        kind: Local = "x"

        class Inner(Operator):
            kind: Local = "y"
            outer: Kind = "a"
            unchecked: ClassVar[np.ndarray] = np.ones(2)

    for cls in (Shell, Shell.Inner):
        assert cls(kind="y").kind == "y"
        with pytest.raises(RecipeError, match="give 'x' or 'y'"):
            cls(kind="z")

    class Child(Shell):
        more: Kind = "b"

    with pytest.raises(RecipeError, match="give 'x' or 'y'"):
        Child(kind="z")
    assert list(Child._types) == ["kind", "more"]


def test_a_base_class_of_a_users_own_may_look_at_its_children():
    class Base(Operator, register=False):
        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__(**kwargs)
            cls.seen = True

    Local = Literal["x"]

    class Leaf(Base):
        kind: Local = "x"

    assert Leaf.seen
    with pytest.raises(RecipeError, match=r"Leaf\(kind=\.\.\.\) is 3; give 'x'"):
        Leaf(kind=3)


def test_the_types_of_all_operators_are_known():
    for cls in REGISTRY.values():
        assert list(cls._types) == [field.name for field in dataclasses.fields(cls)]


# -- two classes of one name


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A function that writes modules and imports them."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, text):
        (tmp_path / f"{name}.py").write_text(f"import opty\n{text}")
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_two_modules_with_one_name_are_told_of(modules):
    first = modules("own_first", "class Foo(opty.Operator):\n    a: float = 1.0\n")
    with pytest.warns(
        UserWarning, match=r"two operators are named Foo, .*own_first\.py, line 2, .*own_second\.py, line 4"
    ):
        second = modules("own_second", "\n\nclass Foo(opty.Operator):\n    b: float = 1.0\n")
    assert opty.parse("Foo(b=2.0)") == second.Foo(b=2.0)
    assert pickle.loads(pickle.dumps(first.Foo(a=3.0))) == first.Foo(a=3.0)


def test_two_places_of_one_module_are_told_of():
    def one():
        class Foo(Operator):
            pass

    def two():
        class Foo(Operator):
            pass

    one()
    with pytest.warns(UserWarning, match="two operators are named Foo"):
        two()


def test_what_is_defined_again_is_no_second_one(modules):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = modules("own_again", "class Foo(opty.Operator):\n    a: float = 1.0\n")
        importlib.reload(module)
        cell = {"__name__": "__main__"}
        for text in ("a: float = 1.0", "b: float = 1.0"):  # a cell that was changed and runs again
            exec(f"import opty\n\nclass Bar(opty.Operator):\n    {text}\n", cell)
        for _ in range(2):

            class Baz(Operator):
                pass

    with pytest.raises(RecipeError, match="rPIE is an operator of opty's own; choose another name"):
        exec("class rPIE(opty.Operator):\n    pass\n", cell)
