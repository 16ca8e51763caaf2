"""The three freedoms: what is removed, how exactly, and that nothing else is."""

import numpy as np
import pytest
import scipy.ndimage

from opty.analysis import align, object_error

SIZE = 160


def picture(seed=0, size=SIZE, smooth=3.0):
    """Random complex object, smooth enough to be shifted by fractions of a pixel."""
    rng = np.random.default_rng(seed)
    magnitude, phase = (
        scipy.ndimage.gaussian_filter(rng.normal(size=(size, size)), smooth, mode="wrap") for _ in range(2)
    )
    return (0.8 + 0.1 * magnitude / magnitude.std()) * np.exp(0.4j * phase / phase.std())


def moved(image, shift):
    """Periodic Fourier shift: exact, as the pictures are periodic."""
    row, col = (np.exp(-2j * np.pi * np.fft.fftfreq(s) * d) for s, d in zip(image.shape, shift, strict=True))
    return np.fft.ifft2(np.fft.fft2(image) * row[:, None] * col)


def ramped(image, ramp):
    row, col = (np.exp(1j * slope * np.arange(size)) for slope, size in zip(ramp, image.shape, strict=True))
    return image * row[:, None] * col


@pytest.fixture
def mask():
    row, col = np.indices((SIZE, SIZE)) - SIZE // 2
    return np.hypot(row, col) < 50


def test_an_object_is_itself():
    aligned, found = align(picture(), picture())
    assert found.error < 1e-9
    assert found.constant == pytest.approx(1)
    np.testing.assert_allclose(aligned, picture(), atol=1e-9)


def test_a_constant_and_a_ramp_are_free(mask):
    truth = picture()
    obj = ramped(truth, (0.31, -0.07)) * 12.5 * np.exp(2j)
    assert object_error(obj, truth, mask) < 1e-8
    aligned, found = align(obj, truth, mask)
    np.testing.assert_allclose(found.ramp, [-0.31, 0.07], atol=1e-8)
    assert found.constant == pytest.approx(np.exp(-2j) / 12.5, rel=1e-6)
    np.testing.assert_allclose(aligned[mask], truth[mask], atol=1e-7)


@pytest.mark.parametrize("shift", [(0.37, -0.81), (6.5, -11.25), (-29.3, 17.8)])
def test_a_shift_is_found_to_a_hundredth_of_a_pixel(mask, shift):
    truth = picture()
    obj = ramped(moved(truth, shift), (0.02, 0.4)) * 3j
    aligned, found = align(obj, truth, mask)
    np.testing.assert_allclose(found.shift, shift, atol=0.01)
    np.testing.assert_allclose(found.ramp, [-0.02, -0.4], atol=1e-4)
    assert found.error < 2e-3
    assert np.linalg.norm((aligned - truth)[mask]) / np.linalg.norm(truth[mask]) < 5e-3


def test_a_shift_is_found_under_noise(mask):
    truth, rng = picture(), np.random.default_rng(5)
    noise = 0.05 * (rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape))
    _, found = align(ramped(moved(truth, (2.4, 3.6)), (0.1, 0.1)) + noise, truth, mask)
    np.testing.assert_allclose(found.shift, [2.4, 3.6], atol=0.03)
    expected = 0.05 * np.sqrt(2) / np.sqrt((np.abs(truth[mask]) ** 2).mean())
    assert found.error == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("level", [0.02, 0.2])
def test_what_is_no_freedom_counts(mask, level):
    """An orthogonal addition of relative size e gives e / sqrt(1 + e^2), the share of obj that is not truth."""
    truth, rng = picture(), np.random.default_rng(3)
    extra = rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape)
    extra *= level * np.linalg.norm(truth[mask]) / np.linalg.norm(extra[mask])
    assert object_error(truth + extra, truth, mask) == pytest.approx(level / np.hypot(1, level), rel=0.02)


def test_complex_conjugate_and_flip_are_not_forgiven(mask):
    truth = picture()
    assert object_error(truth.conj(), truth, mask) > 0.3
    assert object_error(truth[::-1, ::-1], truth, mask) > 0.3


def test_what_lies_outside_of_the_mask_does_not_matter(mask):
    truth, rng = picture(), np.random.default_rng(0)
    obj = np.where(mask, truth, 5 * rng.normal(size=truth.shape))
    assert object_error(obj, truth, mask) < 1e-8


def test_frames_of_other_sizes_are_placed_by_the_offset(mask):
    truth = picture()
    larger = np.ones((SIZE + 70, SIZE + 90), complex)
    larger[50 : 50 + SIZE, 12 : 12 + SIZE] = ramped(truth, (0.2, 0.1))
    aligned, found = align(larger, truth, mask, offset=(50, 12))
    assert found.error < 1e-8
    np.testing.assert_allclose(found.shift, 0, atol=1e-6)
    np.testing.assert_allclose(aligned[mask], truth[mask], atol=1e-6)
    # Two pixels and five away from the right offset: found as a shift.
    _, near = align(larger, truth, mask, offset=(48, 17))
    np.testing.assert_allclose(near.shift, [2, -5], atol=1e-4)
    smaller = truth[20:-10, 30:]
    assert object_error(smaller, truth, mask, offset=(-20, -30)) < 1e-8


def test_without_an_offset_the_middles_coincide(mask):
    truth = picture()
    larger = np.pad(truth, ((23, 21), (40, 40)), mode="wrap")
    _, found = align(larger, truth, mask)
    np.testing.assert_allclose(found.shift, [1, 0], atol=1e-6)


def test_flat_truth_has_no_shift_to_find():
    flat = np.full((64, 64), 0.5 + 0.5j)
    assert object_error(ramped(flat, (0.3, 0.0)), flat) < 1e-8


def test_refusals(mask):
    with pytest.raises(ValueError, match=r"mask has shape \(8, 8\)"):
        object_error(picture(), picture(), np.ones((8, 8), bool))
    with pytest.raises(ValueError, match="0 pixels to compare"):
        object_error(picture(), picture(), offset=(500, 0))
    with pytest.raises(ValueError, match="light on them"):
        object_error(np.zeros((SIZE, SIZE)), picture(), mask)
    with pytest.raises(ValueError, match=r"both must be \(H, W\)"):
        object_error(picture()[None], picture())


@pytest.mark.parametrize(
    ("shift", "ramp", "noise", "theirs"),
    [((0, 0), (0, 0), 0.1, 0.1700490), ((4.3, -7.6), (0.2, -0.1), 0.03, 0.0585365)],
)
def test_agrees_with_the_measure_that_other_packages_were_compared_by(mask, shift, ramp, noise, theirs):
    """``theirs`` : the same freedoms, fitted by a Levenberg-Marquardt written apart from this package."""
    truth, rng = picture(), np.random.default_rng(1)
    obj = scipy.ndimage.gaussian_filter(moved(truth, shift).real, 1.5) + 1j * moved(truth, shift).imag
    obj = ramped(obj, ramp) + noise * (rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape))
    assert object_error(obj, truth, mask) == pytest.approx(theirs, rel=1e-5)
