"""How many views are worked on together, and the room that they take; a batch that finds none is halved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.algebra.operator import ViewOperator
from opty.errors import MemoryWarning, warn_user
from opty.memory import size
from opty.runtime.fused_step import FusedStep, sees_batch, suited
from opty.runtime.plan import Pass
from opty.state.store import Store
from opty.state.views import all_whole, memory_batch

if TYPE_CHECKING:
    from opty.runtime.execute import Run


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
    states, n, _ = store.wave_shape
    kept = 0.0 if store.model.thin else sum(element.kept for element in store.model.elements)
    plain = [op.work for op in _as_run(node, store)[0] if not isinstance(op, FusedStep) and sees_batch(op)]
    arrays = max(((of_states + kept) * states + of_views for of_states, of_views in plain), default=0)
    return max(int(arrays * batch * n * n * store.dtype.itemsize), _room([node], store, batch))


def rooms(passes: list[Pass], store: Store) -> int:
    """Bytes that the fused steps of some passes keep from batch to batch, and between sweeps."""
    return _room(passes, store, max((batch_size(node, store) for node in passes), default=0))


def _room(passes: list[Pass], store: Store, batch: int) -> int:
    names: set[str] = set()
    spare, moved = 0, False
    canvases: set[str] = set()
    for node in passes:
        steps, whole = _as_run(node, store)
        for op in (op for op in steps if isinstance(op, FusedStep)):
            names |= set(op.rooms[not whole].split())
            if op.canvases:
                canvases |= {"obj", "probe"} if batch_size(node, store) > 1 else set() if whole else {"probe"}
            spare, moved = max(spare, op.spare), moved or not whole
    modes, n, _ = store.probe_shape
    wave = modes * n * n * store.dtype.itemsize
    found = len(names) * batch * wave
    if moved:  # of each view the light, and a spectrum of the probe
        found += batch * wave // (2 * modes) + wave
    found += sum(3 * store.leaves[name].nbytes // 2 for name in canvases)
    if spare:
        piece = max(wave, store.backend.batch_memory(1) // 4)
        found += spare * (store.threads * piece if store.backend.name == "cpu" else batch * wave)
    return found


def _as_run(node: Pass, store: Store) -> tuple[list[ViewOperator], bool]:
    """Return the steps of a pass as they run for a state, and whether all positions are whole pixels."""
    whole = "positions" not in node.writes and all_whole(store)
    return [s.op for s in suited(node.steps, store, whole)], whole
