"""Streaming: scans larger than the memory are read batch by batch, prefetched along a sweep."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

from opty.data.lazy_frames import LazyFrames
from opty.data.prefetch import ahead

READ_AHEAD = 32 << 20  # bytes of a block of views, whole batches; another block is in use meanwhile


@dataclass
class _InFlight:
    """A sweep in progress: its batches, the blocks of batches that are read together, and the block in use."""

    batches: list[np.ndarray]
    blocks: list[range]
    carrier: Any
    numbers: dict[int, int]  # of the batch that begins with a view
    places: list[slice]  # of each batch in its block
    outer: _InFlight | None = None  # the sweep inside which this one began
    _: KW_ONLY
    coming: Iterator[Any] | None = None
    block: int = -1
    images: Any = None
    last: tuple[int, Any] = (-1, None)


class StreamedFrames:
    """Images (N, n, n) in a file, or in an array on the host, that are copied to the device batch by batch.

    Indexing with view numbers reads these views. Between ``follow`` and ``leave`` the batches of a sweep are read in
    blocks, the next one in a thread while the last one is used. A block is read in the order of the file, not of the
    sweep: neighbours are read together, and a chunk is unpacked once. Each thread follows its own sweep.
    """

    ndim = 3

    def __init__(
        self, images: np.ndarray | LazyFrames, for_kernels: Callable[[np.ndarray], np.ndarray], backend: ModuleType
    ):
        self.images, self.for_kernels, self.backend = images, for_kernels, backend
        self._ways = threading.local()

    def way_bytes(self, batch: int) -> int:
        """Return the bytes in flight in a sweep of batches of ``batch`` views.

        One block is in use, and the next one is in memory twice while it is read: as in the file, and for the kernels.
        """
        views = max(batch, self._most // batch * batch) if batch else 0
        return 3 * min(len(self.images), views) * self._view_bytes

    @property
    def _view_bytes(self) -> int:
        return self.images.nbytes // len(self.images)

    @property
    def _together(self) -> int:
        """Views in a chunk of the file; blocks read in scan order end with a chunk."""
        return getattr(self.images, "chunk", 1)

    @property
    def _most(self) -> int:
        """Views of a block, where a batch is no larger: whole chunks."""
        fit = max(1, READ_AHEAD // self._view_bytes)
        return max(self._together, fit // self._together * self._together)

    def follow(self, batches: list[np.ndarray]) -> None:
        """Expect the batches of a sweep, in their order; nothing is read before the first is needed."""
        blocks, places = self._blocks(batches), []
        for block in blocks:
            ends = np.cumsum([0, *(len(batches[k]) for k in block)]).tolist()
            places += [slice(a, b) for a, b in pairwise(ends)]
        numbers = {int(batch[0]): k for k, batch in enumerate(batches)}
        outer = getattr(self._ways, "way", None)
        self._ways.way = _InFlight(batches, blocks, self.backend.StagingBuffer(), numbers, places, outer)

    def leave(self) -> None:
        """End a sweep; prefetched blocks that were not used are dropped."""
        way = self._ways.way
        self._ways.way = way.outer
        if way.coming is not None:
            way.coming.close()
            way.carrier.close()

    def __getitem__(self, selection: Any) -> Any:
        """Images (B, n, n) of some views, a slice or numbers on the device, on the device."""
        index = self._host_index(selection)
        way: _InFlight | None = getattr(self._ways, "way", None)
        number = None if way is None else way.numbers.get(int(index[0]))
        if way is None or number is None or not np.array_equal(way.batches[number], index):
            return self.backend.asarray(self._read(index))
        if way.last[0] != number:
            way.last = (number, self._next(way, number))
        found = way.last[1]
        return self.backend.asarray(self._read(index)) if found is None else found

    def _host_index(self, selection: Any) -> np.ndarray:
        if isinstance(selection, slice):
            return np.arange(*selection.indices(len(self.images)))
        return self.backend.to_host(selection)

    def _read(self, index: np.ndarray) -> np.ndarray:
        return self.for_kernels(self.images[index])

    def _blocks(self, batches: list[np.ndarray]) -> list[range]:
        """Put batches together to blocks."""
        blocks, first, views, most = [], 0, 0, self._most
        for k, batch in enumerate(batches):
            if views and views + len(batch) > most:
                blocks.append(range(first, k))
                first, views = k, 0
            views += len(batch)
        return [*blocks, range(first, len(batches))]

    def _next(self, way: _InFlight, number: int) -> Any:
        """Return a batch out of its block, or None where the sweep went past it already."""
        while way.block < 0 or number >= way.blocks[way.block].stop:
            if way.coming is None:
                way.coming = ahead(self._put(way, block) for block in way.blocks)
            elif way.images is not None:
                way.carrier.done(way.images)
            way.images, way.last = None, (-1, None)  # its memory is free for the block that is read next
            way.images = next(way.coming)
            way.block += 1
        block = way.blocks[way.block]
        return None if number < block.start else way.carrier.take(way.images)[way.places[number]]

    def _put(self, way: _InFlight, block: range) -> Any:
        """Read a block and send it to the device; in the thread that reads ahead."""
        return way.carrier.put(self._read(np.concatenate([way.batches[k] for k in block])))
