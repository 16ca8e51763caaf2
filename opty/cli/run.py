"""One reconstruction from the command line: progress, warnings, early ends, and the final report."""

from __future__ import annotations

import math
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
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from opty.analysis.misfit import DURING
from opty.cli.failures import INTERRUPTED, one_line
from opty.cli.ranks import end_all_at_exit, share
from opty.errors import (
    DivergedError,
    InterruptedWarning,
    MemoryWarning,
    MisfitWarning,
    RecipeWarning,
    SaveError,
    SourceError,
    StartWarning,
    warn_user,
)
from opty.runtime.interrupt import ctrl_c_returns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from opty.algebra.operator import Operator
    from opty.analysis import PositionReport
    from opty.analysis.verdict import Verdict
    from opty.ptycho_state import PtychoState
    from opty.runtime.checkpoint import PendingRun


CARRIED = "the exception's .state"  # in messages; replaced by the file on the command line
_ONE_SIGNAL = 1.0  # second
FIT = {"misfit": "misfit", "R-factor": "r_factor"}


class Run:
    """One reconstruction and its outcome: complete, or ended early, with the state that it reached.

    ``unfinished`` : the place from which a checkpoint is resumed; afterwards, the place where this run ended early.
    ``attention`` : warnings about the measurement, which the report and the result file repeat.
    ``verdict`` : of the result, once ``judge`` was called. ``follows`` : this rank takes part in the run of the first.
    """

    def __init__(
        self,
        recipe: Operator,
        start: PtychoState,
        quiet: bool,
        unfinished: PendingRun | None = None,
        attention: Sequence[str] = (),
        follows: bool = False,
    ):
        self.start, self.attention = start, tuple(attention)
        self.files: dict[str, Path] = {}
        self.unfinished: PendingRun | None = None
        self.interrupted = False
        self.diverged: DivergedError | None = None
        self.failed: Exception | None = None
        self.state: PtychoState
        self.verdict: Verdict | None = None
        self._follows = follows
        began = time.perf_counter()
        part = start if follows else share(recipe, start, quiet, unfinished)
        with warnings.catch_warnings(), ctrl_c_returns(), as_ctrl_c(signal.SIGTERM):
            warnings.simplefilter("always", InterruptedWarning)
            warnings.simplefilter("ignore", StartWarning)  # what was found wrong is said before, with options
            for once in (MisfitWarning, MemoryWarning, RecipeWarning):
                warnings.simplefilter("default", once)
            warnings.showwarning = self._notice
            try:
                self.state = self._run(recipe, part, quiet, unfinished)
            except DivergedError as error:
                self.state, self.diverged = error.state, error
            except (SaveError, SourceError) as error:
                self.state, self.unfinished, self.failed = error.state, error.unfinished, error
            except Exception as error:
                if not _went_on(error, start):
                    if part.ranks > 1:
                        end_all_at_exit()
                    raise
                carried: Any = error  # see ``opty.errors.carry``
                self.state, self.unfinished, self.failed = carried.state, carried.unfinished, error
        self.seconds = time.perf_counter() - began
        if part.ranks > 1:
            self._put_together()

    def _put_together(self) -> None:
        """Put the parts of all ranks together on the first one; after a failure, end all when this process ends."""
        if self.failed is not None:
            end_all_at_exit()
        if self.interrupted:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher sends it to each rank, at its own time
        self.state = self.state.gather() or self.state

    def _run(self, recipe: Operator, start: PtychoState, quiet: bool, unfinished: PendingRun | None) -> PtychoState:
        from opty.operators import Progress
        from opty.runtime.idle_steps import late_steps
        from opty.runtime.recipe_edit import in_outer_loops

        shown = recipe if quiet else in_outer_loops(recipe, Progress())
        if unfinished is None:
            for text in late_steps(recipe, start.iteration):
                warn_user(text, RecipeWarning)
            return shown * start
        return cast("PtychoState", replace(unfinished, asked=shown).go_on(start))

    def _notice(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        from tqdm import tqdm

        if isinstance(message, InterruptedWarning):  # on all ranks
            self.interrupted, self.unfinished = True, message.unfinished
        elif not self._follows:
            tqdm.write(f"Warning: {' '.join(str(message).split())}", file=sys.stderr)

    def judge(self, test: bool) -> None:
        """Say whether the result is right; ``test`` : by short runs as well, where the run came to its end."""
        from opty.analysis.verdict import Verdict, verdict

        if self.diverged is not None:
            self.verdict = Verdict("doubtful", ("the run diverged",))
        elif isinstance(self.failed, SourceError):
            self.verdict = Verdict("cannot tell", ("the frames are gone",))
        else:
            whole = self.unfinished is None and self.failed is None
            self.verdict = verdict(self.state, self.attention, test and whole)

    def save(self, path: Path) -> None:
        """Write the result; if that fails, write it to the folder for temporary files, named in the error."""
        ended = self.failed is None and self.unfinished is None
        with_fit(lambda fit: self._write(path, fit), lambda: self.fit if ended else {})
        self.files["result"] = path

    def _write(self, path: Path, fit: dict[str, float]) -> None:
        from opty.io.formats.native import checkpoint

        try:
            checkpoint(path, self.state, self.unfinished, self.attention, self._said, fit=fit)
        except OSError as error:
            saved = Path(tempfile.gettempdir()) / f"{path.stem}-{os.getpid()}.h5"
            try:
                checkpoint(saved, self.state, self.unfinished, self.attention, self._said, fit=fit)
            except OSError as second:
                error.add_note(f"(and neither could {saved} be written: {one_line(second)})")
                if self.failed is not None and path.exists():
                    error.add_note(f"(the last checkpoint stands: opty resume {path})")
            else:
                error.add_note(f"(the state reached is safe in {saved})")
            raise

    @cached_property
    def fit(self) -> dict[str, float]:
        """Misfit and R-factor of the result; empty where there is nothing to compare with any more."""
        if isinstance(self.failed, SourceError):
            return {}
        try:
            return fit_of(self.state)
        except SourceError:  # the file went away after the last sweep
            return {}

    @property
    def _said(self) -> str | None:
        return None if self.verdict is None else str(self.verdict)

    def draw(self, path: Path, figure: Callable[[PtychoState], Figure]) -> None:
        """Draw the state."""
        from opty.plot import save_figure

        try:
            save_figure(figure(self.state), path)
        except Exception as error:
            error.add_note(f"(no picture, but the result is in {self.files['result']})")
            raise
        self.files["picture"] = path

    def describe(self, path: Path) -> None:
        """Write the report of the result."""
        from opty.report import report

        try:
            report(self.files["result"], path)
        except Exception as error:
            error.add_note(f"(no report, but the result is in {self.files['result']})")
            raise
        self.files["report"] = path

    def figures(self) -> dict[str, Any]:
        """Return misfits, R-factor, iterations, the model unless it is a thin object, seconds, and the files."""
        places = self.places if self.fit else None
        met = self.state.history.get("misfit")
        return {
            "misfit": self.fit.get("misfit"),
            "r_factor": self.fit.get("r_factor"),
            "sweep_misfit": None if met is None else float(met[-1]),
            "iterations": self.state.iteration - self.start.iteration,
            "iteration": self.state.iteration,
            "model": None if self.state.model.thin else repr(self.state.model),
            "positions": None if places is None else places.figures(),
            "seconds": self.seconds,
            "finished": self.unfinished is None and self.diverged is None,
            "verdict": None if self.verdict is None else self.verdict.word,
            "reasons": [] if self.verdict is None else list(self.verdict.reasons),
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
        fit["misfit"] += " of the result"
        if found["sweep_misfit"] is not None:
            fit["last sweep"] = f"misfit {found['sweep_misfit']:.4g}, {DURING}"
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
        if self.state.iteration == 0 and found["finished"]:
            doubt.append("the recipe holds no engine: object and probe have not been fitted to the patterns")
        said += [("attention", line) for line in [*doubt, *self.attention]]
        if self.verdict is not None:
            said.append(("verdict", self.verdict.word if self.attention else str(self.verdict)))
        click.echo("\n".join(f"{name:<14} {value}" for name, value in [*lines.items(), *said]))

    def leave(self, ctx: click.Context) -> None:
        """End the command with the exit code of the outcome."""
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
    """Return whether an exception carries a state beyond the start; if not, drop its notes about the state."""
    p = getattr(error, "state", None)
    if p is not None and p.iteration > start.iteration:
        return True
    error.__notes__ = [note for note in getattr(error, "__notes__", ()) if CARRIED not in note]
    return False


@contextmanager
def as_ctrl_c(number: int) -> Iterator[None]:
    """Treat a signal as Ctrl-C: a batch queue sends SIGTERM before it ends a job.

    Signals within a second are one: a queue sends SIGTERM to every process of a job, and those that started others pass
    it on to them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = -math.inf

    def handle(*_: object) -> None:
        nonlocal last
        now, before = time.monotonic(), last
        last = now
        if now - before > _ONE_SIGNAL:
            signal.raise_signal(signal.SIGINT)

    old = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, old)


def fit_of(p: PtychoState) -> dict[str, float]:
    """Return misfit and R-factor of a state, as results keep them."""
    import opty

    return {"misfit": opty.misfit(p), "r_factor": opty.analysis.r_factor(p)}


def with_fit(write: Callable[[dict[str, float]], None], find: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Write a result with its fit, and return that; where finding it fails or Ctrl-C ends it, write without, and raise.

    The fit takes passes over all views: what ends them must not cost the result.
    """
    try:
        fit = find()
    except BaseException:
        write({})
        raise
    write(fit)
    return fit
