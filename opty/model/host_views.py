"""HostViews: views without a state, in NumPy arrays, for simulation and for tests of elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.kernels import numpy_backend
from opty.model.compose import Model
from opty.model.views import ModelViews
from opty.physics.propagation import Propagator


class HostViews(ModelViews):
    """Some views of a scan on the CPU.

    Parameters
    ----------
    model : complete. estimates : its leaves by name, and whole arrays for leaves over views. positions : (B, 2) px, the
    corners of the windows in the frame of the object. views : which views these are, (B,); default the first B.
    """

    def __init__(
        self,
        model: Model,
        estimates: dict[str, Any],
        positions: np.ndarray,
        geometry: Any = None,
        *,
        views: np.ndarray | None = None,
        brightness: np.ndarray | None = None,
        wanted: frozenset[str] = frozenset(),
        threads: int = 1,
        propagator: Propagator | None = None,
    ):
        super().__init__(wanted)
        self.model, self.estimates, self.geometry, self.threads = model, estimates, geometry, threads
        self.backend = numpy_backend
        probe = estimates["probe"]
        self.n, self.dtype = probe.shape[-1], np.dtype(np.result_type(probe, estimates["obj"]))
        self.size = len(positions)
        self.selection = np.arange(self.size) if views is None else views
        corners = np.rint(positions)
        self.corners, fraction = corners.astype(np.int64), positions - corners
        self.fraction = fraction if fraction.any() else None
        self.middle = positions.mean(axis=0)
        self.brightness = None if brightness is None else brightness[:, None, None]
        self.propagator = propagator or Propagator(geometry, self.n, numpy_backend, self.dtype)
        self.memory, self.sweep = {}, {}
