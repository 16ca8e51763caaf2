"""Sweeps that repeat: on a GPU what they launch is captured once and replayed, so that small batches cost no Python.

A sweep of rPIE over 1,000 views, one at a time, is some 8,000 launches, and the interpreter takes longer for each than
the device. The first sweep runs batch by batch, which compiles kernels and makes buffers; the second, if all is where
it was, is captured and launched; later ones write their order of the views into the tour of the first and are launched.
The CPU backend launches nothing and captures nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from opty.state.batch import Batch, Tour
    from opty.state.store import Store

FEW = 16  # batches for which a capture is not worth its time
PIECE = 1024  # batches in one graph: the driver takes longer, and more memory, for one of a hundred thousand nodes

log = logging.getLogger(__name__)


class CaptureError(RuntimeError):
    """The driver does not capture what was launched; nothing of it ran."""


@dataclass
class _Known:
    """What is kept of the last sweep of its kind: its tour, where everything was, its launches once captured."""

    sizes: list[int]
    tour: Tour
    place: Hashable = None
    graphs: list[Any] = field(default_factory=list)


class Replay:
    """The sweeps of one run. ``fused``: the kernels of its fused steps, with their buffers."""

    def __init__(self, store: Store, fused: Any):
        self._store, self._fused = store, fused
        self._known: dict[Hashable, _Known] = {}
        self._refused: str | None = None
        self._why: str | None = None

    def sweep(
        self,
        kind: Hashable,
        order: list[np.ndarray],
        make: Callable[[], Tour],
        work: Callable[[Batch], None],
        hindrance: str | None,
    ) -> None:
        """Put the batches of a sweep to work, one after the other, or all at once as they were captured.

        ``kind`` : what sweeps that launch the same have in common, beside the sizes of their batches and where their
        arrays are. ``order`` : numbers (B,) of the views of each batch. ``make`` : makes the tour over them.
        ``hindrance`` : why the sweep cannot be captured, or None.
        """
        few = f"{len(order)} batches are few" if len(order) <= FEW else None
        why = hindrance or few or self._refused if self._store.backend.CAPTURES else "the CPU launches nothing"
        if why is not None:
            self._say(why)
            _one_by_one(make(), work)
            return
        known = self._known_of(kind, order, make)
        repeats = known.place == self._place()
        if repeats and (known.graphs or self._capture(known, work)):
            for graph in known.graphs:
                graph.launch()
            return
        known.graphs.clear()
        _one_by_one(known.tour, work)
        known.place = self._place()

    def _known_of(self, kind: Hashable, order: list[np.ndarray], make: Callable[[], Tour]) -> _Known:
        """Return what is kept of the last sweep of a kind, with its tour over the views in their new order."""
        known, sizes = self._known.get(kind), [len(batch) for batch in order]
        if known is None or known.sizes != sizes:
            known = self._known[kind] = _Known(sizes, make())
        else:
            known.tour.refill(order)
        return known

    def _capture(self, known: _Known, work: Callable[[Batch], None]) -> bool:
        """Capture a sweep in graphs; where the driver refuses that, say so, once, and leave it for this run."""
        batches, count = iter(known.tour), len(known.tour.batches)
        try:
            for _ in range(0, count, PIECE):
                some = islice(batches, PIECE)
                known.graphs.append(self._store.backend.captured(lambda some=some: _one_by_one(some, work)))
        except CaptureError as error:
            self._refused = f"the driver refused to capture them: {error}"
            log.warning("batches are launched one by one: %s", self._refused)
            return False
        log.debug("captured %d batches in %d graphs", count, len(known.graphs))
        return True

    def _place(self) -> Hashable:
        """Where everything is that a sweep works on; a graph is good for these addresses alone."""
        measured = self._store.measured
        arrays = {**self._store.leaves, "(intensity)": measured.intensity, "(mask)": measured.mask}
        found = ((name, a.data.ptr, a.shape) for name, a in arrays.items() if a is not None)
        return tuple(sorted(found)), self._fused.generation

    def _say(self, why: str) -> None:
        if why != self._why:
            log.debug("batches are launched one by one: %s", why)
        self._why = why


def _one_by_one(batches: Iterable[Batch], work: Callable[[Batch], None]) -> None:
    for batch in batches:
        work(batch)
