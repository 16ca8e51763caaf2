"""The methods by which a state is spread over ranks (MPI), and put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from opty.arrays.ranks import ranks_of
from opty.state.move import moved
from opty.state.spread import gathered, spread
from opty.state.store import Store


class OverRanks:
    """What a state has of ranks; see docs/clusters.md."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _live(self) -> Store: ...

        @classmethod
        def _of(cls, store: Store, owned: bool = False) -> Self: ...

    @property
    def ranks(self) -> int:
        """The number of ranks over which the state is spread; 1 where this process has all of it."""
        return self._live.ranks.size

    def over(self, comm: Any) -> Self:
        """Return this rank's part of a state that is the same on all ranks of a communicator of mpi4py.

        For a state from a file; ``PtychoState(data, comm=comm)`` makes a new one so. A state on a GPU goes to that of
        the rank. See docs/clusters.md.
        """
        ranks, store = ranks_of(comm), self._live
        if ranks.size == 1:
            return self
        if store.backend.name == "gpu" and store.ranks.size == 1:
            store = moved(store, store.backend, ranks.take_gpu)
        return self._of(spread(store, ranks))

    def gather(self) -> Self | None:
        """Return the whole of a state that is spread over ranks, on the first rank, and None on the others.

        All ranks have to call it. A state that is not spread is returned itself.
        """
        store = self._live
        if store.ranks.size == 1:
            return self
        whole = gathered(store)
        return None if whole is None else self._of(whole)

    def _need_all(self, what: str) -> None:
        if self._live.ranks.size > 1:
            raise ValueError(
                f"{what} on a state that is spread over ranks: do it before p.over(comm), or on p.gather()"
            )
