"""A state brought to another device."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from opty.state.device_data import DeviceData
from opty.state.store import Origin, Store


def moved(store: Store, backend: ModuleType, choose: Callable[[], None] | None = None) -> Store:
    """Return a state with copies of all arrays on a backend; ``choose`` makes the device there the current one."""
    held = {name: np.array(store.backend.to_host(a)) for name, a in store.leaves.items()}
    began = None if store.start is None else store.start.kept(store.backend)
    if choose is not None:
        choose()
    new = store.fork(set())
    new.leaves = {name: backend.asarray(a) for name, a in held.items()}
    new.measured = DeviceData(store.data, backend, store.dtype)
    new.start = None if began is None else Origin.of(began, backend, store.model)
    return new
