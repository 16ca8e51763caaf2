"""Sums over ranks of arrays on GPUs: by NCCL where each rank has a GPU of its own, else through memory of the host.

Neither is captured in a CUDA graph: after each call the host waits, and looks meanwhile whether a rank has failed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import cupy
import numpy as np
from cupy.cuda import nccl

from opty.errors import warn_user

if TYPE_CHECKING:
    from opty.arrays.ranks import Ranks

_ABORTS = 2400  # the version of NCCL that can leave a sum which another rank does not come to
_TYPES = {"f4": "NCCL_FLOAT32", "f8": "NCCL_FLOAT64", "i4": "NCCL_INT32", "i8": "NCCL_INT64", "u1": "NCCL_UINT8"}


class _Place(NamedTuple):
    """Where a rank is: its machine, its GPU, and the version of NCCL there, 0 for none."""

    machine: str
    gpu: str
    version: int


class ThroughHost:
    """Sums by MPI, in one pinned buffer that is kept: MPI itself may know nothing of GPUs."""

    def __init__(self) -> None:
        self._pinned: Any = None
        self._size = 0
        self._free = cupy.cuda.Event(disable_timing=True)

    def add(self, ranks: Ranks, a: Any) -> None:
        """Add up a C-contiguous array over the ranks, in place."""
        host = self._memory(a.shape, a.dtype)
        stream = cupy.cuda.get_current_stream()
        a.get(stream=stream, out=host, blocking=False)
        stream.synchronize()
        ranks.add_on_host(host)
        self._send(a, host, stream)

    def everywhere(self, ranks: Ranks, rows: Any, counts: np.ndarray) -> Any:
        """Return the rows of all ranks on every rank, of which there are ``counts`` (size,)."""
        whole = cupy.empty((int(counts.sum()), *rows.shape[1:]), rows.dtype)
        host = self._memory(whole.shape, whole.dtype)
        stream = cupy.cuda.get_current_stream()
        first = int(counts[: ranks.rank].sum())
        rows.get(stream=stream, out=host[first : first + len(rows)], blocking=False)
        stream.synchronize()
        ranks.complete_on_host(host, counts)
        self._send(whole, host, stream)
        return whole

    def given_up(self) -> ThroughHost:
        """Return what sums after another rank has failed."""
        return self

    def _memory(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        count = math.prod(shape) * dtype.itemsize
        self._free.synchronize()  # a copy out of it may be in flight, on another stream
        if self._size < count:
            self._pinned, self._size = cupy.cuda.alloc_pinned_memory(count), count
        return np.frombuffer(self._pinned, dtype, math.prod(shape)).reshape(shape)

    def _send(self, a: Any, host: np.ndarray, stream: Any) -> None:
        a.set(host, stream=stream)
        self._free.record(stream)


class Nccl:
    """Sums by NCCL, in the current stream: GPU to GPU.

    ``unique`` : what ``nccl.get_unique_id`` gave to the first rank.
    """

    def __init__(self, size: int, unique: tuple[int, ...], rank: int):
        self._comm = nccl.NcclCommunicator(size, unique, rank)
        self._over = cupy.cuda.Event(disable_timing=True)

    def add(self, ranks: Ranks, a: Any) -> None:
        """Add up a C-contiguous array over the ranks, in place."""
        ranks.count(a.nbytes)
        flat, stream = a.reshape(-1).view(a.real.dtype), cupy.cuda.get_current_stream()
        where = flat.data.ptr
        self._comm.allReduce(where, where, flat.size, _type_of(flat.dtype), nccl.NCCL_SUM, stream.ptr)
        self._wait(ranks, stream)

    def everywhere(self, ranks: Ranks, rows: Any, counts: np.ndarray) -> Any:
        """Return the rows of all ranks on every rank, of which there are ``counts`` (size,)."""
        ranks.count(rows.nbytes)
        whole = cupy.empty((int(counts.sum()), *rows.shape[1:]), rows.dtype)
        starts, each = np.cumsum([0, *counts]), math.prod(rows.shape[1:]) * rows.itemsize
        whole[starts[ranks.rank] : starts[ranks.rank + 1]] = rows
        stream = cupy.cuda.get_current_stream()
        nccl.groupStart()
        for k in np.flatnonzero(counts).tolist():
            where = whole.data.ptr + int(starts[k]) * each
            self._comm.bcast(where, int(counts[k]) * each, nccl.NCCL_UINT8, k, stream.ptr)
        nccl.groupEnd()
        self._wait(ranks, stream)
        return whole

    def given_up(self) -> ThroughHost:
        """Leave a sum that may be under way, and return what sums after another rank has failed."""
        self._comm.abort()
        return ThroughHost()

    def _wait(self, ranks: Ranks, stream: Any) -> None:
        self._over.record(stream)
        ranks.wait_for(lambda: self._over.done)


def _type_of(dtype: np.dtype) -> int:
    name = _TYPES.get(f"{dtype.kind}{dtype.itemsize}")
    if name is None:
        raise TypeError(f"an array of {dtype} cannot be added up over ranks on GPUs: give float32 or float64")
    return int(getattr(nccl, name))


def take_gpu(comm: Any) -> ThroughHost | Nccl:
    """Make the GPU of this rank the current one, and return how arrays there are summed. All ranks have to call it.

    The ranks of a machine have its GPUs in turn, of those that CUDA_VISIBLE_DEVICES leaves. The first rank warns where
    sums take the way through the host.
    """
    from mpi4py import MPI

    local = comm.Split_type(MPI.COMM_TYPE_SHARED)
    cupy.cuda.Device(local.rank % cupy.cuda.runtime.getDeviceCount()).use()
    local.Free()
    version = nccl.get_version() if nccl.available else 0
    places = comm.allgather(_Place(MPI.Get_processor_name(), cupy.cuda.Device().pci_bus_id, version))
    if why := _hindrance(places):
        if comm.rank == 0:
            warn_user(f"sums over the ranks go through the memory of the host: {why}", UserWarning)
        return ThroughHost()
    return Nccl(comm.size, comm.bcast(nccl.get_unique_id() if comm.rank == 0 else None), comm.rank)


def _hindrance(places: list[_Place]) -> str | None:
    """Return why NCCL cannot be used, with what to do, or None."""
    gpus = len({place[:2] for place in places})
    if gpus < len(places):
        return f"{len(places)} ranks share {gpus} GPU{'s' * (gpus > 1)}; start one rank for each GPU"
    missing = [place.machine for place in places if place.version < _ABORTS]
    return f"NCCL 2.4 or newer is not installed on {missing[0]}: pip install nvidia-nccl-cu12" if missing else None
