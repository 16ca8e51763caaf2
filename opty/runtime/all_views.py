"""Steps that look at all views at once, over ranks: each rank gathers their rows, and does the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opty.algebra.leaf import Leaf, with_parts
from opty.algebra.operator import Operator, ViewOperator
from opty.runtime.blame import refuse_returned
from opty.state.leaves import declared
from opty.state.store import Store
from opty.state.whole_store import WholeStore, has_rows, whole_rows

if TYPE_CHECKING:
    from opty.state.access import Access


def leaf_of(name: str, op: Operator, store: Store) -> Leaf | None:
    """Return what a name means to a step on a state."""
    return store.declared.get(name) or declared(name, op)


def rows_used(op: Operator, store: Store) -> frozenset[str]:
    """Return the names of the leaves with a row for each view that a step uses, and that are or may be there.

    What optional leaves the state does not have, and a step cannot make, are left out.
    """
    reads, writes = map(with_parts, op.effects())
    own = {leaf.name for leaf in op.slots} & writes
    names = (name for name in (reads | writes) if name in store.leaves or name in own)
    return frozenset(name for name in names if has_rows(leaf_of(name, op, store)))


def looks_at_all(op: Operator, store: Store) -> bool:
    """Say whether a step on the whole state needs the rows, or the frames, of all views."""
    return not op.over_ranks and (op.projects or bool(rows_used(op, store)))


@contextmanager
def with_all_views(op: Operator, s: Access) -> Iterator[None]:
    """Give a step the rows of all views, in this block; all ranks have to be here. Then each has its own again."""
    local: Store = s.store
    whole = WholeStore.of(local, rows_used(op, local))
    for name in sorted(op.memo_rows & s.memo.keys()) if isinstance(op, ViewOperator) else ():
        s.memo[name] = whole_rows(local, s.memo[name])
    s.stand_before(whole)
    yield
    whole.put_back(with_parts(op.effects()[1]) | rows_used(op, local))
    s.stand_before(local)


def conclude(op: ViewOperator, s: Access) -> None:
    """Call ``finish`` of a step after the last batch: over ranks, with the rows of all views that it uses."""
    if type(op).finish is ViewOperator.finish:
        return
    if s.store.ranks.size == 1 or op.over_ranks or not (op.memo_rows or rows_used(op, s.store)):
        returned = op.finish(s)  # type: ignore[func-returns-value]
    else:
        with with_all_views(op, s):
            returned = op.finish(s)  # type: ignore[func-returns-value]
    if returned is not None:
        refuse_returned(op, "finish", returned)
