"""Stream capture: kernels and planned transforms are written down, and run when the graph is launched.

As on a GPU a graph holds addresses and keeps nothing alive: launched over memory that was freed in between, it fails.
What a capture cannot hold, or what would not be in the graph, raises: allocations, copies, elementwise functions.
"""

from __future__ import annotations

import weakref

import numpy as np

from . import _waits

_recording: list | None = None
_live: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()  # memory, by its address


def allocated(host: np.ndarray) -> np.ndarray:
    """Know memory by its address, which may have been that of memory that was freed."""
    while isinstance(host.base, np.ndarray):
        host = host.base
    if host.nbytes:
        _live[host.__array_interface__["data"][0]] = host
    return host


def memory_at(address: int, count: int) -> np.ndarray:
    """Return so many bytes of memory at an address; all of them have to lie in one allocation."""
    for start, host in list(_live.items()):
        if start <= address and address + count <= start + host.nbytes:
            flat = host.ravel(order="K").view(np.uint8)
            assert np.shares_memory(flat, host)
            return flat[address - start : address - start + count]
    raise RuntimeError(f"CUDA_ERROR_ILLEGAL_ADDRESS: there are no {count} bytes at {address:#x}")


def begin() -> None:
    """Write down from here on what would run."""
    global _recording
    _recording = []


def end() -> Graph:
    """Return what was written down."""
    global _recording
    graph, _recording = Graph(_recording), None
    return graph


def active() -> bool:
    """Say whether a stream is capturing."""
    return _recording is not None


def refuse(what: str) -> None:
    """Raise where a stream is capturing."""
    if active():
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a stream is capturing")


def refuse_new(result, inputs, what: str) -> None:
    """Raise where a stream is capturing and ``result`` is not memory of an input, seen otherwise."""
    given = [a for a in inputs if isinstance(a, np.ndarray)]
    if active() and not (isinstance(result, np.ndarray) and any(np.shares_memory(a, result) for a in given)):
        refuse(what)


def record(run, arguments: tuple) -> None:
    """Write down a call; arrays among its arguments are known by their addresses from here on."""
    _recording.append((run, [_Address(a) if hasattr(a, "_host") else a for a in arguments]))


class _Address:
    def __init__(self, a):
        host, owner = a._host, a._host
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        self.owner, self.shape, self.dtype = owner.ctypes.data, host.shape, host.dtype
        self.offset = host.ctypes.data - self.owner

    def array(self):
        """Return the array that is there, if its memory still is."""
        from ._ndarray import wrap

        owner = _live.get(self.owner)
        if owner is None:
            raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS: a graph works in memory that was freed")
        memory = owner.ravel(order="K").view(np.uint8)
        assert np.shares_memory(memory, owner)
        return wrap(np.ndarray(self.shape, self.dtype, memory, self.offset))


class Graph:
    """What a capture wrote down."""

    def __init__(self, nodes: list):
        self.nodes, self.launches = nodes, 0

    def launch(self, stream=None) -> None:
        """Run all of it."""
        refuse("the launch of a graph")
        self.launches += 1
        _waits.launched()
        for run, arguments in self.nodes:
            run(*(a.array() if isinstance(a, _Address) else a for a in arguments))
