"""The object in a live sweep over ranks: the part where windows of several ranks lie, and what is of one rank alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from opty.state.store import Store

_WHOLE_ROWS = 0.9  # of the width of the object, from which on whole rows are added up: they need no copy

Box = tuple[int, int, int, int]  # rows from and to, columns from and to


class WholeObject:
    """The object where each rank works on all of it, or where there is one process. ``rows`` : to work on."""

    rows = slice(None)

    def add(self, images: Iterable[Any], *others: Any) -> None:
        """Add up images (..., H, W) on the frame of the object, and other arrays, over the ranks, in place."""

    def add_weighted(self, direction: Any, weight: Any, *others: Any) -> Any:
        """Do so with a direction (L, H, W) and its weight (H, W); return numbers (K,) float64 on the device.

        The largest of them is that of the weight; None where all of the weight is here.
        """
        self.add((direction, weight), *others)
        return None

    def complete(self) -> None:
        """Send the parts of the object that one rank alone lights to all ranks, after the sweep."""


WHOLE = WholeObject()


class SharedObject(WholeObject):
    """The object along a sweep in which each rank knows it only where windows of its own lie.

    ``box`` : the rectangle around all pixels where windows of two ranks or more lie. Sums over views are added up over
    the ranks there, and are of one rank elsewhere. ``rows`` : from the first to the last row of box and own windows.
    corners (K, 2) of the windows of each rank. ``everywhere`` : take the whole object as the box, so that each rank
    knows all of it after each batch. All ranks have to call all methods.
    """

    def __init__(self, store: Store, corners: list[np.ndarray], everywhere: bool = False):
        self._store, (height, width) = store, store.object_shape
        boxes = [box_of(part, store.n) if len(part) else (0, 0, 0, 0) for part in corners]
        box = common_of([one for one in boxes if size_of(one)])
        if box[3] - box[2] >= _WHOLE_ROWS * width:
            box = box[0], box[1], 0, width
        self.box = box = (0, height, 0, width) if everywhere else box
        own = boxes[store.ranks.rank]
        both = [one for one in (box, own) if size_of(one)]
        self.rows = slice(min((one[0] for one in both), default=0), max((one[1] for one in both), default=1))
        rest = [(0, box[0], 0, width), (box[1], height, 0, width)]
        rest += [(box[0], box[1], 0, box[2]), (box[0], box[1], box[3], width)]
        self._alone = [[piece for one in rest if size_of(piece := within(own, one))] for own in boxes]

    def add(self, images: Iterable[Any], *others: Any) -> None:
        parts = [part for image in images if (part := part_of(image, self.box)).size]
        self._store.ranks.add(self._store.backend, *parts, *others)

    def add_weighted(self, direction: Any, weight: Any, *others: Any) -> Any:
        xp, ranks = self._store.xp, self._store.ranks
        largest = xp.zeros(ranks.size + 1)
        for k, piece in enumerate(self._alone[ranks.rank]):
            here = part_of(weight, piece).max()
            largest[ranks.rank] = xp.maximum(largest[ranks.rank], here) if k else here
        self.add((direction, weight), *others, largest)
        if size_of(self.box):
            largest[-1] = part_of(weight, self.box).max()
        return largest

    def complete(self) -> None:
        store, obj = self._store, self._store.leaves["obj"]
        parts = [[part_of(obj, piece) for piece in pieces] for pieces in self._alone]
        counts = np.array([sum(part.size for part in of_rank) for of_rank in parts])
        if not counts.any():
            return
        mine = [part.reshape(-1) for part in parts[store.ranks.rank]]
        whole = store.ranks.everywhere(store.xp.concatenate([obj[:0].reshape(-1), *mine]), counts)
        first = 0
        for part in (part for of_rank in parts for part in of_rank):
            part[...] = whole[first : first + part.size].reshape(part.shape)
            first += part.size


def box_of(corners: np.ndarray, n: int) -> Box:
    """Return the rectangle of windows at corners (K, 2)."""
    (top, left), (bottom, right) = corners.min(axis=0).tolist(), (corners.max(axis=0) + n).tolist()
    return top, bottom, left, right


def within(a: Box, b: Box) -> Box:
    """Return what two rectangles have in common; it may be empty."""
    top, left = max(a[0], b[0]), max(a[2], b[2])
    return top, max(top, min(a[1], b[1])), left, max(left, min(a[3], b[3]))


def size_of(box: Box) -> int:
    """Return the pixels of a rectangle."""
    return (box[1] - box[0]) * (box[3] - box[2])


def common_of(boxes: list[Box]) -> Box:
    """Return the rectangle around all that two rectangles have in common."""
    pairs = (within(a, b) for k, a in enumerate(boxes) for b in boxes[:k])
    found = np.array([pair for pair in pairs if size_of(pair)] or [(0, 0, 0, 0)])
    (top, _, left, _), (_, bottom, _, right) = found.min(axis=0).tolist(), found.max(axis=0).tolist()
    return top, bottom, left, right


def part_of(image: Any, box: Box) -> Any:
    """Return a rectangle of an image (..., H, W), a view of it."""
    return image[..., box[0] : box[1], box[2] : box[3]]
