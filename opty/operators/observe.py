"""Observers: they look at the state and write only history, the screen or files."""

from __future__ import annotations

import functools
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from opty.algebra.control import span
from opty.algebra.operator import Operator
from opty.analysis.misfit import compare
from opty.console import in_notebook
from opty.errors import SaveError
from opty.io.guard.atomic import check_target
from opty.io.writing import check_suffix


class Observer(Operator, register=False):
    """An operator that changes nothing of what is estimated; ``due`` says whether it looks at this iteration.

    ``records`` : whether it writes into the history. One that does not leaves nothing in the state, and may look back,
    at its first visit, to where the turn of the outermost loop began (outside of loops, the run): where a turn makes 60
    iterations, ``Save(every=50)`` writes after the first one too.
    """

    records: ClassVar[bool] = False

    @functools.cached_property
    def key(self) -> str:
        """The name of the step in the visits of a state."""
        return repr(self)

    def check(self):
        every = getattr(self, "every", 1)
        if every < 1:
            raise ValueError(f"{type(self).__name__}(every={every}): give a number of iterations from 1 on")

    def due(self, s) -> bool:
        """True where a multiple of ``every`` was reached since the last visit; remembers this one."""
        if self.every == 1:
            return True
        run = s.memo["run"]
        last, now = found = span(run.store.visits, self.key, s.iteration, None if self.records else run.began())
        run.store.visits[self.key] = found
        return now // self.every > last // self.every


class Log(Observer):
    """Print a line with iteration and misfit.

    Parameters: every, print when a multiple of this number of iterations is reached or passed.
    """

    every: int = 1

    def apply(self, s):
        if self.due(s):
            misfit = s.store.history.get("misfit")
            print(f"iteration {s.iteration:5d}" + (f"   misfit {misfit[-1]:.6g}" if misfit else ""), flush=True)


class Misfit(Observer, reads="obj probe positions background"):
    """Record misfit and R-factor of the state as it stands, at the cost of one forward pass over all views.

    History: "state_misfit" = sum (sqrt I - sqrt Ihat)^2 / sum I, "state_r_factor" = sum |sqrt I - sqrt Ihat| /
    sum sqrt I and "state_iteration". ``history["misfit"]``, which costs nothing, is met along the iteration instead.

    Parameters: every, record when a multiple of this number of iterations is reached or, after the first visit, passed.
    """

    records: ClassVar[bool] = True
    every: int = 1
    projects = True

    def apply(self, s):
        if self.due(s):
            sums = compare(s)
            s.record("state_iteration", s.iteration)
            s.record("state_misfit", sums.squares / sums.measured)
            s.record("state_r_factor", sums.moduli / sums.amplitudes)


class Progress(Observer):
    """Show a progress bar over the turns of the loop it stands in, with the misfit."""

    leaves_trace = False

    def apply(self, s):
        from tqdm.auto import tqdm

        run = s.memo["run"]
        loop = run.loop()
        if loop is None:
            return
        if self not in loop.closers:
            bar = tqdm(total=loop.total, unit="turn", initial=loop.turns, leave=True, file=sys.stderr)
            loop.closers[self] = bar.close
        bar = loop.closers[self].__self__
        # On a GPU the misfit is waited for: not in every turn, but when the bar is drawn, and at the end.
        drawn = not bar.disable and time.time() - bar.last_print_t >= bar.mininterval
        last = loop.total is None or loop.turns + 1 == loop.total
        if (drawn or last) and (misfit := s.store.history.get("misfit")):
            bar.set_postfix_str(f"misfit {misfit[-1]:.4g}", refresh=False)
        bar.update()


class Save(Observer):
    """Write a checkpoint: a result file from which ``opty.resume(path)`` goes on to the end of the whole recipe.

    The file is written whole or not at all: whenever the process is killed, the last good one is there.

    Parameters
    ----------
    path : of the result file; "{iteration}" in it is filled in.
    every : write when a multiple of this number of iterations is reached or passed: in a loop the file is at most this
        number and one turn of the loop old.

    Raises, before the run, where the file ends as no result does, or its folder is not there or cannot be written;
    SaveError, which carries the state reached, where a write fails later, on a full disk for example.
    """

    path: str
    every: int = 1

    @functools.cached_property
    def key(self) -> str:
        """The name of the step in the visits of a state, without the folder: a checkpoint may move."""
        return repr(replace(self, path=Path(self.path).name))

    def foresee(self):
        check_suffix(_filled(self.path, 0))
        check_target(_filled(self.path, 0))

    def apply(self, s):
        if not self.due(s):
            return
        from opty.io.formats.native import checkpoint

        run, path = s.memo["run"], _filled(self.path, s.iteration)
        state, unfinished = run.state(), run.unfinished(past_step=True)
        try:
            checkpoint(path, state, unfinished)
        except OSError as error:
            raise SaveError(
                f"{path} could not be written at iteration {s.iteration} ({error}); an earlier file of that name is as "
                "it was, and the state reached is the exception's .state",
                state,
                unfinished,
            ) from error


class Show(Observer):
    """Show the state: in a notebook as a picture that replaces the last one, elsewhere as a picture file.

    Parameters
    ----------
    every : show when a multiple of this number of iterations is reached or passed.
    path : picture to write ("{iteration}" in it is filled in); without one, the notebook's output, or opty_show.png in
        the working folder where there is no notebook.
    """

    every: int = 10
    path: str | None = None

    def apply(self, s):
        if not self.due(s):
            return
        from opty.plot import overview, save_figure

        figure = overview(s.memo["run"].state())
        if self.path is None and in_notebook():
            from IPython import display

            display.clear_output(wait=True)
            display.display(figure)
            return
        path = Path(_filled(self.path or "opty_show.png", s.iteration))
        run = s.memo["run"]
        if self not in run.announced:
            run.announced.add(self)
            print(f"Show: no notebook here; the picture is in {path}" if self.path is None else f"Show: {path}")
        save_figure(figure, path)


def _filled(path: str, iteration: int) -> str:
    return path.replace("{iteration}", f"{iteration:05d}")
