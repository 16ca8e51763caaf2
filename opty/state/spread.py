"""A state spread over ranks, each with some of the views, and put together again.

Leaves over views hold the rows of the rank; leaves over the scan are the same on all ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.arrays.ranks import ALONE, Alone
from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames
from opty.kernels import numpy_backend
from opty.memory import free_memory
from opty.state.device_data import DeviceData
from opty.state.store import Store


def spread(whole: Store, ranks: Alone) -> Store:
    """Return this rank's part of a state that is the same on all ranks; reads the frames of its views alone.

    Raises ValueError for a state that is spread already.
    """
    if whole.ranks.size > 1:
        raise ValueError("this state is spread over ranks already: p.gather() puts it together on the first one")
    whole.data.need_frames()
    views = ranks.views(whole.data.views)
    store = whole.fork(set())
    store.declared = {name: _as_spread(whole, leaf) for name, leaf in whole.declared.items()}
    data = whole.data.part(views, _stays(whole.data, ranks))
    store.measured = DeviceData(data, whole.backend, whole.dtype, whole=whole.data, ranks=ranks)
    store.leaves = _per_view(whole.leaves, store.declared, lambda a: a[views].copy())
    if whole.start is not None:
        declared = {name: _as_spread(whole, leaf) for name, leaf in whole.start.declared.items()}
        of_start = _per_view(whole.start.leaves, declared, lambda a: a[views].copy())
        store.start = replace(whole.start, leaves=of_start, declared=declared)
    return store


def _as_spread(whole: Store, leaf: Leaf) -> Leaf:
    """Return the declaration of an array; of a user's, which has none, one over views where its length says so."""
    if leaf.role != "array" or leaf.name not in whole.leaves or leaf.over == "view":
        return leaf
    shape, n = whole.leaves[leaf.name].shape, whole.n
    if shape[:1] != (whole.data.views,):
        return leaf
    if shape[-2:] in ((n, n), whole.object_shape):
        raise ValueError(
            f"the array {leaf.name!r} has shape {shape}, and there are {shape[0]} views: it cannot be told whether it "
            "has a row for each view, of which each rank would hold its own; give it another shape"
        )
    return replace(leaf, axes=("view", *leaf.axes[1:]))


def gathered(store: Store) -> Store | None:
    """Return the whole state on the first rank, None on the others; all have to call it."""
    ranks = store.ranks
    latest, earliest = ranks.most(np.array([store.iteration, -store.iteration], float))
    if latest != -earliest:
        raise ValueError(f"the ranks stand at iterations {-earliest:.0f} to {latest:.0f}: their parts make no state")

    def rows(a: Any) -> Any:
        found = ranks.gathered(store.backend.to_host(a))
        return a if found is None else store.backend.asarray(found)

    whole = store.fork(set())
    whole.leaves = _per_view(store.leaves, store.declared, rows)
    if store.start is not None:
        whole.start = replace(store.start, leaves=_per_view(store.start.leaves, store.start.declared, rows))
    whole.measured = store.measured.for_all
    return whole if ranks.rank == 0 else None


def share_mean_amplitude(data: PtychoData, ranks: Alone) -> None:
    """Find the mean amplitude of a measurement by all ranks together, each by its own views."""
    if ranks.size == 1 or data.has_mean_amplitude or data.absent is not None:
        return
    views = ranks.views(data.views)
    part = data.part(views, stays=True)
    total = part.mean_amplitude() * part.views if part.views else np.zeros((data.n, data.n))
    data.know_mean_amplitude(ranks.total(total, numpy_backend) / data.views)


def over_views(store: Store) -> frozenset[str]:
    """Return the names of the leaves that have a row for each view; none where this process has all views."""
    if store.ranks is ALONE:
        return frozenset()
    return frozenset(name for name, leaf in store.declared.items() if leaf.over == "view")


def _per_view(leaves: Mapping[str, Any], declared: Mapping[str, Leaf], change: Callable[[Any], Any]) -> dict[str, Any]:
    changed = {
        name: change(leaves[name]) for name in sorted(leaves) if declared[name].over == "view"
    }  # alike on all ranks
    return {name: changed.get(name, a) for name, a in leaves.items()}


def _stays(data: PtychoData, ranks: Alone) -> bool:
    """Say whether the frames of the ranks of this machine would fill more than half of its free memory."""
    free = free_memory()
    return isinstance(data.intensities, LazyFrames) and free is not None and data.intensities.nbytes > free / 2
