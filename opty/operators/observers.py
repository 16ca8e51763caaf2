"""Observers: they read the state and write only history, the screen or files."""

from __future__ import annotations

import functools
import sys
import time
from typing import ClassVar

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.runtime.visits import span
from opty.state.misfit import compare


class Observer(Operator, register=False):
    """An operator that changes no estimate; ``due`` returns whether it acts in this iteration.

    ``records`` : whether it writes into the history. One that does not leaves nothing in the state, and may look back,
    at its first visit, to where the turn of the outermost loop began (outside of loops, the run): where a turn makes 60
    iterations, ``Save(every=50)`` writes after the first one too.
    """

    over_ranks = True
    records: ClassVar[bool] = False

    @functools.cached_property
    def key(self) -> str:
        """The name of the step in the visits of a state."""
        return repr(self)

    def check(self) -> None:
        every = getattr(self, "every", 1)
        if every < 1:
            raise ValueError(f"{type(self).__name__}(every={every}): give a number of iterations from 1 on")

    def due(self, s: State) -> bool:
        """True where a multiple of ``every`` was reached since the last visit; remembers this one."""
        every = getattr(self, "every", 1)
        if every == 1:
            return True
        run = s.memo["run"]
        last, now = found = span(run.store.visits, self.key, s.iteration, None if self.records else run.began())
        run.store.visits[self.key] = found
        return now // every > last // every


class Log(Observer):
    """Print a line with iteration and misfit.

    Parameters: every, print when a multiple of this number of iterations is reached or passed.
    """

    only_output = True

    every: int = 1

    def apply(self, s: State) -> None:
        if self.due(s):
            misfit = s.store.history.get("misfit")
            print(f"iteration {s.iteration:5d}" + (f"   misfit {misfit[-1]:.6g}" if misfit else ""), flush=True)


class Misfit(Observer, reads="obj probe positions background"):
    """Record misfit and R-factor of the current state, at the cost of one forward pass over all views.

    History: "state_misfit" = sum (sqrt I - sqrt Ihat)^2 / sum I, "state_r_factor" = sum |sqrt I - sqrt Ihat| /
    sum sqrt I and "state_iteration". ``history["misfit"]``, which costs nothing, is met along the iteration instead.

    Parameters: every, record when a multiple of this number of iterations is reached or, after the first visit, passed.
    """

    records: ClassVar[bool] = True
    every: int = 1
    projects = True

    def apply(self, s: State) -> None:
        if self.due(s):
            sums = compare(s)
            s.record("state_iteration", s.iteration)
            s.record("state_misfit", sums.squares / sums.measured)
            s.record("state_r_factor", sums.moduli / sums.amplitudes)


class Progress(Observer):
    """Show a progress bar over the turns of its loop, with the misfit."""

    only_output = True

    on_record = False

    def apply(self, s: State) -> None:
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
        if loop.uncounted:
            bar.refresh()  # the scan grows: see Follow
        else:
            bar.update()


def filled(path: str, iteration: int) -> str:
    """Return a path with the number of the iteration in it."""
    return path.replace("{iteration}", f"{iteration:05d}")
