"""How often the host waited for the device, and how much the device had left to do then."""

from __future__ import annotations

from . import _capture

LAUNCHES = 0  # of kernels of our own and of graphs
WAITS: list[tuple[str, int]] = []  # for what, and how many launches were in the queue behind it: 0 is an idle device


def launched() -> None:
    """Count a launch."""
    global LAUNCHES
    LAUNCHES += 1


def wait(what: str, behind: int = 0) -> None:
    """Note that the host waits."""
    WAITS.append((what, behind))


def for_value() -> None:
    """Note that the host waits for a value, which no stream that is captured can give."""
    _capture.refuse("a wait for a value")
    wait("for a value")
