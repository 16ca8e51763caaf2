"""Unknown: stands for an operator of a file whose class is missing, so that the file opens."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import field, fields
from importlib import metadata

from opty.algebra.operator import Operator, Recipe
from opty.errors import RecipeError, warn_user

ENTRY_POINTS = "opty.operators"
IMPORT = (
    "import the module that defines it before opty.load, name it with --import MODULE on the command line, or install "
    f"it with an entry point in the group {ENTRY_POINTS}"
)
REMODEL = "make a new state with a model that the class takes now, PtychoState(data, model=...)"
REWRITE = "write the recipe with what the class takes now, and run that"


class Absent:
    """Stands for a value of a file whose class is missing: its code and its JSON are written back unchanged."""

    text: str
    encoded: str


class Unknown(Absent, Recipe, register=False):
    """An operator of a file that no class here makes: kept as it was, written again as it was, never run.

    Parameters
    ----------
    name : of its class. encoded : its JSON. why : it could not be made. remedy : what to do. text : its code.
    """

    name: str
    encoded: str
    why: str = field(default="", compare=False)
    remedy: str = field(default=IMPORT, compare=False)
    text: str = field(default="", compare=False)

    def check(self) -> None:
        """Accept it: only running it is refused."""

    def expand(self) -> Operator:
        raise RecipeError(f"{self.text} cannot run: {self.why}; {self.remedy}")


def unknown_in(op: Operator) -> Iterator[Unknown]:
    """Yield the unknown operators of a recipe, at any depth."""
    if isinstance(op, Unknown):
        yield op
    for parameter in fields(op):  # every operator is a dataclass
        value = getattr(op, parameter.name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Operator):
                yield from unknown_in(inner)


@functools.cache
def import_installed() -> None:
    """Import, once, what installed packages name in the group of entry points "opty.operators"."""
    for point in metadata.entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:
            warn_user(
                f"the entry point {point.name} = {point.value} of the group {ENTRY_POINTS} cannot be imported "
                f"({type(error).__name__}: {error})",
                UserWarning,
            )
