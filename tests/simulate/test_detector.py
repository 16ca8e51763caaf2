"""Photon statistics."""

import numpy as np
import pytest

from opty.simulate.detector import count


def test_counts_are_poisson_around_the_dose():
    pattern = np.linspace(1, 9, 64).reshape(8, 8)
    counts = count(np.broadcast_to(pattern, (4000, 8, 8)), photons=640, seed=1)
    assert counts.dtype == np.uint32
    expected = pattern * 640 / pattern.sum()
    total = counts.sum(axis=(1, 2), dtype=float)
    assert total.mean() == pytest.approx(640, abs=5 * np.sqrt(640 / 4000))
    assert total.var() == pytest.approx(640, rel=0.12)
    # Chi square of the pixel means against the expected ones: 64 +- 11.
    chi2 = ((counts.mean(axis=0) - expected) ** 2 / (expected / 4000)).sum()
    assert 64 - 4 * 11.3 < chi2 < 64 + 4 * 11.3
    np.testing.assert_allclose(counts.var(axis=0) / expected, 1, atol=0.13)


def test_views_keep_their_relative_brightness():
    counts = count(np.stack([np.full((16, 16), 1.0), np.full((16, 16), 3.0)]), photons=1e6, seed=0)
    assert counts[1].sum() / counts[0].sum() == pytest.approx(3, rel=0.01)
    assert counts.sum() == pytest.approx(2e6, rel=0.005)


def test_integers_saturate_and_floats_do_not():
    bright = np.full((32, 32), 300.0)
    assert (count(bright, dtype="uint8", seed=0) == 255).mean() > 0.98
    assert count(bright, dtype="float32", seed=0).mean() == pytest.approx(300, rel=0.01)
    assert count(np.full((4, 4), 1e5), dtype="uint16", seed=0).max() == 65535


def test_read_noise_adds_its_variance_and_never_goes_below_zero():
    flat = np.full((200, 200), 100.0)
    assert count(flat, dtype="float64", seed=0, read_noise=5).var() == pytest.approx(100 + 25, rel=0.05)
    dark = count(np.zeros((200, 200)), dtype="int32", seed=0, read_noise=2)
    assert dark.min() == 0
    assert (dark > 0).mean() == pytest.approx(0.4013, abs=0.02)  # P(x > 0.5) for a deviation of 2


def test_the_stack_may_be_counted_in_pieces():
    stack = np.random.default_rng(0).random((6, 8, 8)) * 20
    whole = count(stack, seed=3, read_noise=1)
    rng = np.random.default_rng(3)
    pieces = [count(piece, seed=rng, read_noise=1) for piece in (stack[:1], stack[1:4], stack[4:])]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="photons=-1"):
        count(np.ones((4, 4)), photons=-1)
    with pytest.raises(ValueError, match="0 of intensity"):
        count(np.zeros((4, 4)), photons=10)
    with pytest.raises(ValueError, match="read_noise is -1"):
        count(np.ones((4, 4)), read_noise=-1)
    with pytest.raises(TypeError, match="complex64"):
        count(np.ones((4, 4)), dtype="complex64")
