"""The plan as text: the operations of ``recipe * p``, in execution order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opty.algebra.operator import EXPLAINERS, Operator
from opty.runtime.batch_size import batch_size
from opty.runtime.effects import written
from opty.runtime.fused_step import FusedStep, written_out
from opty.runtime.idle_steps import idle_steps, late_steps
from opty.runtime.memory_estimate import memory_line
from opty.runtime.nested import Nested
from opty.runtime.nodes import ConditionalNode, Group, LoopNode, PlannedStep, StepNode, SweepNode
from opty.runtime.plan import plan
from opty.runtime.program import Program, program_of
from opty.runtime.sweep_programs import SweepPrograms
from opty.state.views import all_whole

if TYPE_CHECKING:
    from opty.state import BareState
    from opty.state.store import Store

_ORDERS = {
    "random": "in random order",
    "scan": "in scan order",
    "uniform": "in batches spread over the scan",
    "compact": "in batches of neighbours",
}


class Explanation(str):
    """A text that shows itself as it reads, in a console and in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def explain(recipe: Operator, p: BareState | None = None) -> Explanation:
    """Return the plan of a recipe, for a state where one is given (batch sizes, memory, what is missing).

    Raises the same EffectError and RecipeError as running it would.
    """
    groups = plan(recipe)
    store = None if p is None else p._live
    program = None if store is None else program_of(recipe, store)
    lines = [f"plan of {recipe!r}"]
    if store is not None and not store.model.thin:
        fused = "" if (store.model.varies or store.model.thick) and store.backend.name == "cpu" else "; no fused steps"
        lines.append(f"  waves of {store.model!r}{fused}")
    _tell(groups, store, program, 1, lines)
    idle = idle_steps(recipe, {} if store is None else store.leaves)
    lines += [f"note: {text}" for text in [*idle, *late_steps(recipe, 0 if store is None else store.iteration)]]
    changed = written(groups)
    if store is not None and program is not None:
        changed |= program.written & store.leaves.keys()
    names = ", ".join(sorted(changed)) or "nothing"
    lines.append(f"writes {names}; everything else is shared with the state it starts from")
    if store is not None and program is not None:
        lines.append(memory_line(store, program))
    return Explanation("\n".join(lines))


def _tell(
    groups: tuple[Group, ...], store: Store | None, program: Program | None, depth: int, lines: list[str]
) -> None:
    pad = "  " * depth
    for group in groups:
        for node in group.nodes:
            if isinstance(node, StepNode):
                lines.append(pad + _step(node.step))
                if isinstance(node.step.op, Nested):
                    for name, recipe in node.step.op.recipes.items():
                        which = "" if name == "recipe" else f", {name}"
                        lines.append(f"{pad}  on a separate state{which}:")
                        _tell(plan(recipe), None, None, depth + 2, lines)
            elif isinstance(node, LoopNode):
                lines.append(f"{pad}repeat {node.times}" + (" times" if isinstance(node.times, int) else ""))
                _tell(node.body, store, program, depth + 1, lines)
            elif isinstance(node, ConditionalNode):
                lines.extend([f"{pad}if {_schedule(node.when)}"] if node.when else [])
                _tell(node.body, store, program, depth + bool(node.when), lines)
            else:
                lines.append(pad + _pass_head(node, store, program))
                lines.extend(f"{pad}  {_step(s)}" for s in written_out(node.steps))


def _pass_head(node: SweepNode, store: Store | None, program: Program | None) -> str:
    default = "one view" if node.live else "as many views as suit the memory"
    batch = default if node.batch is None else f"{node.batch} views"
    unsuited: set[str] = set()
    if store is not None and program is not None:
        count = batch_size(node, store)
        batch = f"{count} view{'s' * (count > 1)}"
        unsuited = _unsuited(program.of_pass(node), store)
    counts = "one iteration" if node.counts else "not counted as an iteration"
    names = [name for name in node.fused if name not in unsuited]
    fused = f"; fused: {', '.join(names)}" if names else ""
    same = ", the same in each sweep" * any(s.op.same_batches and not s.when for s in node.steps)
    return f"{node.origin} over all views, {batch} at a time, {_ORDERS[node.order]}{same} ({counts}{fused})"


def _unsuited(of: SweepPrograms, store: Store) -> set[str]:
    """Return the names of the fused steps of a pass that run in their parts for a state."""
    running = [step.op for step in of.sweep(None, of.fixed and all_whole(store), store.leaves).steps]
    fused = (s.op for s in of.node.steps if isinstance(s.op, FusedStep))
    return {type(op).__name__ for op in fused if op not in running}


def _step(s: PlannedStep) -> str:
    reads, writes = s.op.effects()
    text = f"{s.op!r}: reads {' '.join(sorted(reads)) or 'nothing'}; writes {' '.join(sorted(writes)) or 'nothing'}"
    if s.when:
        text += f"; {_schedule(s.when)}"
    return text + ("  [opened by the sweep]" if s.opened else "")


def _schedule(when: tuple) -> str:
    return " and ".join(rule.words() for rule in when)


EXPLAINERS.append(explain)
