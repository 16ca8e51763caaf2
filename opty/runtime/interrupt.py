"""Ctrl-C: the first one ends the turn under way, the second one raises at once.

At a prompt or in a notebook a run that was ended by Ctrl-C returns its state with a warning. In a script it raises
KeyboardInterrupt, which carries the state: a loop over recipes or scans stops, and the process ends as one that Ctrl-C
ends. (Python ends a process so for KeyboardInterrupt itself only, not for a class derived from it.)
"""

from __future__ import annotations

import contextvars
import inspect
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opty.console import interactive
from opty.errors import InterruptedWarning, carry, warn_user

if TYPE_CHECKING:
    from opty.runtime.checkpoint import PendingRun
    from opty.state import BareState

_returning: contextvars.ContextVar[bool] = contextvars.ContextVar("opty_ctrl_c_returns", default=False)


# The functions of the system, without the enums that Python puts around them in every run.
_get, _set = inspect.unwrap(signal.getsignal), inspect.unwrap(signal.signal)


class Stop(Exception):
    """Ctrl-C was pressed and a turn is over: leave the loops; the state is complete."""


class CtrlC:
    """Ctrl-C in a run. ``pressed`` : once, so that the run ends after the current turn.

    ``ended`` : an observer ended the run, on somebody's order; its state is returned, in a script too.
    """

    def __init__(self) -> None:
        self.pressed = self.ended = self._again = self._copying = False

    def end(self) -> None:
        """End the run after the current turn."""
        self.pressed = self.ended = True

    def handle(self, number: int, frame: Any) -> None:
        """Record the first Ctrl-C; raise KeyboardInterrupt at the second one."""
        if self.pressed and not self._copying:
            raise KeyboardInterrupt
        self._again, self.pressed = self.pressed, True

    def after(self, copying: Callable[[], None]) -> None:
        """Do what must not be interrupted: a second Ctrl-C raises after it."""
        self._copying = True
        try:
            copying()
        finally:
            self._copying = False
        if self._again:
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        """Handle Ctrl-C. Only the main thread may; a handler that is no Python function (ignored, say) stays."""
        self._old: Any = None
        if threading.current_thread() is threading.main_thread() and callable(old := _get(signal.SIGINT)):
            self._old = old
            _set(signal.SIGINT, self.handle)

    def __exit__(self, *raised: object) -> None:
        if self._old is not None:
            _set(signal.SIGINT, self._old)


@contextmanager
def ctrl_c_returns() -> Iterator[None]:
    """Let Ctrl-C end a run with its state and a warning in a script too, for callers that use the state."""
    token = _returning.set(True)
    try:
        yield
    finally:
        _returning.reset(token)


def returns() -> bool:
    """Say whether a run that Ctrl-C ended returns its state; else it raises."""
    return _returning.get() or interactive()


def warn(p: BareState, unfinished: PendingRun) -> None:
    """Warn that a state is not the end of its run. The warning carries the state, in case warnings are errors."""
    warning = InterruptedWarning(f"interrupted: the state returned stands after iteration {p.iteration}", unfinished)
    carry(warning, p, unfinished)
    warn_user(warning, InterruptedWarning)


def interrupt(p: BareState, unfinished: PendingRun) -> KeyboardInterrupt:
    """Return what a run raises in a script, with the state that it reached."""
    error = KeyboardInterrupt(
        f"the run ended after iteration {p.iteration}, its turn done: the state is the exception's .state, and "
        ".unfinished.go_on(state) goes on to the end"
    )
    carry(error, p, unfinished)
    return error
