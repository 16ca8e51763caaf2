"""BLAS at one thread while opty computes: opty has threads, and its products are too small for those of BLAS."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_users = 0
_before: list[int] = []  # threads of the libraries that one number rules in all the process, when the first user came


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread; of several users in threads of one process the last one restores what there was."""
    global _users, _before
    common, own = _libraries()
    mine = [library.get_num_threads() for library in own]
    _set(own, [1] * len(own))
    with _lock:
        if not _users:
            _before = [library.get_num_threads() for library in common]
            _set(common, [1] * len(common))
        _users += 1
    try:
        yield
    finally:
        _set(own, mine)
        with _lock:
            _users -= 1
            if not _users:
                _set(common, _before)


@functools.cache
def _libraries() -> tuple[list[Any], list[Any]]:
    """Return the libraries of which one number rules in all the process, and those where each thread has its own."""
    from threadpoolctl import ThreadpoolController

    found = [a for a in ThreadpoolController().lib_controllers if a.user_api == "blas"]
    own = [a for a in found if a.internal_api == "openblas" and a.threading_layer == "openmp"]
    return [a for a in found if a not in own], own


def _set(libraries: list[Any], counts: list[int]) -> None:
    for library, count in zip(libraries, counts, strict=True):
        # From version 3.7 on the thread that set a number first is the only one whose later calls have any effect.
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(count)
        release(force=True)
