"""Exceptions that end a run carry its last complete state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opty.errors import DivergedError, SaveError, carry
from opty.runtime.checkpoint import PendingRun
from opty.state import BareState, handle

if TYPE_CHECKING:
    from opty.algebra.operator import Operator
    from opty.runtime.job import Run


def carry_last(error: Exception | KeyboardInterrupt, job: Run) -> None:
    """Attach the last complete state, ``.state``, and its place, ``.unfinished``, to an exception of a run, or Ctrl-C.

    Whole: as it stood at the end of a turn, or between two factors outside of loops; all in it is finite. Waves of all
    views that are kept from iteration to iteration are not in it. Raises DivergedError for what fails after object,
    probe or positions have diverged, which may not have been checked.
    """
    if isinstance(error, (DivergedError, SaveError)):
        return
    try:
        job.watch.check_estimates(agree=False)
    except DivergedError as diverged:
        if isinstance(error, Exception):
            raise diverged from error
    except Exception as another:  # the device has failed; the first exception has the cause
        error.add_note(f"(the device could not be waited for: {another})")
    p, place = job.watch.last()
    give(error, p, job.unfinished(place=place), "the last whole state")


def fail_together(error: BaseException, job: Run) -> None:
    """Tell other ranks of an exception that they do not meet themselves, so that they end as well."""
    if not isinstance(error, DivergedError):  # what is found wrong in sums over all ranks, all of them find
        job.store.ranks.fail(error)


def carry_donated(error: Exception | KeyboardInterrupt, recipe: Operator, p: BareState) -> None:
    """Attach a donated state to an exception that is raised before the run begins."""
    if p._owned and not p._consumed:
        state = handle()._of(p._live.fork(set()))
        give(error, state, PendingRun(recipe, state.recipe, ()), "the state that was donated")


def give(error: BaseException, p: BareState, unfinished: PendingRun, what: str) -> None:
    """Put a state on an exception, and say so in a note."""
    try:
        carry(error, p, unfinished)
    except Exception:  # a class that refuses attributes, in whatever way; the exception itself matters more
        return
    error.add_note(f"{what}, iteration {p.iteration}, is the exception's .state")
