"""The watch over a run: non-finite values stop it with the last finite state, a rising misfit is told once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from opty.algebra.effects import KEPT, written
from opty.algebra.operator import Operator
from opty.algebra.place import Level
from opty.algebra.plan import Group, Pass, steps_of, walk
from opty.errors import DivergedError, MisfitWarning, warn_user
from opty.state import PtychoState
from opty.state.store import CORE, Store

_RISES = 5
_NOTICEABLE = 1.001  # a smaller rise is the wavering of a run that has converged


class Watch:
    """Keeps the last finite state (object, probe, positions and small slots) and looks at every iteration."""

    def __init__(self, store: Store, groups: tuple[Group, ...], place: tuple[Level, ...] = ()):
        self.written = written(groups)
        self.knobs = tuple(dict.fromkeys(s.op.knob for s in steps_of(groups) if s.op.knob))
        self.warned = False
        self.monitored = [n for n in walk(groups) if isinstance(n, Pass) and n.counts and KEPT not in n.writes]
        self.rises = 0
        self.keep(store, store.recipe, place)

    def keep(self, store: Store, done: Operator, place: tuple[Level, ...]) -> None:
        """Remember the state as it stands, the recipe that made it, and where the walk stands."""
        self.place = place
        self.last = store.fork({name for name in self.written if name in store.leaves and name != KEPT})
        self.last.leaves.pop(KEPT, None)  # as large as the data, and made anew from object and probe
        self.last.recipe = done

    def check_estimates(self, store: Store) -> None:
        """Raise DivergedError where object, probe or positions hold a non-finite value."""
        bad = [name for name in CORE if name in self.written and not bool(store.xp.isfinite(store.leaves[name]).all())]
        if bad:
            self._diverged(store, f"{bad[0]} is no longer finite")

    def turn_over(self, store: Store, done: Callable[[], Operator], place: Callable[[], tuple[Level, ...]]) -> None:
        """Look at a state that is whole again; where an iteration went by, remember it."""
        if store.iteration > self.last.iteration:
            self.check_estimates(store)
            self.keep(store, done(), place())

    def iteration_over(self, store: Store, node: Pass) -> None:
        """Look at an iteration that has just been booked."""
        values = store.history["misfit"]
        if not math.isfinite(values[-1]):
            self._diverged(store, f"the misfit is {values[-1]}")
        if node not in self.monitored:
            return
        rounding = 100 * float(np.finfo(store.real_dtype).eps) ** 2
        rose = len(values) > 1 and values[-1] > max(_NOTICEABLE * values[-2], rounding)
        self.rises = self.rises + 1 if rose else 0
        if self.rises >= _RISES and not self.warned:
            self.warned = True
            warn_user(
                f"the misfit rose in {_RISES} turns in a row, from {values[-1 - _RISES]:.4g} to {values[-1]:.4g} at "
                f"iteration {store.iteration}{self._advice()}",
                MisfitWarning,
            )

    def _advice(self) -> str:
        return f"; try {', or '.join(self.knobs)}" if self.knobs else ""

    def _diverged(self, store: Store, why: str) -> Any:
        last = PtychoState._of(self.last)
        raise DivergedError(
            f"{why} in iteration {store.iteration}: the reconstruction diverged; the last finite state (iteration "
            f"{last.iteration}) is in the exception's .state{self._advice()}",
            last,
        )
