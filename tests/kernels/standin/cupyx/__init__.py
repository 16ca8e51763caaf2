"""The parts of cupyx that opty can use: pinned memory, and scipy/."""

import numpy as _np


def empty_pinned(shape, dtype=float, order="C") -> _np.ndarray:
    """Return an empty host array."""
    return _np.empty(shape, dtype, order)


def zeros_pinned(shape, dtype=float, order="C") -> _np.ndarray:
    """Return a host array of zeros."""
    return _np.zeros(shape, dtype, order)
