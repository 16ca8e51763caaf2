"""Arrays that a user reads from a state: neither the user nor a later run writes into them.

On NumPy they share the memory of the state, read-only. A run that takes over the buffers of a state
(``donate``) copies those of which an array, or a view of one, is still alive. On a GPU, where no array can be
read-only, they are copies.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

_loans: dict[int, weakref.ref[memoryview]] = {}  # by the id of the view


def lent(leaf: Any) -> Any:
    """Return a leaf for the user, read-only.

    Its base is a memoryview, which lives as long as the array or any view of it. (NumPy sets the base of a view of a
    view to the original array, which would hide that the view is alive; it does not look past a memoryview.)
    """
    if not isinstance(leaf, np.ndarray):
        return leaf.copy()
    array = np.asarray(memoryview(leaf).toreadonly())  # type: ignore[arg-type]  # an array is a buffer
    view: Any = array.base
    key = id(view)
    _loans[key] = weakref.ref(view, lambda _: _loans.pop(key))
    return array


def on_loan() -> set[int]:
    """Return the ids of the leaves whose arrays, returned by ``lent``, are still alive."""
    views = [ref() for ref in list(_loans.values())]
    return {id(view.obj) for view in views if view is not None}


class Lent(Mapping[str, Any]):
    """Leaves by name, each lent when it is read."""

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
