"""A recipe run to one number of iterations after another, with the CPU time that it has taken."""

from __future__ import annotations

import time
from collections.abc import Iterator

import opty
from opty.algebra.operator import Operator


def run_to(recipe: Operator, p: opty.PtychoState, stops: tuple[int, ...]) -> Iterator[tuple[float, opty.PtychoState]]:
    """Yield the CPU seconds so far and the state after each number of iterations; what is compiled, is so before."""
    recipe * p
    seconds = 0.0
    for stop in stops:
        begun = time.process_time()
        p = recipe ** (stop - p.iteration) * p
        seconds += time.process_time() - begun
        yield seconds, p
