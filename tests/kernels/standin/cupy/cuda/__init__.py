"""One pretended device with the memory of the host; nccl.py: sums over several, each in a process of its own.

Work on the null stream is done at once. Copies on other streams are done as late as CUDA allows: when something waits
for them, so that a wait that was forgotten shows. Captured work is done when its graph is launched.
"""

from __future__ import annotations

import weakref

from .. import _capture, _waits
from .._capture import Graph as Graph
from . import nccl as nccl
from . import runtime


class Device:
    """A device; a process uses one of them."""

    def __init__(self, device: int | None = None):
        device = runtime.current if device is None else device
        if not 0 <= device < runtime.COUNT:
            raise runtime.CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = device

    @property
    def pci_bus_id(self) -> str:
        """Where the device is in its machine."""
        return f"0000:{self.id:02X}:00.0"

    @property
    def mem_info(self) -> tuple[int, int]:
        """Free and total memory in bytes."""
        return runtime.memGetInfo()

    @property
    def compute_capability(self) -> str:
        """That of an H200."""
        return "90"

    def synchronize(self) -> None:
        """Wait for the device."""
        _capture.refuse("a wait for the device")
        _waits.wait("for the device")
        for stream in list(_STREAMS):
            stream.synchronize()

    def use(self) -> None:
        """Make this the current device."""
        runtime.current = self.id

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *args) -> None:
        """Nothing was changed."""

    def __eq__(self, other) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class Stream:
    """A queue of work."""

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False):
        self.ptr = 0 if null else id(self)
        self.non_blocking, self._null, self._queue, self._done = non_blocking, null, [], 0
        _STREAMS.add(self)

    def _put(self, work) -> None:
        self._queue.append(work)
        if self._null:
            self._reach(len(self._queue))

    def _arrive(self, work) -> None:
        """Do something on the host when it waits for what is in the queue so far, and not before."""
        self._queue.append(work)

    def _reach(self, place: int) -> None:
        while self._done < place:
            self._done += 1
            self._queue[self._done - 1]()

    def synchronize(self) -> None:
        """Wait for the work in the queue."""
        _capture.refuse("a wait for a stream")
        _waits.wait("for a stream")
        self._reach(len(self._queue))

    def wait_event(self, event: Event) -> None:
        """Let later work wait for what came before the event: here, it is done now."""
        event._reach()

    def begin_capture(self, mode: int | None = None) -> None:
        """Write down what is put in the queue, instead of doing it."""
        if self._null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if not self.non_blocking:
            raise AssertionError("work on the null stream would break into the capture: make the stream non-blocking")
        if get_current_stream() is not self:
            raise AssertionError("another stream is the current one: nothing would be captured")
        _capture.begin()

    def end_capture(self) -> Graph:
        """Return the graph of what was written down."""
        return _capture.end()

    def is_capturing(self) -> bool:
        """Say whether a capture is under way."""
        return _capture.active()

    def __enter__(self) -> Stream:
        _CURRENT.append(self)
        return self

    def __exit__(self, *args) -> None:
        _CURRENT.pop()


_STREAMS: weakref.WeakSet[Stream] = weakref.WeakSet()
Stream.null = Stream(null=True)
_CURRENT = [Stream.null]


class Event:
    """A place in a queue."""

    def __init__(self, block: bool = True, disable_timing: bool = False, interprocess: bool = False):
        self._at: tuple[Stream, int] | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Take the end of the queue as it is now."""
        stream = get_current_stream() if stream is None else stream
        self._at, self._launched = (stream, len(stream._queue)), _waits.LAUNCHES

    @property
    def done(self) -> bool:
        """Say whether what came before is over; what has only to be waited for is done by being asked for."""
        if self._at is None:
            return True
        stream, place = self._at
        if all(work.ready() for work in stream._queue[stream._done : place] if hasattr(work, "ready")):
            self._reach()
        return stream._done >= place

    def synchronize(self) -> None:
        """Wait for what came before; an event that was never recorded waits for nothing."""
        if self._at is not None and self._at[0]._done < self._at[1]:
            _waits.wait("for an event", _waits.LAUNCHES - self._launched)
        self._reach()

    def _reach(self) -> None:
        if self._at is not None:
            self._at[0]._reach(self._at[1])


class MemoryPool:
    """A pool that keeps nothing."""

    def __init__(self):
        self._limit = 0

    def free_bytes(self) -> int:
        """Bytes kept for reuse."""
        return 0

    def used_bytes(self) -> int:
        """Bytes in use."""
        return 0

    def total_bytes(self) -> int:
        """Bytes held."""
        return 0

    def get_limit(self) -> int:
        """Limit in bytes, 0 for none."""
        return self._limit

    def set_limit(self, size: int = 0) -> None:
        """Set the limit in bytes."""
        self._limit = size

    def free_all_blocks(self) -> None:
        """Give back what is kept."""


_POOL, _PINNED = MemoryPool(), MemoryPool()


def alloc_pinned_memory(size: int) -> bytearray:
    """Return host memory."""
    return bytearray(size)


def get_default_memory_pool() -> MemoryPool:
    """Return the pool of the device."""
    return _POOL


def get_default_pinned_memory_pool() -> MemoryPool:
    """Return the pool of pinned host memory."""
    return _PINNED


def get_current_stream() -> Stream:
    """Return the stream that work goes to."""
    return _CURRENT[-1]


def is_available() -> bool:
    """There is always a device."""
    return True
