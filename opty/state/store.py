"""Store: the mutable inside of a state, seen by the runner and, through Access, by operators."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, SupportsFloat

import numpy as np

from opty.algebra.operator import Operator
from opty.data import PtychoData
from opty.model.compose import Model
from opty.state import loans
from opty.state.device_data import Measured
from opty.state.history import Series, number

_alive: weakref.WeakSet[Store] = weakref.WeakSet()  # leaves are shared between states: whose buffers may be reused?
_counting = threading.Lock()

CORE = ("obj", "probe", "positions")  # what every state holds
ESTIMATES = (*CORE, "background", "intensity_factors")  # slots and arrays that the user named come beside them


def label(name: str, named: frozenset[str]) -> str:
    """Return the name of a leaf as files and ``PtychoState.restore`` know it."""
    return name if name in ESTIMATES else f"array:{name}" if name in named else f"slot:{name}"


def unlabelled(leaves: Mapping[str, Any], backend: ModuleType) -> tuple[dict[str, Any], frozenset[str]]:
    """Return leaves by their plain names on a backend, and which of them the user named."""
    arrays = {name.rpartition(":")[2]: backend.asarray(np.array(a)) for name, a in leaves.items()}
    return arrays, frozenset(name.rpartition(":")[2] for name in leaves if name.startswith("array:"))


@dataclass(frozen=True, eq=False)
class Start:
    """Where a state began with arrays that the data alone do not tell: leaves and books as they were then."""

    leaves: dict[str, Any]
    named: frozenset[str]
    iteration: int
    history: dict[str, list[float]]
    visits: dict[str, tuple[int, int]] = field(default_factory=dict)

    def kept(self, backend: ModuleType) -> dict[str, Any]:
        """Return all of it on the host, for a file or another device."""
        leaves = {label(name, self.named): np.array(backend.to_host(a)) for name, a in self.leaves.items()}
        return {"leaves": leaves, "iteration": self.iteration, "history": self.history, "visits": self.visits}

    @classmethod
    def of(cls, kept: Mapping[str, Any], backend: ModuleType) -> Start:
        """Return what ``kept`` told, on a backend."""
        history = {name: np.asarray(v).tolist() for name, v in kept["history"].items()}
        return cls(*unlabelled(kept["leaves"], backend), kept["iteration"], history, dict(kept["visits"]))


@dataclass(eq=False)
class Store:
    """Leaves (arrays by name) and books of a state."""

    leaves: dict[str, Any]
    measured: Measured
    model: Model  # complete: how the leaves make the waves
    origin: np.ndarray
    seed: int
    threads: int
    recipe: Operator
    iteration: int = 0
    history: dict[str, Series] = field(default_factory=dict)
    named: frozenset[str] = frozenset()  # leaves that the user put in by name, for operators to read
    deterministic: bool = False  # whether sums over views are the same bits every time, on a GPU too
    visits: dict[str, tuple[int, int]] = field(default_factory=dict)  # of scheduled steps; see algebra/control.py
    start: Start | None = None  # None: the data, modes, seed and dtype tell how the state began

    def __post_init__(self) -> None:
        with _counting:
            _alive.add(self)

    def held_elsewhere(self) -> set[str]:
        """Return the names of the leaves whose arrays another store holds too, or a user who took them from a state."""
        with _counting:
            others = {id(a) for store in _alive if store is not self for a in store.leaves.values()}
            others |= {id(a) for store in _alive if store.start is not None for a in store.start.leaves.values()}
        others |= loans.on_loan()
        return {name for name, a in self.leaves.items() if id(a) in others}

    @property
    def data(self) -> PtychoData:
        """What was measured."""
        return self.measured.data

    @property
    def n(self) -> int:
        """Edge of a pattern in pixels."""
        return self.data.n

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
        return np.dtype(self.leaves["probe"].dtype)

    @property
    def real_dtype(self) -> np.dtype:
        """Real type that goes with ``dtype``."""
        return np.dtype(self.dtype.type(0).real.dtype)

    @property
    def store(self) -> Store:
        """The store itself, for operators that look at the state as a whole."""
        return self

    @property
    def object_shape(self) -> tuple[int, int]:
        """(H, W) of the object's frame."""
        return self.leaves["obj"].shape[-2:]

    @property
    def largest_corner(self) -> tuple[int, int]:
        """Row and column of the last window that lies inside the object [px]."""
        rows, columns = self.object_shape
        return rows - self.data.n, columns - self.data.n

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
    def incoherent(self) -> Any:
        """Background (n, n) in kernel order, or None."""
        return self.leaves.get("background")

    def fork(self, copied: frozenset[str] | set[str]) -> Store:
        """Return a store that shares every leaf but those named, which are copied, and has books of its own."""
        leaves = {name: a.copy() if name in copied else a for name, a in self.leaves.items()}
        return replace(self, leaves=leaves, history=self.books(), visits=dict(self.visits))

    def books(self) -> dict[str, Series]:
        """Return the history as it stands, of its own from here on."""
        return {name: series.copy() for name, series in self.history.items()}

    def begin_here(self) -> None:
        """Keep what stands here as the start: no recipe made it, and the data alone do not tell it."""
        history = {name: list(v) for name, v in self.history.items()}
        self.start = Start(dict(self.leaves), self.named, self.iteration, history, dict(self.visits))

    def record(self, name: str, value: SupportsFloat) -> None:
        """Append a number to a series of the history."""
        self.expect(name, number(value))

    def expect(self, name: str, value: SupportsFloat) -> None:
        """Append a number that may still be on its way from a GPU, and that nothing changes any more."""
        if name not in self.history:
            self.history[name] = Series()
        self.history[name].append(value)

    def rng(self, *salt: int) -> np.random.Generator:
        """Return the generator of this iteration: a function of seed and iteration alone, so that runs resume."""
        return np.random.default_rng([self.seed, self.iteration, *salt])
