"""Recipes out of result files: read as far as their operators are here, and kept as they were where they are not."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from opty.algebra.old_names import translated
from opty.algebra.operator import Operator
from opty.algebra.reader import make
from opty.algebra.text import decode, look_up, read_json
from opty.algebra.unknown import IMPORT, REWRITE, Unknown
from opty.errors import RecipeError

_RULES = ("Until",)  # no operators: if a part cannot be made, the whole is kept
_BINARY = ("Compose", "Repeat")


def kept_recipe(text: str, code: str = "") -> Operator:
    """Return the recipe of a JSON text that ``to_json`` made, with an ``Unknown`` for each operator that is not here.

    An operator is not here where its name is unknown, a parameter is (renamed since), or a value is refused.
    ``code`` : the recipe's repr when it was written, for the text of unknown operators.
    Raises RecipeError for text that is no such JSON, or another format version.
    """
    codes: dict[int, str] = {}

    def made(name: str, parameters: dict[str, Any]) -> Any:
        kept, written = json.dumps({name: parameters}), codes.get(id(parameters)) or code_of(name, parameters)
        name, parameters = translated(name, parameters)
        try:
            cls = look_up(name)
        except RecipeError:
            return Unknown(name, kept, f"there is no operator {name!r} here", IMPORT, written)
        try:
            return make(cls, [], {key: decode(value, made) for key, value in parameters.items()})
        except RecursionError:
            raise
        except Exception as error:  # whatever the check of a user's own class raises
            if name in _RULES:
                raise
            return Unknown(name, kept, str(error) or type(error).__name__, REWRITE, written)

    return read_json(text, made, lambda recipe: codes.update(codes_of(recipe, code)))


def codes_of(recipe: Any, code: str) -> dict[int, str]:
    """Return the piece of ``code`` that each operator of a recipe in JSON is, by the id of its parameters.

    Empty where the code cannot be read.
    """
    try:
        tree = ast.parse(code, mode="eval").body
        return dict(_pieces(recipe, tree, code.encode()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}


def _pieces(value: Any, node: ast.AST, code: bytes) -> Iterator[tuple[int, str]]:
    """Walk the JSON and the syntax tree of one recipe side by side; where they part, yield nothing."""
    if isinstance(value, list) and isinstance(node, ast.Tuple):
        for item, part in zip(value, node.elts, strict=False):
            yield from _pieces(item, part, code)
    if not isinstance(value, dict) or len(value) != 1:
        return
    ((name, parameters),) = value.items()
    if not isinstance(parameters, dict) or not isinstance(node, ast.expr):
        return
    piece = code[node.col_offset : node.end_col_offset].decode()
    if isinstance(node, ast.BinOp) and name in _BINARY:
        yield id(parameters), f"({piece})"
        yield from _factors(name, parameters, node, code)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
        yield id(parameters), piece
        given = list(zip(parameters, node.args, strict=False)) + [(k.arg, k.value) for k in node.keywords]
        for key, part in given:
            yield from _pieces(parameters.get(key or ""), part, code)


def _factors(name: str, parameters: dict[str, Any], node: ast.BinOp, code: bytes) -> Iterator[tuple[int, str]]:
    """Go on into a product, or into a power."""
    if name == "Repeat":
        yield from _pieces(parameters.get("body"), node.left, code)
        return
    left: ast.expr = node
    steps = parameters.get("steps")
    for step in reversed(steps[1:] if isinstance(steps, list) else []):
        if not isinstance(left, ast.BinOp):
            return
        yield from _pieces(step, left.right, code)
        left = left.left
    if isinstance(steps, list) and steps:
        yield from _pieces(steps[0], left, code)


def code_of(name: str, parameters: dict[str, Any]) -> str:
    """Write an operator of which only the JSON is known, with all of its parameters."""
    if name == "Repeat" and set(parameters) == {"body", "times"}:
        return f"({_written(parameters['body'])} ** {_written(parameters['times'])})"
    if name == "Compose" and isinstance(parameters.get("steps"), list):
        return f"({' * '.join(_written(step) for step in parameters['steps'])})"
    return f"{name}({', '.join(f'{key}={_written(value)}' for key, value in parameters.items())})"


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"({', '.join(map(_written, value))}{',' * (len(value) == 1)})"
    if isinstance(value, dict) and len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        return code_of(next(iter(value)), inner)
    return repr(value)
