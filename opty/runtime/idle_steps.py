"""Steps of a recipe that do nothing where they stand, or not what they are for: said before a run, and by ``explain``.

Nothing of this is an error: a run that was split by hand, ``for _ in range(50): p = PosCorrect() * rPIE() * p``, has
the same short recipe, and does what the whole one does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from opty.algebra.compose import Repeat, compose, factors, power
from opty.algebra.control import After, Control, Every
from opty.algebra.operator import Identity, Operator, ViewOperator
from opty.errors import RecipeWarning, warn_user
from opty.runtime.nested import Nested
from opty.runtime.nodes import ConditionalNode, Group, LoopNode, StepNode, SweepNode, walk
from opty.runtime.plan import Plan, plan, planned
from opty.runtime.recipe_edit import changed_steps
from opty.state.leaves import declared

_TURNS = 50  # in recipes that are proposed, where the user's own says no number
_SELDOM = 10  # turns from one call to the next of a step that spoils what an engine has learnt
_LADDERS = 3  # turns of a loop in which a step that belongs at the beginning may be meant


class _Place(NamedTuple):
    """A sweep or a step: its node, the factors among which it stands and which of them it is, and the loops around."""

    node: SweepNode | StepNode
    groups: tuple[Group, ...]
    at: int
    loops: tuple[LoopNode, ...]

    @property
    def op(self) -> Operator:
        """The factor, as the user wrote it."""
        return self.groups[self.at].op

    @property
    def times(self) -> float:
        """How often it runs in a run of the recipe; infinity in a loop that a rule ends."""
        return _times(self.loops)


@dataclass(frozen=True)
class _Finding:
    """What is said of steps that run ``times``: ``fact``, that they only look where that is so, and the ``remedy``.

    ``steps`` : none where only the fact matters. ``only_looking`` : whether nothing is said of steps that have looked.
    ``anew`` : whether the steps remember nothing.
    """

    fact: str
    remedy: str
    steps: tuple[ViewOperator, ...] = ()
    times: float = math.inf
    only_looking: bool = False
    anew: bool = False

    def text(self, leaves: Mapping[str, Any]) -> str:
        """Return what is said for a state that holds some leaves, "" for nothing."""
        if self.times > (waits := _waits(self.steps, {} if self.anew else leaves)):
            return "" if self.only_looking else f"{self.fact}: {self.remedy}"
        first = (
            f"in its first {waits} sweeps it" if len(self.steps) == 1 else f"in the first {waits} sweeps one of them"
        )
        return f"{self.fact}; {first} only looks, so that nothing moves: {self.remedy}"


def warn_of_idle_steps(made: Plan, leaves: Mapping[str, Any]) -> None:
    """Warn of the steps of a plan that do nothing where they stand, for a state that holds some leaves."""
    for found in _findings(made):
        if text := found.text(leaves):
            warn_user(text, RecipeWarning)


def late_steps(recipe: Operator, began: int) -> list[str]:
    """Return what is to be said of refinements that would begin after the last iteration of a whole run.

    ``began`` : the iteration at its start. A part of a run that was split ends before, and nothing is wrong with it.
    """
    ended = began + _iterations(plan(recipe))
    late = [(rule, first) for rule in _rules(recipe) if (first := _first(rule)) > ended]
    return [
        f"{rule!r} never runs: it begins in iteration {first}, and the run ends in {ended:.0f}" for rule, first in late
    ]


def idle_steps(recipe: Operator, leaves: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of the steps of a recipe, for a state that holds some leaves."""
    return [text for found in _findings(planned(recipe)) if (text := found.text(leaves))]


@functools.lru_cache(maxsize=256)
def _findings(made: Plan) -> tuple[_Finding, ...]:
    return tuple(_of(made.groups, inside=False))


def _of(groups: tuple[Group, ...], inside: bool) -> Iterator[_Finding]:
    """Find steps of a plan, and of the recipes inside steps. ``inside`` : the plan is that of such a recipe."""
    places = list(_places(groups, ()))
    engines = [(k, place) for k, place in enumerate(places) if _improves(place.node)]
    for k, place in enumerate(places):
        node = place.node
        if isinstance(node, StepNode) and isinstance(node.step.op, Nested):
            for name, recipe in node.step.op.recipes.items():
                found = [replace(one, anew=True) for one in _of(plan(recipe), inside=True)]
                yield from found or _forgetful(place, node.step.op, name)
        if isinstance(node, SweepNode) and (steps := _refinements(node)):
            before, after = ([e for j, e in engines if (j < k) is so] for so in (True, False))
            near = before[-1] if before else after[0] if after else None
            if near is None:
                yield from () if inside else _only_looks(place, steps)
            elif not _along(place, near, steps):
                yield _outside(place, near, bool(before), steps)
    yield from _again(groups, ())
    yield from _forgets(groups, ())


def _places(groups: tuple[Group, ...], loops: tuple[LoopNode, ...]) -> Iterator[_Place]:
    for at, group in enumerate(groups):
        for node in group.nodes:
            if isinstance(node, LoopNode):
                yield from _places(node.body, (*loops, node))
            elif isinstance(node, ConditionalNode):
                yield from _places(node.body, loops)
            else:
                yield _Place(node, groups, at, loops)


def _times(loops: tuple[LoopNode, ...]) -> float:
    return math.prod(loop.times if isinstance(loop.times, int) else math.inf for loop in loops)


def _improves(node: SweepNode | StepNode | LoopNode | ConditionalNode) -> bool:
    """Say whether a node is an engine, or a step that runs one."""
    if isinstance(node, StepNode):
        return isinstance(node.step.op, Nested) and any(map(_improves, walk(plan(node.step.op.inner))))
    return isinstance(node, SweepNode) and node.counts


def _refinements(node: SweepNode) -> tuple[ViewOperator, ...]:
    """Return the steps of a sweep that change estimates, where they stand in no engine's sweep."""
    if node.origin != "lifted" or node.counts:
        return ()
    return tuple(s.op for s in node.steps if any(_estimate(name, s.op) for name in s.op.effects()[1]))


def _estimate(name: str, op: Operator) -> bool:
    leaf = declared(name, op)
    return leaf is not None and leaf.role == "estimate"


def _along(place: _Place, engine: _Place, steps: tuple[ViewOperator, ...]) -> bool:
    """Say whether a step runs in each turn of an engine, or so often that it acts without it."""
    nested = isinstance(engine.node, StepNode)
    in_turn = place.loops[: len(engine.loops)] == engine.loops and not nested
    return in_turn or place.times > max(_waits(steps, {}), 1)


def _waits(steps: tuple[ViewOperator, ...], leaves: Mapping[str, Any]) -> int:
    return max((part.waits(leaves) for op in steps for part in getattr(op, "parts", (op,))), default=0)


def _outside(place: _Place, engine: _Place, after: bool, steps: tuple[ViewOperator, ...]) -> _Finding:
    """Say that a step stands beside the loop of an engine."""
    beside = _loop_beside(place, after)
    name = f"{_silent(engine.op if beside is None else beside.op)!r}"
    fact = f"{place.op!r} runs {_count(place.times)} {'after' if after else 'before'} {name}, and not in its sweeps"
    if beside is not None and isinstance(loop := beside.op, Repeat):
        few = isinstance(loop.times, int) and loop.times <= _waits(steps, {})
        meant = power(compose(place.op, _silent(loop.body)), _TURNS if few else loop.times)
        return _Finding(fact, f"write {meant!r}", steps, place.times)
    return _Finding(fact, f"put it beside an engine, {_beside(place.op)}", steps, place.times)


def _loop_beside(place: _Place, after: bool) -> Group | None:
    """Return the factor beside a step that is a loop with an engine, the nearest one."""
    before, behind = place.groups[: place.at][::-1], place.groups[place.at + 1 :]
    beside = before if after else behind
    return next((group for group in beside if any(map(_improves, walk((group,))))), None)


def _only_looks(place: _Place, steps: tuple[ViewOperator, ...]) -> Iterator[_Finding]:
    """Say that a step without any engine ends before it has done looking."""
    if place.times <= _waits(steps, {}):
        alone = f"{power(place.op, _TURNS)!r} refines with object and probe held, {_beside(place.op)} all of them"
        yield _Finding(f"{place.op!r} runs {_count(place.times)}", alone, steps, place.times, only_looking=True)


def _forgetful(place: _Place, nested: Nested, name: str) -> Iterator[_Finding]:
    """Say that a recipe inside a step ends before a step of it has done looking: it begins anew each time."""
    recipe = nested.recipes[name]
    for inner in _places(plan(recipe), ()):
        node = inner.node
        if not isinstance(node, SweepNode):
            continue
        ops = (part for s in node.steps for part in getattr(s.op, "parts", (s.op,)))
        if steps := tuple(op for op in ops if inner.times <= op.waits({})):
            who = inner.op if node.origin == "lifted" else compose(*reversed(steps))
            each = f"each time that {type(nested).__name__} begins {recipe!r} anew"
            longer: Any = {name: _longer(recipe, place.times)}
            remedy = f"write {replace(nested, **longer)!r}"
            yield _Finding(f"{who!r} runs {_count(inner.times)} {each}", remedy, steps, inner.times, anew=True)
            return


def _longer(recipe: Operator, times: float) -> Operator:
    """Return a recipe inside a step with the turns of the loop around it, or else with more turns than it has."""
    if 1 < times < math.inf:
        return power(recipe, int(times))
    return power(recipe.body if isinstance(recipe, Repeat) else recipe, _TURNS)


def _silent(op: Operator) -> Operator:
    """Return a recipe without outputs: the command line puts some into the user's."""
    return changed_steps(op, lambda step: Identity() if step.only_output else step)


def _loop(loop: LoopNode) -> Operator:
    return power(_silent(loop.op), loop.times)


def _again(groups: tuple[Group, ...], loops: tuple[LoopNode, ...]) -> Iterator[_Finding]:
    """Say that a recipe that belongs at the beginning stands in a loop."""
    for group in groups:
        op = group.op
        while isinstance(op, Control):
            op = op.op
        times = _times(loops)
        if type(op).starts_run and times > _LADDERS:
            rest = [factor for factor in reversed(factors(_silent(loops[-1].op))) if factor != group.op]
            engine = power(compose(*rest), loops[-1].times) if rest else op
            better = f"{engine!r} * {op!r}" if rest else f"{op!r}"
            yield _Finding(f"{op!r} begins anew in each turn of {_loop(loops[-1])!r}", f"write {better}")
            continue
        for node in group.nodes:
            if isinstance(node, LoopNode):
                yield from _again(node.body, (*loops, node))
            elif isinstance(node, ConditionalNode):
                yield from _again(node.body, loops)


def _forgets(groups: tuple[Group, ...], loops: tuple[LoopNode, ...]) -> Iterator[_Finding]:
    """Say that a step that changes object or probe in each turn spoils what an engine learns from turn to turn."""
    steps = [(group, node.step) for group in groups for node in group.nodes if isinstance(node, StepNode)]
    learning = next((group.op for group, step in steps if step.op.learns), None)
    spoiling = [
        group.op
        for group, step in steps
        if not (step.op.learns or step.when or isinstance(step.op, Nested)) and _changes_image(group, step.op)
    ]
    if learning is not None and spoiling and loops and (times := _times(loops)) > _LADDERS:
        often = _SELDOM if times >= 2 * _SELDOM else max(2, int(times) // 2)
        body = compose(*(Every(often, f) if f in spoiling else f for f in reversed(factors(_silent(loops[-1].op)))))
        names = " and ".join(f"{op!r}" for op in dict.fromkeys(spoiling))
        yield _Finding(
            f"in each turn of {_loop(loops[-1])!r} object or probe are changed by {names}, too, so that {learning!r}, "
            "which learns from how turns differ, learns next to nothing",
            f"put it on the left of the loop, or write {power(body, loops[-1].times)!r}",
        )
    for node in (node for group in groups for node in group.nodes):
        if isinstance(node, LoopNode):
            yield from _forgets(node.body, (*loops, node))
        elif isinstance(node, ConditionalNode):
            yield from _forgets(node.body, loops)


def _changes_image(group: Group, op: Operator) -> bool:
    """Say whether a step that is no part of an engine writes object or probe."""
    return not any(map(_improves, group.nodes)) and not op.effects()[1].isdisjoint({"obj", "probe"})


def _beside(op: Operator) -> str:
    return f"({op!r} * rPIE()) ** {_TURNS}"


def _count(times: float) -> str:
    return "once" if times == 1 else f"{times:.0f} times"


def _iterations(groups: tuple[Group, ...]) -> float:
    """Return how many iterations a plan has at most; infinity where a rule ends a loop, or a step runs a recipe."""
    engines = [place for place in _places(groups, ()) if _improves(place.node)]
    return sum(math.inf if isinstance(place.node, StepNode) else place.times for place in engines)


def _rules(recipe: Operator) -> tuple[Control, ...]:
    """Return the schedules of steps that change estimates in sweeps, and do not run from the first iteration on."""
    found: dict[Control, None] = {}
    for node in walk(plan(recipe)):
        for s in node.steps if isinstance(node, SweepNode) else ():
            if any(_estimate(name, s.op) for name in s.op.effects()[1]):
                found |= {rule: None for rule in s.when if _first(rule) > 1}
    return tuple(found)


def _first(rule: Control) -> int:
    if isinstance(rule, After):
        return rule.n + 1
    return (rule.first or rule.n) if isinstance(rule, Every) else 1
