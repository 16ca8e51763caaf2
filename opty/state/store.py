"""Store: the mutable contents of a state, used by the runner and, through Access, by operators."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from types import ModuleType
from typing import Any, SupportsFloat

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator, slot_named
from opty.arrays.ranks import Alone
from opty.data import PtychoData
from opty.geometry import Geometry
from opty.model.compose import Model
from opty.model.geometry_numbers import LENGTHS, with_lengths
from opty.physics.propagation import Propagator
from opty.state import loans
from opty.state.device_data import DeviceData
from opty.state.history import Series, number
from opty.state.leaves import ESTIMATED, OF_RUNS, WINDOWS_MOVED

_alive: weakref.WeakSet[Store] = weakref.WeakSet()  # states share leaves: to find buffers that may be reused
_counting = threading.Lock()


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a state began with arrays that the data do not determine: leaves and record at that time."""

    leaves: dict[str, Any]
    declared: Mapping[str, Leaf]
    iteration: int
    history: dict[str, list[float]]
    visits: dict[str, tuple[int, int]] = field(default_factory=dict)

    def kept(self, backend: ModuleType) -> dict[str, Any]:
        """Return all of it on the host, for a file or another device."""
        leaves = {name: np.array(backend.to_host(a)) for name, a in self.leaves.items()}
        declared = {name: self.declared[name] for name in leaves}
        record = {"iteration": self.iteration, "history": self.history, "visits": self.visits}
        return {"leaves": leaves, "declared": declared} | record

    @classmethod
    def of(cls, kept: Mapping[str, Any], backend: ModuleType, model: Model) -> Origin:
        """Return what ``kept`` holds, on a backend."""
        history = {name: np.asarray(v).tolist() for name, v in kept["history"].items()}
        leaves = {name: backend.asarray(np.array(a)) for name, a in kept["leaves"].items()}
        return cls(
            leaves, declarations(leaves, kept["declared"], model), kept["iteration"], history, dict(kept["visits"])
        )


def declarations(leaves: Mapping[str, Any], known: Mapping[str, Leaf], model: Model) -> dict[str, Leaf]:
    """Return the declarations of a state that holds ``leaves``; ``known`` : those that the caller has.

    An unknown array is declared by its shape: a slot that no sweep drops.
    """
    found = estimates_of(model)
    for name, a in leaves.items():
        if name not in found:
            found[name] = known.get(name) or OF_RUNS.get(name) or slot_named(name) or Leaf.found(name, a, "slot")
    return found


def estimates_of(model: Model) -> dict[str, Leaf]:
    """Return the declarations of the estimates of a state with a model."""
    return {leaf.name: leaf for leaf in model.leaves} | {
        k: v for k, v in ESTIMATED.items() if v.optional or not v.image
    }


@dataclass(eq=False)
class Store:
    """Leaves (arrays by name) and record of a state: recipe, iteration, history.

    ``declared`` : the declarations of the leaves, and of others that the state may hold later. Operators add their
    memory when a recipe runs, so that all loops over arrays can rely on it.
    """

    leaves: dict[str, Any]
    measured: DeviceData
    model: Model  # complete: how the leaves make the waves
    frame_origin: np.ndarray  # (2,) px from positions in the data to corners of windows, as the frame was laid out
    seed: int
    threads: int
    _: KW_ONLY
    recipe: Operator
    iteration: int = 0
    history: dict[str, Series] = field(default_factory=dict)
    declared: Mapping[str, Leaf] = field(default_factory=dict)  # given none: the estimates of the model
    deterministic: bool = False  # whether sums over views are the same bits every time, on a GPU too
    visits: dict[str, tuple[int, int]] = field(default_factory=dict)  # of scheduled steps; see algebra/control.py
    start: Origin | None = None  # None: the start follows from data, modes, seed and dtype

    def __post_init__(self) -> None:
        self.declared = self.declared or estimates_of(self.model)
        self._count()

    def _count(self) -> None:
        with _counting:
            _alive.add(self)

    def held_elsewhere(self) -> set[str]:
        """Return the names of the leaves whose arrays another store or a user holds too."""
        with _counting:
            others = {id(a) for store in _alive if store is not self for a in store.leaves.values()}
            others |= {id(a) for store in _alive if store.start is not None for a in store.start.leaves.values()}
        others |= loans.on_loan()
        return {name for name, a in self.leaves.items() if id(a) in others}

    @property
    def layout(self) -> dict[str, Leaf]:
        """The declarations of the present leaves, in their order."""
        return {name: self.declared[name] for name in self.leaves}

    def sizes(self, leaf: Leaf) -> dict[str, int]:
        """Return the sizes of the axes of a leaf that follow from the state."""
        (modes, n, _), obj = self.leaves["probe"].shape, self.leaves["obj"].shape
        rows, columns = obj[-2:] if leaf.grid == "frame" else (n, n)
        views, states = self.measured.data.views, self.model.states(modes)
        found = {"view": views, "mode": modes, "state": states, "row": rows, "col": columns}
        found["variation"] = len(self.leaves["opr_modes"]) if "opr_modes" in self.leaves else 0
        return found | {"slice": obj[0]} if len(obj) > 2 else found

    def type_of(self, leaf: Leaf) -> np.dtype:
        """Return the type of the numbers of a leaf."""
        return leaf.type_in(self.dtype)

    def fits(self, leaf: Leaf, shape: tuple[int, ...]) -> bool:
        """Return whether a shape fits a leaf; axes whose size the declaration leaves open may have any."""
        sizes = self.sizes(leaf)
        if len(shape) != len(axes := leaf.present(sizes)):
            return False
        return shape == leaf.shape(dict(zip(axes, shape, strict=True)) | sizes)

    def nbytes(self, leaf: Leaf) -> int:
        """Return the bytes of a leaf that does not exist yet; an axis of unknown size counts as one."""
        return math.prod(self.shape_of(leaf)) * self.type_of(leaf).itemsize

    def shape_of(self, leaf: Leaf) -> tuple[int, ...]:
        """Return the shape of a leaf that does not exist yet; an axis of unknown size counts as one."""
        sizes = self.sizes(leaf)
        return leaf.shape(dict.fromkeys(leaf.present(sizes), 1) | sizes)

    def create(self, leaf: Leaf, **sizes: int) -> bool:
        """Make a leaf of zeros where there is none; return True where it is new."""
        if leaf.name in self.leaves:
            return False
        if strange := [axis for axis in sizes if axis not in leaf.axes]:
            raise ValueError(f"{leaf!r} has no axis {strange[0]!r} whose size could be given")
        shape = leaf.shape(sizes | self.sizes(leaf))
        self.leaves[leaf.name] = self.measured.backend.xp.zeros(shape, leaf.type_in(self.dtype))
        return True

    @property
    def data(self) -> PtychoData:
        """The measurement."""
        return self.measured.data

    @property
    def ranks(self) -> Alone:
        """The processes that share the views of the scan."""
        return self.measured.ranks

    @property
    def first_view(self) -> int:
        """The number in the scan of the first of the views that this rank has."""
        return int(self.ranks.views(self.measured.whole.views).start)

    @property
    def n(self) -> int:
        """Edge of a pattern in pixels."""
        return self.measured.data.n

    @property
    def backend(self) -> ModuleType:
        """The backend module that owns the leaves."""
        return self.measured.backend

    @property
    def xp(self) -> Any:
        """The array module: numpy or cupy."""
        return self.backend.xp

    @property
    def dtype(self) -> np.dtype:
        """Complex type of object and probe."""
        return self.leaves["probe"].dtype

    @property
    def real_dtype(self) -> np.dtype:
        """Real type that goes with ``dtype``."""
        return np.dtype(self.dtype.type(0).real.dtype)

    @property
    def store(self) -> Store:
        """The store itself, for operators that need the whole state."""
        return self

    @property
    def object_shape(self) -> tuple[int, int]:
        """(H, W) of the object's frame."""
        return self.leaves["obj"].shape[-2:]

    @property
    def largest_corner(self) -> tuple[int, int]:
        """Row and column of the last window that lies inside the object [px]."""
        (rows, columns), n = self.leaves["obj"].shape[-2:], self.leaves["probe"].shape[-1]
        return rows - n, columns - n

    @property
    def probe_shape(self) -> tuple[int, int, int]:
        """(M, n, n) of the probe."""
        return self.leaves["probe"].shape

    @property
    def wave_shape(self) -> tuple[int, int, int]:
        """(S, n, n) of the exit waves of a view: S incoherent states, which are the probe's modes in a thin object."""
        modes, n, _ = self.probe_shape
        return self.model.states(modes), n, n

    @property
    def origin(self) -> np.ndarray:
        """Offset (2,) [px] from positions in the data to corners of windows, with what has moved all of them since."""
        if WINDOWS_MOVED.name not in self.leaves:
            return self.frame_origin
        moved: np.ndarray = self.frame_origin + self.backend.to_host(self.leaves[WINDOWS_MOVED.name])
        return moved

    @property
    def middle(self) -> np.ndarray:
        """The place (2,) [px] in the frame that stays where the pixel at the sample changes: the middle of the scan."""
        return self.measured.whole.positions_px.mean(axis=0) + self.origin

    def optics(self) -> tuple[Geometry | None, Propagator]:
        """Return geometry and propagator: those of the data, with what a run has refined; waits for a GPU then."""
        numbers = {name: self.backend.to_host(self.leaves[name]) for name in LENGTHS & self.leaves.keys()}
        if not numbers:
            return self.data.geometry, self.measured.propagator
        geometry = with_lengths(self.data.geometry, numbers)
        return geometry, self.measured.propagator_of(geometry)

    @property
    def geometry(self) -> Geometry | None:
        """The geometry of the measurement, with the lengths that a run has refined; None where it has none."""
        return self.optics()[0]

    @property
    def incoherent(self) -> Any:
        """Background (n, n) in kernel order, or None."""
        return self.leaves.get("background")

    def fork(self, copied: frozenset[str] | set[str]) -> Store:
        """Return a store that shares every leaf but those named, which are copied, and has its own record."""
        leaves = {name: a.copy() if name in copied else a for name, a in self.leaves.items()}
        new = object.__new__(Store)
        new.__dict__ = {
            **self.__dict__,
            "leaves": leaves,
            "history": self.copied_history(),
            "visits": dict(self.visits),
        }
        new._count()
        return new

    def copied_history(self) -> dict[str, Series]:
        """Return an independent copy of the history."""
        return {name: series.copy() for name, series in self.history.items()}

    def mark_origin(self) -> None:
        """Record the current arrays as the start: no recipe made them, and they do not follow from the data."""
        history = {name: list(v) for name, v in self.history.items()}
        self.start = Origin(dict(self.leaves), self.declared, self.iteration, history, dict(self.visits))

    def record(self, name: str, value: SupportsFloat) -> None:
        """Append a number to a series of the history."""
        self.expect(name, number(value))

    def expect(self, name: str, value: SupportsFloat) -> None:
        """Append a number that may still be in flight from a GPU, and that is not changed any more."""
        if name not in self.history:
            self.history[name] = Series()
        self.history[name].append(value)

    def total(self, value: Any) -> Any:
        """Return the sum of what was summed over the views of this rank over all ranks: an array, or a number on the
        device. All ranks have to call it.
        """
        return self.ranks.total(value, self.backend)

    def of_each(self, work: Callable[..., Any], numbers: np.ndarray, *rows: Any) -> Any:
        """Return ``work(store, numbers, *rows)``, (K, ...) float64, of views ``numbers`` (K,) and ``rows`` (K, ...).

        Over several ranks the work on each view is done by the rank that has it, with a store of its own views, and
        numbers counted in that.
        """
        return work(self, numbers, *rows)

    def summed(self, work: Callable[[Store], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Return the sums over all views that ``work`` makes of the views of a store."""
        return work(self)

    def rng(self, *salt: int) -> np.random.Generator:
        """Return the generator of this iteration: a function of seed and iteration alone, so that runs resume."""
        return np.random.default_rng([self.seed, self.iteration, *salt])
