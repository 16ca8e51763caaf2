"""Steps with an inner recipe: it runs on a state made for it, and the result is copied back."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from opty.algebra.compose import compose
from opty.algebra.operator import Operator
from opty.errors import DivergedError, MisfitWarning, RecipeError
from opty.runtime.effects import written
from opty.runtime.interrupt import Stop
from opty.runtime.nodes import steps_of
from opty.runtime.plan import plan
from opty.runtime.rescue import give
from opty.runtime.scale import gives_scale
from opty.state import handle
from opty.state.spread import spread
from opty.state.whole_store import WholeStore, has_rows

if TYPE_CHECKING:
    from opty.runtime.job import Run
    from opty.state import BareState


class Nested(Operator, register=False):
    """A step that runs its fields that are operators on another state; iterations count, and the history goes on.

    For the outer run it is one step: Ctrl-C ends it with the state before it, and ``opty.resume`` repeats it from the
    start.
    """

    @property
    def recipes(self) -> dict[str, Operator]:
        """Its fields that are operators, by name."""
        return {name: value for name, value in self.__dict__.items() if isinstance(value, Operator)}

    @property
    def inner(self) -> Operator:
        """All of them, one after another."""
        return compose(*self.recipes.values())

    projects = True  # needs the frames
    outdates = True
    reading = frozenset({"obj", "probe", "positions"})

    def check(self) -> None:
        for s in steps_of(plan(self.inner)):
            if s.op.checkpoints:
                name = type(self).__name__
                raise RecipeError(
                    f"{s.op!r} stands inside {name}, whose state is not that of the scan: put it on the left of {name}"
                )

    @property
    def recipe_writes(self) -> frozenset[str]:
        """What the recipe writes."""
        return written(plan(self.inner))

    @property
    def scale_free(self) -> bool:  # type: ignore[override]
        """Whether no step of the recipe gives object or probe a scale."""
        return not any(gives_scale(s.op) for s in steps_of(plan(self.inner)))

    @property
    def advice(self) -> str:  # type: ignore[override]
        """The advice of the steps of the recipe."""
        return ", or ".join(dict.fromkeys(s.op.advice for s in steps_of(plan(self.inner)) if s.op.advice))

    def check_before_run(self) -> None:
        for s in steps_of(plan(self.inner)):
            s.op.check_before_run()

    def check_model(self, model: Any) -> None:
        for s in steps_of(plan(self.inner)):
            s.op.check_model(model)


def run_inside(recipe: Operator, p: BareState, outer: Run, inside: str | None = "") -> BareState:
    """Return ``recipe * p`` for a step of the run ``outer``: over its ranks, and then with the rows of all views.

    ``inside`` : what warnings of its misfits say of its patterns; None: there are none.

    Raises Stop where Ctrl-C was pressed: the state of ``outer`` is whole. A DivergedError carries that state.
    """
    from opty.runtime.execute import prepared, walk_groups

    ranks = outer.store.ranks
    if ranks.size > 1:
        p = handle()._of(spread(p._live, ranks), owned=True)
    around = outer.watch.inside
    job = prepared(recipe, p, inside=None if inside is None or around is None else inside + around)
    job.ctrl_c = outer.ctrl_c
    try:
        walk_groups(job.program.groups, job)
        if job.stopping():
            raise Stop
        q = job.state(over=True)
    except DivergedError as error:
        state, place = outer.watch.last()
        give(error, state, outer.unfinished(place=place), "the last finite state before that step")
        raise
    if ranks.size == 1:
        return q
    return handle()._of(WholeStore.of(q._live, (name for name, leaf in q._live.layout.items() if has_rows(leaf))))


def run_trial(recipe: Operator, p: BareState, outer: Run) -> BareState:
    """Return what ``run_inside`` does, where misfits say little, as of a try or of some views: they warn nobody."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        return run_inside(recipe, p, outer)


def take_record(s: Any, q: BareState) -> None:
    """Copy iteration, history and visits back from a state that continued those of ``s``."""
    store, inner = s.store, q._live
    store.iteration, store.history, store.visits = inner.iteration, inner.history, inner.visits
