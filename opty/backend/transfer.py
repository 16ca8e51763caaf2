"""Blocks of host arrays on their way to a GPU: copied on a stream of their own while the last block is worked on."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np


class _Slot:
    """Room for one block: pinned memory on the host, memory on the device, and what its reuse waits for."""

    def __init__(self):
        self.pinned: Any = None
        self.memory: Any = None
        self.block: Any = None
        self.sent = cupy.cuda.Event(disable_timing=True)
        self.free = cupy.cuda.Event(disable_timing=True)

    def make_room(self, count: int) -> None:
        """Have room for so many bytes."""
        if self.memory is None or self.memory.nbytes < count:
            self.pinned = cupy.cuda.alloc_pinned_memory(count)
            self.memory = cupy.empty(count, np.uint8)
            # The memory may be that of an array whose last reader is still at work on another stream.
            cupy.cuda.Device().synchronize()


class Carrier:
    """Brings blocks to the device, two at a time: one in use, one on its way.

    The memory of a block is used again for the one after the next: its copy waits, on the device, for the work that
    was put in the queue before ``done``.
    """

    def __init__(self):
        self._device = cupy.cuda.Device()
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._slots, self._turn = (_Slot(), _Slot()), 0

    def put(self, block: np.ndarray) -> _Slot:
        """Send a block on its way; called in the thread that reads ahead."""
        with self._device:
            slot = self._slots[self._turn]
            self._turn = 1 - self._turn
            slot.sent.synchronize()  # the copy out of the pinned memory may still be under way
            slot.make_room(block.nbytes)
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
        """Wait for what is under way, before the memory goes to others."""
        with self._device:
            cupy.cuda.Device().synchronize()
