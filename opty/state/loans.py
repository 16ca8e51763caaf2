"""Arrays that a state hands to its user: neither the user nor a later run writes into them.

On NumPy they share the memory of the state, read-only. A run that is given the state's buffers (``donate``) copies
those of which an array, or a part of one, is still alive. On a GPU, where no array can be read-only, they are copies.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

_loans: dict[int, weakref.ref[memoryview]] = {}  # by the id of the view


def lent(leaf: Any) -> Any:
    """Return a leaf as its user gets it.

    Between it and the leaf stands a memoryview, which lives as long as the array or any view of it. (NumPy makes a view
    of a view one of the leaf itself, which would outlive what was handed out; it does not look past a memoryview.)
    """
    if not isinstance(leaf, np.ndarray):
        return leaf.copy()
    array = np.asarray(memoryview(leaf).toreadonly())  # type: ignore[arg-type]  # an array is a buffer
    view: Any = array.base
    key = id(view)
    _loans[key] = weakref.ref(view, lambda _: _loans.pop(key))
    return array


def on_loan() -> set[int]:
    """Return the ids of the leaves of which arrays are alive that were handed out."""
    views = [ref() for ref in list(_loans.values())]
    return {id(view.obj) for view in views if view is not None}


class Lent(Mapping[str, Any]):
    """Leaves by name, handed out one by one as they are read."""

    def __init__(self, names: list[str], leaf: Callable[[str], Any]):
        self._names, self._leaf = names, leaf

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(f"no {name!r} here; there is {', '.join(self._names) or 'nothing'}")
        return self._leaf(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))
