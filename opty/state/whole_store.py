"""The rows of the views of all ranks, on each of them, for steps that look at all views at once.

Every rank works on the same rows and comes to the same result, of which it keeps its own part. Frames stay with the
ranks that have them: work on single views goes to the rank of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any, Self

import numpy as np

from opty.algebra.leaf import Leaf
from opty.state.store import Store


def has_rows(leaf: Leaf | None) -> bool:
    """Say whether an array has a few numbers for each view, which all ranks can hold for all views."""
    return leaf is not None and leaf.over == "view" and leaf.grid == "none"


class WholeStore(Store):
    """A state of one rank with the rows of all views in the leaves named, and the measurement of all.

    ``local`` : the part of this rank, which gets its rows back by ``put_back``. Record and iteration are shared.
    """

    local: Store

    @classmethod
    def of(cls, local: Store, names: Iterable[str]) -> Self:
        """Gather the rows of the leaves ``names`` that are there. All ranks have to call it, with the same names."""
        found = cls._beside(local)
        found.leaves = dict(local.leaves)
        for name in sorted(set(names) & local.leaves.keys()):
            found.leaves[name] = whole_rows(local, local.leaves[name])
        return found

    @classmethod
    def _beside(cls, local: Store) -> Self:
        found = object.__new__(cls)
        found.__dict__ = {**local.__dict__, "local": local, "measured": local.measured.for_all}
        return found

    @property
    def mine(self) -> slice:
        """The views of this rank."""
        return self.local.ranks.views(self.measured.data.views)

    def put_back(self, names: Iterable[str]) -> None:
        """Give the part of this rank what has become of the leaves ``names``, and the record."""
        local = self.local
        for name in sorted(set(names) & (self.leaves.keys() | local.leaves.keys())):
            if name not in self.leaves:
                del local.leaves[name]
            elif has_rows(self.declared.get(name)):
                local.leaves[name] = self.leaves[name][self.mine].copy()
            else:
                local.leaves[name] = self.leaves[name]
        local.iteration, local.history, local.visits = self.iteration, self.history, self.visits

    def of_each(self, work: Callable[..., Any], numbers: np.ndarray, *rows: Any) -> Any:
        ranks, local = self.local.ranks, self._as_it_is()
        owner = ranks.owner(numbers, self.measured.data.views)
        own = np.flatnonzero(owner == ranks.rank)
        some = self.backend.asarray(own)
        found = work(local, numbers[own] - self.mine.start, *(a[some] for a in rows))
        together = ranks.everywhere(self.backend.to_host(found), np.bincount(owner, minlength=ranks.size))
        out = np.empty_like(together)
        out[np.argsort(owner, kind="stable")] = together
        return self.backend.asarray(out)

    def summed(self, work: Callable[[Store], tuple[Any, ...]]) -> tuple[Any, ...]:
        return tuple(self.local.total(a) for a in work(self._as_it_is()))

    def _as_it_is(self) -> Store:
        """Return the part of this rank with the leaves as they are here."""
        local, mine = self.local.fork(set()), self.mine
        for name, a in self.leaves.items():
            leaf = self.declared.get(name)
            if has_rows(leaf):
                local.leaves[name] = a[mine] if len(a) == self.measured.data.views else a
            elif leaf is None or leaf.over != "view":
                local.leaves[name] = a
        return local


def whole_rows(local: Store, rows: Any) -> Any:
    """Return the rows of all ranks (N, ...) on the device, of those (K, ...) of this one."""
    ranks, views = local.ranks, local.measured.whole.views
    return local.backend.asarray(ranks.everywhere(local.backend.to_host(rows), np.diff(ranks.starts(views))))


class JointStore(WholeStore):
    """A state in which a batch of the views of all ranks is worked on, by each rank alike, along a live sweep.

    ``shared`` : names of leaves that steps on such a batch change: the rows of this rank are a part of them, in the
    same memory. Rows of other leaves are as they were when the sweep began.
    """

    @classmethod
    def along(cls, local: Store, names: frozenset[str], shared: frozenset[str]) -> JointStore:
        """Gather the rows of the leaves ``names``. All ranks have to call it."""
        found = cls._beside(local)
        found.leaves = _Overlay(local, {}, found.mine)  # type: ignore[assignment]
        found.gather(names, shared)
        return found

    def gather(self, names: frozenset[str], shared: frozenset[str]) -> None:
        """Gather the rows of those leaves ``names`` that are there and not gathered yet. All ranks have to call it."""
        overlay: Any = self.leaves
        for name in sorted((names & self.local.leaves.keys()) - overlay.rows.keys()):
            overlay.rows[name] = whole_rows(self.local, self.local.leaves[name])
            if name in shared:
                overlay[name] = overlay.rows[name]

    def end(self) -> None:
        """Give each rank its own rows again."""
        overlay: Any = self.leaves
        for name in overlay.written:
            if name in self.local.leaves:
                self.local.leaves[name] = self.local.leaves[name].copy()


class _Overlay(MutableMapping[str, Any]):
    """The leaves of a rank, with the rows of all views in some of them."""

    def __init__(self, local: Store, rows: dict[str, Any], mine: slice):
        self._local, self.rows, self._mine = local, rows, mine
        self.written: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        return self.rows[name] if name in self.rows else self._local.leaves[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self.rows or has_rows(self._local.declared.get(name)):
            self.rows[name] = value
            self.written.add(name)
            value = value[self._mine]
        self._local.leaves[name] = value

    def __delitem__(self, name: str) -> None:
        self.rows.pop(name, None)
        del self._local.leaves[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._local.leaves)

    def __len__(self) -> int:
        return len(self._local.leaves)
