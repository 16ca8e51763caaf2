"""The light that fell on each pixel of the object."""

from __future__ import annotations

from typing import Any

from opty.state.store import Store
from opty.state.views import placed, sweep_batches


def light_on(store: Store) -> Any:
    """Return sum_j S_j (H, W) real [photons]: the light that fell on each pixel of the object."""
    light = store.xp.zeros(store.object_shape, store.real_dtype)
    for b in sweep_batches(store, some=True):
        b.place(light, b.illum_power)
    return store.total(light)


def rough_light(store: Store) -> Any:
    """Return sum_jm |P_m|^2 (H, W) real [photons], every probe at the nearest pixel and as bright as the state's.

    It takes no transform, and does not wait for the device.
    """
    light = store.xp.zeros(store.object_shape, store.real_dtype)
    power = store.xp.abs(store.leaves["probe"])
    power *= power
    corners, _ = placed(store, store.leaves["positions"], True)
    store.backend.add_windows(light, corners, power.sum(axis=0)[None], store.deterministic)
    return store.total(light)
