"""The edges of the GPU backend: the rim of the object, masked counts, grids and strides, wrong arguments, waiting."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from backend_scans import COMPLEX, close, compare_moduli, detector, scan

from opty.kernels import numpy_backend as cpu


def test_free_memory_heeds_the_pool(gpu):
    free = gpu.free_memory()
    assert free > 1 << 20
    pool = gpu.xp.get_default_memory_pool()
    limit = pool.get_limit()
    pool.set_limit(size=pool.used_bytes() + 4096)
    try:
        assert gpu.free_memory() == 4096
    finally:
        pool.set_limit(size=limit)


def test_what_lies_outside_is_nan_and_is_dropped(gpu):
    obj = np.arange(64.0).reshape(8, 8)
    corners = np.array([[-2, 5], [6, -9], [3, 3]])
    got = gpu.to_host(gpu.take_windows(gpu.asarray(obj), gpu.asarray(corners), 4))
    padded = np.full((28, 28), np.nan)
    padded[10:18, 10:18] = obj
    assert np.array_equal(got, cpu.take_windows(padded, corners + 10, 4), equal_nan=True)
    for deterministic in (False, True):
        dest, wide = gpu.asarray(obj), padded.copy()
        gpu.add_windows(dest, gpu.asarray(corners), gpu.asarray(np.ones((3, 4, 4))), deterministic)
        cpu.add_windows(wide, corners + 10, np.ones((3, 4, 4)))
        assert np.array_equal(gpu.to_host(dest), wide[10:18, 10:18])


def test_fourier_modulus_does_not_read_masked_counts(gpu):
    rng, *_, waves = scan(views=3)
    counts, mask, _ = detector(rng, 3, False)
    clean, misfit = compare_moduli(gpu, waves, np.where(mask, counts, 0.0), mask, None, False)
    there = gpu.asarray(waves)
    again = gpu.fourier_modulus(there, gpu.asarray(np.where(mask, counts, np.nan)), gpu.asarray(mask), None, False)
    assert np.array_equal(gpu.to_host(there), clean)
    assert float(again) == misfit


@pytest.mark.parametrize("dtype", COMPLEX)
def test_no_result_depends_on_the_grid(gpu, dtype, monkeypatch):
    rng, obj, corners, windows, waves = scan(dtype=dtype, n=40, size=(70, 90), views=5)
    counts, mask, background = detector(rng, 3, True, views=5, n=40)
    results = []
    for blocks, views in ((8192, 65535), (2, 2), (1, 1)):
        cuda = importlib.import_module("opty.arrays.cuda")
        monkeypatch.setattr(cuda, "MAX_BLOCKS", blocks)
        monkeypatch.setattr(cuda, "MAX_GRID_YZ", views)
        there, ordered, atomic = gpu.asarray(waves), gpu.asarray(obj), gpu.asarray(obj)
        at = gpu.asarray(corners)
        misfit = gpu.fourier_modulus(there, *map(gpu.asarray, (counts, mask, background)), False)
        gpu.add_windows(ordered, at, gpu.asarray(windows), deterministic=True)
        gpu.add_windows(atomic, at, gpu.asarray(windows))
        taken = gpu.take_windows(ordered, at, 40)
        results.append([gpu.to_host(a) for a in (there, ordered, taken, atomic, misfit)])
    for other in results[1:]:
        for first, second in zip(results[0][:3], other[:3], strict=True):
            assert np.array_equal(first, second)
        assert close(other[3], results[0][3], dtype)
        assert other[4] == pytest.approx(results[0][4], rel=1e-13)


def test_arrays_that_are_not_contiguous(gpu):
    rng, obj, corners, windows, waves = scan(views=4, modes=4)
    counts, mask, background = detector(rng, 3, True, views=4)
    expected, there = waves.copy(), gpu.asarray(waves)
    cpu.fourier_modulus(expected[:, ::2], counts.swapaxes(1, 2), mask[:, ::-1], background.T, False)
    strided = (gpu.asarray(counts).swapaxes(1, 2), gpu.asarray(mask)[:, ::-1], gpu.asarray(background).T)
    gpu.fourier_modulus(there[:, ::2], *strided, False)
    assert close(gpu.to_host(there), expected, "complex64")

    for deterministic in (False, True):
        expected, dest = obj.copy(), gpu.asarray(obj)
        cpu.add_windows(expected[:, ::2], corners[::2] // 3, windows[::2].swapaxes(1, 2))
        turned = gpu.asarray(windows)[::2].swapaxes(1, 2)
        gpu.add_windows(dest[:, ::2], gpu.asarray(corners // 3)[::2], turned, deterministic)
        assert close(gpu.to_host(dest), expected, "complex64")
    got = gpu.take_windows(gpu.asarray(obj).T, gpu.asarray(corners // 3), 12)
    assert np.array_equal(gpu.to_host(got), cpu.take_windows(obj.T, corners // 3, 12))


def test_nothing_to_do(gpu):
    none = gpu.asarray(np.zeros((0, 2), int))
    obj = gpu.asarray(np.ones((5, 5), np.complex64))
    assert gpu.take_windows(obj, none, 3).shape == (0, 3, 3)
    gpu.add_windows(obj, none, gpu.asarray(np.ones((1, 3, 3), np.complex64)))
    assert np.array_equal(gpu.to_host(obj), np.ones((5, 5)))
    waves, counts = np.zeros((0, 1, 4, 4), np.complex64), np.zeros((0, 4, 4))
    assert float(gpu.fourier_modulus(gpu.asarray(waves), gpu.asarray(counts), None, None, False)) == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda g, z: g.take_windows(z(5, 5), z(3, 2), 2), TypeError, "corners has dtype float64"),
        (lambda g, z: g.take_windows(z(5, 5), z(2, 3).astype(int), 2), ValueError, r"corners has shape \(2, 3\)"),
        (lambda g, z: g.take_windows(z(5, 5).astype(int), z(3, 2).astype(int), 2), TypeError, "obj has dtype int64"),
        (lambda g, z: g.take_windows(z(1, 5, 5), z(3, 2).astype(int), 2), ValueError, "obj has shape"),
        (lambda g, z: g.add_windows(z(5, 5), z(3, 2).astype(int), z(2, 4, 4)), ValueError, "expected .1, n, n. or"),
        (lambda g, z: g.add_windows(z(5, 5), z(1, 2).astype(int), 1j * z(1, 4, 4)), TypeError, "take their real part"),
        (lambda g, z: g.fourier_modulus(z(2, 1, 4, 4), z(2, 4, 4), None, None, True), TypeError, "waves has dtype"),
        (lambda g, z: g.fourier_modulus(z(2, 4, 4), z(2, 4, 4), None, None, True), ValueError, "waves has shape"),
        (lambda g, z: g.fourier_modulus(1j * z(2, 1, 4, 4), z(1, 4, 4), None, None, True), ValueError, "intensity has"),
        (
            lambda g, z: g.fourier_modulus(1j * z(2, 1, 4, 4), 1j * z(2, 4, 4), None, None, True),
            TypeError,
            "intensity has dtype complex128",
        ),
        (
            lambda g, z: g.fourier_modulus(1j * z(2, 1, 4, 4), z(2, 4, 4), z(1, 4, 4), None, True),
            ValueError,
            r"mask has shape \(1, 4, 4\)",
        ),
        (
            lambda g, z: g.fourier_modulus(1j * z(2, 1, 4, 4), z(2, 4, 4), None, z(2, 4, 4), True),
            ValueError,
            r"background has shape \(2, 4, 4\)",
        ),
    ],
)
def test_what_would_be_read_wrongly_is_refused(gpu, call, error, words):
    with pytest.raises(error, match=words):
        call(gpu, lambda *shape: gpu.asarray(np.zeros(shape)))


def test_no_kernel_waits_for_the_device(standin_gpu, monkeypatch):
    rng, obj, corners, windows, waves = scan(views=3)
    counts, mask, background = detector(rng, 3, True)
    there = [standin_gpu.asarray(a) for a in (obj, corners, windows, waves, counts, mask, background)]

    def waits(*args):
        raise AssertionError("a value was asked for on the host")

    array = standin_gpu.xp.ndarray
    for name in ("get", "__bool__", "__int__", "__float__", "__complex__", "__iter__", "set"):
        monkeypatch.setattr(array, name, waits)
    obj, corners, windows, waves, counts, mask, background = there
    standin_gpu.take_windows(obj, corners, 12)
    standin_gpu.add_windows(obj, corners, windows)
    standin_gpu.add_windows(obj, corners, windows, deterministic=True)
    standin_gpu.fourier_modulus(waves, counts, mask, background, True)
    standin_gpu.ifft2(standin_gpu.fft2(waves, overwrite=True))
