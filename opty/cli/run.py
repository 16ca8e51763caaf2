"""One reconstruction from the command line: progress, warnings, interruption, divergence, and the report at the end."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opty.cli.failures import INTERRUPTED, one_line
from opty.errors import DivergedError, InterruptedWarning, MisfitWarning

if TYPE_CHECKING:
    from opty.algebra.operator import Operator
    from opty.state import PtychoState


class Run:
    """One reconstruction, and what became of it: whole, interrupted (with the state reached), or diverged."""

    def __init__(self, recipe: Operator, start: PtychoState, quiet: bool):
        from opty.operators.observe import with_progress

        self.start, self.files = start, {}
        self.interrupted, self.diverged = False, None
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("always", InterruptedWarning)
            warnings.simplefilter("default", MisfitWarning)
            warnings.showwarning = self._notice
            try:
                self.state = (recipe if quiet else with_progress(recipe)) * start
            except DivergedError as error:
                self.state, self.diverged = error.state, error
        self.seconds = time.perf_counter() - began

    def _notice(self, message, category, filename, lineno, file=None, line=None) -> None:
        from tqdm import tqdm

        if issubclass(category, InterruptedWarning):
            self.interrupted = True
        else:
            tqdm.write(f"Warning: {' '.join(str(message).split())}", file=sys.stderr)

    def save(self, path: Path) -> None:
        self.state.save(path)
        self.files["result"] = path

    def draw(self, path: Path, figure: Callable) -> None:
        from opty.plot import save_figure

        try:
            save_figure(figure(self.state), path)
        except Exception as error:
            error.add_note(f"(no picture, but the result is in {self.files['result']})")
            raise
        self.files["picture"] = path

    def report(self) -> None:
        """Print misfit, R-factor, iterations, time, and where the files are."""
        import opty

        done = self.state.iteration - self.start.iteration
        total = f" ({self.state.iteration} in all)" if self.start.iteration else ""
        each = f" ({self.seconds / done:.2g} s each)" if done else ""
        lines = {
            "misfit": f"{opty.misfit(self.state):.4g}",
            "R-factor": f"{opty.r_factor(self.state):.4g}",
            "iterations": f"{done}{total}",
            "time": f"{self.seconds:.1f} s{each}",
            **self.files,
        }
        click.echo("\n".join(f"{name:<14} {value}" for name, value in lines.items()))

    def leave(self, ctx: click.Context) -> None:
        """End with the exit code that says how it went."""
        result = self.files["result"]
        if self.diverged is not None:
            why = one_line(self.diverged).replace("the exception's .state", str(result))
            where = "" if str(result) in why else f"; the last finite state is in {result}"
            click.echo(f"Error: {why}{where}", err=True)
            ctx.exit(1)
        if self.interrupted:
            click.echo(f"Interrupted after {self._done()}; the state reached is in {result}", err=True)
            ctx.exit(INTERRUPTED)

    def _done(self) -> str:
        done = self.state.iteration - self.start.iteration
        return f"{done} iteration{'s' * (done != 1)}"
