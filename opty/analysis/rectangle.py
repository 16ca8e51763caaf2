"""The largest rectangle within a mask."""

from __future__ import annotations

import numpy as np

_CELLS = 128  # along the longer edge of the mask, up to which the search is done


def largest_rectangle(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of the largest rectangle of True pixels in a mask (H, W); empty where there is none.

    Of masks with more than 128 pixels along an edge, to within a 128th of it: cells count that are True throughout.
    """
    step = -(-max(mask.shape) // _CELLS)
    rows, columns = (size // step for size in mask.shape)
    cells = np.asarray(mask[: rows * step, : columns * step].reshape(rows, step, columns, step).all(axis=(1, 3)))
    best, found = 0, (slice(0, 0), slice(0, 0))
    height = np.zeros(columns, int)  # of the run of True cells that ends in this row
    for row in range(rows):
        height = np.where(cells[row], height + 1, 0)
        for left in range(columns):
            least = np.minimum.accumulate(height[left:])
            area = least * np.arange(1, len(least) + 1)
            if area[k := int(area.argmax())] > best:
                best, tall = int(area[k]), int(least[k])
                found = slice(row + 1 - tall, row + 1), slice(left, left + k + 1)
    return tuple(slice(part.start * step, part.stop * step) for part in found)  # type: ignore[return-value]
