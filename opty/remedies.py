"""Remedies in messages: an argument in Python, an option on the command line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

_OPEN = object()
_command: Collection[str] | None = None  # the options of the command that runs; None in Python


@contextmanager
def on_command_line(options: Collection[str]) -> Iterator[None]:
    """Make messages name the options of a command; ``options``: those that it has, by their names in Python.

    It holds for the whole process, so that a thread that reads ahead writes the same messages.
    """
    global _command
    before, _command = _command, options
    try:
        yield
    finally:
        _command = before


def in_python() -> bool:
    """Return whether no command of the command line runs."""
    return _command is None


def option(name: str, value: Any = _OPEN) -> str:
    """Return how to give the argument ``name`` a value, or any value where none is named.

    In Python ``centre=(72.9, 59.8)`` or ``centre=``, on the command line ``--centre 72.9,59.8`` or ``--centre``; where
    the command that runs lacks the option, a command that has it is named.
    """
    if _command is None:
        return f"{name}=" if value is _OPEN else f"{name}={value!r}"
    flag = f"--{name.replace('_', '-')}"
    if value is False:
        flag = f"--no-{flag[2:]}"
    shown = flag if value is _OPEN or isinstance(value, bool) else f"{flag} {_typed(value)}"
    return shown if name in _command else f"{shown} of opty reconstruct"


def loading(name: str, value: Any = _OPEN) -> str:
    """Return ``option`` for an argument of ``opty.load``, with the name of that function in Python."""
    return here("opty.load: ", "") + option(name, value)


def here(python: str, shell: str) -> str:
    """Return the first text in Python and the second on the command line, for a remedy that is not one option."""
    return python if _command is None else shell


def named(name: str) -> str:
    """Return the name of an argument: ``leave_out``, or ``--leave-out`` on the command line."""
    return name if _command is None else f"--{name.replace('_', '-')}"


def _typed(value: Any) -> str:
    """Return a value as it is typed after an option."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_typed, value))
    return shlex.quote(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
