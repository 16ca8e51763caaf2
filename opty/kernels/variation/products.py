"""Products of a few long rows on a CPU, cut into columns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

# Multiplications up to which OpenBLAS takes its kernels for small matrices. Beyond, products of a few long rows took
# two to five times as long (measured: 8 and 4 rows of 32768 numbers, 206 us at once and 42 us in two parts).
_SMALL = 1_000_000


def inner(a, b) -> np.ndarray:
    """Return a b^T (B, K) of rows (B, P) and (K, P)."""
    out = np.zeros((len(a), len(b)), np.result_type(a, b))
    for some in _columns(a, len(b)):
        out += a[:, some] @ b[:, some].T
    return out


def add_mixed(total, weights, rows) -> None:
    """total (K, P) += weights^T rows, of weights (B, K) and rows (B, P)."""
    for some in _columns(rows, len(total)):
        total[:, some] += weights.T @ rows[:, some]


def _columns(rows, others: int) -> list[slice]:
    """Return the parts of the columns: their number is a power of two."""
    count, length = 1, rows.shape[1]
    while length // count * len(rows) * others > _SMALL:
        count *= 2
    bounds = [length * k // count for k in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(bounds)]
