"""The views of each batch, and their order: a function of positions, seed and iteration alone."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import vq

from opty.algebra.sweep import Order
from opty.state.store import Store

_LLOYD = 10  # rounds of k-means; the batches need no more than roughly round outlines


def split(
    order: Order, positions: np.ndarray, size: int, rng: np.random.Generator, parts: list[np.ndarray] | None = None
) -> list[np.ndarray]:
    """Return the view numbers of each batch, of ``size`` views or fewer; each view of positions (N, 2) is in one.

    "scan": as in the data. "random": a permutation, cut into pieces. "uniform": a batch takes one view from each of
    ``size`` parts of the scan. "compact": a batch is a cluster of neighbours (k-means). Batches come in random order,
    but for "scan". ``parts`` : the result of ``neighbours``, if it is known already.
    """
    views = len(positions)
    if order == "scan":
        return pieces(np.arange(views), size)
    if order == "random" or size == 1 or size >= views:
        return pieces(rng.permutation(views), size)
    count = -(-views // size)
    if order == "uniform":
        batches = _uniform(neighbours(positions, size) if parts is None else parts, count, rng)
    else:
        batches = _compact(positions, size, count, rng)
    return [batches[k] for k in rng.permutation(len(batches))]


def drawn_batches(same: bool, store: Store) -> np.random.Generator:
    """Return the generator that draws the batches of a sweep; ``same`` : those of every sweep."""
    return np.random.default_rng(store.seed) if same else store.rng()


def pieces(views: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut numbers of views into batches of ``size``; the last one may be smaller."""
    return [views[first : first + size] for first in range(0, len(views), size)]


def neighbours(positions: np.ndarray, size: int) -> list[np.ndarray]:
    """Return the views of each of ``size`` parts of the scan; a "uniform" batch has one view of each part."""
    return _parts(positions, np.arange(len(positions)), size, -(-len(positions) // size))


def _uniform(parts: list[np.ndarray], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Deal the views of each part of the scan to the ``count`` batches, one each."""
    dealt = [rng.permutation(part) for part in parts]
    seats = [rng.permutation(count)[: len(part)] for part in dealt]
    views, seat = np.concatenate(dealt), np.concatenate(seats)
    batches = np.split(views[np.lexsort((views, seat))], np.cumsum(np.bincount(seat, minlength=count))[:-1])
    return [batch for batch in batches if len(batch)]


def _parts(positions: np.ndarray, views: np.ndarray, parts: int, largest: int) -> list[np.ndarray]:
    """Cut the scan across its longer side, again and again, into parts of at most ``largest`` neighbouring views."""
    if parts == 1:
        return [views]
    span = np.ptp(positions[views], axis=0)
    views = views[np.argsort(positions[views, span.argmax()], kind="stable")]
    first = parts // 2
    cut = min(first * largest, -(-len(views) * first // parts))
    low = _parts(positions, views[:cut], first, largest)
    return low + _parts(positions, views[cut:], parts - first, largest)


def _compact(positions: np.ndarray, size: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return clusters of neighbours found by k-means; one of more than ``size`` views is cut into equal pieces."""
    centres = positions[np.sort(rng.choice(len(positions), count, replace=False))]
    for _ in range(_LLOYD):
        nearest, _ = vq(positions, centres)
        members = np.bincount(nearest, minlength=count)
        sums = np.stack([np.bincount(nearest, positions[:, axis], count) for axis in (0, 1)], axis=1)
        centres = np.where(members[:, None] > 0, sums / np.maximum(members, 1)[:, None], centres)
    nearest, _ = vq(positions, centres)
    clusters = [np.flatnonzero(nearest == k) for k in range(count)]
    return [
        np.sort(piece)
        for cluster in clusters
        if len(cluster)
        for piece in _parts(positions, cluster, -(-len(cluster) // size), size)
    ]
