"""Access: a state, or a batch, as one operator may see it: what it declared, and no more."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.errors import EffectError


class Access:
    """Attribute access to leaves under an operator's declared effects.

    A leaf that is declared written is handed out as it is; one that is only read comes as a read-only array (on NumPy);
    one that is not declared raises EffectError, and so does assigning to what is not declared written. Everything else
    (``xp``, ``backend``, ``iteration``, ``seed``, ``data``, ``n``, ...) passes through to what stands behind.
    """

    __slots__ = ("_behind", "_who", "_writes", "_reads", "memo")  # noqa: RUF023 - memo is the public one

    def __init__(self, behind: Any, who: str, reads: frozenset[str], writes: frozenset[str]):
        put = object.__setattr__
        put(self, "_behind", behind)
        put(self, "_who", who)
        put(self, "_reads", reads)
        put(self, "_writes", writes)
        put(self, "memo", {})

    def __getattr__(self, name: str) -> Any:
        behind = self._behind
        leaf = behind.leaves.get(name)
        if leaf is None:
            if name in self._writes or name in self._reads:
                raise AttributeError(
                    f"{self._who}: there is no {name!r} here yet; create it with s.create({name!r}, ...)"
                )
            return getattr(behind, name)
        if name in self._writes:
            return leaf
        if name not in self._reads:
            raise EffectError(f"{self._who} reads {name!r} without declaring it; add it to reads= in its class line")
        if isinstance(leaf, np.ndarray):
            leaf = leaf.view()
            leaf.flags.writeable = False
        return leaf

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._writes:
            raise EffectError(f"{self._who} writes {name!r} without declaring it; add it to writes= in its class line")
        old = self._behind.leaves.get(name)
        if old is not value:
            value = self._own(value)
            if old is not None and old.shape != value.shape and self._behind.fixed_shapes:
                raise ValueError(f"{self._who} sets {name} of shape {value.shape}; it has shape {old.shape}")
            if old is not None and old.dtype != value.dtype:
                value = value.astype(old.dtype)
            self._behind.leaves[name] = value

    def _own(self, value: Any) -> Any:
        """Return an array that no other leaf is: two names for one array would change together.

        It is C-contiguous: kernels read it by its address.
        """
        if not self._behind.fixed_shapes:  # a batch dies soon, and its waves are large
            return value
        value = self._behind.xp.asarray(value)
        unfit = any(value is leaf for leaf in self._behind.leaves.values()) or not value.flags.c_contiguous
        return value.copy() if unfit or (isinstance(value, np.ndarray) and not value.flags.writeable) else value

    def has(self, name: str) -> bool:
        """Say whether a leaf or slot of that name exists."""
        return name in self._behind.leaves

    def create(self, name: str, shape: tuple[int, ...], dtype: Any) -> bool:
        """Make a slot of zeros where there is none; return True where it is new."""
        if name not in self._writes:
            raise EffectError(f"{self._who} creates {name!r} without declaring it; add it to writes= in its class line")
        if name in self._behind.leaves:
            return False
        self._behind.leaves[name] = self._behind.xp.zeros(shape, dtype)
        return True

    def drop(self, *names: str) -> None:
        """Free slots that are no longer needed."""
        for name in names:
            if name not in self._writes | self._reads:
                raise EffectError(
                    f"{self._who} drops {name!r} without declaring it; add it to reads= in its class line"
                )
            self._behind.leaves.pop(name, None)
