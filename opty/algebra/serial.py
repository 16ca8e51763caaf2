"""Recipes as text and as JSON, and back. Nothing is imported from, or evaluated out of, either."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import json
from typing import Any

from opty.algebra.compose import Compose, Repeat, compose, power
from opty.algebra.control import Until
from opty.algebra.operator import REGISTRY, Operator
from opty.errors import RecipeError

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
    if not isinstance(value, Operator):
        return repr(value)
    parts = []
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        argument = getattr(value, field.name)
        required = field.default is dataclasses.MISSING
        if required:
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
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise RecipeError(_pointed(f"cannot read the recipe: {error.msg}", text.strip(), (error.offset or 1) - 1)) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise RecipeError(f"cannot read the recipe of {len(text)} characters: {error}; store long ones as JSON") from None
    value = _Reader(text.strip()).value(tree.body)
    if not isinstance(value, Operator):
        raise RecipeError(f"{text!r} is {value!r}, not a recipe; write operators such as rPIE() ** 10")
    return value


class _Reader:
    """Walks a syntax tree over a whitelist."""

    def __init__(self, text: str):
        self.text = text

    def refuse(self, node: ast.AST, why: str) -> RecipeError:
        line = getattr(node, "lineno", 1)
        start = sum(len(part) + 1 for part in self.text.split("\n")[: line - 1])
        return RecipeError(_pointed(why, self.text, start + getattr(node, "col_offset", 0)))

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
            raise self.refuse(node, f"{known.__name__} is named but not made; write {known.__name__}()")
        kind = type(node).__name__
        raise self.refuse(node, f"{kind} is not allowed in a recipe: only operators, numbers, strings, * and **")

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
            raise self.refuse(node, f"{value!r} is not an operator")
        return value

    def call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            raise self.refuse(node.func, f"{type(node.func).__name__} is not allowed in a recipe: call operators by name")
        cls = self.known(node.func, node.func.id)
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise self.refuse(argument, "Starred is not allowed in a recipe")
        arguments = [self.value(a) for a in node.args]
        keywords = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.refuse(keyword.value, "** arguments are not allowed in a recipe")
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
    classes: dict[str, type] = {**REGISTRY, "Until": Until}
    if name in classes:
        return classes[name]
    near = difflib.get_close_matches(name.lower(), {k.lower(): k for k in classes}, n=1, cutoff=0.5)
    by_lower = {k.lower(): k for k in classes}
    hint = f"; did you mean {by_lower[near[0]]}?" if near else f"; known: {', '.join(sorted(classes))}"
    raise RecipeError(f"unknown operator {name!r}{hint}")


def make(cls: type, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Make an operator or a rule, refusing parameters that it does not have."""
    fields = [f.name for f in dataclasses.fields(cls)]
    for name in keywords:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(fields) or 'none'}"
            raise RecipeError(f"{cls.__name__} has no parameter {name!r}; {hint}")
    return cls(*arguments, **keywords)


def _pointed(why: str, text: str, at: int) -> str:
    """Put a caret under the place in the text."""
    before = text[:at]
    line = text.split("\n")[before.count("\n")] if text else ""
    column = at - (before.rfind("\n") + 1)
    cut = max(0, column - 60)
    return f"{why}\n  at character {at}: {line[cut : column + 60]}\n" + " " * (len(f"  at character {at}: ") + column - cut) + "^"


# -- JSON


def to_json(op: Operator) -> str:
    """Return a recipe as JSON text with a format version."""
    return json.dumps({"opty": VERSION, "recipe": _encode(op)})


def _encode(value: Any) -> Any:
    if isinstance(value, Until):
        return {"rule": "Until", **dataclasses.asdict(value)}
    if isinstance(value, Operator):
        fields = {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}  # type: ignore[arg-type]
        return {"op": type(value).__name__, **fields}
    if isinstance(value, tuple):
        return [_encode(v) for v in value]
    return value


def from_json(text: str) -> Operator:
    """Return the recipe of a JSON text that ``to_json`` made.

    Raises RecipeError for text that is no such JSON, another format version, or unknown names.
    """
    try:
        whole = json.loads(text)
    except (json.JSONDecodeError, RecursionError, TypeError) as error:
        raise RecipeError(f"not a recipe in JSON: {error}") from None
    if not isinstance(whole, dict) or "recipe" not in whole:
        raise RecipeError('not a recipe in JSON: expected {"opty": 1, "recipe": {...}}')
    if whole.get("opty") != VERSION:
        raise RecipeError(f"recipe format {whole.get('opty')!r}; this opty reads version {VERSION}: update opty")
    value = _decode(whole["recipe"])
    if not isinstance(value, Operator):
        raise RecipeError(f"not a recipe in JSON: it holds {value!r}")
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(v) for v in value)
    if not isinstance(value, dict):
        return value
    name = value.get("op", value.get("rule"))
    if not isinstance(name, str):
        raise RecipeError(f'an operator in JSON needs its name under "op"; got keys {sorted(value)}')
    cls = look_up(name)
    fields = {key: _decode(v) for key, v in value.items() if key not in ("op", "rule")}
    if cls is Compose:
        return compose(*fields.get("steps", ()))
    if cls is Repeat:
        return power(fields["body"], fields["times"]) if {"body", "times"} <= set(fields) else make(cls, [], fields)
    return make(cls, [], fields)
