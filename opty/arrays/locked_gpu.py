"""Arrays on a GPU that a step may read and not write: CuPy has no flag for it, so a subclass of its array refuses."""

from __future__ import annotations

import cupy

from opty.errors import EffectError

_WRITE = (
    *(f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")),
    *(f"__i{name}__" for name in ("lshift", "rshift", "and", "or", "xor")),
    *("__setitem__", "fill", "put", "set", "sort", "partition", "itemset", "scatter_add", "scatter_max", "scatter_min"),
)


class Locked(cupy.ndarray):
    """A view of a leaf through which nothing is written. What is computed from it is an array like any other."""

    _leaf = ""  # name of the leaf; empty: not locked
    _who = ""

    def __array_finalize__(self, obj) -> None:
        """Lock a view of a locked array, and not a result."""
        if self.base is not None and getattr(obj, "_leaf", ""):
            self._leaf, self._who = obj._leaf, obj._who

    @property
    def real(self):
        """Real part."""
        return cupy.ndarray.real.__get__(self)

    @real.setter
    def real(self, value) -> None:
        _refuse(self)
        cupy.ndarray.real.__set__(self, value)

    @property
    def imag(self):
        """Imaginary part."""
        return cupy.ndarray.imag.__get__(self)

    @imag.setter
    def imag(self, value) -> None:
        _refuse(self)
        cupy.ndarray.imag.__set__(self, value)


def _refuse(a: Locked) -> None:
    if a._leaf:
        raise EffectError(
            f"{a._who} changes a leaf in place that it does not declare as written: {a._leaf!r}: add it to writes= in "
            "its class line"
        )


def _guarded(write):
    def method(self, *args, **kwargs):
        _refuse(self)
        return write(self, *args, **kwargs)

    return method


for _name in _WRITE:
    if hasattr(cupy.ndarray, _name):
        setattr(Locked, _name, _guarded(getattr(cupy.ndarray, _name)))


def read_only(a, leaf: str, who: str):
    """Return a view of an array through which the operator ``who`` cannot write, but by ``out=`` and kernels."""
    if not isinstance(a, cupy.ndarray):
        return a
    view = a.view(Locked)
    view._leaf, view._who = leaf, who
    return view


def plain_array(a):
    """Return an array as CuPy's own type, in the same memory."""
    return a.view(cupy.ndarray) if type(a) is Locked else a


def share_memory(a, b) -> bool:
    """Say whether two C-contiguous arrays have memory in common."""
    return a.data.ptr < b.data.ptr + b.nbytes and b.data.ptr < a.data.ptr + a.nbytes
