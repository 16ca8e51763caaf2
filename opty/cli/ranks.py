"""Commands under mpiexec or srun: the first rank reads, checks, talks and writes; all of them compute.

The first rank runs the command as it stands. Where its run begins it sends recipe and state to the others, which wait
for them, and each takes its part of the views. A rank that fails tells the others; all save together, and are ended.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from opty.arrays.ranks import threads_each
from opty.cli.failures import INTERRUPTED

if TYPE_CHECKING:
    from opty.algebra.operator import Operator
    from opty.ptycho_state import PtychoState
    from opty.runtime.checkpoint import PendingRun

# What the launchers of MPICH and its relatives, Open MPI, and SLURM tell each rank of their number.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
_PMIX, _SLURM = "PMIX_RANK", "SLURM_STEP_NUM_TASKS"
_ORDER = 31  # tag of the message with which a run begins, or the news that there will be none
_NAP = 0.02  # seconds between looks for it
_SAY = 0.3  # seconds
_PATIENCE = 60.0  # seconds for the first rank to save and to say what failed


@functools.cache
def world() -> Any:
    """Return the communicator of all ranks, None where this process was not started as one of several.

    Raises ImportError, with the remedy, where it was and mpi4py is not installed.
    """
    counts = [os.environ.get(name, "") for name in _SIZES]
    if _PMIX in os.environ:
        counts.append(os.environ.get(_SLURM, ""))
    if not any(count.isdigit() and int(count) > 1 for count in counts):
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            'several ranks were started, and opty talks to them through mpi4py: pip install "opty-ptycho[mpi]", or '
            "where the cluster has an MPI of its own, mpi4py built with that"
        ) from error
    comm = MPI.COMM_WORLD
    if comm.size == 1:
        raise RuntimeError(
            "several ranks were started, and mpi4py sees one: it belongs to another MPI than mpiexec, or srun, does"
        )
    return comm


def together(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command that runs a recipe one of all ranks: the first one runs it, the others follow."""

    @functools.wraps(command)
    def led(ctx: click.Context, *args: Any, **kwargs: Any) -> None:
        comm = world()
        if comm is None:
            command(ctx, *args, **kwargs)
            return
        share = threads_each(comm)
        if comm.rank:
            _follow(comm)
        if kwargs["threads"] is None:
            kwargs["threads"] = share
        try:
            command(ctx, *args, **kwargs)
        finally:
            if not _begun:
                _send(comm, None)

    return led


def refuse_ranks(command: str) -> None:
    """Refuse, once, a command that does not run over ranks."""
    comm = world()
    if comm is None:
        return
    if comm.rank:
        sys.exit(1)
    raise RuntimeError(f"opty {command} runs in one process: start it without mpiexec or srun")


_begun: list[bool] = []  # whether the run was sent to the other ranks


def share(recipe: Operator, start: PtychoState, quiet: bool, unfinished: PendingRun | None) -> PtychoState:
    """Send a run to the other ranks, where there are any; return the first one's part of its start."""
    comm = world()
    if comm is None:
        return start
    _begun.append(True)
    atexit.register(_together_to_the_end, comm)
    _send(comm, (recipe, start, start._live.start is None, quiet, unfinished))
    return start.over(comm)


def end_all_at_exit() -> None:
    """End all ranks when this process ends: after a failure some wait for sums that will not come."""

    def end() -> None:
        time.sleep(_SAY)  # the launcher passes on what was printed
        world().Abort(1)

    atexit.register(end)


def _follow(comm: Any) -> NoReturn:
    """Wait for a run of the first rank, take part in it, and leave."""
    from opty.cli.run import Run

    while not comm.Iprobe(source=0, tag=_ORDER):
        time.sleep(_NAP)
    order = comm.recv(source=0, tag=_ORDER)
    if order is None:
        sys.exit(1)
    recipe, start, follows_from_data, quiet, unfinished = order
    if follows_from_data:
        start._live.start = None  # the way here made what it brought a start of its own
    run = Run(recipe, start.over(comm), quiet, unfinished, follows=True)
    if run.failed is not None:
        time.sleep(_PATIENCE)  # the first rank says why, and ends all
        comm.Abort(1)
    _together_to_the_end(comm)
    sys.exit(INTERRUPTED if run.interrupted else 1 if run.diverged is not None else 0)


def _together_to_the_end(comm: Any) -> None:
    """Wait, at rest, until the first rank has written and drawn: MPI itself waits at full speed."""
    over = comm.Ibarrier()
    while not over.Test():
        time.sleep(_NAP)


def _send(comm: Any, order: Any) -> None:
    for k in range(1, comm.size):
        comm.send(order, dest=k, tag=_ORDER)
