"""Live sweeps over ranks: each batch is one of all ranks, and the sweep that of one process with the same batches.

Each rank brings its views of a batch to the detector and back. Updates that take their sums over the batch by s.total
work on these views, and the sums go to all ranks. For other updates the changes of the waves go to all ranks, and each
makes the same update of object and probe from all views of the batch, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.leaf import with_parts
from opty.kernels.operands import WaveStore
from opty.runtime.all_views import rows_used
from opty.runtime.batching import drawn_batches, pieces, split
from opty.runtime.fused_step import FusedStep
from opty.runtime.nodes import SweepNode, changes_images
from opty.runtime.shared_object import WHOLE, SharedObject
from opty.state.access import of_user
from opty.state.leaves import FIELDS
from opty.state.store import Store
from opty.state.views import Batch, Opened, placed
from opty.state.whole_store import JointStore, has_rows

if TYPE_CHECKING:
    from opty.algebra.operator import ViewOperator
    from opty.runtime.job import Run

_KNOWN = frozenset({"delta", "illum", "patches"})  # fields of a joint batch


def hindrance(ops: list[ViewOperator]) -> str | None:
    """Return why steps of a live sweep cannot share batches, or None."""
    first = next(k for k, op in enumerate(ops) if changes_images(op))
    for k, op in enumerate(ops):
        reads, _ = op.effects()
        fields = reads & FIELDS.keys()
        if changes_images(op) and not fields <= _KNOWN:
            return f"{op!r} reads {', '.join(sorted(fields - _KNOWN))} of views that other ranks have"
        if "positions" in op.effects()[1] - op.deferred_writes:
            return f"{op!r} moves positions from batch to batch, and other ranks have other views of the batch"
        if not changes_images(op) and k > first and reads & {"obj", "probe"}:
            return f"{op!r} reads object or probe behind an update, whose batch is one of all ranks"
    return None


def sums_batches(node: SweepNode, store: Store) -> bool:
    """Say whether all updates of a live sweep take their sums over the views of a batch by s.total."""
    parts = [part for s in node.steps for part in getattr(s.op, "parts", (s.op,)) if changes_images(part)]
    return not store.model.varies and all(part.sums_batches for part in parts)


class JointBatches:
    """The batches of a live sweep, each with the views of all ranks.

    order : numbers (B,) of the views of each batch, counted over all ranks, those of one rank together.
    ``same`` : the batches do not depend on the iteration. ``summed`` : see ``sums_batches``. ``object`` : where the
    updates add up their sums over a batch.
    """

    def __init__(self, node: SweepNode, job: Run, same: bool):
        self.summed = sums_batches(node, job.store)
        self._job, self._store, self._node = job, job.store, node
        store, ranks, self.object = job.store, job.store.ranks, WHOLE
        self._views = store.measured.whole.views
        self.size = max(ranks.size, _asked(node, self._views))
        self._starts = ranks.starts(self._views)
        positions = job.all_positions()
        if node.order == "random":
            found = self._dealt(same)
        elif node.order == "scan":
            found = pieces(np.arange(self._views), self.size)
        else:
            parts = job.all_neighbours(self.size) if 1 < self.size < self._views else None
            found = split(node.order, positions, self.size, drawn_batches(same, store), parts)
        self.order = [batch[np.argsort(self._owner(batch), kind="stable")] for batch in found]
        if self.summed:
            corners = store.backend.to_host(placed(store, store.backend.asarray(positions), True)[0])
            of_ranks = [corners[a:b] for a, b in pairwise(self._starts.tolist())]
            self.object = SharedObject(store, of_ranks, _looked_at(node))

    @cached_property
    def state(self) -> JointStore:
        """The state in which updates work, with the rows of all views that they and the model use."""
        return JointStore.along(self._store, *self._rows)

    @cached_property
    def _rows(self) -> tuple[frozenset[str], frozenset[str]]:
        """The leaves over views that updates and the model use, and those that updates change."""
        store, updates = self._store, [step.op for step in self._node.steps if changes_images(step.op)]
        used = {leaf.name for leaf in store.model.leaves if has_rows(leaf)} - {"positions"}
        used |= {"intensity_factors"}.union(*(rows_used(op, store) for op in updates))
        return frozenset(used), frozenset().union(*(with_parts(op.effects()[1]) for op in updates))

    def run(
        self,
        local: Callable[[Batch], None],
        joint: Callable[[Batch], None] | None,
        opened: Opened,
        whole: bool,
        empty: Callable[[Batch], None] | None = None,
    ) -> None:
        """Run the batches: ``local`` on the views of this rank, which leaves their delta, ``joint`` on those of all.

        ``joint`` : None where no update is due. ``empty`` : in place of ``local`` where a batch has no view of this
        rank, the steps that take part in its sums all the same; None where there are none.
        """
        if self.summed:
            self._run_summed(local, joint, opened, whole, empty)
            return
        store, ranks, first = self._store, self._store.ranks, int(self._starts[self._store.ranks.rank])
        mine = [batch[self._owner(batch) == ranks.rank] - first for batch in self.order]
        self.state.gather(*self._rows)  # what steps have made before the first batch
        of_local: dict[Any, Any] = {}
        of_joint: dict[Any, Any] = {}
        with store.measured.along([own for own in mine if len(own)]):
            for numbers, own in zip(self.order, mine, strict=True):
                delta = store.xp.empty((0, *store.wave_shape), store.dtype)
                if len(own):
                    batch = self._batch(store, own, own + first, opened, whole, of_local)
                    local(batch)
                    delta = batch.leaves["delta"] if joint is not None else delta
                elif empty is not None:
                    empty(self._batch(store, own, own, _nothing_of(opened), whole, {}))
                if joint is None:
                    continue
                counts = np.bincount(self._owner(numbers), minlength=ranks.size)
                everything = ranks.everywhere(delta, counts)
                batch = self._batch(self.state, numbers, numbers, opened, whole, of_joint)
                batch.leaves["delta"] = everything
                if store.model.varies:
                    batch.opened("illum")  # as it is before the update
                batch.source = WaveStore(everything, self._job.engine.rows(len(numbers)))
                joint(batch)

    def _run_summed(
        self,
        local: Callable[[Batch], None],
        update: Callable[[Batch], None] | None,
        opened: Opened,
        whole: bool,
        empty: Callable[[Batch], None] | None,
    ) -> None:
        """Run the batches, all steps on the views of this rank; updates take part in the sums of each batch."""
        store, first = self._store, int(self._starts[self._store.ranks.rank])
        mine = [batch[self._owner(batch) == store.ranks.rank] for batch in self.order]
        memory: dict[Any, Any] = {}
        with store.measured.along([own - first for own in mine if len(own)]):
            for own in mine:
                batch = self._batch(store, own - first, own, opened if len(own) else _nothing_of(opened), whole, memory)
                if len(own):
                    local(batch)
                elif empty is not None:
                    empty(batch)
                if update is not None:
                    update(batch)
                batch.release()

    def _batch(
        self, store: Store, rows: np.ndarray, numbers: np.ndarray, opened: Opened, whole: bool, memory: dict
    ) -> Batch:
        """Return a batch of the views ``numbers``, of all; ``rows`` : in the arrays over views of ``store``."""
        places = placed(store, store.backend.asarray(self._job.all_positions()[numbers]), whole)
        return Batch(store, store.backend.asarray(rows), rows, *places, opened, memory)

    def _owner(self, numbers: np.ndarray) -> np.ndarray:
        return self._store.ranks.owner(numbers, self._views)

    def _dealt(self, same: bool) -> list[np.ndarray]:
        """Return batches in random order, each with as many views of every rank as of the others, or nearly."""
        rng, count = drawn_batches(same, self._store), -(-self._views // self.size)
        ranges = [np.arange(a, b) for a, b in zip(self._starts[:-1], self._starts[1:], strict=True)]
        dealt = [np.array_split(rng.permutation(some), count) for some in ranges]
        return [np.concatenate(parts) for parts in zip(*dealt, strict=True)]


def _nothing_of(opened: Opened) -> Opened:
    """Return what a batch without views opens with."""
    return opened._replace(names=(), own_illum=False)


def _looked_at(node: SweepNode) -> bool:
    """Say whether a step may look at the object beyond the windows of the batch, from batch to batch.

    Fused steps do not, and neither do updates of opty's.
    """
    others = [s.op for s in node.steps if not isinstance(s.op, FusedStep)]
    return any(
        "obj" in with_parts(frozenset().union(*op.effects())) for op in others if of_user(op) or not changes_images(op)
    )


def _asked(node: SweepNode, views: int) -> int:
    return views if node.batch == "all" else min(int(node.batch or 1), views)
