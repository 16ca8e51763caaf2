"""Incoherent modes that hold what wrong positions have left, begun anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.model.starting_probe import with_modes
from opty.operators.position.check import GIVEN
from opty.operators.position.some_views import state_of, take_estimates
from opty.runtime.nested import Nested, run_trial, take_record


class RestartModes(Nested, slots=GIVEN):
    """Begin all modes of a probe anew but the strongest, then run a recipe.

    While positions are wrong, and on a coarse level of ``FindPositions``, incoherent modes explain what the object
    cannot, and keep it: to them, object and positions then suit each other, and the scan is left stretched by a percent
    or so. The strongest orthogonal mode P_1 stays (the first left singular vector of P times its length); the others
    become P_1 times Hermite polynomials of (row, column), made orthogonal, each of 2 percent of its power, as in a new
    state. The power of the probe is kept.

    Does nothing, and does not run the recipe, where the probe has one mode, or where the model is not a thin object
    under a steady probe.

    Parameters: recipe, what runs then, such as ``(PosCorrect(hold=0.0) * LSQML(batch=8)) ** 20``; its iterations count.

    Reads obj, probe, positions, background; writes probe (M, n, n), and what the recipe writes of obj (H, W) and
    positions (N, 2) px, and position_given (N, 2) px, the places where the refinement began, where none has begun.
    Source: opty's own; the modes as in Thibault, Menzel, Nature 494, 68 (2013).
    """

    recipe: Operator

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.reading | {"background"}, (self.recipe_writes & {"obj", "positions", GIVEN.name}) | {"probe"}

    def apply(self, s: Any) -> None:
        probe = s.backend.to_host(s.probe)
        if len(probe) == 1 or not s.store.model.thin:
            return
        if GIVEN.name in self.recipe_writes and s.create(GIVEN.name):
            s.position_given += s.positions
        views = np.arange(s.data.views)
        start = state_of(s, views).replace(probe=restarted(probe))
        start._live.iteration, start._live.visits = s.store.iteration, s.store.visits
        after = run_trial(self.recipe, start, s.memo["run"])
        take_record(s, after)
        take_estimates(s, after, views, self.effects()[1])


def restarted(probe: np.ndarray) -> np.ndarray:
    """Return a probe (M, n, n) with all modes but the strongest made anew of that, of the same power."""
    _, lengths, modes = np.linalg.svd(probe.reshape(len(probe), -1).astype(np.complex128), full_matrices=False)
    strongest = (lengths[0] * modes[0]).reshape(1, *probe.shape[1:])
    made = with_modes(strongest, len(probe))
    made *= np.linalg.norm(probe) / np.linalg.norm(made)
    return made.astype(probe.dtype)
