"""A state whose scan has got more views: the frame of the object grows with them, and so do the leaves over views."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.data import PtychoData
from opty.errors import RecipeError
from opty.state.spread import spread
from opty.state.start import first_object
from opty.state.store import Store
from opty.state.whole_store import WholeStore, has_rows, whole_rows

_PLACED = frozenset({"positions", "position_given", "position_place"})  # leaves that hold the places of views [px]
Pads = tuple[tuple[int, int], tuple[int, int]]  # pixels before and behind, of rows and of columns


def grow(store: Store, data: PtychoData) -> None:
    """Take the views of ``data`` that the state does not have yet; its first ones are those of the state.

    New windows lie where the positions that were measured say, and where the object's frame has no room for them it
    grows, by what an object begins with. Intensity factors of new views are one. Memory of operators that has a row for
    each view, or lies in the frame of the object, is dropped; operators make it anew.

    Raises RecipeError for a state that cannot grow: with arrays of the user's, or a model with numbers of its own, over
    views or in the frame of the object.
    """
    old = len(store.leaves["positions"])
    added = data.positions_px[old:] + store.origin
    pads = _pads(added, store.object_shape, data.n)
    check_can_grow(store)
    rows = added + np.array([pads[0][0], pads[1][0]])
    store.leaves.update(_grown(store, store.leaves, store.declared, rows, pads))
    for name in _outgrown(store.leaves, store.declared):
        del store.leaves[name]
    if store.start is not None:
        kept = _outgrown(store.start.leaves, store.start.declared)
        leaves = {name: a for name, a in store.start.leaves.items() if name not in kept}
        leaves |= _grown(store, leaves, store.start.declared, rows, pads)
        store.start = dataclasses.replace(store.start, leaves=leaves)
    store.frame_origin = store.frame_origin + np.array([pads[0][0], pads[1][0]])
    store.measured = store.measured.extended(data)


def grow_over_ranks(store: Store, data: PtychoData) -> None:
    """Do what ``grow`` does with the part of a rank: each rank has another block of views then. All have to call it."""
    ranks = store.ranks
    whole = WholeStore.of(store, (name for name, leaf in store.layout.items() if has_rows(leaf))).fork(set())
    if store.start is not None:
        rows = {name: a for name, a in store.start.leaves.items() if has_rows(store.start.declared[name])}
        leaves = store.start.leaves | {name: whole_rows(store, rows[name]) for name in sorted(rows)}
        whole.start = dataclasses.replace(store.start, leaves=leaves)
    grow(whole, data)
    part = spread(whole, ranks)
    for name in ("leaves", "declared", "measured", "frame_origin", "start"):
        setattr(store, name, getattr(part, name))


def check_can_grow(store: Store) -> None:
    """Refuse a state that cannot take more views."""
    for name in store.leaves:
        leaf = store.declared[name]
        own = name in _PLACED or name in ("obj", "intensity_factors") or leaf.role == "slot"
        shape, views = store.leaves[name].shape, len(store.leaves["positions"])
        sized = leaf.role == "array" and (shape[:1] == (views,) or shape[-2:] == store.object_shape)
        if not own and (sized or leaf.over == "view" or leaf.grid == "frame"):
            raise RecipeError(
                f"{leaf!r} cannot grow with the scan: it has a value for each view, or for each pixel of the object; "
                "reconstruct with it when the scan is complete"
            )


def _outgrown(leaves: Mapping[str, Any], declared: Mapping[str, Leaf]) -> list[str]:
    """Return the names of memory that a scan outgrows."""
    memory = (name for name in leaves if name not in _PLACED and declared[name].role == "slot")
    return [name for name in memory if declared[name].over == "view" or declared[name].grid == "frame"]


def _grown(
    store: Store, leaves: Mapping[str, Any], declared: Mapping[str, Leaf], rows: np.ndarray, pads: Pads
) -> dict[str, Any]:
    """Return the leaves that become larger."""
    xp, found = store.xp, {}
    shift = store.backend.asarray(np.array([pads[0][0], pads[1][0]], np.float64))
    for name in _PLACED & leaves.keys():
        found[name] = xp.concatenate([leaves[name] + shift, store.backend.asarray(rows)])
    if "intensity_factors" in leaves:
        ones = xp.ones(len(rows), leaves["intensity_factors"].dtype)
        found["intensity_factors"] = xp.concatenate([leaves["intensity_factors"], ones])
    obj = leaves["obj"]
    if any(map(any, pads)):
        (top, bottom), (left, right) = pads
        height, width = obj.shape[-2:]
        larger = store.backend.asarray(first_object(store, (top + height + bottom, left + width + right)))
        larger[..., top : top + height, left : left + width] = obj
        found["obj"] = larger
    return found


def _pads(corners: np.ndarray, shape: tuple[int, int], n: int) -> Pads:
    """Return by how many pixels the frame has to grow for windows at ``corners`` (K, 2) px to move a little in it.

    Where it grows it grows by half a window more, so that it does not do so for each row of a scan.
    """
    margin = max(8, n // 4)
    pads = []
    for low, high, size in zip(corners.min(0), corners.max(0), shape, strict=True):
        before = math.ceil(margin - low) + n // 2 if low < margin / 2 else 0
        behind = math.ceil(high) + n + margin - size
        pads.append((before, behind + n // 2 if behind > margin / 2 else 0))
    return pads[0], pads[1]
