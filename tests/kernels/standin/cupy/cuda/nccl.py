"""NCCL over MPI: sums over processes, each with a pretended device of its own.

Work is put in the queue of a stream, and arrives when somebody waits for that. Counts, types, addresses, and the stream
are checked; so is that all ranks make the same calls.
"""

import os

import numpy as np

from .. import _capture

available = True
NCCL_UINT8, NCCL_INT32, NCCL_INT64, NCCL_FLOAT32, NCCL_FLOAT64 = 1, 2, 4, 7, 8
NCCL_SUM = 0
VERSION = 22000  # that a test may change
CALLS: list[str] = []  # of the communicators of this process
_TYPES = {1: np.uint8, 2: np.int32, 4: np.int64, 7: np.float32, 8: np.float64}
_group: list | None = None


def get_version() -> int:
    """Return the version."""
    return VERSION


def get_unique_id() -> tuple[int, ...]:
    """Return what all ranks of a communicator have to give."""
    return tuple(byte - 128 for byte in os.urandom(128))


def groupStart() -> None:
    """Hold calls back until the group ends."""
    global _group
    _group = []


def groupEnd() -> None:
    """Begin with the calls of the group."""
    global _group
    calls, _group = _group, None
    for call in calls:
        call()


class NcclError(RuntimeError):
    """A call of NCCL failed."""


class NcclCommunicator:
    """The ranks of MPI.COMM_WORLD."""

    def __init__(self, ndev: int, commId: tuple, rank: int):
        from mpi4py import MPI

        from . import Device

        self._mpi, self._comm = MPI, MPI.COMM_WORLD.Dup()
        if (ndev, rank) != (self._comm.size, self._comm.rank):
            raise NcclError(f"rank {rank} of {ndev}: the stand-in knows the ranks of MPI.COMM_WORLD alone")
        everyone = self._comm.allgather((commId, Device().pci_bus_id))
        if len({unique for unique, _ in everyone}) > 1:
            raise NcclError("the ranks were given different ids")
        if len({bus for _, bus in everyone}) < ndev:
            raise NcclError("NCCL_ERROR_INVALID_USAGE: duplicate GPU detected")
        self.aborted = False

    def allReduce(self, sendbuf: int, recvbuf: int, count: int, datatype: int, op: int, stream: int) -> None:
        """Add up ``count`` numbers of all ranks."""
        assert op == NCCL_SUM
        CALLS.append("allReduce")
        given, to = (self._numbers(where, count, datatype) for where in (sendbuf, recvbuf))
        self._begin(stream, given, to, lambda work: self._comm.Iallreduce(self._mpi.IN_PLACE, work))

    def bcast(self, buff: int, count: int, datatype: int, root: int, stream: int) -> None:
        """Send ``count`` numbers of the rank ``root`` to all."""
        CALLS.append("bcast")
        a = self._numbers(buff, count, datatype)
        self._begin(stream, a, a, lambda work: self._comm.Ibcast(work, root=root))

    def abort(self) -> None:
        """Leave what is under way."""
        self.aborted = True

    def _numbers(self, where: int, count: int, datatype: int) -> np.ndarray:
        dtype = np.dtype(_TYPES[datatype])
        return _capture.memory_at(where, count * dtype.itemsize).view(dtype)

    def _begin(self, stream: int, given: np.ndarray, to: np.ndarray, call) -> None:
        from . import get_current_stream

        _capture.refuse("a sum over ranks, which the stand-in does not capture,")
        if self.aborted:
            raise NcclError("the communicator was aborted")
        if stream != get_current_stream().ptr:
            raise AssertionError("the numbers are made in another stream than that in which they are added up")
        if _group is not None:
            _group.append(lambda: _begun(self, given, to, call))
        else:
            _begun(self, given, to, call)


class _Arrives:
    """What is left to do of a call when its messages have arrived."""

    def __init__(self, comm: NcclCommunicator, request, work: np.ndarray, to: np.ndarray):
        self._comm, self._request, self._work, self._to = comm, request, work, to

    def ready(self) -> bool:
        return self._comm.aborted or self._request.Test()

    def __call__(self) -> None:
        if not self._comm.aborted:
            self._request.Wait()
            self._to[...] = self._work


def _begun(comm: NcclCommunicator, given: np.ndarray, to: np.ndarray, call) -> None:
    from . import get_current_stream

    work = given.copy()
    if to is not given:
        to.view(np.uint8)[...] = 0xFF  # NaN in floats, until somebody waits
    get_current_stream()._arrive(_Arrives(comm, call(work), work, to))
