"""What a state of another measurement of the same sample begins with: object, probe, and numbers of the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.model.geometry_numbers import LENGTHS
from opty.state.store import Store

_CLOSE = 1e-3  # by which the pixels of two measurements may differ


def check_alike(store: Store, data: PtychoData) -> None:
    """Raise ValueError where the object of a state cannot be that of a measurement."""
    if data.n != store.n:
        raise ValueError(f"patterns of {data.n} x {data.n} do not go onto a state of {store.n} x {store.n}")
    old, new = _pixel(store), data.pixel
    if store.geometry is not None and new is not None and abs(new / old - 1) > _CLOSE:
        raise ValueError(
            f"a pixel of the object is {new:.6g} m in these data and {old:.6g} m in the state: make a state of the "
            "data alone, and compare the objects by opty.analysis.difference"
        )


def with_found_lengths(store: Store, data: PtychoData) -> PtychoData:
    """Return a measurement with the lengths of the geometry that a state has found, where it was given the same."""
    if store.geometry == store.data.geometry or data.geometry != store.data.geometry:
        return data
    return data.replace(geometry=store.geometry)


def brought_over(store: Store, begun: Store) -> dict[str, Any]:
    """Return the leaves (host) with which a state that has just been made of other data goes on from a store.

    Positions in the two measurements are counted from the same place. The object is moved by whole pixels into the new
    frame, ones where it was not; the rest of the offset goes into the positions.

    Raises ValueError where the frames of the two have nothing in common.
    """
    to_host = store.backend.to_host
    place = store.data.positions.mean(axis=0)  # stays where the pixel changes
    offset = store.origin + store.data.positions_px.mean(axis=0) - place / _pixel(store) - begun.origin
    whole = np.rint(offset).astype(int)
    old, new = to_host(store.leaves["obj"]), np.array(begun.backend.to_host(begun.leaves["obj"]))
    common = [_common(*sizes) for sizes in zip(whole.tolist(), old.shape[-2:], new.shape[-2:], strict=True)]
    if any(here.stop <= here.start for here, _ in common):
        raise ValueError(
            f"the data lie {abs(whole).max()} px away from the object of the state, and share no pixel with it: "
            "positions of both have to be counted from the same place"
        )
    new[..., common[0][1], common[1][1]] = old[..., common[0][0], common[1][0]]
    found = {"obj": new, "positions": begun.backend.to_host(begun.leaves["positions"]) + (offset - whole)}
    names = {leaf.name for leaf in store.model.leaves if leaf.over == "scan"} - LENGTHS - {"obj", "probe"}
    return found | {name: to_host(store.leaves[name]) for name in sorted(names & store.leaves.keys())}


def _pixel(store: Store) -> float:
    return 1.0 if store.geometry is None else store.geometry.sample_pixel(store.n)


def _common(offset: int, old: int, new: int) -> tuple[slice, slice]:
    """Return where an axis of ``old`` pixels and one of ``new``, which begins at ``offset`` of it, overlap: in each."""
    first, last = max(0, offset), min(old, new + offset)
    return slice(first, last), slice(first - offset, last - offset)
