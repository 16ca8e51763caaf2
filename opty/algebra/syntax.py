"""Names of Python's syntax, for messages about the text of recipes."""

from __future__ import annotations

import ast

_NODES: dict[str, str] = {
    "BoolOp": "'and' or 'or'",
    "NamedExpr": "an assignment (:=)",
    "Lambda": "a function (lambda)",
    "IfExp": "a condition (if ... else)",
    "Dict": "a dictionary {...}",
    "Set": "a set {...}",
    "ListComp": "a loop [... for ...]",
    "SetComp": "a loop {... for ...}",
    "DictComp": "a loop {... for ...}",
    "GeneratorExp": "a loop (... for ...)",
    "Await": "'await'",
    "Yield": "'yield'",
    "YieldFrom": "'yield'",
    "Compare": "a comparison",
    "Call": "a call of what a call returns",
    "FormattedValue": "an f-string",
    "JoinedStr": "an f-string",
    "TemplateStr": "a template string",
    "Interpolation": "a template string",
    "Attribute": "an attribute (a dot)",
    "Subscript": "an index [...]",
    "Slice": "a slice",
    "Starred": "an argument with a star",
    "Name": "a name",
    "List": "a list [...]; write a tuple (..., ...)",
    "Tuple": "a tuple",
}
_OPERATIONS: dict[str, str] = {
    "Add": "+",
    "Sub": "-",
    "Mult": "*",
    "Div": "/",
    "Mod": "%",
    "Pow": "**",
    "MatMult": "@",
    "FloorDiv": "//",
    "LShift": "<<",
    "RShift": ">>",
    "BitOr": "|",
    "BitXor": "^",
    "BitAnd": "&",
    "UAdd": "+",
    "USub": "-",
    "Not": "not",
    "Invert": "~",
}


def in_words(node: ast.AST) -> str:
    """Return the name of a piece of Python syntax."""
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        sign = _OPERATIONS[type(node.op).__name__]
        where = "between two values" if isinstance(node, ast.BinOp) else "before a value that is no number"
        return f"{sign} {where}"
    if isinstance(node, ast.Constant):
        return {bytes: "a text of bytes", complex: "a complex number"}.get(type(node.value), f"{node.value!r}")
    return _NODES.get(type(node).__name__, "this kind of expression")
