"""ndarray: a NumPy array behind a wall. It mixes with NumPy arrays no more than a real device array does."""

from __future__ import annotations

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from . import _capture, _waits
from ._names import NAMES

_CLASS = type


class ndarray(NDArrayOperatorsMixin):
    """A pretended device array; ``get`` copies it to the host, and nothing else does."""

    __array_priority__ = 100
    __hash__ = None
    base = None  # the array of which this one is a view

    def __array_finalize__(self, obj) -> None:
        """Called for each new array of a subclass with the array that it was made from, as CuPy does."""

    def __init__(self, shape, dtype=float):
        _capture.refuse("an allocation")
        self._host = _capture.allocated(np.empty(shape, dtype))

    def get(self, stream=None, order="C", out=None, blocking=True) -> np.ndarray:
        """Copy to the host; without ``blocking``, what is here now arrives when somebody waits for the stream."""
        _capture.refuse("a copy to the host")
        if out is not None and (not isinstance(out, np.ndarray) or out.shape != self.shape or out.dtype != self.dtype):
            raise TypeError("only a numpy.ndarray of the same shape and dtype can be obtained from cupy.ndarray")
        copied = np.array(self._host, order=order)
        if blocking:
            _waits.wait("a copy to the host")
        out = np.empty_like(copied) if out is None else out
        if blocking:
            out[...] = copied
            return out
        out.view(np.uint8)[...] = 0xFF
        stream._arrive(lambda: out.__setitem__(..., copied))
        return out

    def set(self, a: np.ndarray, stream=None) -> None:
        """Copy a NumPy array of the same shape and dtype into this one, when ``stream`` comes to it."""
        _capture.refuse("a copy from the host")
        if not isinstance(a, np.ndarray) or a.shape != self.shape or a.dtype != self.dtype:
            raise TypeError("only a numpy.ndarray of the same shape and dtype can be set to cupy.ndarray")
        if stream is None:
            self._host[...] = a
        else:
            stream._put(lambda: self._host.__setitem__(..., a))

    def view(self, dtype=None, type=None):
        """A view in another dtype or, as in CuPy, of a subclass."""
        if isinstance(dtype, _CLASS) and issubclass(dtype, ndarray):
            dtype, type = None, dtype
        host = self._host.view() if dtype is None else self._host.view(dtype)
        return wrap(host, self, type)

    @property
    def data(self):
        """Where the memory is: ``data.ptr`` is its address."""
        return _Pointer(self._host)

    @property
    def device(self):
        """The one device there is."""
        from .cuda import Device

        return Device(0)

    @property
    def real(self):
        """Real part, a view."""
        return wrap(self._host.real, self)

    @real.setter
    def real(self, value):
        self._host.real = unwrap(value)

    @property
    def imag(self):
        """Imaginary part, a view."""
        return wrap(self._host.imag, self)

    @imag.setter
    def imag(self, value):
        self._host.imag = unwrap(value)

    def __getattr__(self, name: str):
        if name == "_host" or name not in NAMES["ndarray"]:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        value = getattr(self._host, name)
        if name in ("item", "tolist", "tobytes"):
            _capture.refuse("a copy to the host")
            _waits.wait(name)
        if name in ("item", "tolist", "tobytes", "flags", "dtype"):
            return value
        return forward(value, self) if callable(value) else wrap(value, self)

    def __getitem__(self, key):
        key = _index(key)
        # With an Ellipsis NumPy returns a 0-d view for a single element, as CuPy does.
        whole = key if isinstance(key, tuple) else (key,)
        if not any(k is Ellipsis for k in whole):
            key = (*whole, Ellipsis)
        result = self._host[key]
        _capture.refuse_new(result, [self._host], "an index that copies")
        return wrap(result, self)

    def __setitem__(self, key, value) -> None:
        _capture.refuse("an assignment")
        self._host[_index(key)] = unwrap(value)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        _capture.refuse(f"the function {ufunc.__name__}")
        kwargs = unwrap(kwargs)
        if out is not None:
            if not all(o is None or isinstance(o, ndarray) for o in out):
                raise TypeError("return arrays must be of cupy.ndarray")
            kwargs["out"] = unwrap(out)
        result = getattr(ufunc, method)(*unwrap(inputs), **kwargs)
        if out is None:
            return wrap(result, _template(inputs))
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func, types, args, kwargs):
        import cupy

        space = cupy
        for part in func.__module__.split(".")[1:]:
            space = getattr(space, part, space)
        return getattr(space, func.__name__)(*args, **kwargs)

    def __array__(self, *args, **kwargs):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self._host)

    def __bool__(self) -> bool:
        _waits.for_value()
        return bool(self._host)

    def __int__(self) -> int:
        _waits.for_value()
        return int(self._host)

    def __float__(self) -> float:
        _waits.for_value()
        return float(self._host)

    def __complex__(self) -> complex:
        _waits.for_value()
        return complex(self._host)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __repr__(self) -> str:
        _waits.for_value()
        return repr(self._host)

    def __str__(self) -> str:
        _waits.for_value()
        return str(self._host)

    def __format__(self, spec: str) -> str:
        _waits.for_value()
        return format(self._host.item() if self.ndim == 0 else self._host, spec)


def _in_place(name: str):
    """The method of that name, which writes into the array: of the class, so that a subclass may override it."""

    def method(self, *args, **kwargs):
        return forward(getattr(self._host, name), self)(*args, **kwargs)

    return method


for _name in ("fill", "partition", "put", "sort"):
    setattr(ndarray, _name, _in_place(_name))


class _Pointer:
    def __init__(self, host: np.ndarray):
        self._host, self.ptr = host, host.ctypes.data

    def copy_from_device_async(self, src: _Pointer, size: int, stream=None) -> None:
        """Copy so many bytes from other memory of the device."""
        _capture.refuse("a copy")
        if stream is not None or not (self._host.flags.c_contiguous and src._host.flags.c_contiguous):
            raise AssertionError("the stand-in copies C-contiguous memory in the current stream")
        to, off = (a._host.reshape(-1).view(np.uint8) for a in (self, src))
        to[:size] = off[:size]


def wrap(value, made_from=None, kind=None):
    """Put NumPy arrays and scalars behind the wall; leave everything else as it is.

    ``made_from`` : the device array that this is a view of, or a result; its class is handed on, or else ``kind``.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        kind = kind or (ndarray if made_from is None else type(made_from))
        new = ndarray.__new__(kind)
        new._host = np.asarray(value)
        _capture.allocated(new._host)
        if made_from is not None and np.may_share_memory(new._host, made_from._host):
            new.base = made_from if made_from.base is None else made_from.base
        if kind is not ndarray:
            new.__array_finalize__(made_from)
        return new
    if type(value) in (tuple, list):
        return type(value)(wrap(v, made_from) for v in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # of linalg
        return tuple(wrap(v, made_from) for v in value)
    return value


def _template(args):
    """The argument whose class a result has: the first that is of a subclass."""
    return next((a for a in args if isinstance(a, ndarray) and type(a) is not ndarray), None)


def unwrap(value):
    """Take arguments from behind the wall, and refuse what CuPy's kernels refuse."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray) and value.ndim > 0:
        raise TypeError(f"Unsupported type {type(value)}")
    if type(value) in (tuple, list):
        return type(value)(unwrap(v) for v in value)
    if type(value) is dict:
        return {k: unwrap(v) for k, v in value.items()}
    return value


def forward(function, own_array=None):
    """Make a function of NumPy or SciPy one of pretended device arrays; a method belongs to ``own_array``."""

    def call(*args, **kwargs):
        result = function(*unwrap(args), **unwrap(kwargs))
        own = getattr(function, "__self__", None)  # of an array's method
        _capture.refuse_new(result, [own, *unwrap(args)], f"the function {call.__name__}")
        for a in (*args, *kwargs.values()):
            if isinstance(a, ndarray) and a._host is result:
                return a
        return wrap(result, own_array if own_array is not None else _template(args))

    call.__name__ = getattr(function, "__name__", "call")
    return call


class Ufunc:
    """A universal function, with the methods of it that CuPy has."""

    def __init__(self, ufunc: np.ufunc):
        self.__name__ = ufunc.__name__
        self._call = forward(ufunc)
        for method in ("at", "reduce", "accumulate", "reduceat", "outer"):
            setattr(self, method, forward(getattr(ufunc, method)))

    def __call__(self, *args, **kwargs):
        if "where" in kwargs:
            raise TypeError(f"{self.__name__}: the stand-in leaves out `where`, which CuPy does not document")
        _capture.refuse(f"the function {self.__name__}")
        return self._call(*args, **kwargs)


def _index(key):
    """An index may hold NumPy arrays: CuPy copies them to the device."""
    if isinstance(key, tuple):
        return tuple(_index(k) for k in key)
    return key._host if isinstance(key, ndarray) else key
