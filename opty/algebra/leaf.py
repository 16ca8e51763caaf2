"""Leaf: the declaration of an array of the state, or of a field of a batch, which all that handles arrays reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np

Grid = Literal["frame", "window", "detector", "none"]
Role = Literal["estimate", "slot", "array"]
_GRIDS, _ROLES = ("frame", "window", "detector", "none"), ("estimate", "slot", "array")


PARTS: dict[str, dict[str, Leaf]] = {}  # by the leaf of which they are parts, and their own name


@dataclasses.dataclass(frozen=True)
class Leaf:
    """What an array is; an operator declares its memory with it: ``slots=opty.Leaf("trust", "view", scale=0)``.

    Parameters
    ----------
    name : by which operators read and write it, ``s.trust``.
    axes : words such as "view mode row col". "view", "mode" (of the probe), "state" (of the exit waves of a view),
        "slice" (or state, of the object; left out where there is one), "row" and "col" have the sizes of the state; a
        number is a size; any other word is an axis whose size is given when the array is made,
        ``s.create("trust", term=3)``. "view" comes first; "batch" marks a field of a batch.
    unit : "1", "px", "photons", "sqrt(photons)", ...
    dtype : "complex" (of object and probe), "real" (the matching real type), or a type of NumPy.
    grid : on which pixels "row" and "col" lie, and so how the array goes to another resolution: "frame" (of the
        object), "window" (of the probe), "detector" (in the order of the transform); "none" without such axes.
    scale : the power of g by which it goes where the probe P becomes P g and the object O / g; 0 for what does not go
        with them; None where that is not known: a run leaves the scale alone while the state holds it.
    belongs_to : estimates with which it was made, such as "obj probe": a sweep that improves one of them and neither
        reads nor writes this array drops it.
    improves : estimates to which it is a step, where writing it improves them at once or through a merge.
    role : "estimate" (found by reconstruction), "slot" (memory of an operator), "array" (given by the user).
    optional : whether a state may be without it; of estimates.
    part_of : the leaf of which it is a part, as the OPR modes are of the probe: a step that reads, writes or frees that
        one has the right to this one too. Call ``as_part`` on the declaration.

    Raises ValueError for words that mean nothing, and a declaration that contradicts itself.
    """

    name: str
    axes: tuple[str, ...] | str = ()
    _: dataclasses.KW_ONLY
    unit: str = "1"
    dtype: str = "float64"
    grid: Grid = "none"
    scale: int | None = None
    belongs_to: tuple[str, ...] | str = ()
    improves: tuple[str, ...] | str = ()
    role: Role = "slot"
    optional: bool = False
    part_of: str = ""

    def __post_init__(self) -> None:
        for field in ("axes", "belongs_to", "improves"):
            object.__setattr__(self, field, _words(getattr(self, field)))
        for field, known in (("grid", _GRIDS), ("role", _ROLES)):
            if getattr(self, field) not in known:
                raise ValueError(f"{self!r}: {field} is one of {', '.join(map(repr, known))}")
        if self.dtype not in ("complex", "real"):
            _check_type(self)
        if not (self.scale is None or (type(self.scale) is int and -2 <= self.scale <= 2)):
            raise ValueError(f"{self!r}: scale is a whole number from -2 to 2, or None where it is not known")
        if self.scale and self.dtype not in ("complex", "real"):
            raise ValueError(f"{self!r}: what goes with the scale has dtype='complex' or 'real', as object and probe")
        if {"view", "batch"} & set(self.axes[1:]):
            raise ValueError(f"{self!r}: the axis 'view' (or 'batch') stands first")
        if len(set(self.named_axes)) < len(self.named_axes):
            raise ValueError(f"{self!r}: an axis occurs twice")
        if bool({"row", "col"} & set(self.axes)) != (self.grid != "none"):
            raise ValueError(
                f"{self!r}: axes 'row' and 'col' lie on a grid: give grid='frame' (pixels of the object), 'window' (of "
                "the probe) or 'detector'; without these axes leave grid out"
            )

    @cached_property
    def named_axes(self) -> tuple[str, ...]:
        """The axes that are no numbers."""
        return tuple(word for word in self.axes if not word.isdigit())

    def __repr__(self) -> str:
        given = [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)]
        shown = ((name, " ".join(value) if isinstance(value, tuple) else value) for name, value in given[2:])
        defaults = {f.name: "" if f.default == () else f.default for f in dataclasses.fields(self)}
        rest = "".join(f", {name}={value!r}" for name, value in shown if value != defaults[name])
        return f"Leaf({self.name!r}, {' '.join(self.axes)!r}{rest})"

    @property
    def over(self) -> Literal["view", "scan", "batch"]:
        """Whether there is one for each view, one for the whole scan (summed over views), or one for a batch."""
        first = self.axes[0] if self.axes else ""
        return "view" if first == "view" else "batch" if first == "batch" else "scan"

    @cached_property
    def image(self) -> bool:
        """Whether it is an estimate at the sample, whose product makes the exit waves: object and probe."""
        return self.role == "estimate" and self.grid in ("frame", "window")

    @cached_property
    def remade(self) -> bool:
        """Whether it is memory as large as the data, one image or more a view, that is recomputed where it is missing:
        a run takes no safety copy of it.
        """
        return self.over == "view" and self.grid != "none" and bool(self.belongs_to)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape, given the sizes of the axes; raises ValueError for an axis whose size is not among them."""
        try:
            return tuple([sizes[word] if word in self.named_axes else int(word) for word in self.present(sizes)])
        except KeyError as error:
            lost = error.args[0]
        raise ValueError(f"{self!r}: give the size of the axis {lost!r}: s.create({self.name!r}, {lost}=...)")

    def present(self, sizes: Mapping[str, int]) -> tuple[str, ...]:
        """Return the axes that are there: an object of one slice and state has no axis of them."""
        if "slice" not in self.axes:
            return self.axes  # type: ignore[return-value]
        return tuple([word for word in self.axes if word != "slice" or word in sizes])

    def type_in(self, dtype: np.dtype) -> np.dtype:
        """Return the type of its numbers in a state whose object and probe have ``dtype``."""
        if self.dtype == "complex":
            return dtype
        return np.dtype(dtype.type(0).real.dtype) if self.dtype == "real" else np.dtype(self.dtype)

    def like(self, name: str, **changes: Any) -> Leaf:
        """Return the declaration of memory of the same shape and type; ``changes``: other fields that differ."""
        changes = {"role": "slot", "optional": False, "improves": (), **changes}
        return dataclasses.replace(self, name=name, **changes)

    def as_part(self) -> Leaf:
        """Make it known as a part of the leaf that ``part_of`` names; return it."""
        PARTS.setdefault(self.part_of, {})[self.name] = self
        return self

    @classmethod
    def found(cls, name: str, array: Any, role: Role) -> Leaf:
        """Return the declaration of an array of which only shape and type are known."""
        return cls(name, tuple(map(str, array.shape)), dtype=array.dtype.name, role=role)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the name and what has its default, in JSON's types; ``Leaf(name, **found)`` reads it."""
        given = ((f, getattr(self, f.name)) for f in dataclasses.fields(self)[1:])
        return {f.name: " ".join(v) if isinstance(v, tuple) else v for f, v in given if v != f.default}


def with_parts(names: Iterable[str]) -> frozenset[str]:
    """Return names of leaves, and those of their parts."""
    names = frozenset(names)
    return names.union(*(PARTS[name] for name in names & PARTS.keys()))


def _words(text: tuple[str, ...] | str) -> tuple[str, ...]:
    return tuple(text.split()) if isinstance(text, str) else tuple(map(str, text))


def _check_type(leaf: Leaf) -> None:
    try:
        if np.dtype(leaf.dtype).kind in "biufc":
            return
    except TypeError:
        pass
    raise ValueError(f"{leaf!r}: dtype is 'complex', 'real', or a type of numbers in NumPy, such as 'float64'")
