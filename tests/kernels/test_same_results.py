"""The GPU backend gives the numbers of the NumPy one: on the CPU with the stand-in, and on a device where one is."""

from __future__ import annotations

import numpy as np
import pytest
from backend_scans import COMPLEX, TOLERANCE, close, compare_moduli, detector, random, scan

from opty.kernels import backend_for, why_no_gpu
from opty.kernels import numpy_backend as cpu


@pytest.mark.gpu
def test_a_device_runs_these_tests_too():
    if reason := why_no_gpu():
        pytest.skip(f"the GPU tests ran with the stand-in only: {reason}")
    assert backend_for("gpu").xp.cuda.runtime.getDeviceCount() > 0


def test_arrays_go_there_and_back(gpu):
    a = np.arange(12, dtype=np.uint16).reshape(3, 4)
    there = gpu.asarray(a)
    assert not isinstance(there, np.ndarray)
    assert isinstance(there, gpu.xp.ndarray)
    assert gpu.asarray(there) is there
    back = gpu.to_host(there)
    assert isinstance(back, np.ndarray)
    assert back.dtype == np.uint16
    assert np.array_equal(back, a)
    assert gpu.asarray(a, dtype="float32").dtype == np.float32


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("transform", ["fft2", "ifft2"])
def test_fourier_transforms(gpu, dtype, overwrite, transform):
    waves = scan(dtype=dtype)[-1]
    given = gpu.asarray(waves)
    got = getattr(gpu, transform)(given, overwrite=overwrite, threads=2)
    assert close(gpu.to_host(got), getattr(cpu, transform)(waves), dtype)
    assert overwrite or np.array_equal(gpu.to_host(given), waves)
    assert np.linalg.norm(gpu.to_host(got)) == pytest.approx(np.linalg.norm(waves), rel=1e-5)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_take_windows(gpu, dtype, index):
    _, obj, corners, _, _ = scan(dtype=dtype, index=index)
    got = gpu.to_host(gpu.take_windows(gpu.asarray(obj), gpu.asarray(corners), 12))
    assert got.dtype == np.dtype(dtype)
    assert np.array_equal(got, cpu.take_windows(obj, corners, 12))


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("shared", [False, True])
def test_add_windows(gpu, dtype, index, shared):
    _, obj, corners, windows, _ = scan(dtype=dtype, index=index)
    windows = windows[:1] if shared else windows
    expected = obj.copy()
    cpu.add_windows(expected, corners, windows)
    for deterministic in (False, True):
        dest = gpu.asarray(obj)
        gpu.add_windows(dest, gpu.asarray(corners), gpu.asarray(windows), deterministic=deterministic)
        assert close(gpu.to_host(dest), expected, dtype)
    assert np.array_equal(gpu.to_host(dest), expected), "in view order the bits are NumPy's"


def test_many_views_on_one_spot_add_up_in_order(gpu):
    # 600 views are three chunks of the ordered kernel's 256 threads; float32 makes any other order visible.
    rng = np.random.default_rng(1)
    windows, corners = random(rng, (600, 5, 5), "float32"), rng.integers(0, (36, 5), (600, 2))
    expected = np.zeros((40, 9), np.float32)
    cpu.add_windows(expected, corners, windows)
    ordered, atomic = (gpu.asarray(np.zeros_like(expected)) for _ in range(2))
    gpu.add_windows(ordered, gpu.asarray(corners), gpu.asarray(windows), deterministic=True)
    gpu.add_windows(atomic, gpu.asarray(corners), gpu.asarray(windows))
    assert np.array_equal(gpu.to_host(ordered), expected)
    assert close(gpu.to_host(atomic), expected, "float32")


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("deterministic", [False, True])
def test_take_and_add_are_adjoint(gpu, dtype, deterministic):
    _, obj, corners, windows, _ = scan(dtype=dtype)
    spread = gpu.asarray(np.zeros_like(obj))
    gpu.add_windows(spread, gpu.asarray(corners), gpu.asarray(windows), deterministic)
    taken = gpu.to_host(gpu.take_windows(gpu.asarray(obj), gpu.asarray(corners), 12))
    inner = np.vdot(taken.astype(complex), windows)
    scale = np.linalg.norm(taken) * np.linalg.norm(windows)
    assert abs(inner - np.vdot(obj.astype(complex), gpu.to_host(spread))) < TOLERANCE[dtype] * scale


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("mask_axes", [0, 2, 3])
@pytest.mark.parametrize("with_background", [False, True])
@pytest.mark.parametrize("difference", [False, True])
def test_fourier_modulus(gpu, dtype, modes, mask_axes, with_background, difference):
    rng, *_, waves = scan(dtype=dtype, views=3, modes=modes)
    counts, mask, background = detector(rng, mask_axes, with_background)
    compare_moduli(gpu, 3 * waves, counts.astype(np.uint16), mask, background, difference)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("counts_type", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_fourier_modulus_reads_the_counts_in_their_own_type(gpu, dtype, counts_type):
    rng, *_, waves = scan(dtype=dtype, views=3)
    counts = detector(rng, 0, False)[0].astype(counts_type)
    usual = compare_moduli(gpu, 3 * waves, counts, None, None, False)
    counts[:] = np.iinfo(counts.dtype).max if counts.dtype.kind in "iu" else 1e30
    top = compare_moduli(gpu, 3 * waves, counts, None, None, False)
    assert top[1] > usual[1]


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("difference", [False, True])
def test_fourier_modulus_of_the_dark_and_of_the_bright(gpu, dtype, difference):
    rng, *_, waves = scan(dtype=dtype, views=3)
    counts = detector(rng, 0, False)[0]
    waves[0], counts[1, :6], counts[2] = 0, 0, 10**8
    waves[0, 0, 0] = 1e-21  # below the floor in single precision, above it in double
    waves[1, :, :, 6:] = 0
    got, _ = compare_moduli(gpu, waves, counts, None, None, difference)
    assert np.isfinite(got).all()


def test_the_misfit_is_the_same_bits_every_time(gpu):
    rng, *_, waves = scan(views=40)
    counts = gpu.asarray(detector(rng, 0, False, views=40)[0])
    first, second = (float(gpu.fourier_modulus(gpu.asarray(waves), counts, None, None, False)) for _ in range(2))
    assert first == second
