"""What a state shows: its arrays and its record, as attributes that cannot be set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.operator import Operator
from opty.data import PtychoData
from opty.geometry import Geometry
from opty.model.compose import Model
from opty.state.history import History
from opty.state.loans import Lent, lent
from opty.state.spread import over_views
from opty.state.store import Store


class StateAttributes:
    """The attributes of a state; those of arrays are read-only."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _live(self) -> Store: ...

    def _leaf(self, name: str) -> Any:
        self._need_rows(name)
        return lent(self._live.leaves[name])

    def _need_rows(self, name: str) -> None:
        """Refuse a leaf of which other ranks have the other rows."""
        if name in over_views(self._live):
            raise ValueError(
                f"{name} has a row for each view, and the views are spread over ranks: p.gather().{name} on the first"
            )

    def __getattr__(self, name: str) -> Any:
        """Return a leaf that an element of the model brings, read-only: ``p.spacing``."""
        if not name.startswith("_") and any(leaf.name == name for leaf in self.model.leaves):
            return self._leaf(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def model(self) -> Model:
        """How object, probe and positions make the waves: a product of elements of ``opty.model``."""
        return self._live.model

    @property
    def obj(self) -> Any:
        """Object (H, W) complex transmission, (L, H, W) of several slices or states, read-only."""
        return self._leaf("obj")

    @property
    def probe(self) -> Any:
        """Probe modes (M, n, n) complex [sqrt(photons)], centred in the array, read-only."""
        return self._leaf("probe")

    @property
    def positions(self) -> Any:
        """Window corners (N, 2) float64 (row, column) [px] in the frame of the object, read-only."""
        return self._leaf("positions")

    @property
    def background(self) -> Any:
        """Incoherent background (n, n) [photons], zero frequency in the centre, or None."""
        store = self._live
        if "background" not in store.leaves:
            return None
        return store.measured.propagator.from_kernel_order(self.numpy("background"))

    @property
    def intensity_factors(self) -> Any:
        """Intensity of the beam at each view (N,) float64, one on the mean, read-only; or None."""
        return self._leaf("intensity_factors") if "intensity_factors" in self._live.leaves else None

    @property
    def slots(self) -> Mapping[str, Any]:
        """Memory of operators that lives in the state (moments, kept waves), by name; read-only."""
        return Lent([name for name, leaf in self._live.layout.items() if leaf.role == "slot"], self._leaf)

    @property
    def arrays(self) -> Mapping[str, Any]:
        """Arrays that were given to ``replace`` by name, for operators to read; read-only."""
        return Lent(sorted(name for name, leaf in self._live.layout.items() if leaf.role == "array"), self._leaf)

    @property
    def data(self) -> PtychoData:
        """The measurement, of all ranks."""
        return self._live.measured.whole

    @property
    def geometry(self) -> Geometry | None:
        """The geometry of the measurement with the lengths that ``Refine`` found; None where it has none."""
        return self._live.geometry

    @property
    def pixel(self) -> float | None:
        """Edge of a pixel of object and probe [m], by ``geometry``; None without one."""
        return None if self.geometry is None else self.geometry.sample_pixel(self.data.n)

    @property
    def origin(self) -> np.ndarray:
        """Offset (2,) [px] from the data's positions to window corners; ``CentreProbe`` moves it with the windows."""
        return self._live.origin.copy()

    @property
    def history(self) -> History:
        """Numbers recorded along the way: ``p.history["misfit"]`` and others."""
        return History(self._live.copied_history())

    @property
    def iteration(self) -> int:
        """Iterations done: passes over the data that improved object or probe."""
        return self._live.iteration

    @property
    def recipe(self) -> Operator:
        """The recipe that made this state out of its start (Identity at the start)."""
        return self._live.recipe

    @property
    def seed(self) -> int:
        """Seed of every random choice."""
        return self._live.seed

    @property
    def dtype(self) -> np.dtype:
        """Complex type of object and probe."""
        return self._live.dtype

    @property
    def device(self) -> str:
        """Where the arrays are: "cpu" or "gpu"."""
        return self._live.backend.name

    @property
    def threads(self) -> int:
        """Threads for Fourier transforms on the CPU."""
        return self._live.threads

    @property
    def deterministic(self) -> bool:
        """Whether a GPU adds up in the same order every time."""
        return self._live.deterministic

    def numpy(self, name: str) -> np.ndarray:
        """Return a leaf or slot as a NumPy array of your own (a copy)."""
        store = self._live
        if name not in store.leaves:
            raise KeyError(f"no {name!r} in this state; it holds {sorted(store.leaves)}")
        self._need_rows(name)
        return np.array(store.backend.to_host(store.leaves[name]))

    # -- what one can do with it

    def __repr__(self) -> str:
        if self._consumed:
            return f"<PtychoState: given away, {self._consumed}>"
        store = self._store
        shape, modes = store.leaves["obj"].shape, len(store.leaves["probe"])
        layers = "states" if store.model.mixture else "slices"
        several = f"{shape[0]} {layers} of " if len(shape) == 3 else ""
        misfit = f", misfit {store.history['misfit'][-1]:.4g} in its last sweep" if store.history.get("misfit") else ""
        absent = "" if store.data.absent is None else f"; frames not here: {store.data.absent}"
        where = f"{store.dtype} on {store.backend.name}{absent}"
        return (
            f"<PtychoState: object {several}{shape[-2]} x {shape[-1]}, {modes} probe mode{'s' * (modes > 1)} of "
            f"{store.data.n} x {store.data.n}, {self.data.views} views, iteration {store.iteration}{misfit}, {where}>"
        )
