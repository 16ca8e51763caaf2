"""Replacing leaves of a state, checked before anything changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Identity
from opty.data.fields import check_background, check_positions
from opty.model.complete import fitting, with_modes
from opty.model.geometry_numbers import LENGTHS
from opty.model.starting_probe import given_probe
from opty.remedies import here
from opty.state import start
from opty.state.leaves import ESTIMATED
from opty.state.store import Store


def replaced(old: Store, leaves: dict[str, Any], arrays: dict[str, Any], seed: int | None) -> Store:
    """Return a store with some leaves, named arrays or the seed replaced; see ``PtychoState.replace``."""
    store = old.fork(set())
    if seed is not None:
        store.seed = start.given_seed(seed)
    if strange := sorted(leaves.keys() - {leaf.name for leaf in old.model.leaves} - ESTIMATED.keys()):
        brings = ", ".join(leaf.name for leaf in old.model.leaves)
        raise ValueError(f"{strange[0]!r} is no leaf of the model {old.model!r}, which has {brings}")
    if found := sorted(name for name in LENGTHS & leaves.keys() if leaves[name] is not None):
        remedy = here("make a state of data.replace(geometry=...)", "give it with the measurement")
        raise ValueError(f"{found[0]} belongs to the geometry of the measurement: {remedy}")
    given = {name: _checked(name, host(a), old) for name, a in leaves.items() if a is not None}
    extra = {name: _named(name, host(a), old) for name, a in arrays.items()}
    for name, a in (given | extra).items():
        store.leaves[name] = store.backend.asarray(a).copy()
    start.frame(store.backend.to_host(store.leaves["positions"]), store.data.n, store.leaves["obj"])
    if "probe" in given:
        store.model = with_modes(store.model, len(given["probe"]))
    store.declared = {**store.declared, **{name: Leaf.found(name, a, "array") for name, a in extra.items()}}
    if any(not store.declared[name].optional for name in given):
        store.frame_origin = store.origin  # windows_moved is memory, and goes
        store.leaves = {name: a for name, a in store.leaves.items() if store.declared[name].role != "slot"}
    if given or extra:
        store.recipe = Identity()  # no recipe made the replaced arrays
        store.mark_origin()
    return store


def _checked(name: str, a: np.ndarray, store: Store) -> np.ndarray:
    """Return an array as the leaf of that name holds it, or raise ValueError."""
    data = store.data
    if name == "probe":
        return given_probe(a, data.n, None, store.dtype)
    if name == "positions":
        return check_positions(a, data.views)
    if name == "background":
        order = store.measured.propagator.to_kernel_order
        return order(check_background(a, data.n)).astype(store.real_dtype)
    _check_finite(name, a)
    if _of_model(store, name):
        return fitting(store.model, name, a, store.backend.to_host(store.leaves[name]))
    if a.shape != (data.views,) or a.dtype.kind == "c" or not (a > 0).all():
        raise ValueError(f"{name} has shape {a.shape}; expected ({data.views},) numbers above 0")
    return a.astype(np.float64)


def _of_model(store: Store, name: str) -> bool:
    """Say whether a leaf is brought by the model of a state."""
    return store.model.owner(name) is not None


def _named(name: str, a: np.ndarray, store: Store) -> np.ndarray:
    """Return an array that is to be known by a name of the user's, or raise ValueError."""
    known = store.declared.get(name)
    taken = known is not None and (known.role == "estimate" or (known.role == "slot" and name in store.leaves))
    if not name.isidentifier() or taken:
        raise ValueError(f"{name!r} names no array: choose a word that the state does not use itself")
    _check_finite(name, a)
    return a


def _check_finite(name: str, a: np.ndarray) -> None:
    if a.dtype.kind not in "biufc":
        raise ValueError(f"{name} has dtype {a.dtype}; expected an array of numbers")
    if not np.isfinite(a).all():
        raise ValueError(f"{name} has {int((~np.isfinite(a)).sum())} values that are not finite")


def host(a: Any) -> np.ndarray:
    """Return an array of NumPy or CuPy, or what can be made into one, as a NumPy array."""
    return a.get() if hasattr(a, "get") and hasattr(a, "device") and not isinstance(a, np.ndarray) else np.asarray(a)
