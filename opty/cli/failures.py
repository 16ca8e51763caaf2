"""Failures as one line with the remedy, and the exit codes."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any, TextIO

import click

from opty.remedies import on_command_line

# Exceptions that opty raises on purpose; any other is reported as a fault in opty.
EXPECTED = (OSError, ValueError, TypeError, ImportError, RuntimeError, ArithmeticError, MemoryError)
INTERRUPTED = 130


class Command(click.Command):
    """A command whose failures are one line, unless --traceback is given.

    ``over_ranks`` : whether it runs over several ranks (MPI) together.
    """

    over_ranks = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(["--traceback"], is_flag=True, help="Show the Python traceback of an error."))

    def invoke(self, ctx: click.Context) -> Any:
        in_full, began = ctx.params.pop("traceback"), time.time()
        try:
            with on_command_line(_options(self)), warnings.catch_warnings():
                warnings.showwarning = _warn
                if not self.over_ranks:
                    from opty.cli.ranks import refuse_ranks

                    refuse_ranks(str(ctx.info_name))
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo(f"Interrupted.{_unwritten(ctx, began)}", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if in_full:
                raise
            click.echo(f"Error: {one_line(error)}", err=True)
            ctx.exit(1)


def _unwritten(ctx: click.Context, began: float) -> str:
    """Say that a command has not written its result, where it writes one and has not done so since it ``began``."""
    output = ctx.params.get("output")
    if not isinstance(output, Path) or (output.exists() and output.stat().st_mtime >= began):
        return ""
    return f" {output} was not written."


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning without its line of code, which is in opty."""
    click.echo(f"Warning: {' '.join(str(message).split())}", err=True)


def _options(command: click.Command) -> frozenset[str]:
    """Return the long options of a command, as Python writes their names."""
    found = (text for one in command.params for text in one.opts if text.startswith("--"))
    return frozenset(text[2:].replace("-", "_") for text in found)


class Commands(click.Group):
    """A group whose commands report failures as one line."""

    command_class = Command


def one_line(error: BaseException) -> str:
    """The message of an exception, its notes included, on one line."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    if not isinstance(error, EXPECTED):
        text = f"{type(error).__name__}: {text} (this is a fault in opty; --traceback shows where)"
    lines = [line for line in text.splitlines() if line.strip() != "^"]
    return " ".join(" ".join([*lines, *getattr(error, "__notes__", ())]).split())
