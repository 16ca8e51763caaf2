"""The number of views in a batch, and its memory; a batch that does not fit is halved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.errors import MemoryWarning, warn_user
from opty.kernels.buffers import Buffer, Pieces, Sizes
from opty.memory import size
from opty.runtime.nodes import SweepNode
from opty.runtime.sweep_programs import SweepPrograms
from opty.state.store import Store
from opty.state.views import memory_batch

if TYPE_CHECKING:
    from opty.runtime.job import Run

_FREED = 3.0  # of the arrays of a step with a thin object, those that are gone on the way back through several slices


def batch_size(node: SweepNode, store: Store) -> int:
    """Return the number of views in a batch."""
    views = store.data.views
    if node.batch == "all":
        return views
    if node.batch is not None:
        return min(int(node.batch), views)
    if node.live:
        return 1
    return memory_batch(store)


def batch_that_fits(of: SweepPrograms, job: Run) -> int:
    """Return the number of views in a batch that fits in memory; computed once in a run.

    Where there is none, a pass whose steps only add up takes half as many, and says so. A batch that is part of the
    algorithm is not changed: raises MemoryError with what it takes and the ways out.
    """
    if of not in job.batches:
        job.batches[of] = _found(of, job.store, of.fixed and job.whole(), job.engine.held())
    return job.batches[of]


def _found(of: SweepPrograms, store: Store, whole: bool, held: int) -> int:
    node = of.node
    batch = most = batch_size(node, store)
    while not _fits(max(0, work(of, store, batch, whole) - held), store):  # what is held is there already
        if node.live or batch == 1:
            raise MemoryError(_way_out(of, store, batch, whole))
        batch = -(-batch // 2)
    if batch < most:
        warn_user(
            f"a batch of {most} views takes {size(work(of, store, most, whole))} on the {store.backend.name}, which "
            f"is more than there is: continuing with batches of {batch}",
            MemoryWarning,
        )
    return batch


def _fits(count: int, store: Store) -> bool:
    """Return whether ``count`` bytes can be allocated."""
    try:
        store.xp.empty(count, np.uint8)
    except MemoryError:  # CuPy's own is one
        return False
    return True


def _way_out(of: SweepPrograms, store: Store, batch: int, whole: bool) -> str:
    smaller = "a smaller batch, " if batch > 1 else ""
    return (
        f"a batch of {batch} view{'s' * (batch > 1)} takes {size(work(of, store, batch, whole))} on the "
        f"{store.backend.name}, more than there is: take {smaller}fewer modes, or crop or rebin the data"
    )


def work(of: SweepPrograms, store: Store, batch: int, whole: bool) -> int:
    """Return the bytes of the waves of a batch, and of the temporary arrays made from them.

    ``whole`` : all positions of the sweep are whole pixels.
    """
    states, n, _ = store.wave_shape
    kept = 0.0 if store.model.thin else sum(element.kept for element in store.model.elements)
    plain = of.sweep(None, whole, store.leaves).scratch.arrays
    view = batch * n * n * store.dtype.itemsize
    arrays = max([(of_states + kept) * states + of_views for of_states, of_views in plain], default=0)
    fused = int(kept * states * view) + _buffer_bytes([(of, whole)], store, batch) + _beside(of, store, view, whole)
    return max(int(arrays * view), _slice_bytes(of, store, view, whole), fused)


def _beside(of: SweepPrograms, store: Store, view: int, whole: bool) -> int:
    """Return the bytes that fused steps take beside their buffers, where waves are more than object and probe."""
    if store.model.thin:
        return 0
    (states, _, _), beside = store.wave_shape, of.sweep(None, whole, store.leaves).scratch.beside
    return int(sum(waves * states * view + objects * store.leaves["obj"].nbytes for waves, objects in beside))


def _slice_bytes(of: SweepPrograms, store: Store, view: int, whole: bool) -> int:
    """Return the bytes of several slices on the way back through them, when the sums of all are there."""
    obj, (states, _, _) = store.leaves["obj"], store.wave_shape
    if obj.ndim == 2:
        return 0
    scratch, found = of.sweep(None, whole, store.leaves).scratch, [0.0]
    for (waves, views), (of_states, of_views, of_frame) in zip(scratch.arrays, scratch.slices, strict=True):
        each = (states + 1 + of_states * states + of_views) * view + of_frame * obj[0].nbytes
        found.append(len(obj) * each + ((waves - _FREED) * states + views - _FREED) * view)
    return int(max(found))


def buffer_bytes(passes: list[SweepPrograms], store: Store, whole: bool) -> int:
    """Bytes that the fused steps of some passes keep from batch to batch, and between sweeps.

    ``whole`` : all positions are whole pixels, in sweeps that do not write them.
    """
    batch = max((batch_size(of.node, store) for of in passes), default=0)
    return _buffer_bytes([(of, of.fixed and whole) for of in passes], store, batch)


def _buffer_bytes(passes: list[tuple[SweepPrograms, bool]], store: Store, batch: int) -> int:
    buffers: set[Buffer] = set()
    moved = False
    for of, whole in passes:
        scratch = of.sweep(None, whole, store.leaves).scratch
        buffers |= {b for b in scratch.buffers if b.needed(batch_size(of.node, store), whole)}
        moved |= scratch.moved
    modes, n, _ = store.probe_shape
    wave = modes * n * n * store.dtype.itemsize
    on_cpu = store.backend.name == "cpu"
    pieces = store.threads * max(wave, store.backend.batch_memory(1) // 4) if on_cpu else None
    if not store.model.thin:  # trial steps are then followed with other buffers: see FusedStep.beside
        buffers = {b for b in buffers if not isinstance(b, Pieces)}
    sizes = Sizes(batch, wave, pieces, {name: a.nbytes for name, a in store.leaves.items()})
    found = sum(b.nbytes(sizes) for b in buffers)
    if moved:  # of each view the light, and a spectrum of the probe
        found += batch * wave // (2 * modes) + wave
    return found
