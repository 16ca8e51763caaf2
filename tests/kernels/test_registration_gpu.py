"""The shift between two images on a GPU: what NumPy's registration finds, on images drawn anew."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from backend_scans import COMPLEX
from small_scans import smooth

from opty.kernels import numpy_backend
from opty.kernels.positions import correlation_peaks
from opty.operators.position.registration import Registration

TOLERANCE = {"complex64": 1e-3, "complex128": 1e-9}  # px
VIEWS = 5


def on_gpu(n, dtype):
    """Return the registration of a device; its module can be imported while the fixture ``gpu`` stands."""
    return importlib.import_module("opty.kernels.positions.registration_gpu").Registration(n, dtype)


def pairs(rng, n, dtype, views=VIEWS):
    """Return images (views, 2, n, n), each second one moved to give the first, and by what (views, 2)."""
    reach, q = correlation_peaks.reach_of(n), np.fft.fftfreq(n)
    shifts = rng.uniform(-0.7 * reach, 0.7 * reach, (views, 2))
    # Inside the mask already, so that the mask, which does not move, changes little.
    fixed = np.stack([smooth(rng, (n, n), 2.0) for _ in shifts]) * correlation_peaks.soft_disc(n) ** 2
    ramps = np.exp(-2j * np.pi * (q[:, None] * shifts[:, 0, None, None] + q * shifts[:, 1, None, None]))
    moved = np.fft.ifft2(np.fft.fft2(fixed) * ramps)
    return (np.stack([moved, fixed], axis=1) * 10 ** rng.uniform(-2, 3) + rng.normal()).astype(dtype), shifts


def by_numpy(images, dtype):
    return Registration(images.shape[-1], numpy_backend, dtype).peak(images[:, 1].copy(), images[:, 0].copy())


def found_by(gpu, registration, images, rows=None, size=None):
    """Return what is found for images, at rows among `size`, where there was -99 before."""
    rows = np.arange(len(images)) if rows is None else rows
    out = gpu.asarray(np.full((size or len(images), 2), -99.0))
    registration.peaks(gpu.asarray(images.copy()), gpu.asarray(rows.astype(np.int64)), out)
    return gpu.to_host(out)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("n", [16, 20, 33, 64])
@pytest.mark.parametrize("views", [1, VIEWS])
def test_the_shifts_are_those_that_numpy_finds(gpu, rng, dtype, n, views):
    images, _ = pairs(rng, n, dtype, views)
    found = found_by(gpu, on_gpu(n, dtype), images)
    assert abs(found - by_numpy(images, dtype)).max() < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", COMPLEX)
def test_a_known_shift_is_found(gpu, rng, dtype):
    images, shifts = pairs(rng, 64, dtype)
    registration = on_gpu(64, dtype)
    registration._mask.fill(1)
    registration._weight = np.float64(64**2)
    assert abs(found_by(gpu, registration, images) - shifts).max() < 2e-3
    assert abs(found_by(gpu, registration, images[:, ::-1]) + shifts).max() < 2e-3


@pytest.mark.parametrize("dtype", COMPLEX)
def test_images_of_noise_stay_where_newton_would_leave(gpu, rng, dtype):
    """Of unlike images the highest pixel may have no maximum beside it: steps are clipped, or not taken."""
    images = (rng.normal(size=(40, 2, 20, 20)) + 1j * rng.normal(size=(40, 2, 20, 20))).astype(dtype)
    found, expected = found_by(gpu, on_gpu(20, dtype), images), by_numpy(images, dtype)
    assert (abs(found - expected).max(axis=1) < 10 * TOLERANCE[dtype]).mean() > 0.8  # where two peaks are alike, or
    assert abs(found).max() <= 6  # a curvature is almost none, rounding decides


@pytest.mark.parametrize("dtype", COMPLEX)
def test_of_equal_heights_the_first_is_taken(gpu, rng, dtype):
    heights = rng.integers(0, 3, (VIEWS, 11, 11))
    heights[0] = 1
    parts, near = np.zeros((VIEWS, 2, 11, 20), dtype), np.eye(11, 20, dtype=dtype)
    parts[:, 0, :, :11], parts[:, 1, :, :11] = 3 * heights, -2j * heights
    parts, near, seen = gpu.asarray(parts), gpu.asarray(near), gpu.asarray(np.ones(2 * VIEWS, "i4"))
    rows, out, images = (gpu.asarray(a) for a in (np.arange(VIEWS), np.zeros((VIEWS, 2)), np.zeros(1, dtype)))
    cuda, real = importlib.import_module("opty.arrays.cuda"), "float" if dtype == "complex64" else "double"
    fields = (images, near, parts, seen, rows, *cuda.sizes(5, VIEWS, 20, 2, 0), out)
    cuda.launch("positions/registration", "peak", (real, str(correlation_peaks.REACH)), (VIEWS,), (32, 16), fields)
    first = heights.reshape(VIEWS, -1).argmax(axis=1)
    assert np.array_equal(gpu.to_host(out), np.stack([first // 11, first % 11], axis=1) - 5)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("value", [0, 1, 3e4 - 2e3j, np.nan])
def test_an_image_without_structure_does_not_move(gpu, rng, dtype, value):
    images, _ = pairs(rng, 20, dtype, 4)
    images[0, 0], images[1, 1], images[2] = value, value, value
    if np.isnan(value):  # one pixel is enough
        images[:2], images[0, 0, 4, 5], images[1, 1, 7, 3] = 1, value, value
    found = found_by(gpu, on_gpu(20, dtype), images)
    assert not found[:3].any()
    assert abs(found[3] - by_numpy(images[3:], dtype)[0]).max() < TOLERANCE[dtype]


@pytest.mark.parametrize("scale", [1e-17, 1e12])
def test_squares_out_of_range_do_no_harm(gpu, rng, scale):
    images, _ = pairs(rng, 20, "complex128")
    images /= abs(images).max()
    found = found_by(gpu, on_gpu(20, "complex64"), (scale * images).astype("complex64"))
    assert abs(found - by_numpy(images, "complex128")).max() < 2e-3


def test_each_view_has_its_row(gpu, rng):
    images, _ = pairs(rng, 16, "complex128")
    rows = rng.permutation(VIEWS + 4)[:VIEWS]
    found = found_by(gpu, on_gpu(16, "complex128"), images, rows, VIEWS + 4)
    assert abs(found[rows] - by_numpy(images, "complex128")).max() < 1e-9
    assert (np.delete(found, rows, axis=0) == -99).all()


@pytest.mark.parametrize("limits", [(8192, 65535, 1024), (3, 2, 9), (1, 1, 1)])
def test_no_result_depends_on_the_grid(gpu, rng, monkeypatch, limits):
    registration = on_gpu(80, "complex128")
    names = ("arrays.cuda", "kernels.positions.registration_gpu")
    cuda, module = (importlib.import_module(f"opty.{name}") for name in names)
    monkeypatch.setattr(cuda, "MAX_BLOCKS", limits[0])
    monkeypatch.setattr(cuda, "MAX_GRID_YZ", limits[1])
    monkeypatch.setattr(module, "_FILLING", limits[2])
    images, _ = pairs(rng, 80, "complex128")
    images[1] = 1
    assert abs(found_by(gpu, registration, images) - by_numpy(images, "complex128")).max() < 1e-9


def test_images_too_large_for_shared_memory(gpu, rng):
    images, _ = pairs(rng, 1030, "complex64", 1)
    assert abs(found_by(gpu, on_gpu(1030, "complex64"), images) - by_numpy(images, "complex64")).max() < 1e-3


def test_no_views_are_nothing(gpu, rng):
    images, _ = pairs(rng, 16, "complex64", 1)
    assert found_by(gpu, on_gpu(16, "complex64"), images[:0]).shape == (0, 2)


def test_batches_of_more_views_get_more_room_and_others_keep_it(gpu, rng):
    images, _ = pairs(rng, 16, "complex64", 9)
    registration, generations = on_gpu(16, "complex64"), []
    for views in (2, 9, 2, 5, 9):
        found = found_by(gpu, registration, images[:views])
        assert abs(found - by_numpy(images[:views], "complex64")).max() < 1e-3
        generations.append(registration.generation)
    assert generations[1] > generations[0]
    assert set(generations[1:]) == {generations[1]}


def test_plans_that_are_given_up_are_told(standin_gpu, rng):
    images, _ = pairs(rng, 16, "complex64", 1)
    images, registration = np.repeat(images, 20, axis=0), on_gpu(16, "complex64")
    found_by(standin_gpu, registration, images)
    generation = registration.generation
    for views in range(1, 17):
        found_by(standin_gpu, registration, images[:views])
    assert len(registration._plans) == 16
    assert registration.generation == generation + 1


@pytest.mark.parametrize("dtype", COMPLEX)
def test_nothing_waits_and_nothing_is_made_once_buffers_exist(standin_gpu, rng, dtype):
    images, _ = pairs(rng, 16, dtype)
    registration = on_gpu(16, dtype)
    there, rows = standin_gpu.asarray(images.copy()), standin_gpu.asarray(np.arange(VIEWS))
    out = standin_gpu.asarray(np.zeros((VIEWS, 2)))
    registration.peaks(there, rows, out)  # compiles and makes buffers
    generation = registration.generation
    graph = standin_gpu.captured(lambda: registration.peaks(there, rows, out))
    there[...], out[...] = standin_gpu.asarray(images), -99
    graph.launch()
    assert registration.generation == generation
    assert abs(standin_gpu.to_host(out) - by_numpy(images, dtype)).max() < TOLERANCE[dtype]
