"""What the tests of the two backends share: random scans, and comparisons to the precision of a dtype."""

from __future__ import annotations

import numpy as np
import pytest

from opty.kernels import numpy_backend as cpu

TOLERANCE = {"complex64": 1e-5, "complex128": 1e-12, "float32": 1e-5, "float64": 1e-12}
COMPLEX = ["complex64", "complex128"]


def random(rng, shape, dtype):
    """Return normal deviates of a dtype."""
    a = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.normal(size=shape)
    return a.astype(dtype)


def close(got, expected, dtype) -> bool:
    """Say whether shape and dtype are the same and the values as close as the dtype allows."""
    got = np.asarray(got)
    assert got.dtype == np.dtype(dtype)
    assert got.shape == expected.shape
    return bool(abs(got - expected).max() <= TOLERANCE[str(np.dtype(dtype))] * max(abs(expected).max(), 1e-30))


def scan(seed=0, views=7, modes=2, n=12, size=(40, 53), dtype="complex64", index="int64"):
    """Return a generator, an object, corners (B, 2), windows (B, n, n) and waves (B, M, n, n)."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, (size[0] - n + 1, size[1] - n + 1), (views, 2)).astype(index)
    return (
        rng,
        random(rng, size, dtype),
        corners,
        random(rng, (views, n, n), dtype),
        random(rng, (views, modes, n, n), dtype),
    )


def detector(rng, mask_axes, with_background, views=3, n=12):
    """Return counts (B, n, n), a mask of 0 (None), 2 or 3 axes, and a background or None."""
    mask = None if mask_axes == 0 else rng.random((views, n, n)[3 - mask_axes :]) > 0.3
    background = rng.random((n, n)) * 3 if with_background else None
    return rng.poisson(20 * rng.random((views, n, n))), mask, background


def compare_moduli(gpu, waves, counts, mask, background, difference):
    """Compare the two backends on one call; return the waves and the misfit of the GPU."""
    dtype, expected = waves.dtype, waves.copy()
    misfit = cpu.fourier_modulus(expected, counts, mask, background, difference)
    there = gpu.asarray(waves)
    measured = (None if a is None else gpu.asarray(a) for a in (counts, mask, background))
    got = gpu.fourier_modulus(there, *measured, difference)
    assert close(gpu.to_host(there), expected, dtype)
    assert got.shape == ()
    assert got.dtype == np.float64
    assert float(got) == pytest.approx(float(misfit), rel=TOLERANCE[str(dtype)])
    return gpu.to_host(there), float(got)
