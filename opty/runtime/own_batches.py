"""Live sweeps of small batches over ranks: each rank sweeps its own views, and the changes are put together often.

A rank changes its own object and probe as one process would; after every few views all ranks go on from the same again,
where the views of several of them lie. So messages grow with the number of blocks and not with the views.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.runtime.batching import pieces
from opty.runtime.nodes import SweepNode, changes_images
from opty.runtime.shared_object import Box, SharedObject, box_of, part_of, size_of, within
from opty.state.store import Store
from opty.state.views import Batch, Opened, ViewBatches, placed

if TYPE_CHECKING:
    from opty.runtime.job import Run

_ALONE = 128  # over R^3: views of each of R ranks in a block; more measured less near to the truth
_PIXELS = 2.0  # pixels that are put together, for each pixel of the waves of a block, at most
_BLOCKS = 6  # in a sweep at least
_LENGTH = 2.0  # of the mean of the changes that several ranks make, at most
_PROBE = 0.5  # of each rank's change of the probe, at most: more swings to and fro on two ranks
_FINE = 64  # pixels of a window in which light is looked at: it has no finer features
_DARK = 1e-9  # light of a pixel that no view of a block lights, of the brightest
_SALT = 17  # what tells this order from other random numbers


def sweeps_alone(node: SweepNode, store: Store) -> bool:
    """Say whether each rank sweeps its own views: PIE in random order, in batches of fewer views than ranks."""
    small = node.order == "random" and node.batch != "all" and int(node.batch or 1) < store.ranks.size
    parts = [part for s in node.steps for part in getattr(s.op, "parts", (s.op,)) if changes_images(part)]
    return small and not store.model.varies and not node.moving and all(part.changes_add_up for part in parts)


class OwnBatches:
    """The batches of a rank along a live sweep, in blocks: of all ranks as many.

    After each block O <- O + sum_r w_r dO_r, w_r = f L_r / sum_s L_s, and P <- P + f sum_r dP_r / R: dO_r, dP_r what R
    ranks have changed, L_r the light of each rank's views of the block on the pixel, which every rank knows from the
    positions. f is 2, or fewer where fewer ranks share the light, (sum L_r)^2 / sum L_r^2: where one rank alone has lit
    the object its whole change is taken. Of the probe f is 2, or R / 2 of fewer ranks than four.

    The order is random, and the same on all ranks, counted from the first view of each: of a raster the views of a
    block lie as far from each other as the parts of the ranks. Only the rectangle of the object where windows of
    several ranks lie is put together after each block; the rest is of one rank, and told after the sweep.
    """

    def __init__(self, node: SweepNode, job: Run):
        self._store, store = job.store, job.store
        ranks, views = store.ranks, store.measured.whole.views
        self.size = 1 if node.batch in (None, "all") else int(node.batch)
        starts = ranks.starts(views)
        counts = np.diff(starts)
        most = int(counts.max())
        order = np.random.default_rng([store.seed, store.iteration, _SALT]).permutation(most)
        self._counts, self._starts = counts, starts
        corners = placed(store, store.backend.asarray(job.all_positions()), True)[0]
        self._corners = store.backend.to_host(corners)
        self._object = SharedObject(store, [self._corners[a:b] for a, b in pairwise(starts.tolist())])
        self._memory = _Memory(job, self._object.box, int((counts > 0).sum()))
        least = self._memory.message.size / (_PIXELS * store.leaves["probe"].size)
        each = max(1, min(max(int(least), _ALONE // ranks.size**3), most // _BLOCKS), self.size)
        self._blocks = np.array_split(order, max(1, round(most / each)))

    def run(self, work: Callable[[Batch], None], opened: Opened, whole: bool) -> None:
        """Run the batches, and put the changes together after each block."""
        store = self._store
        own = [block[block < self._counts[store.ranks.rank]] for block in self._blocks]
        batches = [pieces(block, self.size) for block in own]
        with store.measured.along([batch for some in batches for batch in some]):
            for block, some in zip(self._blocks, batches, strict=True):
                merge = _Merge(store, self._memory, self._corners_of(block))
                for batch in ViewBatches(store, some, whole, True, opened) if some else ():
                    work(batch)
                merge.put_together()
        self._object.complete()

    def _corners_of(self, block: np.ndarray) -> list[np.ndarray]:
        """Return the corners (K, 2) of the views of a block, for each rank."""
        return [
            self._corners[first + block[block < count]]
            for first, count in zip(self._starts[:-1], self._counts, strict=True)
        ]


class _Memory:
    """Arrays that all blocks of a run use: to allocate them takes as long as to work in them.

    ``shared`` : the rectangle where windows of several ranks lie. ``ranks`` : how many have views. ``message`` : the
    changes of the object there, and what a rank adds to the probe: ``share`` P + ``less`` P0, P0 the probe before the
    block, so that the sum over the ranks is P0 + share sum (P - P0). ``before`` : the object, and ``probe_before`` the
    probe where ``less`` is not 0, as all ranks have them before a block. ``step`` : pixels of the object in one of
    ``light``.
    """

    def __init__(self, job: Run, shared: Box, ranks: int):
        store, made = job.store, job.engine.persistent
        obj, probe, real = store.leaves["obj"], store.leaves["probe"], store.real_dtype
        self.shared, self.share = shared, min(_PROBE, _LENGTH / ranks) if ranks > 1 else 1.0
        self.less = (1 - ranks * self.share) / ranks
        there = part_of(obj, shared)
        self.message = made("message of ranks", (there.size + probe.size,), store.dtype)
        self.obj = self.message[: there.size].reshape(there.shape)
        self.probe = self.message[there.size :].reshape(probe.shape)
        self.before = made("object of ranks", there.shape, store.dtype)
        self.before[...] = there
        self.probe_before = probe.copy() if self.less else None
        self.step = step = max(1, store.n // _FINE)
        grid = [-(-size // step) + 1 for size in there.shape[-2:]]
        self.light = made("light of ranks", (4, math.prod(grid)), real)
        self.weights = made("weights of ranks", (math.prod(grid) * step**2,), real)


class _Merge:
    """What all ranks do after a block; made before it. ``corners`` : of the windows of the block (K, 2), of each rank.

    Raises RankError where another rank has failed.
    """

    def __init__(self, store: Store, memory: _Memory, corners: list[np.ndarray]):
        self._store, self._memory, self._corners = store, memory, corners
        mine, step = corners[store.ranks.rank], memory.step
        self._box = within(box_of(mine, store.n), memory.shared) if len(mine) else (0, 0, 0, 0)
        probe = store.leaves["probe"][:, ::step, ::step]
        self._power = (probe.real**2 + probe.imag**2).sum(axis=0)
        self._power /= self._power.max()

    def put_together(self) -> None:
        """Make object and probe the same on all ranks, where they share them."""
        store, xp, memory = self._store, self._store.xp, self._memory
        obj, probe = part_of(store.leaves["obj"], memory.shared), store.leaves["probe"]
        top, _, left, _ = memory.shared
        here = self._box[0] - top, self._box[1] - top, self._box[2] - left, self._box[3] - left
        mine = part_of(memory.obj, here)
        if mine.size < memory.obj.size:
            memory.obj[...] = 0
        xp.subtract(part_of(obj, here), part_of(memory.before, here), out=mine)
        mine *= self._weights()
        self._give_probe()
        store.ranks.add(store.backend, memory.message)
        memory.before += memory.obj
        obj[...] = memory.before
        probe[...] = memory.probe
        if memory.probe_before is not None:
            memory.probe_before[...] = probe

    def _give_probe(self) -> None:
        """Put what this rank adds to the probe into the message; nothing, if it has no views."""
        memory, real = self._memory, self._store.real_dtype.type
        if not len(self._store.leaves["positions"]):
            memory.probe[...] = 0
            return
        self._store.xp.multiply(self._store.leaves["probe"], real(memory.share), out=memory.probe)
        if memory.probe_before is not None:
            memory.probe += real(memory.less) * memory.probe_before

    def _weights(self) -> Any:
        """Return w_r of this rank in its box, found on a grid of every ``step``-th pixel."""
        xp, memory, rank, (top, bottom, left, right) = self._store.xp, self._memory, self._store.ranks.rank, self._box
        if not size_of(self._box):
            return 0
        step, corners, power = memory.step, self._corners, self._power
        grid = top // step, -(-bottom // step), left // step, -(-right // step)
        shape = grid[1] - grid[0], grid[3] - grid[2]
        mine, total, squares, light = memory.light[:, : size_of(grid)].reshape(4, *shape)
        mine[...] = 0
        _add_light(mine, grid, corners[rank] // step, power)
        total[...] = mine
        xp.multiply(mine, mine, out=squares)
        for k, of_rank in enumerate(corners):
            if k != rank and len(of_rank):
                light[...] = 0
                _add_light(light, grid, of_rank // step, power)
                total += light
                light *= light
                squares += light
        xp.maximum(total, _DARK, out=total)
        xp.maximum(squares, _DARK**2, out=squares)
        xp.divide(total, squares, out=squares)
        xp.divide(_LENGTH, total, out=total)
        xp.minimum(squares, total, out=squares)
        squares *= mine
        whole = memory.weights[: squares.size * step**2].reshape(shape[0] * step, shape[1] * step)
        for k in range(step):
            whole[::step, k::step] = squares
        for k in range(1, step):
            whole[k::step] = whole[::step]
        first = top - grid[0] * step, left - grid[2] * step
        return part_of(whole, (first[0], first[0] + bottom - top, first[1], first[1] + right - left))


def _add_light(light: Any, box: Box, corners: np.ndarray, power: Any) -> None:
    """Add the light of windows at corners (K, 2), ``power`` each, to that of a box, (h, w) real."""
    n = len(power)
    for row, column in corners.tolist():
        a, b, c, d = common = within((row, row + n, column, column + n), box)
        if size_of(common):
            there = light[a - box[0] : b - box[0], c - box[2] : d - box[2]]
            there += power[a - row : b - row, c - column : d - column]
