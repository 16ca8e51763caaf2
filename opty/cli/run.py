"""One reconstruction from the command line: progress, warnings, what may end it early, and the report at the end."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opty.cli.failures import INTERRUPTED, one_line
from opty.errors import DivergedError, InterruptedWarning, MemoryWarning, MisfitWarning, SaveError, SourceError
from opty.runtime.interrupt import ctrl_c_returns

if TYPE_CHECKING:
    from opty.algebra.operator import Operator
    from opty.analysis import PositionReport
    from opty.ptycho_state import PtychoState
    from opty.runtime.checkpoint import Unfinished


CARRIED = "the exception's .state"  # where a message says that the state is: of no use on the command line
FIT = {"misfit": "misfit", "R-factor": "r_factor"}


class Run:
    """One reconstruction, and what became of it: whole, or ended early, with the state that it reached.

    ``unfinished`` : the place at which a checkpoint goes on; afterwards, that at which this run ended early.
    ``attention`` : what was found wrong with the measurement; the report and the result file repeat it.
    """

    def __init__(
        self,
        recipe: Operator,
        start: PtychoState,
        quiet: bool,
        unfinished: Unfinished | None = None,
        attention: Sequence[str] = (),
    ):
        self.start, self.files, self.unfinished, self.attention = start, {}, None, tuple(attention)
        self.interrupted, self.diverged, self.failed = False, None, None
        began = time.perf_counter()
        with warnings.catch_warnings(), ctrl_c_returns(), _as_ctrl_c(signal.SIGTERM):
            warnings.simplefilter("always", InterruptedWarning)
            for once in (MisfitWarning, MemoryWarning):
                warnings.simplefilter("default", once)
            warnings.showwarning = self._notice
            try:
                self.state = self._run(recipe, start, quiet, unfinished)
            except DivergedError as error:
                self.state, self.diverged = error.state, error
            except (SaveError, SourceError) as error:
                self.state, self.unfinished, self.failed = error.state, error.unfinished, error
            except Exception as error:
                if not _went_on(error, start):
                    raise
                self.state, self.unfinished, self.failed = error.state, error.unfinished, error
        self.seconds = time.perf_counter() - began

    def _run(self, recipe: Operator, start: PtychoState, quiet: bool, unfinished: Unfinished | None) -> PtychoState:
        from opty.operators import Progress
        from opty.runtime.recipe_edit import in_outer_loops

        shown = recipe if quiet else in_outer_loops(recipe, Progress())
        return shown * start if unfinished is None else replace(unfinished, asked=shown).go_on(start)

    def _notice(self, message, category, filename, lineno, file=None, line=None) -> None:
        from tqdm import tqdm

        if issubclass(category, InterruptedWarning):
            self.interrupted, self.unfinished = True, message.unfinished
        else:
            tqdm.write(f"Warning: {' '.join(str(message).split())}", file=sys.stderr)

    def save(self, path: Path) -> None:
        """Write the result; where its disk takes no more, write it to the folder for temporary files, and say so."""
        from opty.io.formats.native import checkpoint

        try:
            checkpoint(path, self.state, self.unfinished, self.attention)
        except OSError as error:
            saved = Path(tempfile.gettempdir()) / f"{path.stem}-{os.getpid()}.h5"
            try:
                checkpoint(saved, self.state, self.unfinished, self.attention)
            except OSError as second:
                error.add_note(f"(and neither could {saved} be written: {one_line(second)})")
                if self.failed is not None and path.exists():
                    error.add_note(f"(the last checkpoint stands: opty resume {path})")
            else:
                error.add_note(f"(the state reached is safe in {saved})")
            raise
        self.files["result"] = path

    def draw(self, path: Path, figure: Callable) -> None:
        """Draw the state."""
        from opty.plot import save_figure

        try:
            save_figure(figure(self.state), path)
        except Exception as error:
            error.add_note(f"(no picture, but the result is in {self.files['result']})")
            raise
        self.files["picture"] = path

    def figures(self) -> dict[str, Any]:
        """Return misfit, R-factor, iterations, the model where it is no thin object, seconds, where the files are."""
        import opty

        lost = isinstance(self.failed, SourceError)  # nothing to compare with any more
        places = None if lost else self.places
        return {
            "misfit": None if lost else opty.misfit(self.state),
            "r_factor": None if lost else opty.r_factor(self.state),
            "iterations": self.state.iteration - self.start.iteration,
            "iteration": self.state.iteration,
            "model": None if self.state.model.thin else repr(self.state.model),
            "positions": None if places is None else places.figures(),
            "seconds": self.seconds,
            "finished": self.unfinished is None and self.diverged is None,
            "attention": list(self.attention),
            **{name: str(path) for name, path in self.files.items()},
        }

    @cached_property
    def places(self) -> PositionReport | None:
        """What became of the positions; None where they did not move."""
        from opty.analysis import position_report

        return position_report(self.state)

    def report(self) -> None:
        """Print the same as text."""
        found = self.figures()
        done = found["iterations"]
        total = f" ({self.state.iteration} in all)" if self.start.iteration else ""
        each = f" ({self.seconds / done:.2g} s each)" if done else ""
        fit = {name: "unknown" if found[key] is None else f"{found[key]:.4g}" for name, key in FIT.items()}
        lines = {
            **({"model": found["model"]} if found["model"] else {}),
            **fit,
            "iterations": f"{done}{total}",
            "time": f"{self.seconds:.1f} s{each}",
            **self.files,
        }
        places = None if found["positions"] is None else self.places
        said = [] if places is None else [("positions", line) for line in places.lines()]
        doubt = [places.warning] if places is not None and places.warning else []
        said += [("attention", line) for line in [*doubt, *self.attention]]
        click.echo("\n".join(f"{name:<14} {value}" for name, value in [*lines.items(), *said]))

    def leave(self, ctx: click.Context) -> None:
        """End with the exit code that says how it went."""
        result = self.files.get("result", "no file")
        on = f"; to go on: opty resume {result}" if self.files else ""
        if self.diverged is not None:
            why = one_line(self.diverged).replace(CARRIED, str(result))
            where = "" if str(result) in why else f"; the last finite state is in {result}"
            click.echo(f"Error: {why}{where}", err=True)
            ctx.exit(1)
        if isinstance(self.failed, (SaveError, SourceError)):
            why = one_line(self.failed).replace(CARRIED, f"in {result}")
            click.echo(f"Error: {why}{on}", err=True)
            ctx.exit(1)
        if self.failed is not None:
            self.failed.__notes__ = [note.replace(CARRIED, f"in {result}{on}") for note in self.failed.__notes__]
            raise self.failed
        if self.interrupted:
            kept = f"; the state reached is in {result}{on}" if self.files else ""
            click.echo(f"Interrupted after {self._done()}{kept}", err=True)
            ctx.exit(INTERRUPTED)

    def _done(self) -> str:
        done = self.state.iteration - self.start.iteration
        return f"{done} iteration{'s' * (done != 1)}"


def _went_on(error: Exception, start: PtychoState) -> bool:
    """Say whether an exception carries a state beyond the start; if not, it need not say where it is."""
    p = getattr(error, "state", None)
    if p is not None and p.iteration > start.iteration:
        return True
    error.__notes__ = [note for note in getattr(error, "__notes__", ()) if CARRIED not in note]
    return False


@contextmanager
def _as_ctrl_c(number: int) -> Iterator[None]:
    """Let a signal do what Ctrl-C does: a queue that ends a job first asks for it with SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(number, old)
