"""What a sweep adds up over the views of one rank, made the sum over all ranks, after the last batch.

A leaf over the scan that steps add to becomes the value before the sweep plus what every rank has added.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

import numpy as np

from opty.algebra.leaf import with_parts
from opty.algebra.operator import Operator, ViewOperator
from opty.errors import RecipeError
from opty.runtime.all_views import leaf_of
from opty.runtime.joint_batches import hindrance
from opty.runtime.nodes import Group, SweepNode, steps_of, walk
from opty.state.access import of_user
from opty.state.store import Store
from opty.state.whole_store import has_rows


class SweepSums:
    """The leaves over the scan that a sweep may change, as they were before its first batch."""

    def __init__(self, ops: Iterable[Operator], store: Store):
        self._store = store
        written = with_parts(frozenset().union(*(op.effects()[1] for op in ops)))
        names = (name for name, leaf in store.declared.items() if name in written and leaf.over == "scan")
        self._names = sorted(names)
        self._there = store.leaves.keys() & self._names
        # Most are zero then: what is found after the sweep is what the rank has added.
        self._before = {name: store.leaves[name].copy() for name in self._there if bool(store.leaves[name].any())}

    def add_up(self) -> None:
        """Put the sums of all ranks into the leaves. All ranks have to call it."""
        changed = np.array([self._changed(name) for name in self._names], float)
        for name, differs in zip(self._names, self._store.ranks.most(changed), strict=True):
            if differs:
                self._sum(name)

    def _changed(self, name: str) -> bool:
        now, before = self._store.leaves.get(name), self._before.get(name)
        if now is None or name not in self._there:
            return now is not None
        return bool((now if before is None else now != before).any())

    def _sum(self, name: str) -> None:
        leaves, before = self._store.leaves, self._before.get(name)
        if name not in leaves:  # made by steps of other ranks
            self._store.create(self._store.declared[name])
        if before is not None:
            leaves[name] -= before
        self._store.ranks.add(self._store.backend, leaves[name])
        if before is not None:
            leaves[name] += before


class UsersMemo:
    """What steps of a user keep for themselves during a sweep, which no rank knows of the others."""

    def __init__(self, seen: Iterable[tuple[Operator, Any]]):
        users = [(op, s) for op, s in seen if of_user(op) and not op.over_ranks]
        self._kept = [
            (op, s, {name: copy(value) for name, value in s.memo.items() if name != "run"}) for op, s in users
        ]

    def check(self) -> None:
        """Refuse a step that gathers something over its batches other than in leaves of the state, and concludes."""
        for op, s, before in self._kept:
            if type(op).finish is ViewOperator.finish:  # type: ignore[attr-defined]
                continue
            for name, value in s.memo.items():
                if name == "run" or name in op.memo_rows:  # type: ignore[attr-defined]
                    continue
                if name not in before or not _same(value, before[name]):
                    raise RecipeError(
                        f"{op!r} keeps s.memo[{name!r}] from batch to batch, which does not add up over ranks: "
                        f"declare it as a leaf over the scan (slots=opty.Leaf(...)), or take s.total(s.memo[{name!r}]) "
                        "in finish and say over_ranks = True in the class"
                    )


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and bool(np.all(a == b)))


def check_over_ranks(groups: tuple[Group, ...], store: Store) -> None:
    """Refuse steps that do not run over ranks, by name, with what to do."""
    for node in walk(groups):
        if isinstance(node, SweepNode) and node.live:
            parts = [op for s in node.steps for op in getattr(s.op, "parts", (s.op,))]
            if why := hindrance(parts):
                raise RecipeError(f"{why}: run it on one rank: p.gather() puts the state together on the first one")
    for whole in (s.op for s in steps_of(groups)):
        for op in getattr(whole, "parts", (whole,)):
            if why := _hindrance(op, store):
                raise RecipeError(
                    f"{op!r} does not run over ranks: {why}. Run it on one: p.gather() puts the state together on the "
                    "first rank"
                )


def _hindrance(op: Operator, store: Store) -> str | None:
    if op.over_ranks or isinstance(op, ViewOperator):  # a view step is looked at while it runs
        return None
    reads, writes = map(with_parts, op.effects())
    for name in sorted(reads | writes):
        leaf = leaf_of(name, op, store)
        if leaf is not None and leaf.over == "view" and not has_rows(leaf):
            return f"{name} has an image for each view, and other ranks have the others"
    return None
