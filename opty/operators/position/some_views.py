"""A state of some of the views, what comes back from it, and the place where one more view fits it best."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.leaf import with_parts
from opty.algebra.operator import Identity
from opty.data.parts import chosen
from opty.operators.position.check import GIVEN
from opty.operators.position.search import trial_misfits
from opty.state import BareState, handle

DIM = 0.02  # of the most light: where less falls, the object is not known
_STEPS = 32  # places tried along each axis at first


def root_photons(s: Any) -> np.ndarray:
    """Return the root of the photons of each view, (N,): misfits over it are alike for counts, whatever their sum."""
    photons = s.measured.view_photons
    return np.sqrt(np.maximum(photons, 1e-3 * photons.mean()))


def light_of(s: Any, views: np.ndarray) -> np.ndarray:
    """Return the light that some views shed on the object, (H, W) float64 on the host, at whole pixels."""
    power = (np.abs(s.backend.to_host(s.probe)) ** 2).sum(axis=0)
    total, n = np.zeros(s.object_shape), s.data.n
    for r, c in np.rint(s.backend.to_host(s.positions)[views]).astype(int):
        total[r : r + n, c : c + n] += power
    return total


def state_of(s: Any, views: np.ndarray) -> BareState:
    """Return a state of some views, whose object is its mean where they bring hardly any light."""
    store, backend = s.store, s.backend
    estimates = {name: leaf for name, leaf in store.layout.items() if leaf.role == "estimate"}
    host = {name: np.array(backend.to_host(store.leaves[name])) for name in estimates}
    host |= {name: host[name][views] for name, leaf in estimates.items() if leaf.over == "view"}
    if s.has(GIVEN.name):
        host[GIVEN.name] = np.array(backend.to_host(s.position_given))[views]
    total, obj = light_of(s, views), host["obj"]
    dim = total < DIM * total.max()
    obj[..., dim] = obj[..., ~dim].mean(axis=-1, keepdims=True)
    record = {"seed": store.seed, "iteration": store.iteration, "history": store.history, "visits": store.visits}
    machine = {"device": backend.name, "threads": store.threads, "deterministic": store.deterministic}
    made = {"origin": store.origin, "recipe": Identity(), "model": store.model}
    return handle().restore(chosen(store.data, views), host, **made, **record, **machine)


def take_estimates(s: Any, after: BareState, views: np.ndarray, written: frozenset[str]) -> None:
    """Copy what a recipe has written of object and probe of some views, and their positions, to the state of all."""
    backend = s.backend
    for name in with_parts(written & {"obj", "probe"}) & s.store.leaves.keys():
        found = backend.asarray(after.numpy(name))
        if s.store.declared[name].over == "view":
            getattr(s, name)[backend.asarray(views)] = found
        else:
            setattr(s, name, found)
    positions = backend.to_host(s.positions).copy()
    positions[views] = after.numpy("positions")
    s.positions = backend.asarray(positions)


def best_places(s: Any, views: np.ndarray, here: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return the places (K, 2) px within ``reach`` (K,) px where views fit best, ``here`` where no other is better."""
    asked = s.backend.asarray(np.column_stack([here, reach]).astype(np.float64))
    return s.backend.to_host(s.store.of_each(_places, views, asked))


def _places(s: Any, views: np.ndarray, asked: Any) -> Any:
    rows = zip(views.tolist(), s.backend.to_host(asked), strict=True)
    found = [_place(s, view, row[:2], int(row[2])) for view, row in rows]
    return s.backend.asarray(np.reshape(found, (-1, 2)).astype(np.float64))


def _place(s: Any, view: int, here: np.ndarray, reach: int) -> np.ndarray:
    largest = np.array(s.object_shape) - s.data.n
    step = max(1, (2 * reach) // _STEPS)
    best, least = here, _misfit(s, view, here[None], False)[0]
    centres, half = np.rint(here)[None], reach
    while True:
        axis = np.arange(-half, half + 1, step)
        around = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        places = np.unique(np.clip((centres[:, None] + around).reshape(-1, 2), 0, largest), axis=0)
        misfits = _misfit(s, view, places, True)
        order = np.argsort(misfits)
        if misfits[order[0]] < least:
            best, least = places[order[0]], misfits[order[0]]
        if step == 1:
            return best
        centres, half, step = places[order[:4]], step - 1, max(1, step // 2)


def _misfit(s: Any, view: int, places: np.ndarray, whole: bool) -> np.ndarray:
    return s.backend.to_host(trial_misfits(s, np.full(len(places), view), s.backend.asarray(places), whole))
