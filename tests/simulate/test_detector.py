"""Photon statistics, noise, range, bad pixels, point spread, integration over pixels."""

import numpy as np
import pytest

from opty.simulate.detector import Detector, integrated

EXACT = {"counting": False, "dtype": "float64"}


def test_repeated_views_are_poisson_within_three_standard_errors():
    """200 repeats: mean and variance over all pixels, and of the total, against mean = variance = expectation."""
    repeats = 200
    expected = np.random.default_rng(0).gamma(1, 6, (64, 64))
    counts = Detector().read(np.broadcast_to(expected, (repeats, 64, 64)), seed=1).astype(float)
    mean, variance, pixels = counts.mean(axis=0), counts.var(axis=0, ddof=1), expected.size
    # Standard error of the mean of n Poisson numbers: sqrt(m / n); of their variance: sqrt((m + 2 m^2 n/(n-1)) / n).
    spread = np.sqrt((expected + 2 * expected**2 * repeats / (repeats - 1)) / repeats)
    for deviation in ((mean - expected) / np.sqrt(expected / repeats), (variance - expected) / spread):
        assert abs(deviation.mean()) < 3 / np.sqrt(pixels)
        assert deviation.std() == pytest.approx(1, abs=0.05)
    total, dose = counts.sum(axis=(1, 2)), expected.sum()
    assert abs(total.mean() - dose) < 3 * np.sqrt(dose / repeats)
    assert abs(total.var(ddof=1) / dose - 1) < 3 * np.sqrt(2 / (repeats - 1))


@pytest.mark.parametrize("sigma", [0.7, 5])
def test_read_out_noise_has_its_sigma_within_two_percent(sigma):
    flat = np.full((4, 200, 200), 100.0)
    assert Detector(read_noise=sigma, **EXACT).read(flat).std() == pytest.approx(sigma, rel=0.02)
    both = Detector(read_noise=sigma, dtype="float64").read(flat)
    assert both.var() == pytest.approx(100 + sigma**2, rel=0.02)


def test_readings_never_go_below_zero():
    dark = Detector(read_noise=2, dtype="int32").read(np.zeros((200, 200)))
    assert dark.min() == 0
    assert (dark > 0).mean() == pytest.approx(0.4013, abs=0.01)  # P(x > 0.5) for a deviation of 2


@pytest.mark.parametrize(("dtype", "most"), [("uint8", 255), ("int16", 32767), ("uint16", 65535)])
def test_integers_end_at_their_largest_number(dtype, most):
    read = Detector(dtype=dtype).read(np.full((8, 8), 1e6))
    assert read.dtype == dtype
    assert (read == most).all()


def test_saturation_cuts_below_the_range_of_the_type():
    read = Detector(saturation=300, dtype="uint32").read(np.full((64, 64), 300.0))
    assert read.max() == 300
    assert (read == 300).mean() == pytest.approx(0.5, abs=0.05)
    assert Detector(saturation=12.5, **EXACT).read(np.full((4, 4), 20.0)).max() == 12.5


def test_bad_pixels_read_zero_or_full_scale_and_are_masked():
    detector = Detector(
        dtype="uint16", gaps=(("row", 10, 3), ("column", 40, 5)), dead=0.01, hot=0.02, beamstop=9, saturation=1000
    )
    bad = detector.bad_pixels(64, seed=3)
    read = detector.read(np.full((64, 64), 50.0), bad=bad)
    assert not bad.mask[10:13].any()
    assert not bad.mask[:, 40:45].any()
    assert (read[10:13] == 0).all()
    assert (read[:, 40:45] == 0).all()
    assert (read[28:37, 32] == 0).all()  # the middle, pixel 32, and four on either side
    assert read[27, 32] > 0
    assert (read[bad.hot] == 1000).all()
    assert 0.015 * 64**2 < bad.hot.sum() <= round(0.02 * 64**2)
    assert (read[bad.mask] < 100).all()
    assert (read[bad.mask] > 10).all()
    other = detector.bad_pixels(64, seed=4)
    assert not np.array_equal(bad.hot, other.hot)
    assert Detector(dead=0.1).bad_pixels(100).blind.sum() == 1000
    assert Detector().bad_pixels(64).mask is None


def test_point_spread_has_its_width_and_keeps_the_light():
    point = np.zeros((65, 65))
    point[32, 32] = 1
    spread = Detector(psf=8).blur(point)
    assert spread.sum() == pytest.approx(1, rel=1e-4)
    assert spread[32, 36] / spread[32, 32] == pytest.approx(0.5, rel=1e-3)
    assert spread[36, 32] == pytest.approx(spread[32, 36])
    edge = Detector(psf=8).blur(np.roll(point, 32, axis=0))
    assert edge.sum() == pytest.approx(0.5, abs=0.07)  # the other half has left the detector


def test_the_stack_may_be_read_in_pieces():
    stack, detector = np.random.default_rng(0).random((6, 8, 8)) * 20, Detector(read_noise=1)
    rng = np.random.default_rng(3)
    pieces = [detector.read(piece, rng) for piece in (stack[:1], stack[1:4], stack[4:])]
    np.testing.assert_array_equal(detector.read(stack, 3), np.concatenate(pieces))


@pytest.mark.parametrize("near", [False, True])
def test_pixels_integrate_the_light_on_them(near):
    """Against the mean of a 51 times finer sampling, summed up directly."""
    rng, n, fine = np.random.default_rng(2), 8, 51
    cut = rng.normal(size=(1, 2, n, n)) + 1j * rng.normal(size=(1, 2, n, n))
    # What is cut off at n is the exit wave in the far field, and the spectrum in the near field.
    waves = (np.fft.ifft2(np.fft.ifftshift(cut, axes=(2, 3))) if near else np.fft.fft2(cut)) / (1 if near else n)
    terms = np.arange(n) - n // 2 if near else np.arange(n)
    offsets = (np.arange(fine) + 0.5) / fine - 0.5
    places = (np.arange(n)[:, None] + offsets).ravel()
    turn = np.exp((2j if near else -2j) * np.pi * np.outer(places, terms) / n)
    power = sum(np.abs(turn @ mode @ turn.T) ** 2 for mode in cut[0]) / (n**4 if near else n**2)
    meant = power.reshape(n, fine, n, fine).mean(axis=(1, 3))
    found = integrated(waves, near)[0]
    np.testing.assert_allclose(found, meant, atol=2e-3 * meant.max())
    assert found.sum() == pytest.approx((np.abs(waves) ** 2).sum(), rel=1e-10)
    assert np.abs(found - (np.abs(waves) ** 2).sum(axis=1)[0]).max() > 0.1 * found.max()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dtype": "complex64"}, "dtype is complex64"),
        ({"dtype": "uint64"}, "8 to 32 bit"),
        ({"read_noise": -1}, "read_noise is -1"),
        ({"psf": float("nan")}, "psf is nan"),
        ({"dead": 1.0}, "dead is 1.0"),
        ({"saturation": 300, "dtype": "uint8"}, "up to 255"),
        ({"saturation": 0}, "saturation is 0"),
        ({"hot": 0.1, "dtype": "float32"}, "give saturation "),
        ({"gaps": (("rows", 1, 2),)}, "'rows'"),
    ],
)
def test_what_cannot_be_a_detector_is_refused(options, says):
    with pytest.raises((ValueError, TypeError), match=says):
        Detector(**options)


def test_gaps_lie_on_the_detector():
    with pytest.raises(ValueError, match="64 x 64 pixels"):
        Detector(gaps=(("row", 60, 5),)).bad_pixels(64)
