"""The place of a run in its plan, level by level: written into checkpoints, and restored from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from opty.algebra.compose import Repeat, compose, factors, power
from opty.algebra.kept_recipes import kept_recipe
from opty.algebra.operator import Operator
from opty.errors import RecipeError
from opty.runtime.nodes import ConditionalNode, Group, LoopNode
from opty.runtime.plan import followed_by, plan

if TYPE_CHECKING:
    from opty.state import BareState


@dataclass(frozen=True)
class CursorMark:
    """The place on one level: groups recorded in this turn, nodes done in the next group, turns finished."""

    group: int
    node: int
    turns: int
    began: int  # iteration at which the turn began
    misfits: tuple[float, ...]  # of the last two turns, for the rule that ends a loop
    estimated: tuple[str, ...] = ()  # which of object and probe, in this turn


@dataclass
class Cursor:
    """The current place on one level: turns of a body finished, and the position in the current turn."""

    groups: tuple[Group, ...]
    body: Operator | None = None  # None on a level that is no loop
    total: int | None = None  # turns there will be; None where a rule decides
    _: KW_ONLY
    turns: int = 0
    group: int = 0
    node: int = 0
    began: int = 0
    misfits: tuple[float, ...] = ()
    estimated: frozenset[str] = frozenset()  # which of object and probe, in this turn, since the scale was brought back
    closers: dict[Any, Callable[[], None]] = field(default_factory=dict)  # of observers, when the loop ends
    uncounted: bool = False  # whether this turn is one more: the scan grew in it

    def done(self) -> Operator:
        """Return what was done on this level, as a recipe."""
        part = compose(*reversed([recorded(group.op) for group in self.groups[: self.group]]))
        if self.body is None:
            return part
        if part == self.body:
            return recorded(power(self.body, self.turns + 1))
        return followed_by(recorded(power(self.body, self.turns)), part)

    def mark_done(self) -> None:
        """Mark the next group as done."""
        self.group, self.node = self.group + 1, 0

    def next_turn(self) -> None:
        """Mark a turn of a loop as done."""
        self.turns, self.group, self.node = self.turns + (not self.uncounted), 0, 0
        self.uncounted = False
        self.estimated = frozenset()

    def level(self) -> CursorMark:
        """Return the place as a value."""
        return CursorMark(
            self.group, self.node, self.turns, self.began, self.misfits[-2:], tuple(sorted(self.estimated))
        )

    def go_to(self, level: CursorMark) -> None:
        """Move to a recorded place in the same groups."""
        self.group, self.node, self.turns = level.group, level.node, level.turns
        self.began, self.misfits, self.estimated = level.began, level.misfits, frozenset(level.estimated)


def _level(misfits: list[float], estimated: list[str] | tuple[()] = (), **counts: int) -> CursorMark:
    """Return a level from its JSON."""
    return CursorMark(**counts, misfits=tuple(misfits), estimated=tuple(estimated))


def done_at(start: Operator, groups: tuple[Group, ...], place: tuple[CursorMark, ...]) -> Operator:
    """Return the recipe of the state at a place in ``groups``; ``start`` : the recipe of the state before the run."""
    done, body = start, None
    for depth, level in enumerate(place):
        frame = Cursor(groups, body)
        frame.go_to(level)
        done = followed_by(done, frame.done())
        if depth + 1 < len(place):
            node: Any = groups[level.group].nodes[level.node]
            groups, body = node.body, node.op if isinstance(node, LoopNode) else None
    return done


def recorded(op: Operator) -> Operator:
    """Return a factor as ``p.recipe`` records it: a loop without the progress bars at the end of its body."""
    if not isinstance(op, Repeat):
        return op
    steps = factors(op.body)
    while steps and not steps[-1].on_record:
        steps = steps[:-1]
    return power(compose(*reversed(steps)), op.times)


@dataclass(frozen=True)
class PendingRun:
    """A run that stopped early: ``asked`` applied to the state that ``before`` had made; ``place``: where."""

    asked: Operator
    before: Operator
    place: tuple[CursorMark, ...]

    def go_on(self, p: BareState) -> BareState:
        """Return the state at the end of the run, given the state at the place.

        Raises RecipeError where the place is not in the plan of the recipe: another version of opty made it.
        """
        from opty.runtime.execute import run

        self.check()
        return run(self.asked, p, self)

    def check(self) -> None:
        """Refuse a place that is not in the plan."""
        groups: tuple[Group, ...] = plan(self.asked)
        for depth, level in enumerate(self.place):
            nodes = groups[level.group].nodes if level.group < len(groups) else ()
            last = depth == len(self.place) - 1
            if level.group > len(groups) or level.node > len(nodes) or min(level.group, level.node, level.turns) < 0:
                raise self._lost()
            if not last:
                node = nodes[level.node] if level.node < len(nodes) else None
                if not isinstance(node, (LoopNode, ConditionalNode)):
                    raise self._lost()
                groups = node.body

    def _lost(self) -> RecipeError:
        return RecipeError(
            f"the place where the run stopped is not in the plan of {self.asked!r}: another version of opty wrote it; "
            "load the state and go on by hand: recipe * p"
        )

    def to_json(self) -> str:
        """Return all of it as JSON text."""
        place = [asdict(level) for level in self.place]
        kept = {"asked": self.asked.to_json(), "before": self.before.to_json(), "place": place}
        return json.dumps(kept | {"code": [repr(self.asked), repr(self.before)]})

    @classmethod
    def from_json(cls, text: str) -> PendingRun:
        """Read what ``to_json`` wrote, operators that are not here as ``Unknown``; RecipeError for anything else."""
        try:
            kept = json.loads(text)
            asked, before = map(kept_recipe, (kept["asked"], kept["before"]), kept.get("code", ("", "")))
            place = tuple(_level(**level) for level in kept["place"])
            return cls(asked, before, place)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, RecipeError):
                raise
            raise RecipeError(f"not the place of a run: {error!r}") from None
