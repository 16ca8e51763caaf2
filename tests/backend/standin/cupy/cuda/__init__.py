"""One pretended device: it has the memory of the host, and everything on it is finished when it is asked for."""

from __future__ import annotations

from . import runtime


class Device:
    """The device with the number 0."""

    def __init__(self, device: int | None = None):
        if device not in (None, 0):
            raise runtime.CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = 0

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

    def use(self) -> None:
        """Make this the current device."""

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *args) -> None:
        """Nothing was changed."""

    def __eq__(self, other) -> bool:
        return isinstance(other, Device)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "<CUDA Device 0>"


class Stream:
    """A queue whose work is done as soon as it is put in."""

    null: Stream
    ptr = 0

    def __init__(self, null: bool = False, non_blocking: bool = False):
        self.non_blocking = non_blocking

    def synchronize(self) -> None:
        """Wait for the work in the queue."""

    def use(self) -> Stream:
        """Make this the current stream."""
        return self

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *args) -> None:
        """Nothing was changed."""


Stream.null = Stream(null=True)


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


def get_default_memory_pool() -> MemoryPool:
    """Return the pool of the device."""
    return _POOL


def get_default_pinned_memory_pool() -> MemoryPool:
    """Return the pool of pinned host memory."""
    return _PINNED


def get_current_stream() -> Stream:
    """Return the one stream."""
    return Stream.null


def is_available() -> bool:
    """There is always a device."""
    return True
