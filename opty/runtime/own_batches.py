"""Live sweeps of small batches over ranks: each rank sweeps its own views, and the changes are put together often.

A rank changes its own object and probe as one process would; after every few views all ranks go on from the same again.
So messages grow with the number of blocks and not with the views.
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

_BLOCK, _BLOCKS = 8, 8  # views in a block at most, and blocks in a sweep at least: larger ones measured slower
_LENGTH = 2.0  # of the mean of the changes that several ranks make, at most
_DARK = 1e-9  # light of a pixel that no view of a block lights, of the brightest
_SALT = 17  # what tells the order of one rank from that of another


def sweeps_alone(node: SweepNode, store: Store) -> bool:
    """Say whether each rank sweeps its own views: PIE in random order, in batches of fewer views than ranks."""
    small = node.order == "random" and node.batch != "all" and int(node.batch or 1) < store.ranks.size
    parts = [part for s in node.steps for part in getattr(s.op, "parts", (s.op,)) if changes_images(part)]
    return small and not store.model.varies and not node.moving and all(part.changes_add_up for part in parts)


class OwnBatches:
    """The batches of a rank along a live sweep, in blocks: of all ranks as many.

    After each block O <- O + f sum_r L_r dO_r / sum_r L_r and P <- P + f sum_r dP_r / R: dO_r, dP_r what R ranks have
    changed, L_r the light of each rank's views of the block on the pixel. f is 2, or fewer where fewer ranks share the
    light, (sum L_r)^2 / sum L_r^2: where one rank alone has lit the object its whole change is taken.
    """

    def __init__(self, node: SweepNode, job: Run):
        self._job, self._store = job, job.store
        ranks, views = job.store.ranks, job.store.measured.whole.views
        self.size = 1 if node.batch in (None, "all") else int(node.batch)
        rng = np.random.default_rng([job.store.seed, job.store.iteration, _SALT, ranks.rank])
        order = pieces(rng.permutation(job.store.data.views), self.size)
        most = int(np.diff(ranks.starts(views)).max())
        count = -(-most // max(1, min(_BLOCK, most // _BLOCKS), self.size))
        cuts = np.arange(count + 1) * len(order) // count
        self._blocks = [order[a:b] for a, b in pairwise(cuts.tolist())]
        self._order = order
        self._working = min(ranks.size, views)

    def run(self, work: Callable[[Batch], None], opened: Opened, whole: bool) -> None:
        """Run the batches, and put the changes together after each block."""
        store = self._store
        images = [name for name, leaf in store.layout.items() if leaf.image]
        with store.measured.along(self._order):
            for block in self._blocks:
                before = {name: store.leaves[name].copy() for name in images}
                for batch in ViewBatches(store, block, whole, True, opened) if block else ():
                    work(batch)
                self._put_together(before, block)

    def _put_together(self, before: dict[str, Any], block: list[np.ndarray]) -> None:
        store, xp, ranks = self._store, self._store.xp, self._store.ranks
        lights = xp.empty((2, *store.object_shape), store.real_dtype)
        xp.maximum(self._light(before["probe"], block), _DARK, out=lights[0])
        xp.multiply(lights[0], lights[0], out=lights[1])
        for name, share in (("obj", lights[0]), ("probe", min(_LENGTH, self._working) / self._working)):
            change = store.leaves[name]
            change -= before[name]
            change *= share
            ranks.add(change, store.backend)
        ranks.add(lights, store.backend)
        total, squares = lights
        xp.divide(total, squares, out=squares)
        xp.minimum(squares, _LENGTH / total, out=squares)  # f over the sum of the lights
        store.leaves["obj"] *= squares
        for name, a in before.items():
            store.leaves[name] += a

    def _light(self, probe: Any, block: list[np.ndarray]) -> Any:
        """Return the light of a block's views on the object, its brightest pixel about one, (H, W) real."""
        store = self._store
        light = store.xp.zeros(store.object_shape, store.real_dtype)
        power = (probe.real**2 + probe.imag**2).sum(axis=0)
        if block:
            numbers = store.backend.asarray(np.concatenate(block))
            corners, _ = placed(store, store.leaves["positions"][numbers], True)
            store.backend.add_windows(light, corners, (power / power.max())[None], store.deterministic)
        return light
