"""The functions of ``noise`` for two or three numbers, for numba to put into the loops that call them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from opty.kernels.likelihood.noise import MODELS
from opty.kernels.likelihood.noise_writers import for_numba

_ONE = np.float32(1)  # in double precision it is as exact


def _inlined(function):
    return njit(inline="always", error_model="numpy")(function)


def _log(q, x):
    """log q, where x = q - 1 has all its digits."""
    return math.log1p(x) if abs(x) < 0.5 else math.log(q)


_ROOT_HALF = 0x3F3504F3  # the bits of sqrt(1/2): what lies above and below a power of two by less than sqrt(2) is its


def _log_single(q, x):
    """The same in single precision, to 2 ulp, and 20 times as fast: there is no vector log for LLVM to call.

    q = 2^e m with m within sqrt(2) of 1, and log m = 2 artanh[(m - 1) / (m + 1)]. No q that is not finite comes out
    finite in a sum with q itself.
    """
    bits = np.float32(q).view(np.int32)
    e = (bits - np.int32(_ROOT_HALF)) >> np.int32(23)
    m = np.int32(bits - (e << np.int32(23))).view(np.float32)
    f = x if e == 0 else m - np.float32(1)
    s = f / (np.float32(2) + f)
    z = s * s
    series = np.float32(2 / 5) + z * (np.float32(2 / 7) + z * np.float32(2 / 9))
    return np.float32(e) * np.float32(math.log(2)) + s * (np.float32(2) + z * (np.float32(2 / 3) + z * series))


@overload(_log, jit_options={"error_model": "numpy"}, inline="always")
def _compiled_log(q, x):
    return _log_single if q == types.float32 else _log


@_inlined
def _log1p(x):
    return _log(_ONE + x, x)


@_inlined
def _log_ratio(predicted, measured):
    scale = _ONE / (measured if measured > 0 else _ONE)
    return _log(predicted * scale, (predicted - measured) * scale)


@_inlined
def squared_step(predicted, measured):
    """Return (sqrt I - sqrt Ihat)^2, with the digits of a close fit."""
    step = math.sqrt(measured / predicted) - _ONE
    return step * predicted * step


_NAMES = {
    **{"number": np.float32, "maximum": max, "minimum": min, "sqrt": math.sqrt},
    **{"log1p": _log1p, "log_ratio": _log_ratio},
}

poisson_value, poisson_slope, poisson_change = (_inlined(for_numba(f, _NAMES)) for f in MODELS["poisson"])
gaussian_value, gaussian_slope, gaussian_change = (_inlined(for_numba(f, _NAMES)) for f in MODELS["gaussian"])
amplitude_value, amplitude_slope, amplitude_change = (_inlined(for_numba(f, _NAMES)) for f in MODELS["amplitude"])
