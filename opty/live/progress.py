"""How far a run is: iterations done and planned, rate, time left."""

from __future__ import annotations

import time
from collections import deque

from opty.algebra.control import Until
from opty.runtime.nodes import ConditionalNode, Group, LoopNode, SweepNode

WINDOW = 10.0  # seconds over which the rate is taken


def planned_iterations(groups: tuple[Group, ...]) -> tuple[int, bool]:
    """Return how many iterations a plan makes at most, and whether it makes just as many.

    It may make fewer where a rule ends a loop (Until) or a schedule leaves a branch out.
    """
    total, exact = 0, True
    for group in groups:
        for node in group.nodes:
            if isinstance(node, SweepNode):
                total += node.counts
            elif isinstance(node, LoopNode):
                inner, same = planned_iterations(node.body)
                rule = isinstance(node.times, Until)
                total += inner * (node.times.max_turns if isinstance(node.times, Until) else node.times)
                exact = exact and same and not rule
            elif isinstance(node, ConditionalNode):
                inner, same = planned_iterations(node.body)
                total, exact = total + inner, exact and same and not (node.when and inner)
    return total, exact


class Clock:
    """The rate of a run over the last seconds, without the time that it was paused."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, iteration: int) -> None:
        """Note that an iteration has been reached."""
        now = time.monotonic()
        self._marks.append((now, iteration))
        while len(self._marks) > 2 and now - self._marks[1][0] > WINDOW:
            self._marks.popleft()

    def forget(self) -> None:
        """Begin anew, after a pause."""
        self._marks.clear()

    def rate(self) -> float | None:
        """Return iterations a second; None before two have been noted."""
        if len(self._marks) < 2:
            return None
        (began, first), (now, last) = self._marks[0], self._marks[-1]
        return (last - first) / (now - began) if last > first and now > began else None
