"""A recipe tried several times from the same state, each time in another order of the views; the best is kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.errors import RecipeError
from opty.operators.position.check import GIVEN, unfound
from opty.operators.position.others import FOUND
from opty.operators.position.refinement import kept_inside
from opty.operators.position.some_views import state_of, take_estimates
from opty.runtime.nested import Nested, run_trial, take_record


class BestOf(Nested, slots=GIVEN):
    """Try a recipe up to ``tries`` times from the same state, until the views explain each other; keep the best.

    From positions that are far off the order in which views are taken decides whether a refinement finds them or two
    copies of the object appear. Each try goes on with the iteration numbers, so that it has another order. What is left
    unexplained in the worst tenth of the views, as ``CheckPositions`` measures it, and one more where their
    displacement jumps, u, ranks the tries: the first with u < 0.25 is taken, else the one with the least u. Nothing
    changes where u was below 0.25 before, and is not after any try.

    Parameters
    ----------
    recipe : a refinement of positions and an engine, such as ``(PosCorrect(hold=0.0) * LSQML(batch=8)) ** 60``; the
        iterations of all tries count.
    tries : at most.
    again : what runs in place of the recipe in every second try, such as the same with smaller batches; None for the
        recipe.

    Reads obj, probe, positions, background; writes what the recipe writes of obj (H, W) and probe (M, n, n), positions
    (N, 2) px, and position_given (N, 2) px, the places where the refinement began, where none has begun.
    History: "best_iteration"; "best_tries"; "best_before", "best_after": u before and after.
    Raises RecipeError for a model that is no thin object.
    Source: opty's own; random restarts of a local search: Hoos, Stuetzle, Stochastic Local Search (2004), section 2.1.
    """

    recipe: Operator
    tries: int = 4
    again: Operator | None = None

    def check(self) -> None:
        super().check()
        if self.tries < 1:
            raise ValueError(f"BestOf(tries={self.tries}): give a number of tries from 1 on")

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        writes = self.recipe_writes & {"obj", "probe"} | {"positions", GIVEN.name}
        return self.reading | {"background"}, writes

    def apply(self, s: Any) -> None:
        if not s.store.model.thin_object:
            raise RecipeError(f"{self!r}: the model {s.store.model!r} is no thin object; BestOf knows those only")
        if s.create(GIVEN.name):
            s.position_given += s.positions
        before = unfound(s.store)
        views = np.arange(s.data.views)
        start, best, least, tried = state_of(s, views), None, np.inf if before >= FOUND else FOUND, 0
        while tried < self.tries and (best is None or least >= FOUND):
            start._live.iteration, start._live.visits = s.store.iteration, s.store.visits
            recipe = self.again if self.again is not None and tried % 2 else self.recipe
            q, tried = run_trial(recipe, start, s.memo["run"]), tried + 1
            take_record(s, q)
            after = unfound(q._live)
            if after < least:
                best, least = q, after
        if best is not None:
            centre = s.positions.mean(axis=0)
            take_estimates(s, best, views, self.recipe_writes)
            s.positions = kept_inside(s, s.positions + (centre - s.positions.mean(axis=0)))
        s.record("best_iteration", s.iteration)
        s.record("best_tries", tried)
        s.record("best_before", before)
        s.record("best_after", before if best is None else least)
