"""The light that fell on each pixel of the object."""

from __future__ import annotations

from typing import Any

from opty.state.store import Store
from opty.state.views import rough_batches, sweep_batches


def light_on(store: Store, rough: bool = False) -> Any:
    """Return sum_j S_j (H, W) real [photons]: the light that fell on each pixel of the object.

    ``rough`` : with each probe at the nearest pixel, which takes no transform and does not wait for the device.
    """
    light = store.xp.zeros(store.object_shape, store.real_dtype)
    for b in rough_batches(store) if rough else sweep_batches(store, some=True):
        b.place(light, b.illum_power)
    return store.total(light)
