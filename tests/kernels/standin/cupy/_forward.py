"""Modules whose functions are those of NumPy or SciPy, restricted to what CuPy has under the same name."""

from __future__ import annotations

import sys
import types

import numpy as np

from ._names import NAMES
from ._ndarray import Ufunc, forward


def attribute(space: str, library, name: str):
    """Return library.name for device arrays, or raise AttributeError where CuPy has no such name."""
    if name not in NAMES[space] or not hasattr(library, name):
        raise AttributeError(f"module {space!r} has no attribute {name!r}")
    value = getattr(library, name)
    if isinstance(value, np.ufunc):
        return Ufunc(value)
    if isinstance(value, type) or not callable(value):
        return value
    return forward(value)


def module(space: str, library) -> types.ModuleType:
    """Make the module called ``space`` and register it."""
    new = types.ModuleType(space, f"{space}, by {library.__name__}")
    new.__getattr__ = lambda name: attribute(space, library, name)
    sys.modules[space] = new
    return new
