"""A program: everything a run needs that follows from the recipe and the layout of the state.

Compiled once and cached. The layout lists the arrays of the state and their declarations; the number of views and all
other sizes are not in it, so that scans of any size share a program. Parts that depend on sizes (batches, memory) are
computed once in a run; those that depend on the steps that are due and on the positions, once for each combination (see
sweep_programs.py).
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, NamedTuple

from opty.algebra.leaf import Leaf, with_parts
from opty.algebra.operator import Operator
from opty.model.compose import Model
from opty.runtime.effects import check_model, check_slots, made, written
from opty.runtime.nodes import StepNode, SweepNode, steps_of, walk
from opty.runtime.plan import Plan, planned
from opty.runtime.scale import Scale
from opty.runtime.sweep_programs import SweepPrograms
from opty.state.access import Rights, rights_of
from opty.state.leaves import OF_RUNS
from opty.state.store import Store


class Layout(NamedTuple):
    """The properties of a state on which the program of a recipe depends.

    ``declared`` : all declarations, by name; ``arrays`` : name, number of axes and type of the leaves that are there.
    """

    declared: tuple[tuple[str, Leaf], ...]
    arrays: tuple[tuple[str, int, Any], ...]
    model: Model
    backend: ModuleType
    deterministic: bool


class StepProgram(NamedTuple):
    """A compiled step on the whole state."""

    op: Operator
    rights: Rights
    frees: bool  # whether memory is gone after it


class Program:
    """A recipe compiled for states of one layout.

    Attributes
    ----------
    plan, groups : the nodes to execute. declared : declarations of arrays of the state and of steps.
    written : names that steps write; changed : these and the leaves that are scaled with them.
    made : leaves that are not there at the start and that steps make. remade : names of waves of all views, of which
    no safety copy is taken. compares : whether the frames of the measurement are needed. advice : shown when
    the misfit rises. speak_at_end : steps that may warn at the end of a run. monitored : the passes (by id) whose
    misfit should fall. scale : see scale.py.

    Raises EffectError and RecipeError for a recipe that cannot run on such a state.
    """

    def __init__(self, plan: Plan, layout: Layout):
        groups, names = plan.groups, [name for name, *_ in layout.arrays]
        check_model(groups, layout.model)
        self.plan, self.groups = plan, groups
        self.declared = {**check_slots(groups, dict(layout.declared), names), **OF_RUNS}
        self.written = with_parts(written(groups))
        self.scale = Scale(groups, self.declared)
        self.changed = self.scale.changed(self.written, names)
        self.made = [leaf for name, leaf in made(groups, self.declared).items() if name not in names]
        self.remade = frozenset(name for name, leaf in self.declared.items() if leaf.remade)
        parts = [part for s in steps_of(groups) for part in getattr(s.op, "parts", (s.op,))]
        self.speak_at_end = tuple(dict.fromkeys(op for op in parts if type(op).at_end is not Operator.at_end))
        self.advice = tuple(dict.fromkeys(s.op.advice for s in steps_of(groups) if s.op.advice))
        nodes = list(walk(groups))
        passes = [node for node in nodes if isinstance(node, SweepNode)]
        steps = [node for node in nodes if isinstance(node, StepNode)]
        self.compares = bool(passes) or any(node.step.op.projects for node in steps)
        self.monitored = frozenset(id(node) for node in passes if node.counts and not node.keeps_waves)
        equal: dict[SweepNode, SweepPrograms] = {}
        model, backend = layout.model, layout.backend
        self._passes = {id(n): equal.setdefault(n, SweepPrograms(n, self.declared, model, backend)) for n in passes}
        self._steps = {id(n): _step(n.step.op) for n in steps}

    def of_pass(self, node: SweepNode) -> SweepPrograms:
        """Return the program of a sweep; equal sweeps of a recipe share it."""
        return self._passes[id(node)]

    def of_step(self, node: StepNode) -> StepProgram:
        """Return the program of a step on the whole state."""
        return self._steps[id(node)]

    @property
    def passes(self) -> list[SweepPrograms]:
        """All passes, equal ones once."""
        return list(dict.fromkeys(self._passes.values()))

    @property
    def steps(self) -> list[Operator]:
        """All steps on the whole state."""
        return [step.op for step in self._steps.values()]


def compiled(plan: Plan, store: Store) -> Program:
    """Return the program of a plan for a state, from the cache where it is there.

    Raises EffectError and RecipeError for a recipe that cannot run on such a state.
    """
    return compile_for(plan, layout_of(store))


def program_of(recipe: Operator, store: Store) -> Program:
    """Return the program of a recipe for a state: see ``compiled``."""
    return compiled(planned(recipe), store)


def layout_of(store: Store) -> Layout:
    """Return the layout of a state."""
    arrays = tuple([(name, a.ndim, a.dtype) for name, a in store.leaves.items()])
    return Layout(tuple(store.declared.items()), arrays, store.model, store.backend, store.deterministic)


@functools.lru_cache(maxsize=256)
def compile_for(plan: Plan, layout: Layout) -> Program:
    """Return a new program; ``compile_for.cache_info()`` counts them."""
    return Program(plan, layout)


def _step(op: Operator) -> StepProgram:
    return StepProgram(op, rights_of(op), bool(op.frees or op.outdates))
