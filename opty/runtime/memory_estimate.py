"""The memory of a run: shown by ``explain``, and checked before the first iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.data.lazy_frames import LazyFrames
from opty.memory import size
from opty.runtime.batch_size import batch_size, buffer_bytes, work
from opty.runtime.nodes import steps_of
from opty.runtime.program import Program
from opty.state.leaves import declared
from opty.state.store import Store
from opty.state.streaming import StreamedFrames
from opty.state.views import all_whole


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes that a run holds where it computes.

    ``data`` : frames and mask, as measured and in kernel order. ``blocks`` : of streamed frames, the blocks in flight.
    ``state`` : the leaves, those that the run creates permanently, the copies of those that are written, the last
    finite state and, on a GPU, the state that has not been checked yet. ``slots`` : memory of steps that is freed at
    the end of a turn, and copies that they hold in a sweep. ``waves`` : of a batch, with temporary arrays;
    ``buffers`` : those kept for the next sweep. ``kept`` : waves of all views, without a safety copy,
    that do not exist yet. ``merging`` : temporary arrays of steps on the whole object between sweeps.
    """

    data: int
    blocks: int
    state: int
    slots: int
    waves: int
    buffers: int
    kept: int
    merging: int

    @property
    def total(self) -> int:
        """All of it."""
        busy = self.slots + max(self.blocks + self.waves, self.buffers + self.merging)
        return self.data + self.state + self.kept + busy


def footprint(store: Store, program: Program) -> MemoryEstimate:
    """Return the memory that a program will use for a state."""
    measured, whole = store.measured, all_whole(store)
    images = [a for a in (measured.intensity, measured.mask) if a is not None]
    coming = [a for a in images if isinstance(a, StreamedFrames)]
    passes = program.passes
    batch = max((batch_size(of.node, store) for of in passes), default=0)
    leaves = {name: a.nbytes for name, a in store.leaves.items()}
    copied = sum(leaves[name] for name in leaves if name in program.written and name not in program.remade)
    made = [leaf for leaf in program.made if not leaf.remade]
    freed = frozenset().union(*(s.op.frees for s in steps_of(program.groups)))
    held = max((sum(leaves.get(name, 0) for s in of.node.steps for name in s.op.copied) for of in passes), default=0)
    lasting = sum(store.nbytes(leaf) for leaf in made if leaf.name not in freed)
    return MemoryEstimate(
        data=sum(a.nbytes + _beside(store, a) for a in images if not isinstance(a, StreamedFrames)),
        blocks=sum(a.way_bytes(batch) for a in coming),
        state=sum(leaves.values()) + (2 + store.backend.FiniteCheck.LAG) * (copied + lasting),
        slots=sum(map(store.nbytes, made)) - lasting + held,
        waves=max((work(of, store, batch_size(of.node, store), of.fixed and whole) for of in passes), default=0),
        buffers=buffer_bytes(passes, store, whole),
        kept=sum(store.nbytes(leaf) for leaf in program.made if leaf.remade),
        merging=int(max(map(_arrays, program.steps), default=0) * (leaves["obj"] + leaves["probe"])),
    )


def check_memory(store: Store, program: Program, copied: frozenset[str] | set[str]) -> None:
    """Raise MemoryError, before anything runs, where kept waves of all views do not fit in memory.

    ``copied`` : leaves that the run copies. The error has both sizes and the remedies.
    """
    if not program.remade:
        return
    kept = [leaf for leaf in program.made if leaf.remade]
    kept += [program.declared[name] for name in store.leaves if name in program.remade and name in copied]
    wanted = sum(map(store.nbytes, kept))
    free = store.backend.free_memory() if wanted else None
    if free is not None and wanted > free:
        shapes = (f"{leaf.name} of {' x '.join(map(str, store.shape_of(leaf)))}" for leaf in kept)
        raise MemoryError(
            f"this recipe keeps waves of all views, {', '.join(shapes)}, which takes {size(wanted)}; "
            f"{size(free)} are free on the {store.backend.name}: take one that keeps none (AP, rPIE, ML, LSQML), or "
            "fewer modes or views, or crop or rebin the data"
        )


def memory_line(store: Store, program: Program) -> str:
    """Return the line about memory for ``explain``."""
    found = footprint(store, program)
    parts = [f"data {size(found.data)}"] if found.data or not found.blocks else []
    if found.blocks:
        frames = store.data.intensities
        where = f"in {frames.frames!r}" if isinstance(frames, LazyFrames) else "on the host"
        parts.append(f"{_coming(store)} of data stay {where}, {size(found.blocks)} of them in flight at a time")
    parts += [f"state {size(found.state + found.slots)}", f"waves of a batch {size(found.waves)}"]
    if found.kept:
        parts.append(f"kept waves {size(found.kept)}")
    return f"memory on the {store.backend.name}: {', '.join(parts)}; about {size(found.total)} in all"


def _coming(store: Store) -> str:
    images: list[Any] = [store.measured.intensity, store.measured.mask]
    return size(sum(a.images.nbytes for a in images if isinstance(a, StreamedFrames)))


def _beside(store: Store, images: Any) -> int:
    """Return the bytes of the measured frames if the same memory holds them beside the frames in kernel order."""
    own = store.data.intensities if images is store.measured.intensity else store.data.mask
    if not isinstance(images, np.ndarray) or not isinstance(own, np.ndarray):
        return 0
    return 0 if np.may_share_memory(images, own) else own.nbytes


def _arrays(op: Operator) -> float:
    """Return the temporary arrays, in sizes of object and probe, of a step on the whole state: measured, or typical."""
    if op.scratch_arrays is not None:
        return op.scratch_arrays
    leaves = (declared(name, op) for name in op.effects()[1])
    return 2.2 if any(leaf is not None and leaf.image and leaf.grid == "frame" for leaf in leaves) else 0
