"""The NumPy backend against the formulas, written out without its tricks."""

from __future__ import annotations

import numpy as np
import pytest

from opty.kernels import numpy_backend as cpu

TOLERANCE = {np.complex64: 1e-5, np.complex128: 1e-12}


def waves_and_counts(dtype=np.complex128, modes=2, views=3, n=16, photons=40.0, seed=1):
    rng = np.random.default_rng(seed)
    shape = (views, modes, n, n)
    waves = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) * np.sqrt(photons / (2 * modes))
    counts = rng.poisson(photons * rng.random((views, n, n)))
    return waves.astype(dtype), counts


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("modes", [1, 3])
def test_the_projected_intensity_is_the_measured_one(dtype, modes):
    waves, counts = waves_and_counts(dtype, modes)
    before = waves.copy()
    cpu.fourier_modulus(waves, counts, None, None, False)
    assert waves.dtype == dtype
    assert np.allclose((abs(waves) ** 2).sum(1), counts, rtol=10 * TOLERANCE[dtype], atol=1e-5)
    lit = np.broadcast_to(counts[:, None] > 0, waves.shape)
    assert np.allclose(np.angle(waves[lit] / before[lit]), 0, atol=10 * TOLERANCE[dtype])


def test_a_background_is_scaled_with_the_waves():
    # Psi' = Psi sqrt(I / Ihat) with Ihat = sum |Psi|^2 + b, so that sum |Psi'|^2 + b I / Ihat = I.
    waves, counts = waves_and_counts()
    background = np.random.default_rng(2).random((16, 16)) * 5 + 0.1
    predicted = (abs(waves) ** 2).sum(1) + background
    expected = waves * np.sqrt(counts / predicted)[:, None]
    cpu.fourier_modulus(waves, counts, None, background, False)
    assert np.allclose(waves, expected, rtol=1e-12, atol=1e-13)
    assert np.allclose((abs(waves) ** 2).sum(1) + background * counts / predicted, counts, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mask_axes", [2, 3])
def test_masked_pixels_stay_and_do_not_count(mask_axes):
    waves, counts = waves_and_counts()
    mask = np.random.default_rng(3).random((3, 16, 16)[3 - mask_axes :]) > 0.3
    everywhere = np.broadcast_to(mask, counts.shape)
    before = waves.copy()
    amplitude = np.sqrt((abs(waves) ** 2).sum(1))
    misfit = cpu.fourier_modulus(waves, counts, mask, None, False)
    hidden = np.broadcast_to(~everywhere[:, None], waves.shape)
    assert np.array_equal(waves[hidden], before[hidden])
    assert np.allclose((abs(waves) ** 2).sum(1)[everywhere], counts[everywhere], rtol=1e-12, atol=1e-12)
    assert misfit == pytest.approx(((np.sqrt(counts) - amplitude) ** 2)[everywhere].sum(), rel=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_the_difference_is_new_minus_old(masked):
    waves, counts = waves_and_counts()
    mask = np.random.default_rng(4).random((16, 16)) > 0.3 if masked else None
    new, difference = waves.copy(), waves.copy()
    first = cpu.fourier_modulus(new, counts, mask, None, False)
    second = cpu.fourier_modulus(difference, counts, mask, None, True)
    assert np.allclose(difference, new - waves, rtol=1e-12, atol=1e-12)
    assert first == second


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("difference", [False, True])
def test_dark_pixels_and_dark_waves_stay_finite(dtype, difference):
    waves, counts = waves_and_counts(dtype)
    waves[0] = 0  # no wave where light was measured
    counts[1] = 0  # a wave where none was
    waves[2], counts[2] = 0, 0
    before = waves.copy()
    misfit = cpu.fourier_modulus(waves, counts, None, None, difference)
    assert np.isfinite(waves).all()
    assert np.array_equal(waves[0], np.zeros_like(waves[0]))
    assert abs(waves[1] + difference * before[1]).max() < 1e-5
    expected = counts[0].sum() + (abs(before[1].astype(complex)) ** 2).sum()
    assert misfit == pytest.approx(expected, rel=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("amplitude", [1e-12, 1e-3, 1.0, 1e4])
def test_the_guard_biases_neither_bright_nor_faint_waves(dtype, amplitude):
    waves, _ = waves_and_counts(dtype, modes=1)
    waves *= dtype(amplitude) / abs(waves)
    counts = np.full((3, 16, 16), 10**8, np.int64)
    cpu.fourier_modulus(waves, counts, None, None, False)
    assert np.allclose(abs(waves), 1e4, rtol=TOLERANCE[dtype] / 5, atol=0)


@pytest.mark.parametrize("counts_type", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_all_number_types_of_counts(counts_type):
    waves, counts = waves_and_counts(np.complex64)
    kept = counts.astype(counts_type)
    cpu.fourier_modulus(waves, kept, None, None, False)
    assert np.allclose((abs(waves) ** 2).sum(1), counts, rtol=1e-5, atol=1e-5)
    assert np.array_equal(kept, counts)


def test_take_and_add_windows_are_adjoint():
    rng = np.random.default_rng(5)
    obj = rng.normal(size=(30, 41)) + 1j * rng.normal(size=(30, 41))
    windows = rng.normal(size=(6, 8, 8)) + 1j * rng.normal(size=(6, 8, 8))
    corners = rng.integers(0, 22, (6, 2))
    spread = np.zeros_like(obj)
    cpu.add_windows(spread, corners, windows)
    assert np.vdot(cpu.take_windows(obj, corners, 8), windows) == pytest.approx(np.vdot(obj, spread), rel=1e-12)


def test_one_window_serves_all_views():
    window, corners = np.arange(16.0).reshape(1, 4, 4), np.array([[0, 0], [2, 1], [2, 1]])
    dest, expected = np.zeros((7, 6)), np.zeros((7, 6))
    for r, c in corners:
        expected[r : r + 4, c : c + 4] += window[0]
    cpu.add_windows(dest, corners, window, deterministic=True)
    assert np.array_equal(dest, expected)


def test_as_many_windows_as_corners():
    with pytest.raises(ValueError, match="expected 1 or 3 windows"):
        cpu.add_windows(np.zeros((8, 8)), np.zeros((3, 2), int), np.zeros((2, 4, 4)))


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_the_fourier_transform_is_the_sum_and_unitary(dtype):
    rng = np.random.default_rng(6)
    a = (rng.normal(size=(2, 8, 8)) + 1j * rng.normal(size=(2, 8, 8))).astype(dtype)
    matrix = np.exp(-2j * np.pi * np.outer(np.arange(8), np.arange(8)) / 8) / np.sqrt(8)
    spectrum = cpu.fft2(a)
    assert spectrum.dtype == dtype
    assert np.allclose(spectrum, matrix @ a @ matrix.T, atol=10 * TOLERANCE[dtype])
    assert np.allclose(cpu.ifft2(spectrum, overwrite=True, threads=2), a, atol=10 * TOLERANCE[dtype])
