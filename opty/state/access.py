"""Access: the view of one operator on a state or a batch, limited to what it declared."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from opty.algebra.leaf import Leaf, with_parts
from opty.algebra.operator import Operator
from opty.errors import EffectError
from opty.state.history import History
from opty.state.leaves import ESTIMATED, FIELDS


class Rights(NamedTuple):
    """The name of an operator, and what it declares; ``guarded`` : on a GPU too, see Access."""

    who: str
    reads: frozenset[str]
    writes: frozenset[str]
    guarded: bool


def rights_of(op: Operator) -> Rights:
    """Return what an operator may do to a state: to what it declares, and to the parts of that."""
    reads, writes = map(with_parts, op.effects())
    return Rights(type(op).__name__, reads, writes, of_user(op))


def rights_in_batch(op: Operator) -> Rights:
    """Return what an operator may do to a batch: estimates belong to the state."""
    reads, writes = (names - ESTIMATED.keys() for names in op.effects())
    return Rights(type(op).__name__, reads, writes, of_user(op))


class Access:
    """Attribute access to leaves under an operator's declared effects.

    A leaf declared as written is returned itself; one only declared as read is returned as a read-only array (on a GPU
    if ``guarded``: assignments, in-place arithmetic and methods that write are refused, ``out=`` and kernels are not).
    Reading an undeclared leaf raises EffectError, and so does assigning to one not declared as written. Everything else
    (``xp``, ``backend``, ``iteration``, ``seed``, ``data``, ``n``, ...) is taken from the state or batch behind it;
    ``history`` is read-only, and ``record`` appends to it.
    """

    __slots__ = ("_behind", "_guarded", "_reads", "_scattered", "_who", "_writes", "memo")

    def __init__(self, behind: Any, who: str, reads: frozenset[str], writes: frozenset[str], guarded: bool = True):
        put = object.__setattr__
        put(self, "_behind", behind)
        put(self, "_who", who)
        put(self, "_reads", reads)
        put(self, "_writes", writes)
        put(self, "_guarded", guarded)
        put(self, "_scattered", frozenset())
        put(self, "memo", {})

    def __getattr__(self, name: str) -> Any:
        behind = self._behind
        leaf = behind.leaves.get(name)
        if leaf is None:
            return self._beside(name)
        if name in self._scattered:
            raise EffectError(
                f"{self._who} uses {name!r} before the batches of a sweep: it has a row for each view, and the views "
                "are spread over ranks. Use its rows in apply, b.selection, or in finish; or, if sums are made with "
                "s.total, say over_ranks = True in the class"
            )
        if name in self._writes:
            return leaf
        if name not in self._reads:
            raise EffectError(f"{self._who} reads {name!r} without declaring it; add it to reads= in its class line")
        if isinstance(leaf, np.ndarray):
            leaf = leaf.view()
            leaf.flags.writeable = False
            return leaf
        return behind.store.backend.read_only(leaf, name, self._who) if self._guarded else leaf

    def _beside(self, name: str) -> Any:
        """Return what is no leaf: what stands behind has it, or it is not made yet."""
        if name in self._writes or name in self._reads:
            raise AttributeError(
                f"{self._who}: there is no {name!r} here yet; create it with s.create({name!r}, ...) "
                f"(a step of a sweep that sets b.{name} for others stands to the right of them)"
            )
        if name == "history":
            return History(self._behind.history)
        return getattr(self._behind, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._writes:
            raise EffectError(f"{self._who} writes {name!r} without declaring it; add it to writes= in its class line")
        old = self._behind.leaves.get(name)
        if old is not value:
            value = self._own(value)
            if old is not None and old.shape != value.shape:
                raise ValueError(f"{self._who} sets {name} of shape {value.shape}; it has shape {old.shape}")
            self._behind.leaves[name] = self._new(name, value) if old is None else _like(old, value)

    def _new(self, name: str, value: Any) -> Any:
        """Return an array as it is declared, or refuse it."""
        leaf = self._declared(name)
        store = self._behind.store
        kind = store.type_of(leaf)
        if not store.fits(leaf, value.shape):
            raise ValueError(f"{self._who} sets {name} of shape {value.shape}; it is declared as {leaf!r}")
        if value.dtype.kind == "c" != kind.kind:
            raise ValueError(f"{self._who} sets {name} of {value.dtype}; it is declared as {leaf!r}")
        return value.astype(kind, copy=False)

    def _declared(self, name: str) -> Leaf:
        leaf = self._behind.store.declared.get(name)
        if leaf is None:
            raise EffectError(undeclared(self._who, name))
        return leaf

    def _own(self, value: Any) -> Any:
        """Return an array that shares no memory with a leaf: what shares it would change together.

        It is C-contiguous: kernels read it by its address.
        """
        behind = self._behind
        value = behind.backend.plain_array(behind.xp.asarray(value))
        fit = value.flags.c_contiguous and (not isinstance(value, np.ndarray) or value.flags.writeable)
        return value.copy() if not fit or _shared(value, behind) else value

    def hide(self, names: frozenset[str]) -> None:
        """Refuse leaves of which other ranks have other rows, until called again without names."""
        object.__setattr__(self, "_scattered", names)

    def stand_before(self, behind: Any) -> None:
        """Give access to another state."""
        object.__setattr__(self, "_behind", behind)

    def lent(self, names: frozenset[str]) -> dict[str, Any]:
        """Return those leaves of some that are here, by name, for messages about them."""
        return {name: leaf for name, leaf in self._behind.leaves.items() if name in names}

    def has(self, name: str) -> bool:
        """Say whether a leaf or slot of that name exists."""
        return name in self._behind.leaves

    def create(self, name: str, **sizes: int) -> bool:
        """Make a slot of zeros, as it is declared, where there is none; return True where it is new.

        ``sizes`` : of axes whose size the declaration leaves open.
        """
        if name not in self._writes:
            raise EffectError(f"{self._who} creates {name!r} without declaring it: {_REMEDY.format(name=name)}")
        return name not in self._behind.leaves and self._behind.store.create(self._declared(name), **sizes)

    def drop(self, *names: str) -> None:
        """Free slots that are no longer needed."""
        for name in names:
            if name not in self._writes | self._reads:
                raise EffectError(
                    f"{self._who} drops {name!r} without declaring it; add it to reads= in its class line"
                )
            self._behind.leaves.pop(name, None)


class WholeAccess(Access):
    """The access of an operator on the whole state: the measurement is that of all ranks."""

    __slots__ = ()

    def _beside(self, name: str) -> Any:
        if name in ("data", "measured"):
            return getattr(self._behind.measured.for_all, name, self._behind.measured.for_all)
        return super()._beside(name)


_REMEDY = "declare it in its class line, slots=opty.Leaf({name!r}, axes=..., ...), which says what the array is"


def undeclared(who: str, name: str) -> str:
    """Return the message about an array that no operator declares."""
    return f"{who} writes {name!r}, which no operator declares: {_REMEDY.format(name=name)}"


def _like(old: Any, value: Any) -> Any:
    return value if value.dtype == old.dtype else value.astype(old.dtype)


def _shared(value: Any, store: Any) -> bool:
    """Return whether an array shares memory with a leaf; for an array that is no view, compare the leaves alone."""
    leaves = store.leaves.values()
    if value.base is None:
        return any(leaf is value or leaf.base is value for leaf in leaves)
    return any(store.backend.share_memory(value, leaf) for leaf in leaves)


class BatchAccess(Access):
    """The access of one step of a sweep to a batch: its fields, and those that steps make for each other.

    Any name that a step declares as written and that is no leaf or slot of the state is a field that it may set,
    ``b.extra``, for steps to its left that declare it as read. It may hold anything, and ends with the batch.
    """

    __slots__ = ()

    def _beside(self, name: str) -> Any:
        behind = self._behind
        declared = name in self._writes or name in self._reads
        if name in FIELDS and not declared:
            raise EffectError(f"{self._who} reads {name!r} without declaring it; add it to reads= in its class line")
        if (not declared and name not in behind.store.leaves) or hasattr(type(behind), name) or name in vars(behind):
            return getattr(behind, name)
        self._refuse_of_state(name)
        raise AttributeError(
            f"{self._who} reads b.{name}, which no step to its right has set in this batch: operators run from right "
            f"to left, so write ... * {self._who}(...) * the step that sets it"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        self._refuse_of_state(name)
        if name not in self._writes:
            raise EffectError(f"{self._who} writes {name!r} without declaring it; add it to writes= in its class line")
        leaves = self._behind.leaves
        old = leaves.get(name)
        if old is not value:
            leaves[name] = _like(old, value) if name in FIELDS and old is not None else value

    def create(self, name: str, **sizes: int) -> bool:
        """Refuse to make a slot: memory lives in the state."""
        raise EffectError(f"{self._who}: memory lives in the state and not in a batch; write s.create({name!r})")

    def _refuse_of_state(self, name: str) -> None:
        """Refuse a name that belongs to the state and not to the batch."""
        if name in self._behind.store.leaves:
            raise EffectError(f"{self._who}: {name!r} is part of the state and not of a batch; write s.{name}")


def of_user(op: Operator) -> bool:
    """Return whether an operator is a user's own; tests ensure that those of opty respect their declarations."""
    return not type(op).__module__.startswith("opty.")
