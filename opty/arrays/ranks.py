"""Ranks: the processes that share the views of a scan (MPI), and sums over the views of all of them.

Arrays of the host are summed in place by MPI; those on GPUs by what gpu_sums.py has chosen.
A wait for other ranks is a loop that also looks for messages: where one rank fails, the others learn of it and end too.
With blocking calls they would wait for ever.
"""

from __future__ import annotations

import math
import os
import pickle
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from opty.errors import DivergedError, RankError

_FAILED = 21  # tag of the message that a rank has failed
_SPIN = 2e-3  # seconds of waiting before a rank begins to sleep between looks
_NAP = 5e-5  # seconds
_SAY = 2.0  # seconds for another rank to print what has failed
_PATIENCE = 60.0  # seconds to wait for other ranks after a failure


class Alone:
    """One process with all views: every sum is what it is given."""

    rank, size = 0, 1
    calls = bytes = 0

    def views(self, count: int) -> slice:
        """Return the views of this rank, of ``count`` in all: the ranks have them one after the other."""
        return slice(*self.starts(count)[self.rank : self.rank + 2].tolist())

    def starts(self, count: int) -> np.ndarray:
        """Return the numbers (size + 1,) of the first view of each rank, of ``count`` in all, and ``count``."""
        return np.arange(self.size + 1) * count // self.size

    def owner(self, numbers: np.ndarray, count: int) -> np.ndarray:
        """Return the ranks (K,) that have views (K,), of ``count`` in all."""
        return np.searchsorted(self.starts(count), numbers, side="right") - 1

    def add(self, backend: ModuleType, *arrays: Any) -> None:
        """Add up arrays over the ranks, in place."""

    def total(self, value: Any, backend: ModuleType) -> Any:
        """Return the sum of an array, or a number on the device, over the ranks."""
        return value

    def most(self, values: np.ndarray) -> np.ndarray:
        """Return the largest of each of some numbers (K,) on the host over the ranks."""
        return values

    def any(self, flag: bool) -> bool:
        """Say whether a flag is set on any rank."""
        return flag

    def gathered(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the rows of all ranks, one after the other, on the first rank; None on the others."""
        return rows

    def told(self, value: Any) -> Any:
        """Return what the first rank gives, on all ranks; it is pickled."""
        return value

    def look(self) -> None:
        """Raise RankError where another rank has said that it failed."""

    def everywhere(self, rows: Any, counts: np.ndarray) -> Any:
        """Return the rows of all ranks on every rank, of which there are ``counts`` (size,); on their device."""
        return rows

    def take_gpu(self) -> None:
        """Make the GPU of this rank the current one, before anything is there; all ranks have to call it."""

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one has failed."""


ALONE = Alone()


class Ranks(Alone):
    """The ranks of a communicator of mpi4py.

    ``calls``, ``bytes`` : how many sums there were, and what this rank gave to them. All methods but ``views`` and
    ``fail`` have to be called by all ranks, in the same order.
    Raises RankError, from any of them, where another rank has failed.
    """

    def __init__(self, comm: Any):
        from mpi4py import MPI

        self._mpi = MPI
        self._sums, self._notes, self._afterwards = comm.Dup(), comm.Dup(), comm.Dup()
        self.rank, self.size = comm.rank, comm.size
        self.calls = self.bytes = 0
        self._failed = False
        self._gpu: Any = None  # how arrays on GPUs are summed
        _end_with(self)

    def take_gpu(self) -> None:
        from opty.arrays import gpu_sums

        self._gpu = gpu_sums.take_gpu(self._sums)

    def add(self, backend: ModuleType, *arrays: Any) -> None:
        # One after the other: five sums under way together took MPICH four times as long.
        for a in arrays:
            work = backend.xp.ascontiguousarray(a)
            if isinstance(work, np.ndarray):
                self.add_on_host(work)
            else:
                self._gpu.add(self, work)
            if work is not a:
                a[...] = work

    def total(self, value: Any, backend: ModuleType) -> Any:
        total = backend.xp.array(value, copy=True, order="C")
        self.add(backend, total.reshape(-1))
        return total

    def most(self, values: np.ndarray) -> np.ndarray:
        found = np.array(values, np.float64)
        self._reduce(found, self._mpi.MAX)
        return found

    def any(self, flag: bool) -> bool:
        return bool(self.most(np.array([float(flag)]))[0])

    def gathered(self, rows: np.ndarray) -> np.ndarray | None:
        rows = np.ascontiguousarray(rows)
        counts = np.zeros(self.size, np.int64)
        counts[self.rank] = len(rows)
        self._reduce(counts, self._mpi.SUM)
        whole = np.empty((int(counts.sum()), *rows.shape[1:]), rows.dtype)
        # One rank after the other: MPI counts in a message may be no larger than 2^31.
        for k in range(self.size):
            some = slice(int(counts[:k].sum()), int(counts[: k + 1].sum()))
            if self.rank == k == 0:
                whole[some] = rows
            elif self.rank == k:
                self._wait(self._sums.Isend(_bytes(rows), dest=0, tag=k))
            elif self.rank == 0:
                self._wait(self._sums.Irecv(_bytes(whole[some]), source=k, tag=k))
        return whole if self.rank == 0 else None

    def everywhere(self, rows: Any, counts: np.ndarray) -> Any:
        if not isinstance(rows, np.ndarray):
            return self._gpu.everywhere(self, rows, counts)
        whole = np.empty((int(counts.sum()), *rows.shape[1:]), rows.dtype)
        first = int(counts[: self.rank].sum())
        whole[first : first + len(rows)] = rows
        self.complete_on_host(whole, counts)
        return whole

    def add_on_host(self, host: np.ndarray) -> None:
        """Add up a C-contiguous array of the host over the ranks, in place."""
        self._reduce(host.reshape(-1).view(host.real.dtype), self._mpi.SUM)

    def complete_on_host(self, whole: np.ndarray, counts: np.ndarray) -> None:
        """Put the rows of the other ranks into an array of the host that holds those of this one in their place."""
        row = math.prod(whole.shape[1:]) * whole.itemsize
        each = [int(count) * row for count in counts]
        starts = np.cumsum([0, *each])[:-1].tolist()
        self.count(each[self.rank])
        to = [whole.reshape(-1).view(np.uint8), each, starts, self._mpi.BYTE]
        self._wait(self._sums.Iallgatherv(self._mpi.IN_PLACE, to))

    def count(self, sent: int) -> None:
        """Count a message of so many bytes."""
        self.calls, self.bytes = self.calls + 1, self.bytes + sent

    def wait_for(self, over: Callable[[], bool]) -> None:
        """Wait until something is over; meanwhile look whether another rank has failed."""
        began = time.perf_counter()
        while not over():
            self.look()
            if self._failed and time.perf_counter() - began > _PATIENCE:
                raise RankError("the other ranks do not answer any more")
            if time.perf_counter() - began > _SPIN:
                time.sleep(_NAP)

    def told(self, value: Any) -> Any:
        text = np.frombuffer(pickle.dumps(value) if self.rank == 0 else b"", np.uint8)
        counts = np.zeros(self.size, np.int64)
        counts[0] = self.most(np.array([len(text)]))[0]
        return pickle.loads(self.everywhere(text, counts).tobytes())

    def abort(self) -> None:
        """End the processes of all ranks, exit code 1."""
        self._notes.Abort(1)

    def look(self) -> None:
        if not self._failed and self._notes.Iprobe(source=self._mpi.ANY_SOURCE, tag=_FAILED):
            rank, text = self._notes.recv(source=self._mpi.ANY_SOURCE, tag=_FAILED)
            self._give_up()
            raise RankError(f"rank {rank} of {self.size} failed: {text}")

    def fail(self, error: BaseException) -> None:
        if self._failed or isinstance(error, RankError):
            return
        self._give_up()
        text = f"{type(error).__name__}: {error}"
        others = (k for k in range(self.size) if k != self.rank)
        _left.extend(self._notes.isend((self.rank, text), dest=k, tag=_FAILED) for k in others)

    def _give_up(self) -> None:
        """Leave the sums that others wait for; what follows is a matter of saving what is there."""
        self._failed, self._sums = True, self._afterwards
        if self._gpu is not None:
            self._gpu = self._gpu.given_up()

    def _reduce(self, host: np.ndarray, op: Any) -> None:
        self.count(host.nbytes)
        self._wait(self._sums.Iallreduce(self._mpi.IN_PLACE, host, op=op))

    def _wait(self, request: Any) -> None:
        try:
            self.wait_for(request.Test)
        except BaseException:
            _left.append(request)
            raise


def threads_each(comm: Any) -> int:
    """Return the threads for each rank of a machine, so that together they use its cores once; all have to call it."""
    from mpi4py import MPI

    local = comm.Split_type(MPI.COMM_TYPE_SHARED)
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = set().union(*local.allgather(own))
    share = max(1, len(cores) // local.size)
    local.Free()
    return share


def ranks_of(comm: Any) -> Alone:
    """Return the ranks of a communicator of mpi4py, of None this process alone.

    Raises TypeError for what is no communicator.
    """
    if comm is None:
        return ALONE
    if not all(hasattr(comm, name) for name in ("Iallreduce", "Dup", "rank", "size")):
        raise TypeError(f"comm is a {type(comm).__name__}; give a communicator of mpi4py, such as MPI.COMM_WORLD")
    return ALONE if comm.size == 1 else Ranks(comm)


def _end_with(ranks: Ranks) -> None:
    """Let an exception that nobody catches end all ranks: with plain mpi4py the others would wait for ever."""
    before = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        # What all ranks meet alike is said by the first one, and what one has met by that one.
        alike = isinstance(error, (RankError, DivergedError, KeyboardInterrupt))
        if alike and ranks.rank:
            time.sleep(_SAY)
        elif not isinstance(error, RankError):
            before(kind, error, trace)
        else:
            time.sleep(_SAY)
        sys.stdout.flush()
        sys.stderr.flush()
        ranks.abort()

    if not _ended_by:
        sys.excepthook = end
    _ended_by.append(ranks.rank)


_ended_by: list[int] = []
# Requests that are no longer waited for. Each keeps its array alive, because MPI may still read from it or write to it:
# otherwise a sum that a failure interrupted writes into memory that belongs to another array by then.
_left: list[Any] = []


def _bytes(a: np.ndarray) -> Any:
    return [a.reshape(-1).view(np.uint8), math.prod(a.shape) * a.itemsize]
