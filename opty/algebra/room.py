"""How many views are worked on together, and the room that they take; a batch that finds none is halved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.algebra.fusedstep import FusedStep, suited
from opty.algebra.plan import Pass
from opty.errors import MemoryWarning, warn_user
from opty.memory import size
from opty.state.batch import all_whole, memory_batch
from opty.state.store import Store

if TYPE_CHECKING:
    from opty.algebra.run import Run


def batch_size(node: Pass, store: Store) -> int:
    """Return the number of views worked on together."""
    views = store.data.views
    if node.batch == "all":
        return views
    if node.batch is not None:
        return min(int(node.batch), views)
    if node.live:
        return 1
    return memory_batch(store)


def with_room(node: Pass, job: Run) -> int:
    """Return the number of views worked on together, for which there is room.

    Where there is none, a pass whose steps only add up takes half as many, and says so. A batch that is part of the
    algorithm is not changed: raises MemoryError with what it takes and the ways out.
    """
    store = job.store
    if node not in job.batches:
        batch = batch_size(node, store)
        while not _fits(work(node, store, batch), store):
            if node.live or batch == 1:
                raise MemoryError(_way_out(node, store, batch))
            batch = -(-batch // 2)
        if batch < batch_size(node, store):
            needed = size(work(node, store, batch_size(node, store)))
            warn_user(
                f"a batch of {batch_size(node, store)} views takes {needed} on the {store.backend.name}, which could "
                f"not be had: going on with {batch} at a time",
                MemoryWarning,
            )
        job.batches[node] = batch
    return job.batches[node]


def _fits(count: int, store: Store) -> bool:
    """Try whether so many bytes can be had."""
    try:
        store.xp.empty(count, np.uint8)
    except MemoryError:  # CuPy's own is one
        return False
    return True


def _way_out(node: Pass, store: Store, batch: int) -> str:
    smaller = "a smaller batch, " if batch > 1 else ""
    return (
        f"a batch of {batch} view{'s' * (batch > 1)} takes {size(work(node, store, batch))} on the "
        f"{store.backend.name}, which could not be had: take {smaller}fewer modes, or crop or rebin the data"
    )


def work(node: Pass, store: Store, batch: int) -> int:
    """Bytes of the waves of a batch of so many views, and of what is made of them on the way."""
    modes, n, _ = store.probe_shape
    whole = "positions" not in node.writes and all_whole(store)
    steps = [s.op for s in suited(node.steps, store, whole)]
    fused = [op for op in steps if isinstance(op, FusedStep)]
    arrays = [of_modes * modes + of_views for op in steps if op not in fused for of_modes, of_views in [op.work]]
    # Fused steps each keep the room they take until the sweep is over; of each view the light, where all differ.
    arrays.append(sum(op.rooms[not whole] for op in fused) * modes + (0 if whole else 0.5))
    canvases = 0
    if batch > 1 and any(op.canvases for op in fused):
        canvases = 3 * (store.leaves["obj"].nbytes + store.leaves["probe"].nbytes) // 2
    return int(max(arrays) * batch * n * n * store.dtype.itemsize) + canvases
