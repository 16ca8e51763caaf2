"""Live sweeps of small batches over ranks: each rank sweeps its own views, and the changes are put together often.

A rank changes its own object and probe as one process would; after every few views all ranks go on from the same again,
where the views of several of them lie. So messages grow with the number of blocks and not with the views.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.runtime.batching import pieces
from opty.runtime.nodes import SweepNode, changes_images
from opty.state.store import Store
from opty.state.views import Batch, Opened, ViewBatches, placed

if TYPE_CHECKING:
    from opty.runtime.job import Run

_TOGETHER = 8  # views of all ranks in a block, at least one of each rank
_BLOCKS = 8  # in a sweep at least
_LENGTH = 2.0  # of the mean of the changes that several ranks make, at most
_DARK = 1e-9  # light of a pixel that no view of a block lights, of the brightest
_SALT = 17  # what tells this order from other random numbers

Box = tuple[int, int, int, int]  # rows from and to, columns from and to


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
    the object its whole change is taken.

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
        each = max(1, min(_TOGETHER // ranks.size, most // _BLOCKS), self.size)
        self._blocks = np.array_split(order, -(-most // each))
        self._counts, self._starts = counts, starts
        corners = placed(store, store.backend.asarray(job.all_positions()), True)[0]
        self._corners = store.backend.to_host(corners)
        parts = [self._corners[a:b] for a, b in pairwise(starts.tolist()) if b > a]
        self._shared = _shared([_box(part, store.n) for part in parts])
        self._share = min(_LENGTH, len(parts)) / len(parts)  # of each rank's change in that of the probe

    def run(self, work: Callable[[Batch], None], opened: Opened, whole: bool) -> None:
        """Run the batches, and put the changes together after each block."""
        store = self._store
        start = store.leaves["obj"].copy()
        own = [block[block < self._counts[store.ranks.rank]] for block in self._blocks]
        batches = [pieces(block, self.size) for block in own]
        with store.measured.along([batch for some in batches for batch in some]):
            for block, some in zip(self._blocks, batches, strict=True):
                merge = _Merge(store, self._shared, self._corners_of(block), self._share)
                for batch in ViewBatches(store, some, whole, True, opened) if some else ():
                    work(batch)
                merge.put_together()
        self._tell_the_rest(start)

    def _corners_of(self, block: np.ndarray) -> list[np.ndarray]:
        """Return the corners (K, 2) of the views of a block, for each rank."""
        return [
            self._corners[first + block[block < count]]
            for first, count in zip(self._starts[:-1], self._counts, strict=True)
        ]

    def _tell_the_rest(self, start: Any) -> None:
        """Give all ranks the object where the windows of one lie alone."""
        store, obj = self._store, self._store.leaves["obj"]
        change = obj - start
        _part(change, self._shared)[...] = 0
        known = _part(obj, self._shared).copy()
        store.ranks.add(change, store.backend)
        obj[...] = start
        obj += change
        _part(obj, self._shared)[...] = known


class _Merge:
    """What all ranks do after a block; made before it.

    ``shared`` : where windows of several ranks lie. ``corners`` : of the windows of the block (K, 2), for each rank.
    ``share`` : of each rank's change of the probe.
    """

    def __init__(self, store: Store, shared: Box, corners: list[np.ndarray], share: float):
        self._store, self._shared, self._share = store, shared, share
        mine = corners[store.ranks.rank]
        self._box = _within(_box(mine, store.n), shared) if len(mine) else (0, 0, 0, 0)
        self._probe = store.leaves["probe"].copy()
        self._before = _part(store.leaves["obj"], self._box).copy()
        self._weight = self._weights(corners)

    def put_together(self) -> None:
        """Make object and probe the same on all ranks, where they share them."""
        store, xp = self._store, self._store.xp
        obj, probe = store.leaves["obj"], store.leaves["probe"]
        shared = _part(obj, self._shared)
        message = xp.zeros(shared.size + probe.size, store.dtype)  # one for both
        change = message[: shared.size].reshape(shared.shape)
        (top, _, left, _), here = self._shared, _part(obj, self._box)
        rows, columns = here.shape[-2:]
        at = self._box[0] - top, self._box[2] - left
        xp.multiply(here - self._before, self._weight, out=change[..., at[0] : at[0] + rows, at[1] : at[1] + columns])
        xp.subtract(probe.reshape(-1), self._probe.reshape(-1), out=message[shared.size :])
        store.ranks.add(message, store.backend)
        here[...] = self._before
        shared += change
        probe[...] = self._probe
        probe += self._share * message[shared.size :].reshape(probe.shape)

    def _weights(self, corners: list[np.ndarray]) -> Any:
        """Return w_r of this rank in its box."""
        xp, rank = self._store.xp, self._store.ranks.rank
        power = (self._probe.real**2 + self._probe.imag**2).sum(axis=0)
        power /= power.max()
        mine = self._light(corners[rank], power)
        total, squares = mine.copy(), mine * mine
        for of_rank in (some for k, some in enumerate(corners) if k != rank and self._reaches(some)):
            light = self._light(of_rank, power)
            total += light
            squares += light * light
        xp.maximum(total, _DARK, out=total)
        xp.maximum(squares, _DARK**2, out=squares)
        return mine * xp.minimum(total / squares, _LENGTH / total)

    def _reaches(self, corners: np.ndarray) -> bool:
        return any(_size(_within(_box(corner[None], self._store.n), self._box)) for corner in corners)

    def _light(self, corners: np.ndarray, power: Any) -> Any:
        """Return the light of windows in the box, its brightest pixel about one, (h, w) real."""
        top, bottom, left, right = self._box
        light = self._store.xp.zeros((bottom - top, right - left), self._store.real_dtype)
        for row, column in corners.tolist():
            a, b, c, d = _within((row, row + self._store.n, column, column + self._store.n), self._box)
            if _size((a, b, c, d)):
                light[a - top : b - top, c - left : d - left] += power[a - row : b - row, c - column : d - column]
        return light


def _box(corners: np.ndarray, n: int) -> Box:
    """Return the rectangle of windows at corners (K, 2)."""
    (top, left), (bottom, right) = corners.min(axis=0).tolist(), (corners.max(axis=0) + n).tolist()
    return top, bottom, left, right


def _within(a: Box, b: Box) -> Box:
    """Return what two rectangles have in common; it may be empty."""
    top, left = max(a[0], b[0]), max(a[2], b[2])
    return top, max(top, min(a[1], b[1])), left, max(left, min(a[3], b[3]))


def _size(box: Box) -> int:
    return (box[1] - box[0]) * (box[3] - box[2])


def _shared(boxes: list[Box]) -> Box:
    """Return the rectangle around all that two rectangles have in common."""
    pairs = (_within(a, b) for k, a in enumerate(boxes) for b in boxes[:k])
    found = np.array([pair for pair in pairs if _size(pair)] or [(0, 0, 0, 0)])
    (top, _, left, _), (_, bottom, _, right) = found.min(axis=0).tolist(), found.max(axis=0).tolist()
    return top, bottom, left, right


def _part(image: Any, box: Box) -> Any:
    """Return a rectangle of an image (..., H, W), a view of it."""
    return image[..., box[0] : box[1], box[2] : box[3]]
