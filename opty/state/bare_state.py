"""BareState: the estimates and their record. Read-only outside an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Identity, Operator
from opty.arrays import why_no_gpu
from opty.arrays.ranks import ranks_of, threads_each
from opty.data import PtychoData
from opty.data.fields import check_positions
from opty.errors import ConsumedError, warn_user
from opty.kernels import backend_for
from opty.model.complete import complete, first_leaves, fitting, with_modes
from opty.model.compose import Model
from opty.model.element import Element
from opty.model.scan import Scan
from opty.model.starting_probe import split_probe
from opty.state import start
from opty.state.attributes import StateAttributes
from opty.state.device_data import DeviceData
from opty.state.history import Series
from opty.state.leaves import ESTIMATED
from opty.state.move import moved
from opty.state.onto import brought_over, check_alike, with_found_lengths
from opty.state.over_ranks import OverRanks
from opty.state.replace import host, replaced
from opty.state.spread import share_mean_amplitude, spread
from opty.state.store import Origin, Store, declarations
from opty.words import clear_arguments

LEFT_BEHIND = "they stayed in the process where the run failed"
OPEN_WITH = "save the state, p.save('x.h5'), and open it with the measurement: opty.load('x.h5', data=...)"


class BareState(OverRanks, StateAttributes):
    """Object, probe and positions being estimated, read-only outside an operator; see ``opty.PtychoState``.

    What is done with a state by higher layers (running recipes, saving, pictures) is added by ``opty.PtychoState``.
    """

    __slots__ = ("__weakref__", "_consumed", "_frameless", "_owned", "_store")

    _store: Store
    _owned: bool
    _consumed: str
    _frameless: bool  # in pickles

    @clear_arguments("PtychoState", of_instance=True)
    def __init__(
        self,
        data: PtychoData,
        probe: Any = None,
        obj: Any = None,
        modes: int | None = None,
        seed: int = 0,
        *,
        dtype: Any = "complex64",
        device: str | None = None,
        threads: int | None = None,
        margin: int | None = None,
        deterministic: bool = False,
        model: Model | Element | str | None = None,
        comm: Any = None,
    ):
        if not isinstance(data, PtychoData):
            kind = type(data).__name__
            raise TypeError(f"data is a {kind}; give opty.PtychoData(intensities, positions) or opty.load(path)")
        kind = start.complex_type(dtype)
        if modes is not None and (isinstance(modes, bool) or not isinstance(modes, (int, np.integer)) or modes < 1):
            raise ValueError(f"modes is {modes!r}; give a number of probe modes from 1 on")
        ranks = ranks_of(comm)
        backend = backend_for(start.on_device(device))
        if backend.name == "gpu":
            ranks.take_gpu()
        obj = None if obj is None else host(obj)
        start.check_light(data, kind)
        by_hand = any(given is not None for given in (obj, probe, margin))
        origin, shape = start.frame(data.positions_px, data.n, obj, margin)
        whole = complete(model, data.geometry, data.n, modes)
        for element in whole.elements:
            element.check_measurement(data)
            if ranks.rank == 0 and (why := element.doubt(data)) is not None:
                warn_user(why, UserWarning)
        seed = start.given_seed(seed)
        if probe is None and data.probe is None:
            share_mean_amplitude(data, ranks)
        scan = Scan(
            data.views, data.n, shape, kind, data.geometry, data, given=probe, positions=data.positions_px, seed=seed
        )
        first = first_leaves(whole, scan)
        given = probe is not None or data.probe is not None
        if given and ranks.rank == 0 and (why := split_probe(first["probe"])) is not None:
            warn_user(why, UserWarning)
        whole = with_modes(whole, len(first["probe"]))
        if obj is not None:
            first["obj"] = fitting(whole, "obj", obj, first["obj"])
        measured = DeviceData(data, backend, kind)
        leaves = {name: backend.asarray(a).copy() for name, a in first.items()}
        leaves["positions"] = backend.asarray(data.positions_px + origin)
        if measured.background is not None:
            leaves["background"] = measured.background
        if threads is None and ranks.size > 1:
            threads = threads_each(comm)
        machine = (seed, start.given_threads(threads))
        store = Store(leaves, measured, whole, origin, *machine, recipe=Identity(), deterministic=bool(deterministic))
        self._set(store)
        if by_hand:
            self._store.mark_origin()
        if ranks.size > 1:
            self._set(spread(self._store, ranks))

    def _set(self, store: Store, owned: bool = False) -> None:
        put = object.__setattr__
        put(self, "_store", store)
        put(self, "_owned", owned)
        put(self, "_consumed", "")
        put(self, "_frameless", False)

    @classmethod
    def _of(cls, store: Store, owned: bool = False) -> Self:
        p = object.__new__(cls)
        p._set(store, owned)
        return p

    def _consume(self, why: str) -> None:
        """Release the buffers; any later use raises ConsumedError."""
        object.__setattr__(self, "_consumed", why)
        object.__delattr__(self, "_store")

    @classmethod
    def restore(
        cls,
        data: PtychoData,
        leaves: Mapping[str, np.ndarray],
        *,
        origin: Any,
        seed: int,
        iteration: int,
        history: Mapping[str, Any],
        recipe: Operator,
        declared: Mapping[str, Leaf] | None = None,
        visits: Mapping[str, Any] | None = None,
        began: Mapping[str, Any] | None = None,
        device: str | None = None,
        threads: int | None = None,
        deterministic: bool = False,
        model: Model | None = None,
    ) -> Self:
        """Rebuild a state from the contents of a file: ``leaves`` by name.

        ``declared`` : the declarations of leaves that are no estimates; a leaf without one is memory of an operator.
        ``visits``: the last iteration at each scheduled step; None in files of earlier versions.
        ``model`` : of the state; None for files of earlier versions, whose objects are thin.
        ``began``: leaves, declarations, iteration, history, visits of the start, if it does not follow from the data.
        Raises ValueError where obj, probe or positions are missing.
        """
        needed = [name for name, leaf in ESTIMATED.items() if not leaf.optional]
        if missing := [name for name in needed if name not in leaves]:
            raise ValueError(f"a state needs {', '.join(needed)}; {missing} are missing")
        backend = backend_for(start.on_device(device))
        kind = start.complex_type(leaves["probe"].dtype)
        measured = DeviceData(data, backend, kind)
        arrays = {name: backend.asarray(np.array(a)) for name, a in leaves.items()}
        positions = check_positions(leaves["positions"], data.views)
        start.frame(positions, data.n, leaves["obj"])
        arrays["positions"] = backend.asarray(positions)
        whole = with_modes(complete(model, data.geometry, data.n), len(leaves["probe"]))
        if missing := [leaf.name for leaf in whole.leaves if leaf.name not in leaves]:
            raise ValueError(f"the model {whole!r} needs {', '.join(missing)}, which the file does not hold")
        series = {name: Series(np.asarray(v).tolist()) for name, v in history.items()}
        frame = np.asarray(origin, float)
        machine = (start.given_seed(seed), start.given_threads(threads))
        store = Store(arrays, measured, whole, frame, *machine, recipe=recipe, iteration=iteration, history=series)
        store.deterministic = bool(deterministic)
        store.declared = declarations(arrays, declared or {}, whole)
        store.visits = {key: (int(before), int(at)) for key, (before, at) in (visits or {}).items()}
        if began is not None:
            store.start = Origin.of(began, backend, whole)
        elif recipe == Identity():
            store.mark_origin()
        return cls._of(store)

    def __reduce__(self) -> tuple[Any, ...]:
        store = self._live
        if store.ranks.size > 1:
            raise TypeError("a state that is spread over ranks cannot be pickled: pickle p.gather()")
        data = self._without_frames() if self._frameless else store.data
        leaves = {name: self.numpy(name) for name in store.leaves}
        record = {
            "declared": store.layout,
            "origin": store.frame_origin,
            "seed": store.seed,
            "iteration": store.iteration,
            "history": store.history,
        }
        record |= {"recipe": store.recipe, "visits": store.visits, "began": self._began()}
        record |= {"threads": store.threads, "deterministic": store.deterministic, "device": store.backend.name}
        record["model"] = store.model
        return _restored, (type(self), data, leaves, record)

    def __copy__(self) -> Self:
        """Return a state that shares all arrays with this one."""
        return self._of(self._live.fork(set()))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a state with copies of all arrays, on the same device; the measurement never changes and is shared."""
        return self._of(self._live.fork(set(self._live.leaves)))

    def _light(self) -> Self:
        """Return the state, to be pickled without its frames: for an exception, which may go to another process."""
        p = self._of(self._live.fork(set()))
        object.__setattr__(p, "_frameless", True)
        return p

    def _without_frames(self) -> PtychoData:
        """Return the measurement as an exception carries it to another process: all but its frames."""
        return self._live.data.without_frames(LEFT_BEHIND, OPEN_WITH, source=False)

    def _began(self) -> dict[str, Any] | None:
        """The start as ``restore`` takes it; None where it follows from the data or this is the start itself."""
        store = self._live
        return None if store.start is None or store.recipe == Identity() else store.start.kept(store.backend)

    # -- contents

    @property
    def _live(self) -> Store:
        if self._consumed:
            raise ConsumedError(f"this state was given away: {self._consumed}; use the state that came out of it")
        return self._store

    @clear_arguments("p.replace", of_instance=True)
    def replace(
        self,
        *,
        obj: Any = None,
        probe: Any = None,
        positions: Any = None,
        background: Any = None,
        intensity_factors: Any = None,
        arrays: Mapping[str, Any] | None = None,
        leaves: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Self:
        """Return a state with some leaves replaced; memory that belongs to what is replaced is dropped.

        ``obj`` (H, W), ``probe`` (M, n, n), ``positions`` (N, 2) px window corners, ``background`` (n, n) [photons],
        zero frequency in the centre, ``intensity_factors`` (N,), and ``arrays`` by name, for operators to read:
        ``p = p.replace(arrays={"pinhole": weights})``, then ``Support("pinhole")``. ``leaves`` by name are others that
        the model brings: ``p.replace(leaves={"spacing": [2e-6]})``.

        Raises ValueError for shapes that do not fit the data, values that are not finite, and a name that an operator's
        memory has.
        """
        given = {
            "obj": obj,
            "probe": probe,
            "positions": positions,
            "background": background,
            "intensity_factors": intensity_factors,
        }
        given |= dict(leaves or {})
        self._need_all("p.replace")
        return self._of(replaced(self._live, given, dict(arrays or {}), seed))

    def onto(self, data: PtychoData) -> Self:
        """Return a state of other data of the same sample that begins with the object and the probe of this one.

        For a scan that goes on, or was taken again: ``p = rPIE() ** 50 * p.onto(more)``. The object lies where the
        positions in the data, counted from the same place in both, say; it is one where it was not seen. Numbers of the
        model that belong to the scan, such as the spacing of slices, go along, as do lengths of the geometry that
        ``Refine`` found, into data that were given the same ones; what belongs to views, background,
        memory and history begin anew.

        Raises ValueError for patterns of another size, another pixel of the object, and data that share no pixel of the
        object with this state.
        """
        store = self._live
        self._need_all("p.onto")
        data = with_found_lengths(store, data)
        check_alike(store, data)
        machine = dict(seed=store.seed, dtype=store.dtype, device=store.backend.name, threads=store.threads)
        begun = type(self)(
            data, probe=self.numpy("probe"), model=store.model, deterministic=store.deterministic, **machine
        )
        found = brought_over(store, begun._live)
        main = {name: found.pop(name) for name in ("obj", "positions")}
        return begun.replace(**main, leaves=found)

    def to(self, device: str) -> Self:
        """Return the state on "cpu" or "gpu" (itself where it is there already).

        Raises RuntimeError, with the reason, where there is no GPU.
        """
        store = self._live
        self._need_all("p.to")
        backend = backend_for(device)
        if backend is store.backend:
            return self
        return self._of(moved(store, backend))

    def donate(self) -> Self:
        """Give the buffers to the next recipe, which works in them instead of in copies: ``p = recipe * p.donate()``.

        Of what the recipe writes, it still copies the arrays that another state shares; those with which the run began,
        where the state keeps them for ``opty.rerun`` (a probe or object given by hand, what ``replace`` put in); and
        those of which an array that was read from a state (``o = p.obj``), or a part of one, is still alive.
        The run also holds one copy of what it writes as it stood at the end of the last turn (on a GPU, of the last
        two): an exception carries it as ``.state``. Waves of all views, which ``DM`` keeps, are not in that copy.

        Any later use of this state raises ConsumedError.
        """
        given = self._of(self._live, owned=True)
        self._consume("p.donate() passed its buffers on")
        return given

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ESTIMATED:
            raise AttributeError(f"a state is read-only outside an operator; use p = p.replace({name}=...)")
        raise AttributeError(f"PtychoState has no attribute {name!r} to set; it is read-only outside an operator")


HANDLES: list[type[BareState]] = [BareState]  # the classes of states, the one in use last


def handle() -> type[BareState]:
    """Return the class of states that runs and files return: ``opty.PtychoState``, once that is imported."""
    return HANDLES[-1]


def _restored(
    made: type[BareState], data: PtychoData, leaves: dict[str, np.ndarray], record: dict[str, Any]
) -> BareState:
    """Rebuild a pickled state on its device; on the CPU, with a warning, if that was a GPU and there is none."""
    if record["device"] == "gpu" and (reason := why_no_gpu()):
        warn_user(f"a state that was on a GPU is on the CPU now: {reason}", UserWarning)
        record = record | {"device": "cpu"}
    return made.restore(data, leaves, **record)
