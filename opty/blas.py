"""BLAS at one thread while opty computes: opty has threads, and its products are too small for those of BLAS.

With threads of BLAS, the small products of a batch made position refinement take six times as long on two cores.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

_lock = threading.Lock()
_users = 0
_before: list[tuple[Any, int]] = []  # what to restore of the libraries that one number rules in all the process


class OneThread:
    """Limit BLAS to one thread; of several users in threads of one process the last one restores what there was."""

    def __enter__(self) -> None:
        global _users, _before
        common, own = _libraries()
        self._mine = _limited(own)
        with _lock:
            if not _users:
                _before = _limited(common)
            _users += 1

    def __exit__(self, *raised: object) -> None:
        global _users
        _set(self._mine)
        with _lock:
            _users -= 1
            if not _users:
                _set(_before)


@functools.cache
def _libraries() -> tuple[list[Any], list[Any]]:
    """Return the libraries of which one number rules in all the process, and those where each thread has its own."""
    from threadpoolctl import ThreadpoolController

    found = [a for a in ThreadpoolController().lib_controllers if a.user_api == "blas"]
    own = [a for a in found if a.internal_api == "openblas" and a.threading_layer == "openmp"]
    return [a for a in found if a not in own], own


def _limited(libraries: list[Any]) -> list[tuple[Any, int]]:
    """Limit libraries to one thread; return those that had more, and how many."""
    found = [(library, count) for library in libraries if (count := library.get_num_threads()) != 1]
    _set([(library, 1) for library, _ in found])
    return found


def _set(counts: list[tuple[Any, int]]) -> None:
    for library, count in counts:
        # From version 3.7 on the thread that set a number first is the only one whose later calls have any effect.
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(count)
        release(force=True)
