"""Sweep: the one loop over views."""

from __future__ import annotations

from typing import Literal

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.errors import RecipeError

Order = Literal["random", "scan", "uniform", "compact"]


class Sweep(Operator):
    """Run the view steps of ``body`` once per batch of views, over all views.

    Parameters
    ----------
    body : a view step or a composition of view steps.
    batch : views worked on together: a number, "all", or None (one at a time where a step updates object or probe
        live, else as many as the memory holds well). Live updates divide by weights summed over the batch, so any batch
        converges; for steps that only accumulate it sets the memory and nothing else.
    order : "random" (a permutation drawn from the state's seed and iteration), "scan" (as in the data), "uniform" (the
        views of a batch lie spread over the whole scan) or "compact" (they are neighbours, found by k-means).

    A sweep opens what its body reads: the probe and object windows, the exit waves, and the Fourier projection where a
    step reads ``delta`` and none writes it.
    """

    body: Operator
    batch: int | Literal["all"] | None = None
    order: Order = "random"

    def check(self) -> None:
        if isinstance(self.batch, int) and self.batch < 1:
            raise ValueError(f"Sweep(batch={self.batch}): give a number of views from 1 on, 'all' or None")

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.body.effects()

    def apply(self, s: State) -> None:
        raise RecipeError("a sweep is run by the plan, not applied: write recipe * p")
