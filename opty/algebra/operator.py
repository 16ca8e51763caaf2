"""Operator: an immutable value that turns one PtychoState into the next, and the arithmetic on it."""

from __future__ import annotations

import dataclasses
import operator as py_operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.protocols import State, Views
from opty.algebra.value import Value
from opty.algebra.value_class import ValueClass, unmade
from opty.errors import RecipeError

if TYPE_CHECKING:
    from opty.algebra.control import Until

REGISTRY: dict[str, type[Operator]] = {}
EXPLAINERS: list[Callable[[Operator], str]] = []  # the runtime appends its explanation of a recipe without a state


def names(text: str) -> frozenset[str]:
    """Split a declaration such as ``"obj probe"``."""
    return frozenset(text.replace(",", " ").split())


def slot_named(name: str) -> Leaf | None:
    """Return the declaration of memory of that name by an operator that texts and files know, or None."""
    known = (cls.slots for cls in REGISTRY.values() if isinstance(cls.slots, tuple))
    return next((leaf for slots in known for leaf in slots if leaf.name == name), None)


def _with_own(inherited: tuple[Leaf, ...], own: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
    """Return the slots of a class: those of its base, where it does not redeclare them, and its own."""
    for leaf in own:
        if not isinstance(leaf, Leaf) or leaf.role != "slot" or leaf.over == "batch":
            raise TypeError(f"slots= takes opty.Leaf declarations of memory, of the role 'slot'; {leaf!r} is none")
        if not leaf.name.isidentifier():
            raise ValueError(f"{leaf!r}: choose a name that can be written after s., such as 'trust'")
    named = {leaf.name for leaf in own}
    return (*(leaf for leaf in inherited if leaf.name not in named), *own)


class Operator(Value, register=False):
    """A step of a reconstruction, or a composition of steps: an immutable value.

    A subclass declares its parameters as annotated fields and, in the class line, the leaves of the state that it
    ``reads`` and ``writes``; it becomes a frozen dataclass and is registered under its name::

        class ClipAmplitude(opty.Operator, reads="obj", writes="obj"):
            hi: float = 1.0
            def apply(self, s):
                s.obj *= s.xp.minimum(1, self.hi / s.xp.maximum(s.xp.abs(s.obj), 1e-12))

    It declares the memory that it keeps in the state too, one Leaf or a tuple of them, ``slots=opty.Leaf("trust",
    "view")``; it may write that, and makes it with ``s.create("trust")``.

    Parameters are numbers, strings, tuples and operators, never arrays: that gives ``==``, hash, repr and JSON. An
    array goes into the state by name, ``p.replace(arrays={"weights": w})``, and the operator has the name.

    Raises
    ------
    TypeError : a parameter of a type that its annotation does not allow; ValueError : a value out of range.
    """

    reads: ClassVar[frozenset[str]] = frozenset()
    writes: ClassVar[frozenset[str]] = frozenset()
    slots: ClassVar[tuple[Leaf, ...]] = ()  # memory of the operator, kept in the state
    frees: ClassVar[frozenset[str]] = frozenset()  # slots gone after the step
    outdates: ClassVar[bool] = False  # True: drops memory that belongs to leaves it writes, unless it writes that too
    only_output: ClassVar[bool] = False  # True: writes only files or the screen
    gathers_state: ClassVar[bool] = (
        False  # True: of one with only_output that looks at all views, on all ranks together
    )
    checkpoints: ClassVar[bool] = False  # True: writes the state, to resume from it
    starts_run: ClassVar[bool] = False  # True: finds a start, from which engines go on: stands before their loops
    on_record: ClassVar[bool] = True  # False: not recorded in p.recipe as the last step of a loop
    scale_free: ClassVar[bool] = False  # True: acts alike on P, O and on P g, O / g (and all that scales with them)
    estimates: ClassVar[bool] = True  # False: only rotates, moves or limits the object and probe that it writes
    learns: ClassVar[bool] = False  # True: remembers turns, which a change of object or probe between them spoils
    needs_closed: ClassVar[bool] = False  # True: only for models whose nearest waves are known (Model.closed)
    projects: ClassVar[bool] = False  # True: compares with the data without writing delta
    scratch_arrays: ClassVar[float | None] = None  # of a step on the whole state, as large as object and probe together
    over_ranks: ClassVar[bool] = False  # True: knows that other ranks may have other views (docs/clusters.md)
    changes_add_up: ClassVar[bool] = False  # True: ranks may change object and probe apart (runtime/own_batches.py)
    sums_batches: ClassVar[bool] = False  # True: takes its sums over a batch by s.total, from the views of each rank
    advice: ClassVar[str] = ""  # advice shown when the misfit rises
    _registry: ClassVar[dict[str, Any]] = REGISTRY
    _kind: ClassVar[str] = "operator"
    __array_ufunc__: ClassVar[None] = None  # so that `ndarray * A` calls __rmul__, which refuses it

    def __init_subclass__(
        cls,
        *,
        reads: str | None = None,
        writes: str | None = None,
        slots: Leaf | tuple[Leaf, ...] = (),
        register: bool = True,
        **kwargs: Any,
    ) -> None:
        if reads is not None:
            cls.reads = names(reads)
        if writes is not None:
            cls.writes = names(writes)
        if isinstance(cls.slots, tuple):  # not a property, of a step whose memory follows from its parameters
            cls.slots = _with_own(cls.slots, (slots,) if isinstance(slots, Leaf) else slots)
            cls.writes |= {leaf.name for leaf in cls.slots}
        if not cls.__module__.startswith("opty.") and "scale_free" not in cls.__dict__:
            cls.scale_free = False  # holds for opty's operators, not for subclasses of users
        if not cls.__module__.startswith("opty.") and "over_ranks" not in cls.__dict__:
            cls.over_ranks = False
        if not cls.__module__.startswith("opty.") and "changes_add_up" not in cls.__dict__:
            cls.changes_add_up = False
        if not cls.__module__.startswith("opty.") and "sums_batches" not in cls.__dict__:
            cls.sums_batches = False
        super().__init_subclass__(register=register, **kwargs)

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the names that the operator reads and writes."""
        return self.reads, self.writes

    def fixed(self, leaves: frozenset[str]) -> Operator | None:
        """Return the step without changes of ``leaves``; None: it runs unchanged, or not at all."""
        return None

    def check_before_run(self) -> None:
        """Refuse, before anything runs, what could only fail later; subclasses override it."""

    def check_model(self, model: Any) -> None:
        """Refuse, before anything runs, an opty.Model that the step cannot work with; subclasses override it."""

    def at_end(self, leaves: Mapping[str, Any], iteration: int) -> str:
        """Return what a MisfitWarning is to say at the end of a run of a recipe with the step, "" for nothing.

        ``leaves``, ``iteration`` : of the state that comes out.
        """
        return ""

    def apply(self, s: State, *args: Any, **kwargs: Any) -> None:
        """Work on the state in place: ``apply(self, s)``; subclasses override it."""
        raise RecipeError(f"{type(self).__name__} has no apply(self, s): define what it does to the state")

    # -- the algebra

    def __mul__(self, other: Operator) -> Operator:
        from opty.algebra.compose import compose

        if isinstance(other, Operator):
            return compose(self, other)
        if getattr(type(other), "runs_recipes", False):
            return NotImplemented  # a state: its __rmul__ runs the recipe
        if isinstance(other, ValueClass):
            raise RecipeError(unmade(other))
        raise RecipeError(
            f"{_short(self)} * {type(other).__name__}: an operator multiplies an operator or a PtychoState"
        )

    def __rmul__(self, other: Any) -> Any:
        kind = type(other).__name__
        if kind == "PtychoState":
            raise RecipeError(f"the state stands on the right: write {_short(self)} * p, not p * {_short(self)}")
        if isinstance(other, (int, np.integer)) and not isinstance(other, bool):
            raise RecipeError(f"{other} * {_short(self)}: to repeat an operator write {_short(self)} ** {other}")
        raise RecipeError(
            f"{kind} * {_short(self)}: operators act on a PtychoState; put the array into one with p.replace(obj=...)"
        )

    def __pow__(self, times: int | Until) -> Operator:
        from opty.algebra.compose import power
        from opty.algebra.control import Until

        if isinstance(times, Until):
            return power(self, times)
        try:
            if isinstance(times, bool):
                raise TypeError
            count = py_operator.index(times)
        except TypeError:
            raise RecipeError(
                f"{_short(self)} ** {times!r}: the exponent is a number of turns, or Until(tol=..., max_turns=...)"
            ) from None
        if count < 0:
            raise ValueError(
                f"{_short(self)} ** {count}: a reconstruction cannot be undone; keep the earlier state instead "
                "(operators leave it untouched)"
            )
        return power(self, count)

    def __add__(self, other: Any) -> Any:
        raise RecipeError("operators are not added; to do one after the other write A * B (B runs first)")

    __radd__ = __sub__ = __rsub__ = __add__

    # -- methods of recipes

    def fix(self, leaves: str) -> Operator:
        """Return the recipe that does the same but leaves some estimates as they are: ``rPIE().fix("probe")``.

        leaves : names of estimates, such as "probe", "obj" or "probe positions". Raises RecipeError for other names,
        and where a step changes one of them together with others.
        """
        return REGISTRY["Fix"](leaves, self)  # type: ignore[call-arg]

    def iter(self, p: Any) -> Iterator[Any]:
        """Run on ``p`` and yield a separate state after each turn of the outermost repeats."""
        return p._turns(self)

    def explain(self, p: Any = None) -> str:
        """Return the plan in execution order, printable: what is lifted, joined, opened and fused, and the memory."""
        return EXPLAINERS[-1](self) if p is None else p._explain(self)

    def to_json(self) -> str:
        """Return the recipe as JSON text; ``opty.from_json`` reads it back."""
        from opty.algebra.text import to_json

        return to_json(self)


class ViewOperator(Operator, register=False):
    """A step that works on one batch of views inside a sweep: ``apply(self, s, b)``.

    ``b`` holds index (B,), patches (B, n, n) object windows, illum (B or 1, M, n, n) the probe as each view sees it,
    waves (B, M, n, n) exit waves and delta = new minus old waves, as far as the step declares them. Any other word that
    it declares, and that the state does not use, is a field that steps of the sweep hand to each other: a step that
    writes it sets ``b.extra``, and steps to its left read it.
    ``scratch_waves`` : how many arrays of (B, M, n, n), and of (B, n, n), are alive at once in a sweep
    with the step: measured. ``scratch_slices`` : the same of each of several slices, beside its window and the waves
    that fall on it: (B, S, n, n), (B, n, n), and arrays as large as a slice.
    """

    joins_before_update: ClassVar[bool] = False  # True: left of a sweep, it joins it before object and probe change
    deferred_writes: ClassVar[frozenset[str]] = frozenset()  # leaves that it writes only in ``finish``
    opens: ClassVar[frozenset[str]] = frozenset()  # fields for which a sweep puts the step in where none makes them
    counts: ClassVar[bool] = False  # True: finds how object or probe are improved later; its sweep is an iteration
    gathers: ClassVar[frozenset[str]] = frozenset()  # leaves whose sums ``b.gather`` gives it, all in one pass
    measures: ClassVar[bool] = False  # True: calls b.add_misfit; else opty measures what the step projects
    scratch_waves: ClassVar[tuple[float, float]] = (6.0, 3.0)
    memo_rows: ClassVar[frozenset[str]] = frozenset()  # arrays in s.memo with a row for each view, for ``finish``
    scratch_slices: ClassVar[tuple[float, float, float]] = (0.0, 0.0, 0.0)
    copied: ClassVar[frozenset[str]] = frozenset()  # leaves of which a step holds a copy during a sweep
    same_batches: ClassVar[bool] = False  # True: the views make the same batches, in the same order, in every sweep
    averages: ClassVar[bool] = False  # True: sums waves over all views, of which object or probe become the average

    def beside_averages(self) -> ViewOperator:
        """Return the step that takes this one's place beside an engine that averages the views: AP, DM, RAAR."""
        return self

    def waits(self, leaves: Mapping[str, Any]) -> int:
        """Return in how many sweeps from now on the step only looks and changes nothing, for a state with ``leaves``.

        Where ``leaves`` holds none of its memory, from the first sweep on.
        """
        return 0

    def begin(self, s: State) -> None:
        """Prepare before the first batch of a sweep; ``s.memo`` is a dict private to the step until the sweep ends."""

    def apply(self, s: State, b: Views) -> None:
        """Work on one batch in place; subclasses override it."""
        raise RecipeError(f"{type(self).__name__} has no apply(self, s, b): define what it does to a batch")

    def collect(self, s: State) -> None:
        """Put what was summed elsewhere into leaves, after the last batch and before sums over ranks are made."""

    def finish(self, s: State) -> None:
        """Conclude after the last batch of a sweep."""

    def is_capturable(self, s: Any) -> bool:
        """Return whether a GPU may replay the batches of a sweep from a CUDA graph, without calls of ``apply``."""
        return False


class Recipe(Operator, register=False):
    """A named composition: keeps its short name in repr, history and files, and expands when it is planned."""

    def expand(self) -> Operator:
        """Return the composition that the name stands for; subclasses override it."""
        raise RecipeError(f"{type(self).__name__} has no expand(self): return the composition it stands for")

    def check(self) -> None:
        """Let the steps refuse parameters that are out of range, at once and not when the recipe runs."""
        try:
            self.expand()
        except ValueError as error:
            if type(error) is ValueError and (said := self._in_own_words(str(error))):
                raise ValueError(said) from error
            raise

    def _in_own_words(self, text: str) -> str | None:
        """Return what a step says of its parameter as said of the one of the recipe that it came from, or None."""
        if (found := re.match(r"(\w+)\((\w+)=([^,()]*)\)", text)) is None or found[1] not in REGISTRY:
            return None
        name = found[2]
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        same = [one for one, value in values.items() if found[3] in (str(value), repr(value))]
        own = [one for one in same if one == name] or [one for one in same if one.endswith(f"_{name}")]
        return f"{type(self).__name__}({own[0]}={found[3]}){text[found.end() :]}" if own else None

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.expand().effects()


class Identity(Operator):
    """The operator that changes nothing: ``A ** 0``."""

    def apply(self, s: State) -> None:
        """Do nothing."""


def _short(op: Operator) -> str:
    text = repr(op)
    return text if len(text) <= 40 else f"({text[:36]}...)"
