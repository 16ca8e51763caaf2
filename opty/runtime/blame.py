"""What a step did wrong: where an exception happened, what it returned, which leaf it wrote that it only reads."""

from __future__ import annotations

import ast
import linecache
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from opty.algebra.operator import Operator, ViewOperator
from opty.errors import EffectError, RankError, RecipeError
from opty.state.access import Access

_PARTS = ("real", "imag", "T", "flat")  # attributes of an array that share its memory


def blame(error: Exception, op: Operator, iteration: int, of: str = "") -> None:
    """Add a note with the step to its exception; raise EffectError instead for a write to a read-only leaf.

    ``of`` : which part of the step, or which views.
    """
    if isinstance(error, RankError):
        return  # it says itself where it happened
    where = f"in {op!r}{of}, iteration {iteration}"
    if isinstance(error, ValueError) and "read-only" in str(error):
        reads, writes = op.effects()
        if (leaf := written_leaf(error, reads - writes)) is not None:
            raise EffectError(
                f"{type(op).__name__} changes a leaf in place that it does not declare as written: {leaf!r} "
                f"(it declares writes={' '.join(sorted(writes)) or 'nothing'}): add it in its class line ({where})"
            ) from error
        if only_read := ", ".join(sorted(reads - writes)):
            where += f"; leaves that it declares as read alone are read-only there: {only_read}"
    with suppress(Exception):  # of a class that takes no notes
        error.add_note(where)


def refuse_returned(op: Operator, method: str, returned: object) -> None:
    """Raise RecipeError for what a method of a step has returned: nobody takes it."""
    batch = isinstance(op, ViewOperator) and method == "apply"
    writes = sorted(op.effects()[1])
    leaf = writes[0] if writes else "obj"
    of_batch = batch and leaf in ("delta", "waves", "patches", "illum", "predicted")
    how = f"b.{leaf} = ..." if of_batch else f"s.{leaf}[...] = ..."
    raise RecipeError(
        f"{type(op).__name__}.{method}({'self, s, b' if batch else 'self, s'}) returns a value of type "
        f"{type(returned).__name__}, which would do nothing: steps work in place; write {how} and return nothing"
    )


def written_leaf(error: BaseException, only_read: frozenset[str]) -> str | None:
    """Return the leaf, of those that a step only reads, that the statement which raised ``error`` writes into.

    None where it writes into another array, or where the source does not show the statement.
    """
    trace = error.__traceback__
    places = []
    while trace is not None:
        places.append(trace)
        trace = trace.tb_next
    if not places:
        return None
    seen = (value for place in places for value in place.tb_frame.f_locals.values() if isinstance(value, Access))
    lent = {name: a for access in seen for name, a in access.lent(only_read).items()}
    frame = places[-1].tb_frame
    for target in _targets(_statement(places[-1])):
        if (found := _leaf(target, frame, only_read, lent)) is not None:
            return found
    return None


def _statement(place: TracebackType) -> ast.AST | None:
    """Return the syntax tree of the piece of source that was being run, or None."""
    code = place.tb_frame.f_code
    first, last, begin, end = list(code.co_positions())[place.tb_lasti // 2]
    if None in (first, last, begin, end):
        return None
    lines = [linecache.getline(code.co_filename, number).encode() for number in range(first, last + 1)]  # type: ignore
    lines[-1] = lines[-1][:end]
    lines[0] = b" " * begin + lines[0][begin:]  # type: ignore[operator]
    try:
        return ast.parse(textwrap.dedent(b"".join(lines).decode()).strip()).body[0]
    except (SyntaxError, IndexError):
        return None


def _targets(statement: ast.AST | None) -> Iterator[ast.expr]:
    """Yield what a statement, or an expression of it, writes into."""
    node = statement.value if isinstance(statement, ast.Expr) else statement
    if isinstance(node, ast.AugAssign):
        yield node.target
    elif isinstance(node, ast.Assign):
        yield from node.targets
    elif isinstance(node, ast.Call):
        out = [keyword.value for keyword in node.keywords if keyword.arg == "out"]
        yield from out or [*([node.func.value] if isinstance(node.func, ast.Attribute) else []), *node.args]
    elif isinstance(node, (ast.Subscript, ast.Attribute, ast.Name)):
        yield node


def _leaf(target: ast.expr, frame: FrameType, only_read: frozenset[str], lent: dict[str, Any]) -> str | None:
    """Return the leaf that an expression is, or is a part of."""
    while isinstance(target, ast.Subscript) or (isinstance(target, ast.Attribute) and target.attr in _PARTS):
        target = target.value
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        owner = frame.f_locals.get(target.value.id)
        if isinstance(owner, Access):
            return target.attr if target.attr in only_read else None
        value = getattr(owner, "__dict__", {}).get(target.attr)
    else:
        value = frame.f_locals.get(target.id) if isinstance(target, ast.Name) else None
    if not isinstance(value, np.ndarray):
        return None
    return next((name for name, a in lent.items() if isinstance(a, np.ndarray) and np.may_share_memory(value, a)), None)
