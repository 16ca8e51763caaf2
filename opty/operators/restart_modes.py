"""Restart of the incoherent modes, which hold what wrong positions have left."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.operator import Identity, Operator
from opty.model.starting_probe import with_modes
from opty.operators.position.check import GIVEN
from opty.operators.position.some_views import state_of, take_estimates
from opty.runtime.nested import Nested, run_trial, take_record
from opty.state.misfit import compare


class RestartModes(Nested, slots=GIVEN):
    """Restart all probe modes but the strongest and run a recipe; keep the result where it explains more.

    While positions are wrong, and on a coarse level of ``FindPositions``, incoherent modes explain what the object
    cannot, and keep it: object and positions then come to suit them, and the scan is left stretched by a percent or so.
    The strongest orthogonal mode P_1 stays (the first singular vector of P times its length); the others become P_1
    times Hermite polynomials of (row, column), made orthogonal, each of 2 percent of its power, as in a new state. The
    power of the probe is kept. This is done ``turns`` times, each followed by the recipe, which then runs once more.
    Where the misfit sum (sqrt I - sqrt Ihat)^2 is not lower then than before, nothing is taken: modes that were right
    are lost for longer than a few sweeps.

    Turns are short: modes that have just begun leave a stretch to be seen, and modes that have run for longer take it
    up.

    Does nothing, and does not run the recipe, where the probe has one mode, or where the model is not a thin object
    under a steady probe.

    Parameters
    ----------
    recipe : what runs after each restart, such as ``(PosCorrect(hold=0.0) * LSQML(batch=8)) ** 10``; its iterations
        count, where the result is not taken, too.
    turns : restarts.

    Reads obj, probe, positions, background; writes probe (M, n, n), and what the recipe writes of obj (H, W) and
    positions (N, 2) px, and position_given (N, 2) px, the places where the refinement began, where none has begun.
    History: "modes_iteration"; "modes_before", "modes_after": misfit / sum I before the first turn and in the end.
    Source: opty's own; the modes as in Thibault, Menzel, Nature 494, 68 (2013).
    """

    recipe: Operator
    turns: int = 4

    def check(self) -> None:
        super().check()
        if self.turns < 1:
            raise ValueError(f"RestartModes(turns={self.turns}): give a number of turns from 1 on")

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.reading | {"background"}, self.recipe_writes & {"obj"} | {"probe", "positions", GIVEN.name}

    def fixed(self, leaves: frozenset[str]) -> Operator | None:
        return Identity() if "probe" in leaves else None

    def apply(self, s: Any) -> None:
        if len(s.probe) == 1 or not s.store.model.thin:
            return
        if "positions" in self.recipe_writes and s.create(GIVEN.name):
            s.position_given += s.positions
        views, before = np.arange(s.data.views), _misfit(s)
        kept = {name: getattr(s, name).copy() for name in self.effects()[1] & {"obj", "probe", "positions"}}
        for turn in range(self.turns + 1):
            start = state_of(s, views)
            if turn < self.turns:
                start = start.replace(probe=restarted(start.numpy("probe")))
            start._live.iteration, start._live.visits = s.store.iteration, s.store.visits
            found = run_trial(self.recipe, start, s.memo["run"])
            take_record(s, found)
            take_estimates(s, found, views, self.effects()[1])
        after = _misfit(s)
        s.record("modes_iteration", s.iteration)
        s.record("modes_before", before)
        s.record("modes_after", after)
        if not after < before:
            for name, value in kept.items():
                setattr(s, name, value)


def _misfit(s: Any) -> float:
    sums = compare(s)
    return sums.squares / sums.measured


def restarted(probe: np.ndarray) -> np.ndarray:
    """Return a probe (M, n, n) with all modes but the strongest made anew of that, of the same power."""
    _, lengths, modes = np.linalg.svd(probe.reshape(len(probe), -1).astype(np.complex128), full_matrices=False)
    strongest = (lengths[0] * modes[0]).reshape(1, *probe.shape[1:])
    made = with_modes(strongest, len(probe))
    made *= np.linalg.norm(probe) / np.linalg.norm(made)
    return made.astype(probe.dtype)
