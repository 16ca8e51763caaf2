"""Fourier ring correlation: its limits, its thresholds, and a resolution that is known."""

import numpy as np
import pytest

from opty.analysis import frc

SIZE = 256


def noise(seed, shape=(SIZE, SIZE)):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def frequencies(shape=(SIZE, SIZE)):
    row, col = (np.fft.fftfreq(size) for size in shape)
    return np.hypot(row[:, None], col)


def test_an_image_agrees_with_itself_up_to_a_factor():
    curve = frc(noise(0), 3.5 * noise(0))
    np.testing.assert_allclose(curve.correlation, 1, atol=1e-12)
    np.testing.assert_allclose(curve.frequency, np.arange(1, SIZE // 2 + 1) / SIZE)
    assert curve.resolution() == 1
    assert curve.resolution(pixel=20e-9) == pytest.approx(20e-9)


def test_independent_noise_does_not_correlate():
    curve = frc(noise(0), noise(1))
    assert np.abs(curve.correlation[40:]).max() < 0.25
    assert np.abs(curve.correlation[40:].mean()) < 0.02
    assert curve.resolution() > SIZE / 20


@pytest.mark.parametrize("real", [False, True])
def test_the_thresholds_are_those_of_van_heel_and_schatz(real):
    images = [noise(seed).real if real else noise(seed) for seed in (0, 1)]
    curve = frc(*images)
    ring = np.rint(frequencies() * SIZE)
    pixels = np.array([(ring == k).sum() for k in range(1, SIZE // 2 + 1)])
    # 0.87: what the noise of the next test spreads by; a real image has half as many values.
    n = pixels * 0.87 * (0.5 if real else 1)
    half = (0.2071 + 1.9102 / np.sqrt(n)) / (1.2071 + 0.9102 / np.sqrt(n))
    one = (0.5 + 2.4142 / np.sqrt(n)) / (1.5 + 1.4142 / np.sqrt(n))
    np.testing.assert_allclose(curve.half_bit[30:], half[30:], rtol=0.03)
    np.testing.assert_allclose(curve.one_bit[30:], one[30:], rtol=0.03)


@pytest.mark.slow
def test_the_spread_of_noise_is_that_of_the_number_of_independent_values():
    """The real part of a correlation of n independent complex values spreads by 1 / sqrt(2 n)."""
    for real in (False, True):
        images = [noise(k).real if real else noise(k) for k in range(120)]
        curves = [frc(a, b) for a, b in zip(images[::2], images[1::2], strict=True)]
        spread = np.std([curve.correlation for curve in curves], axis=0)
        # The half-bit curve solved for 1 / sqrt(n).
        half, snr = curves[0].half_bit, (np.sqrt(2) - 1) / 2
        fluctuation = (half * (1 + snr) - snr) / (1 + 2 * np.sqrt(snr) * (1 - half))
        expected = fluctuation / np.sqrt(2)
        assert spread[30:120].mean() == pytest.approx(expected[30:120].mean(), rel=0.04), real


@pytest.mark.parametrize("cutoff", [0.1, 0.25])
def test_resolution_is_where_common_detail_ends(cutoff):
    common = np.fft.ifft2(np.fft.fft2(noise(9)) * (frequencies() < cutoff))
    curve = frc(common + 0.5 * noise(0), common + 0.5 * noise(1))
    assert curve.resolution() == pytest.approx(1 / (2 * cutoff), rel=0.04)


def test_correlation_follows_the_signal_to_noise_ratio():
    signal = noise(5)
    curve = frc(signal + 0.5 * noise(0), signal + 0.5 * noise(1))
    assert curve.correlation[30:].mean() == pytest.approx(1 / 1.25, abs=0.02)


def test_edges_that_do_not_fit_are_no_common_signal():
    """Steep opposite ramps across the frame: without a window their jumps at the edge would look like detail."""
    slope = np.linspace(-30, 30, SIZE)[:, None] * np.ones(SIZE)
    curve = frc(noise(0) + slope, noise(1) + slope)
    assert np.abs(curve.correlation[40:].mean()) < 0.05


def test_oblong_images_and_refusals():
    curve = frc(noise(0, (64, 100)), noise(0, (64, 100)))
    assert curve.frequency[-1] == 0.5
    assert len(curve.frequency) == 32
    with pytest.raises(ValueError, match=r"\(64, 100\) and \(64, 64\)"):
        frc(noise(0, (64, 100)), noise(0, (64, 64)))
    with pytest.raises(ValueError, match="constant"):
        frc(np.ones((32, 32)), noise(0, (32, 32)))


def test_an_empty_ring_has_nothing_in_common():
    row, col = np.indices((64, 64))
    wave = np.cos(2 * np.pi * 8 * row / 64)
    curve = frc(wave, np.cos(2 * np.pi * 8 * col / 64))
    assert np.isfinite(curve.correlation).all()
    assert np.isfinite(frc(wave, wave).correlation).all()
