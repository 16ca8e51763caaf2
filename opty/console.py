"""Whether the session is interactive (a prompt or a notebook) or a script; tables of a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from html import escape
from typing import Any


def in_notebook() -> bool:
    """Return whether the code runs in a Jupyter kernel, which shows pictures."""
    shell = _ipython()
    return shell is not None and shell.has_trait("kernel")


def interactive() -> bool:
    """Return whether there is a prompt: IPython of any kind, Python's own, or a script run by ``python -i``."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive or sys.flags.inspect) or _ipython() is not None


def _ipython() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def table(rows: Iterable[Iterable[str]], head: Iterable[str] = ()) -> str:
    """Return rows of texts as a table in HTML, as notebooks show it."""
    names = list(head)
    return f"<table>{_row(names, 'th') if names else ''}{''.join(_row(row, 'td') for row in rows)}</table>"


def _row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
