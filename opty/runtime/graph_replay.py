"""Replay of sweeps on a GPU: their launches are captured once as CUDA graphs, so that small batches cost no Python.

A sweep of rPIE over 1,000 views, one at a time, is some 8,000 launches, and the interpreter takes longer for each than
the device. So a sweep is cut into pieces of 32 batches of one size, or fewer, down to one. Pieces that look alike share
a graph: the first is launched batch by batch, which compiles kernels and makes buffers; the second, if all is where it
was, is captured and launched; later ones write their places into the buffers of the first and are launched. That pays
from the first sweep on: to capture a piece takes no longer than to launch it batch by batch.
The CPU backend launches nothing and captures nothing.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from opty.arrays import CaptureError
from opty.kernels.engine import Engine

if TYPE_CHECKING:
    from opty.state.store import Store
    from opty.state.views import Batch, ViewBatches

FEW = 3  # batches for which a capture is not worth its time
PIECE = 32  # batches in one graph, a power of two: long enough for launches to cost nothing, soon captured
PLACES = 4  # graphs of a piece that are kept: leaves that steps make again alternate between a few addresses

log = logging.getLogger(__name__)


class _Piece:
    """Consecutive batches of one size, in permanent buffers, so that graphs can use them.

    ``graphs`` : by the addresses of all other arrays, the last used at the end; None where the piece has run only once.
    """

    def __init__(self, tour: ViewBatches):
        self.tour = tour
        self.graphs: OrderedDict[Hashable, Any] = OrderedDict()

    def keep(self, place: Hashable, graph: Any) -> None:
        """Keep the addresses, and their graph if there is one."""
        self.graphs[place] = graph
        self.graphs.move_to_end(place)
        if len(self.graphs) > PLACES:
            self.graphs.popitem(last=False)


class Replay:
    """The sweeps of one run. ``engine``: the kernels of its fused steps, with their buffers."""

    def __init__(self, store: Store, engine: Engine):
        self._store, self._engine = store, engine
        self._known: dict[Hashable, dict[tuple[int, int], _Piece]] = {}
        self._refused: str | None = None
        self._why: str | None = None

    def sweep(
        self,
        kind: Hashable,
        names: frozenset[str],
        tour: ViewBatches,
        work: Callable[[Batch], None],
        hindrance: str | None,
    ) -> None:
        """Run the batches of a sweep, one after the other, or by the graphs of their pieces.

        ``kind`` : what sweeps that launch the same have in common, beside the sizes of their batches and where their
        arrays are. ``names`` : of the leaves that they work on. ``hindrance`` : why the sweep cannot be captured.
        """
        few = f"{len(tour.batches)} batches are few" if len(tour.batches) <= FEW else None
        why = hindrance or few or self._refused if self._store.backend.CAPTURES else "the CPU launches nothing"
        if why is not None:
            self._say(why)
            _one_by_one(tour, work)
            return
        known = self._known.setdefault(kind, {})
        for look, *part in _pieces([len(batch) for batch in tour.batches]):
            if look in known:
                known[look].tour.follow(tour, *part)
            else:
                known[look] = _Piece(tour.part(*part))
            self._put_to_work(known[look], names, work)

    def _put_to_work(self, piece: _Piece, names: frozenset[str], work: Callable[[Batch], None]) -> None:
        """Launch a piece: by its graph if it has one, or has run with these addresses before and can be captured."""
        place = self._place(names)
        graph = piece.graphs.get(place)
        if graph is None and place in piece.graphs:
            graph = self._captured(piece, work)
        if graph is not None:
            graph.launch()
        else:
            _one_by_one(piece.tour, work)
            place = self._place(names)  # again: the launch may have allocated buffers
        piece.keep(place, graph)

    def _captured(self, piece: _Piece, work: Callable[[Batch], None]) -> Any:
        """Return the graph of a piece; if the driver refuses, warn once, and capture nothing more in this run."""
        if self._refused is not None:
            return None
        try:
            graph = self._store.backend.captured(lambda: _one_by_one(piece.tour, work))
        except CaptureError as error:
            self._refused = f"the driver refused to capture them: {error}"
            log.warning("batches are launched one by one: %s", self._refused)
            return None
        log.debug("captured %d batches", len(piece.tour.batches))
        return graph

    def _place(self, names: frozenset[str]) -> Hashable:
        """Return the addresses of all arrays that a sweep uses; a graph is valid for these alone."""
        leaves, measured = self._store.leaves, self._store.measured
        arrays = {name: leaves.get(name) for name in names}
        arrays |= {"(intensity)": measured.intensity, "(mask)": measured.mask}
        found = ((name, a.data.ptr, a.shape) for name, a in arrays.items() if a is not None)
        return tuple(sorted(found)), self._engine.generation

    def _say(self, why: str) -> None:
        if why != self._why:
            log.debug("batches are launched one by one: %s", why)
        self._why = why


def _pieces(sizes: list[int]) -> Iterator[tuple[tuple[int, int], slice, slice]]:
    """Cut batches where their sizes change, and in powers of two: any order of a few sizes is made of a few pieces.

    Yields the number and size of the batches of each piece, the slice of batches, and the slice of views.
    """
    first = seen = 0
    for size, batches in groupby(sizes):
        left = len(list(batches))
        while left:
            count = min(PIECE, 1 << (left.bit_length() - 1))
            yield (count, size), slice(first, first + count), slice(seen, seen + count * size)
            first, seen, left = first + count, seen + count * size, left - count


def _one_by_one(batches: Iterable[Batch], work: Callable[[Batch], None]) -> None:
    for batch in batches:
        work(batch)
        batch.release()  # or its waves would be there beside those of the next
