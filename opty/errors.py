"""The exceptions and warnings that opty defines.

Everything else keeps its built-in type (``ValueError``, ``TypeError``, ``OSError``) and, when it comes out of an
operator, gains a note that says in which step, for which views and at which iteration.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any


class RecipeError(TypeError):
    """An expression that is no recipe: a wrong type, an unknown name, a text that cannot be parsed."""


class EffectError(RecipeError):
    """A step reads what no step to its right writes, or touches what it did not declare."""


class ConsumedError(RuntimeError):
    """A state was used after its buffers had been donated to another one."""


class RankError(RuntimeError):
    """Another rank of a run over MPI has failed; the message names it and says why."""


class FormatError(ValueError):
    """A file that opty cannot read: unknown, truncated, or lacking something that it must hold.

    What the message quotes of the file cannot break its line or command the terminal: such characters are escaped.
    """

    def __init__(self, message: object):
        text = str(message)
        if not text.isprintable():
            text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
        super().__init__(text)


class _Carrying(BaseException):
    """What exceptions with a ``state`` share: they pickle with its estimates and without its frames.

    So an error raised in another process is cheap to send back, and ``state.save(path)`` saves the state it carries.
    """

    state: Any

    def __reduce__(self) -> tuple[Any, ...]:
        reduced = super().__reduce__()
        assert isinstance(reduced, tuple)  # as of every exception
        made, arguments, *kept = reduced
        held = {**kept[0]} if kept else {}
        if held.get("state") is not None:
            held["state"] = held["state"]._light()
        return made, arguments, held


class DivergedError(_Carrying, FloatingPointError):
    """The reconstruction produced a non-finite value; ``state`` is the last finite state."""

    def __init__(self, message: str, state: Any = None):
        super().__init__(message)
        self.state = state


class SaveError(_Carrying, OSError):
    """A result file could not be written in the middle of a run; ``state`` is the state reached, still in memory.

    ``unfinished`` is the place in the recipe; the file that stood there before is untouched.
    """

    def __init__(self, message: str, state: Any = None, unfinished: Any = None):
        super().__init__(message)
        self.state, self.unfinished = state, unfinished


class SourceError(_Carrying, OSError):
    """The file of the frames is missing, has changed or cannot be read; or a result was opened without that file.

    Raised by a run, ``state`` is the last complete state, still in memory, and ``unfinished`` its place in the recipe;
    otherwise both are None.
    """

    def __init__(self, message: str, state: Any = None, unfinished: Any = None):
        super().__init__(message)
        self.state, self.unfinished = state, unfinished


class InterruptedWarning(_Carrying, UserWarning):
    """Ctrl-C ended a run early; the state returned is complete, and ``unfinished`` is its place in the recipe.

    ``state`` : the state returned.
    """

    state: Any = None

    def __init__(self, message: str, unfinished: Any = None):
        super().__init__(message)
        self.unfinished = unfinished


class MisfitWarning(UserWarning):
    """The misfit has risen several turns in a row, or the fit shows something else that is wrong."""


class RecipeWarning(UserWarning):
    """A step of a recipe does nothing where it stands, or not what it is for."""


class StartWarning(UserWarning):
    """A run begins with a starting probe that cannot be right, or with data of which a run is pointless."""


class MemoryWarning(UserWarning):
    """A batch did not fit in memory; smaller batches are used."""


def carry(error: BaseException, state: Any, unfinished: Any) -> None:
    """Attach the last complete state of a run, and its place in the recipe, to an exception of any class.

    The state pickles without its frames, so that the exception can leave a process for another one.
    """
    error.state, error.unfinished = state._light(), unfinished  # type: ignore[attr-defined]


def warn_user(message: str | Warning, category: type[Warning]) -> None:
    """Warn at the line of the user's own code that called opty, however deep in opty the cause was found."""
    package = str(Path(__file__).parent)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
