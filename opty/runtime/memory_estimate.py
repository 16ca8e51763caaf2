"""What a run holds in memory: told by ``explain``, and checked before the first iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.data.lazy_frames import Stack
from opty.memory import size
from opty.runtime.batch_size import batch_size, rooms, work
from opty.runtime.effects import written
from opty.runtime.plan import Group, Pass, Step, walk
from opty.state.leaves import KEPT
from opty.state.store import Store
from opty.state.streaming import Supply


@dataclass(frozen=True)
class Footprint:
    """Bytes that a run holds where it computes.

    ``data`` : frames and mask, as measured and in kernel order. ``blocks`` : of those that come batch by batch, those
    on their way. ``state`` : the leaves, the copies of those that are written, the last finite state and, on a GPU, the
    one that has not been looked at yet. ``slots`` : memory of steps that is gone at the end of a turn, and copies that
    they hold in a sweep. ``waves`` : of a batch, with the work on them; ``rooms`` : what of them stays for the next
    sweep. ``kept`` : waves of all views, kept from iteration to iteration, that are not there yet. ``merging`` : what
    steps on the whole object need between sweeps.
    """

    data: int
    blocks: int
    state: int
    slots: int
    waves: int
    rooms: int
    kept: int
    merging: int

    @property
    def total(self) -> int:
        """All of it."""
        busy = self.slots + max(self.blocks + self.waves, self.rooms + self.merging)
        return self.data + self.state + self.kept + busy


def footprint(store: Store, groups: tuple[Group, ...]) -> Footprint:
    """Return what a plan will hold for a state."""
    measured, changed = store.measured, written(groups)
    images = [a for a in (measured.intensity, measured.mask) if a is not None]
    coming = [a for a in images if isinstance(a, Supply)]
    passes = [node for node in walk(groups) if isinstance(node, Pass)]
    steps = [node.step for node in walk(groups) if isinstance(node, Step)]
    batch = max((batch_size(node, store) for node in passes), default=0)
    leaves = {name: a.nbytes for name, a in store.leaves.items()}
    copied = sum(count for name, count in leaves.items() if name in changed and name != KEPT)
    made = changed - set(leaves)
    held = max((sum(leaves[name] for s in node.steps for name in s.op.copies) for node in passes), default=0)
    lasting = _made({name for name in made if name.startswith("kept_")}, store)
    return Footprint(
        data=sum(a.nbytes + _beside(store, a) for a in images if not isinstance(a, Supply)),
        blocks=sum(a.way_bytes(batch) for a in coming),
        state=sum(leaves.values()) + (2 + store.backend.Lookout.LAG) * (copied + lasting),
        slots=_made(made, store) - lasting + held,
        waves=max((work(node, store, batch_size(node, store)) for node in passes), default=0),
        rooms=rooms(passes, store),
        kept=_kept(store, changed),
        merging=int(max((_arrays(s.op) for s in steps), default=0) * (leaves["obj"] + leaves["probe"])),
    )


def check_memory(store: Store, groups: tuple[Group, ...], copied: frozenset[str] | set[str]) -> None:
    """Refuse, before anything runs, to keep waves of all views that the memory does not hold.

    ``copied`` : leaves that the run takes copies of. Raises MemoryError with both sizes and the ways out.
    """
    wanted = _kept(store, written(groups)) + (store.leaves[KEPT].nbytes if KEPT in copied else 0)
    free = store.backend.free_memory() if wanted else None
    if free is not None and wanted > free:
        views, (modes, n, _) = store.data.views, store.probe_shape
        raise MemoryError(
            f"this recipe keeps the waves of all views, {views} x {modes} of {n} x {n}, which takes {size(wanted)}; "
            f"{size(free)} are free on the {store.backend.name}: take one that keeps none (AP, rPIE, ML, LSQML), or "
            "fewer modes or views, or crop or rebin the data"
        )


def told(store: Store, groups: tuple[Group, ...]) -> str:
    """Return the line about memory for ``explain``."""
    found = footprint(store, groups)
    parts = [f"data {size(found.data)}"] if found.data or not found.blocks else []
    if found.blocks:
        frames = store.data.intensities
        where = f"in {frames.frames!r}" if isinstance(frames, Stack) else "on the host"
        parts.append(f"{_coming(store)} of data stay {where}, {size(found.blocks)} of them on their way at a time")
    parts += [f"state {size(found.state + found.slots)}", f"waves of a batch {size(found.waves)}"]
    if found.kept:
        parts.append(f"kept waves {size(found.kept)}")
    return f"memory on the {store.backend.name}: {', '.join(parts)}; about {size(found.total)} in all"


def _coming(store: Store) -> str:
    images: list[Any] = [store.measured.intensity, store.measured.mask]
    return size(sum(a.images.nbytes for a in images if isinstance(a, Supply)))


def _beside(store: Store, images: Any) -> int:
    """Bytes of the frames as they were measured, where the same memory holds them beside those in kernel order."""
    own = store.data.intensities if images is store.measured.intensity else store.data.mask
    if not isinstance(images, np.ndarray) or not isinstance(own, np.ndarray):
        return 0
    return 0 if np.may_share_memory(images, own) else own.nbytes


def _made(names: frozenset[str] | set[str], store: Store) -> int:
    """Bytes of slots that are not there yet: as large as the object or the probe; weights are real, without modes."""
    found = 0
    for name, leaf in ((name, leaf) for name in names for leaf in ("obj", "probe") if leaf in name and name != KEPT):
        shape = store.leaves[leaf].shape
        real = name.endswith("weight")
        found += int(np.prod(shape[-2:] if real else shape)) * (store.real_dtype if real else store.dtype).itemsize
    return found


def _arrays(op: Operator) -> float:
    """Arrays of the size of object and probe that a step on the whole state makes: measured, or what most need."""
    if op.arrays is not None:
        return op.arrays
    return 2.2 if "obj" in op.effects()[1] else 0


def _wave(store: Store) -> int:
    """Bytes of the waves of a view."""
    modes, n, _ = store.probe_shape
    return modes * n * n * store.dtype.itemsize


def _kept(store: Store, changed: frozenset[str] | set[str]) -> int:
    return store.data.views * _wave(store) if KEPT in changed and KEPT not in store.leaves else 0
