"""Recipes as text and as JSON, and back. Nothing is imported from, or evaluated out of, either."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import warnings
from collections.abc import Callable
from typing import Any

from opty.algebra.compose import Compose, Repeat, compose
from opty.algebra.control import Until
from opty.algebra.operator import REGISTRY, Operator
from opty.algebra.operator_class import made
from opty.algebra.syntax import in_words
from opty.algebra.unknown import Unknown, import_installed
from opty.errors import RecipeError
from opty.words import meant

VERSION = 1
_NOT_ALLOWED = "not allowed in a recipe: it holds operators, numbers, texts and tuples, joined by * and **"


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
    if isinstance(value, Unknown):
        return value.text
    if not isinstance(value, Operator):
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

    The text may hold registered operators, Until, numbers, strings, tuples, ``*`` and ``**``: nothing else, and
    nothing is evaluated. Raises RecipeError with the position in the text.
    """
    if not isinstance(text, str):
        raise RecipeError(f"a recipe's text is a string, got {type(text).__name__}")
    text = text.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a stray backslash is an error here, not a warning on the screen
            tree = ast.parse(re.sub(r"[\r\n]", " ", text), mode="eval")  # a recipe may be broken over lines
        value = _Reader(text).value(tree.body)
    except SyntaxError as error:
        at = (error.offset or 1) - 1
        raise RecipeError(_pointed(f"cannot read the recipe: {error.msg}", text, at)) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise RecipeError(
            f"cannot read the recipe of {len(text)} characters: {error or 'too deep'}; store long ones as JSON"
        ) from None
    if not isinstance(value, Operator):
        raise RecipeError(f"{_cut(text)!r} is {_cut(repr(value))}, not a recipe; write operators such as rPIE() ** 10")
    return value


class _Reader:
    """Walks a syntax tree over a whitelist."""

    def __init__(self, text: str):
        self.text = text

    def refuse(self, node: ast.AST, why: str) -> RecipeError:
        before = self.text.encode()[: getattr(node, "col_offset", 0)]  # the tree counts bytes
        return RecipeError(_pointed(why, self.text, len(before.decode(errors="ignore"))))

    def forbid(self, node: ast.AST) -> RecipeError:
        return self.refuse(node, f"{in_words(node)} is {_NOT_ALLOWED}")

    def value(self, node: ast.AST) -> Any:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return self.product(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            return self.made(node, lambda: self.operator(node.left) ** self.value(node.right))
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (bool, int, float, str))):
            return node.value
        if isinstance(node, ast.Tuple):
            return tuple(self.value(item) for item in node.elts)
        if (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub)
            and isinstance(node.operand, ast.Constant)
            and type(node.operand.value) in (int, float)
        ):
            return -node.operand.value  # type: ignore[operator]
        if isinstance(node, ast.Name):
            known = self.known(node, node.id)
            raise self.refuse(node, f"{known.__name__} is named but not made; write {made(known)}")
        raise self.forbid(node)

    def product(self, node: ast.AST) -> Operator:
        steps: list[Operator] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):  # a loop: recipes may be long
            steps.append(self.operator(node.right))
            node = node.left
        steps.append(self.operator(node))
        return compose(*reversed(steps))

    def operator(self, node: ast.AST) -> Operator:
        value = self.value(node)
        if not isinstance(value, Operator):
            raise self.refuse(node, f"{_cut(repr(value))} is not an operator")
        return value

    def call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            raise self.forbid(node.func)
        cls = self.known(node.func, node.func.id)
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise self.forbid(argument)
        arguments = [self.value(a) for a in node.args]
        keywords = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.refuse(keyword.value, f"arguments with ** are {_NOT_ALLOWED}")
            if keyword.arg in keywords:
                raise self.refuse(keyword, f"{keyword.arg} is repeated")
            keywords[keyword.arg] = self.value(keyword.value)
        return self.made(node, lambda: make(cls, arguments, keywords))

    def known(self, node: ast.AST, name: str) -> type:
        try:
            return look_up(name)
        except RecipeError as error:
            raise self.refuse(node, str(error)) from None

    def made(self, node: ast.AST, maker: Any) -> Any:
        try:
            return maker()
        except (TypeError, ValueError) as error:
            if isinstance(error, RecipeError) and "\n" in str(error):  # points into the text already
                raise
            raise self.refuse(node, str(error)) from None


def look_up(name: str) -> type:
    """Return the registered class of that name, or raise RecipeError with the nearest names."""
    if name not in REGISTRY and name != "Until":
        import_installed()
    classes: dict[str, type] = {**REGISTRY, "Until": Until}
    if name in classes:
        return classes[name]
    raise RecipeError(f"unknown operator {name!r}{meant(name, sorted(classes), 'known:')}")


def make(cls: type, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Make an operator or a rule, or raise RecipeError for parameters that it does not have."""
    return cls(*arguments, **keywords)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _pointed(why: str, text: str, at: int) -> str:
    """Put a caret under the place in the text."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    cut = max(0, at - start - 60)
    head = f"  at character {at}: "
    return f"{why}\n{head}{line[cut : cut + 120]}\n" + " " * (len(head) + at - start - cut) + "^"


def made_by(recipe: str, iteration: int) -> str:
    """Return what made a state: the text of its recipe; or, where arrays were put in by hand, that and when."""
    if recipe != "Identity()":
        return recipe
    return f"none since arrays were put in by hand at iteration {iteration}" if iteration else "none, a start"


# -- JSON


def to_json(op: Operator) -> str:
    """Return a recipe as JSON text with a format version."""
    return json.dumps({"opty": VERSION, "recipe": _encode(op)})


def _encode(value: Any) -> Any:
    if isinstance(value, Unknown):
        return json.loads(value.kept)
    if isinstance(value, (Until, Operator)):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]
        return {type(value).__name__: {f.name: _encode(getattr(value, f.name)) for f in fields}}
    if isinstance(value, tuple):
        return [_encode(v) for v in value]
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
        raise RecipeError(f"recipe format {_cut(repr(whole['opty']))}; this opty reads version {VERSION}: update opty")
    try:
        seen(whole["recipe"])
        value = decode(whole["recipe"], made)
    except RecursionError:
        raise RecipeError("not a recipe in JSON: it is nested too deep") from None
    if not isinstance(value, Operator):
        raise RecipeError(f"not a recipe in JSON: it holds {_cut(repr(value))}")
    return value


def decode(value: Any, made: Callable[[str, dict[str, Any]], Any]) -> Any:
    """Return what a value in JSON stands for: lists are tuples, objects are operators."""
    if isinstance(value, list):
        return tuple(decode(v, made) for v in value)
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise RecipeError(f'an operator in JSON is {{"name": {{parameters}}}}; got the keys {_cut(str(sorted(value)))}')
    ((name, parameters),) = value.items()
    if not isinstance(parameters, dict):
        raise RecipeError(f'an operator in JSON is {{"name": {{parameters}}}}; got {_cut(repr(value))}')
    return made(name, parameters)


def _made(name: str, parameters: dict[str, Any]) -> Any:
    return make(look_up(name), [], {key: decode(v, _made) for key, v in parameters.items()})
