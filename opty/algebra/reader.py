"""Read a product of values, a recipe or a model, from a text. Nothing is imported from it, or evaluated out of it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from opty.algebra.syntax import in_words
from opty.algebra.value_class import made
from opty.errors import RecipeError


@dataclass(frozen=True)
class Grammar:
    """What a text may hold.

    ``base`` : class of the values that ``*`` joins; ``compose`` : joins them, leftmost first; ``look_up`` : returns the
    class of a name, or raises RecipeError; ``word``, ``whole`` : what messages call one value and the product of them;
    ``example`` : one of these; ``powers`` : whether ``**`` repeats.
    """

    base: type | tuple[type, ...]
    compose: Callable[..., Any]
    look_up: Callable[[str], type]
    word: str
    whole: str
    example: str
    _: KW_ONLY
    powers: bool = False


def read_text(text: str, grammar: Grammar) -> Any:
    """Return the value that a text describes; raises RecipeError with the position in the text."""
    whole = grammar.whole
    if not isinstance(text, str):
        raise RecipeError(f"a {whole}'s text is a string, got {type(text).__name__}")
    text = text.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an invalid backslash is an error here, not a warning
            tree = ast.parse(re.sub(r"[\r\n]", " ", text), mode="eval")  # it may be broken over lines
        value = _Reader(text, grammar).value(tree.body)
    except SyntaxError as error:
        at = (error.offset or 1) - 1
        raise RecipeError(_pointed(f"cannot read the {whole}: {error.msg}", text, at)) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise RecipeError(
            f"cannot read the {whole} of {len(text)} characters: {error or 'too deep'}; store long ones as JSON"
        ) from None
    if not isinstance(value, grammar.base):
        raise RecipeError(
            f"{cut(text)!r} is {cut(repr(value))}, not a {whole}; write {grammar.word}s such as {grammar.example}"
        )
    return value


class _Reader:
    """Walks a syntax tree over a whitelist."""

    def __init__(self, text: str, grammar: Grammar):
        self.text, self.grammar = text, grammar
        self.allowed = (
            f"not allowed in a {grammar.whole}: it holds {grammar.word}s, numbers, texts and tuples, joined by *"
        ) + " and **" * grammar.powers

    def refuse(self, node: ast.AST, why: str) -> RecipeError:
        before = self.text.encode()[: getattr(node, "col_offset", 0)]  # the tree counts bytes
        return RecipeError(_pointed(why, self.text, len(before.decode(errors="ignore"))))

    def forbid(self, node: ast.AST) -> RecipeError:
        return self.refuse(node, f"{in_words(node)} is {self.allowed}")

    def value(self, node: ast.AST) -> Any:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return self.product(node)
        if self.grammar.powers and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            return self.made(node, lambda: self.factor(node.left) ** self.value(node.right))
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

    def product(self, node: ast.BinOp) -> Any:
        factors: list[Any] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Mult):  # a loop: recipes may be long
            factors.append(self.factor(left.right))
            left = left.left
        factors.append(self.factor(left))
        return self.made(node, lambda: self.grammar.compose(*reversed(factors)))

    def factor(self, node: ast.AST) -> Any:
        value = self.value(node)
        if not isinstance(value, self.grammar.base):
            raise self.refuse(node, f"{cut(repr(value))} is not an {self.grammar.word}")
        return value

    def call(self, node: ast.Call) -> Any:
        if self.grammar.powers and isinstance(node.func, ast.Attribute) and node.func.attr == "fix":
            return self.fix(node, node.func.value)
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
                raise self.refuse(keyword.value, f"arguments with ** are {self.allowed}")
            if keyword.arg in keywords:
                raise self.refuse(keyword, f"{keyword.arg} is repeated")
            keywords[keyword.arg] = self.value(keyword.value)
        return self.made(node, lambda: make(cls, arguments, keywords))

    def fix(self, node: ast.Call, before: ast.expr) -> Any:
        recipe = self.factor(before)
        if len(node.args) != 1 or node.keywords:
            raise self.refuse(node, f"fix takes the names of estimates, such as {cut(repr(recipe))}.fix('probe')")
        return self.made(node, lambda: recipe.fix(self.value(node.args[0])))

    def known(self, node: ast.AST, name: str) -> type:
        try:
            return self.grammar.look_up(name)
        except RecipeError as error:
            raise self.refuse(node, str(error)) from None

    def made(self, node: ast.AST, maker: Any) -> Any:
        try:
            return maker()
        except (TypeError, ValueError) as error:
            if isinstance(error, RecipeError) and "\n" in str(error):  # points into the text already
                raise
            raise self.refuse(node, str(error)) from None


def make(cls: type, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Make an operator, an element or a rule, or raise RecipeError for parameters that it does not have."""
    return cls(*arguments, **keywords)


def cut(text: str) -> str:
    """Return a text, shortened for a message."""
    return text if len(text) <= 60 else text[:57] + "..."


def _pointed(why: str, text: str, at: int) -> str:
    """Put a caret under the place in the text."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    cut = max(0, at - start - 60)
    head = f"  at character {at}: "
    return f"{why}\n{head}{line[cut : cut + 120]}\n" + " " * (len(head) + at - start - cut) + "^"
