"""Save: checkpoints along a run."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.errors import SaveError
from opty.files.atomic import check_target
from opty.io.formats.native import checkpoint
from opty.io.writing import check_suffix
from opty.operators.observers import Observer, filled
from opty.runtime.recipe_edit import changed_steps


class Save(Observer):
    """Write a checkpoint: a result file from which ``opty.resume(path)`` runs the rest of the recipe.

    The file is written completely or not at all: if the process is killed, the last complete one remains.

    Parameters
    ----------
    path : of the result file; "{iteration}" in it is filled in.
    every : write when a multiple of this number of iterations is reached or passed: in a loop the file is at most this
        number and one turn of the loop old.

    Raises, before the run, for a suffix of another format, or a folder that is missing or cannot be written; SaveError,
    which carries the state reached, where a write fails later, on a full disk for example.
    """

    only_output = True
    gathers_state = True
    checkpoints = True

    path: str
    every: int = 1

    @functools.cached_property
    def key(self) -> str:
        """The name of the step in the visits of a state, without the folder: a checkpoint may move."""
        return repr(replace(self, path=Path(self.path).name))

    def check_before_run(self) -> None:
        check_suffix(filled(self.path, 0))
        check_target(filled(self.path, 0))

    def apply(self, s: State) -> None:
        if not self.due(s):
            return
        run, path = s.memo["run"], filled(self.path, s.iteration)
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


def saving_to(recipe: Operator, path: str) -> Operator:
    """Return a recipe of which each ``Save`` to a file of the same name, which may have moved, writes to this path."""

    def change(op: Operator) -> Operator:
        return replace(op, path=path) if isinstance(op, Save) and Path(op.path).name == Path(path).name else op

    return changed_steps(recipe, change)
