"""The GPU backend gives the numbers of the NumPy backend: on the CPU with the stand-in, and on a device where one is."""

from __future__ import annotations

import numpy as np
import pytest

from opty.backend import on_numpy as cpu
from opty.backend import why_no_gpu

TOLERANCE = {"complex64": 1e-5, "complex128": 1e-12, "float32": 1e-5, "float64": 1e-12}
COMPLEX = ["complex64", "complex128"]


@pytest.fixture(params=["standin", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request):
    """opty.backend.on_cupy, over the stand-in and over a real device."""
    if request.param == "standin":
        return request.getfixturevalue("standin_gpu")
    if reason := why_no_gpu():
        pytest.skip(reason)
    from opty.backend import on_cupy

    return on_cupy


def random(rng, shape, dtype):
    a = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.normal(size=shape)
    return a.astype(dtype)


def close(got, expected, dtype) -> bool:
    got = np.asarray(got)
    assert got.dtype == np.dtype(dtype)
    assert got.shape == expected.shape
    return bool(abs(got - expected).max() <= TOLERANCE[str(np.dtype(dtype))] * max(abs(expected).max(), 1e-30))


def scan(seed=0, views=7, modes=2, n=12, size=(40, 53), dtype="complex64", index="int64"):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, (size[0] - n + 1, size[1] - n + 1), (views, 2)).astype(index)
    return (
        rng,
        random(rng, size, dtype),
        corners,
        random(rng, (views, n, n), dtype),
        random(rng, (views, modes, n, n), dtype),
    )


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
    gpu.synchronize()


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
    windows, corners = random(rng, (600, 5, 5), "float32"), rng.integers(0, 3, (600, 2))
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


def both_moduli(gpu, waves, counts, mask, background, difference):
    """Compare the two backends on one call; return the waves and the misfit of the GPU."""
    dtype, expected = waves.dtype, waves.copy()
    misfit = cpu.fourier_modulus(expected, counts, mask, background, difference)
    there = gpu.asarray(waves)
    got = gpu.fourier_modulus(
        there, *(None if a is None else gpu.asarray(a) for a in (counts, mask, background)), difference
    )
    assert close(gpu.to_host(there), expected, dtype)
    assert got.shape == ()
    assert got.dtype == np.float64
    assert float(got) == pytest.approx(float(misfit), rel=TOLERANCE[str(dtype)])
    return gpu.to_host(there), float(got)


def detector(rng, mask_axes, with_background, views=3, n=12):
    mask = None if mask_axes == 0 else rng.random((views, n, n)[3 - mask_axes :]) > 0.3
    background = rng.random((n, n)) * 3 if with_background else None
    return rng.poisson(20 * rng.random((views, n, n))), mask, background


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("mask_axes", [0, 2, 3])
@pytest.mark.parametrize("with_background", [False, True])
@pytest.mark.parametrize("difference", [False, True])
def test_fourier_modulus(gpu, dtype, modes, mask_axes, with_background, difference):
    rng, *_, waves = scan(dtype=dtype, views=3, modes=modes)
    counts, mask, background = detector(rng, mask_axes, with_background)
    both_moduli(gpu, 3 * waves, counts.astype(np.uint16), mask, background, difference)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("counts_type", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_fourier_modulus_reads_the_counts_in_their_own_type(gpu, dtype, counts_type):
    rng, *_, waves = scan(dtype=dtype, views=3)
    counts = detector(rng, 0, False)[0].astype(counts_type)
    counts[0, 0, :2] = 127 if counts.itemsize == 1 else 32767  # the top of the narrow types
    both_moduli(gpu, 3 * waves, counts, None, None, False)


def test_fourier_modulus_does_not_read_masked_counts(gpu):
    rng, *_, waves = scan(views=3)
    counts, mask, _ = detector(rng, 3, False)
    clean, misfit = both_moduli(gpu, waves, np.where(mask, counts, 0.0), mask, None, False)
    there = gpu.asarray(waves)
    again = gpu.fourier_modulus(there, gpu.asarray(np.where(mask, counts, np.nan)), gpu.asarray(mask), None, False)
    assert np.array_equal(gpu.to_host(there), clean)
    assert float(again) == misfit


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("difference", [False, True])
def test_fourier_modulus_of_the_dark_and_of_the_bright(gpu, dtype, difference):
    rng, *_, waves = scan(dtype=dtype, views=3)
    counts = detector(rng, 0, False)[0]
    waves[0], counts[1, :6], counts[2] = 0, 0, 10**8
    waves[0, 0, 0] = 1e-21  # below the floor in single precision, above it in double
    waves[1, :, :, 6:] = 0
    got, _ = both_moduli(gpu, waves, counts, None, None, difference)
    assert np.isfinite(got).all()


@pytest.mark.parametrize("dtype", COMPLEX)
def test_no_result_depends_on_the_grid(gpu, dtype, monkeypatch):
    rng, obj, corners, windows, waves = scan(dtype=dtype, n=40, size=(70, 90), views=5)
    counts, mask, background = detector(rng, 3, True, views=5, n=40)
    results = []
    for blocks, views in ((8192, 65535), (2, 2), (1, 1)):
        monkeypatch.setattr(gpu, "_MAX_BLOCKS", blocks)
        monkeypatch.setattr(gpu, "_MAX_GRID_YZ", views)
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


def test_the_misfit_is_the_same_bits_every_time(gpu):
    rng, *_, waves = scan(views=40)
    counts = gpu.asarray(detector(rng, 0, False, views=40)[0])
    first, second = (float(gpu.fourier_modulus(gpu.asarray(waves), counts, None, None, False)) for _ in range(2))
    assert first == second


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
