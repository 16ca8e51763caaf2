"""A pool of threads for work that releases the interpreter's lock: transforms, compiled loops, large arrays."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np


def parallel_for(work: Callable[[Any], None], pieces: Sequence[Any], threads: int) -> None:
    """Call ``work`` with each of the pieces, in this thread and up to ``threads`` - 1 others, and wait for all.

    A piece goes to whoever is free. Raises what a piece raised; those that are not begun then are left.
    """
    helpers = min(threads, len(pieces)) - 1
    if helpers < 1:
        for piece in pieces:
            work(piece)
        return
    left = iter(pieces)
    others = [_pool(threads, os.getpid()).submit(_take, work, left) for _ in range(helpers)]
    try:
        _take(work, left)
    finally:
        for _ in left:  # after an exception: nobody begins another piece
            pass
        errors = [other.exception() for other in others]  # waits: the arrays are the caller's again
    for error in filter(None, errors):
        raise error


def _take(work: Callable[[Any], None], left: Iterator[Any]) -> None:
    # An iterator over a sequence hands each item out once, whichever threads ask. NumPy's error state is the thread's.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for piece in left:
            work(piece)


@functools.lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """The threads of this process: a fork has none of its parent's."""
    return ThreadPoolExecutor(threads, thread_name_prefix="opty")


def chunks(count: int, size: int) -> list[slice]:
    """Return slices that cover ``count`` items, of ``size`` or fewer."""
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]
