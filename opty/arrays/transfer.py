"""Blocks of host arrays copied to a GPU on a separate stream, while the device works on the block before."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np


class _Slot:
    """Memory for one block: pinned on the host, the same size on the device, and events that its reuse waits for."""

    def __init__(self):
        self.pinned: Any = None
        self.memory: Any = None
        self.block: Any = None
        self.sent = cupy.cuda.Event(disable_timing=True)
        self.free = cupy.cuda.Event(disable_timing=True)

    def allocate(self, count: int) -> None:
        """Make the memory hold at least ``count`` bytes."""
        if self.memory is None or self.memory.nbytes < count:
            self.pinned = cupy.cuda.alloc_pinned_memory(count)
            self.memory = cupy.empty(count, np.uint8)
            # The memory may be that of an array whose last reader is still at work on another stream.
            cupy.cuda.Device().synchronize()


class StagingBuffer:
    """Copies blocks to the device through two slots of pinned memory: one in use, one in flight.

    Blocks take the two slots in turn: a copy into a slot waits, on the device, for the work that was put in the queue
    before ``done``.
    """

    def __init__(self):
        self._device = cupy.cuda.Device()
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._slots, self._next = (_Slot(), _Slot()), 0

    def put(self, block: np.ndarray) -> _Slot:
        """Start to copy a block; called in the thread that reads ahead."""
        with self._device:
            slot = self._slots[self._next]
            self._next = 1 - self._next
            slot.sent.synchronize()  # the copy out of the pinned memory may still be in flight
            slot.allocate(block.nbytes)
            host = np.frombuffer(slot.pinned, block.dtype, block.size).reshape(block.shape)
            host[...] = block
            slot.block = slot.memory[: block.nbytes].view(block.dtype).reshape(block.shape)
            self._stream.wait_event(slot.free)
            slot.block.set(host, stream=self._stream)
            slot.sent.record(self._stream)
        return slot

    def take(self, slot: _Slot) -> Any:
        """Return a block that was sent, to be used until ``done``."""
        cupy.cuda.get_current_stream().wait_event(slot.sent)
        return slot.block

    def done(self, slot: _Slot) -> None:
        """Say that no more work will be put in the queue that reads the block."""
        slot.free.record(cupy.cuda.get_current_stream())

    def close(self) -> None:
        """Wait for copies in flight, before the memory is freed."""
        with self._device:
            cupy.cuda.Device().synchronize()
