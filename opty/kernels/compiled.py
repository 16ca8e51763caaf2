"""How loops are compiled by numba, and which implementation of a family the CPU uses."""

from __future__ import annotations

import functools
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


@functools.cache
def numba_available() -> bool:
    """Say whether numba is installed."""
    return find_spec("numba") is not None


def loops(family: str) -> ModuleType:
    """Return the compiled loops of a family of kernels, or where numba is not installed their meaning in NumPy."""
    return _module(family, "loops" if numba_available() else "meaning")


@functools.cache
def _module(family: str, name: str) -> ModuleType:
    return import_module(f"opty.kernels.{family}.{name}")


def compiled(function, more: frozenset[str] = frozenset()):
    """Compile a function by numba when it is first called; it does not hold the interpreter's lock.

    The compiled code is kept on disk. Products may be contracted but not reordered, and values that are not finite stay
    so. LLVM vectorises a loop over the columns of a row, taken as a slice; it does not with four indices, nor where it
    would have to compare more than eight pairs of arrays that might overlap. ``more`` : flags of LLVM beside these.
    """
    import numba

    from opty.kernels.kept_code import keep_apart

    flags = {"contract", "nsz", "arcp", *more}
    return keep_apart(numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=flags)(function))


def compiled_with_sums(function):
    """Compile a function that adds up rows into numbers: the order is LLVM's, so that such loops are vectorised too.

    On one machine it is always the same.
    """
    return compiled(function, frozenset({"reassoc"}))
