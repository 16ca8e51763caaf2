"""The forward model against direct formulae, its dose, its positions, and what it refuses."""

import sys

import numpy as np
import pytest

from opty.geometry import Geometry
from opty.simulate import experiment, probes, scans

N = 32


def random_object(shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.3, 1, shape) * np.exp(1j * rng.uniform(-1, 1, shape))).astype(np.complex64)


def far_field(wave):
    return np.abs(np.fft.fftshift(np.fft.fft2(wave, norm="ortho"))) ** 2


def test_whole_pixels_are_the_textbook_formula():
    obj, probe = random_object((50, 60)), 20 * probes.modes(probes.gaussian(N, 9), [2, 1])
    positions = np.array([[0, 0], [18, 28], [7, 11]])
    data = experiment(obj, probe, positions)
    assert data.intensities.dtype == np.float32
    np.testing.assert_array_equal(data.positions, positions)
    for j, (r, c) in enumerate(positions):
        direct = sum(far_field(mode * obj[r : r + N, c : c + N]) for mode in probe.astype(complex))
        np.testing.assert_allclose(data.intensities[j], direct, atol=2e-6 * direct.max())


def test_fractions_shift_a_band_limited_probe_exactly():
    rng = np.random.default_rng(1)
    f = np.arange(-9, 10)
    spectrum = rng.normal(size=(19, 19)) + 1j * rng.normal(size=(19, 19))

    def probe_at(row, col):
        """Trigonometric polynomial, evaluated at any place."""
        grid = np.arange(N)
        waves = [np.exp(2j * np.pi * np.outer(grid - x, f) / N) for x in (row, col)]
        return waves[0] @ spectrum @ waves[1].T

    obj = random_object((44, 44)).astype(np.complex128)
    positions = np.array([[0.0, 0.0], [3.3, 7.8], [11.49, 2.51], [12.0, 12.0]])
    data = experiment(obj, probe_at(0, 0), positions, dtype="float64")
    for j, position in enumerate(positions):
        r, c = np.rint(position).astype(int)
        direct = far_field(probe_at(*(position - (r, c))) * obj[r : r + N, c : c + N])
        np.testing.assert_allclose(data.intensities[j], direct, atol=1e-11 * direct.max())


def test_a_larger_row_is_a_lower_window():
    obj = np.ones((N + 10, N), np.complex64)
    obj[N + 5 :] = 0
    data = experiment(obj, probes.aperture(N, N), [[0, 0], [10, 0]])
    assert data.photons()[1] < 0.99 * data.photons()[0]


def test_power_of_the_probe_is_the_photons_of_a_unit_object():
    obj = np.ones((70, 70), np.complex64)
    data = experiment(obj, probes.modes(probes.gaussian(N, 9), [3, 1]), scans.fermat(60, 4), photons=5e4, seed=2)
    power = (np.abs(data.truth["probe"]) ** 2).sum()
    assert power == pytest.approx(5e4, rel=1e-5)
    assert data.intensities.dtype == np.uint32
    assert data.photons().mean() == pytest.approx(power, abs=5 * np.sqrt(5e4 / 60))
    assert data.photons().std() == pytest.approx(np.sqrt(5e4), rel=0.35)


def test_dose_is_the_mean_over_views_behind_an_absorbing_object():
    obj = random_object((80, 80)) * np.linspace(0.2, 1, 80)
    data = experiment(obj, probes.gaussian(N, 12), scans.raster((8, 8), 6), photons=1e5, seed=0)
    assert data.photons().mean() == pytest.approx(1e5, abs=5 * np.sqrt(1e5 / 64))
    assert data.photons().max() > 2 * data.photons().min()


def test_counts_scatter_like_poisson_around_the_noise_free_pattern():
    obj, positions = random_object((50, 50)), scans.raster((3, 3), 8, jitter=1)
    data = experiment(obj, probes.gaussian(N, 6), positions, photons=2e6, seed=3)
    clean = experiment(data.truth["obj"], data.truth["probe"], data.truth["positions"]).intensities
    bright = clean > 20
    assert bright.sum() > 1000
    deviation = (data.intensities[bright] - clean[bright]) / np.sqrt(clean[bright])
    assert deviation.mean() == pytest.approx(0, abs=5 / np.sqrt(bright.sum()))
    assert deviation.std() == pytest.approx(1, rel=5 / np.sqrt(2 * bright.sum()))


def test_the_scan_is_centred_by_whole_pixels():
    positions = scans.fermat(20, 5)
    data = experiment(random_object((90, 80)), probes.gaussian(N, 9), positions)
    moved = data.positions - positions
    np.testing.assert_allclose(moved, np.broadcast_to(np.rint(moved[0]), moved.shape), atol=1e-12)
    middle = (data.positions.min(axis=0) + data.positions.max(axis=0) + N) / 2
    np.testing.assert_allclose(middle, [45, 40], atol=1.5)


@pytest.mark.parametrize("as_array", [False, True])
def test_stage_errors_are_in_the_truth_and_not_in_the_data(as_array):
    positions = scans.raster((6, 6), 5)
    error = np.random.default_rng(7).normal(size=positions.shape) if as_array else 1.5
    obj, probe = random_object((80, 80)), probes.gaussian(N, 9)
    data = experiment(obj, probe, positions, position_error=error)
    np.testing.assert_allclose(np.diff(data.positions, axis=0), np.diff(positions, axis=0), atol=1e-12)
    moved = data.truth["positions"] - data.positions
    if as_array:
        np.testing.assert_allclose(moved, error, atol=1e-12)
    else:
        assert 1.2 < np.abs(moved).max() <= 1.5
        assert moved.std() == pytest.approx(1.5 / np.sqrt(3), rel=0.25)
    # What was measured is what the true positions give.
    again = experiment(obj, probe, data.truth["positions"])
    shift = again.truth["positions"][0] - data.truth["positions"][0]
    again = experiment(np.roll(obj, tuple(np.rint(shift).astype(int)), (0, 1)), probe, data.truth["positions"])
    np.testing.assert_allclose(again.intensities, data.intensities, rtol=1e-5, atol=1e-9)


def test_seed_decides_errors_and_noise_separately():
    obj, probe, positions = random_object((80, 80)), probes.gaussian(N, 9), scans.raster((4, 4), 6)

    def measure(photons, seed):
        return experiment(obj, probe, positions, photons, position_error=1, seed=seed)

    np.testing.assert_array_equal(measure(1e4, 1).intensities, measure(1e4, 1).intensities)
    np.testing.assert_array_equal(measure(1e4, 1).truth["positions"], measure(1e6, 1).truth["positions"])
    assert not np.array_equal(measure(1e4, 1).truth["positions"], measure(1e4, 2).truth["positions"])


def test_chunks_do_not_change_the_measurement(monkeypatch):
    obj, probe, positions = random_object((80, 80)), probes.gaussian(N, 9), scans.raster((5, 5), 6, jitter=2)
    whole = experiment(obj, probe, positions, 1e4, read_noise=1, dtype="uint16")
    monkeypatch.setattr(sys.modules[experiment.__module__], "_CHUNK", 2 * N * N)
    pieces = experiment(obj, probe, positions, 1e4, read_noise=1, dtype="uint16")
    assert whole.intensities.dtype == np.uint16
    np.testing.assert_array_equal(whole.intensities, pieces.intensities)


@pytest.mark.parametrize("focus", [None, 1e-3])
def test_a_geometry_puts_positions_in_metres(focus):
    geometry = Geometry(1e-9, 0.1, 50e-6, focus_to_sample=focus, propagation="far" if focus is None else "cone")
    obj, probe, positions = random_object((80, 80)), probes.gaussian(N, 9), scans.raster((4, 4), 6, jitter=2)
    data = experiment(obj, probe, positions, geometry=geometry)
    pixels = experiment(obj, probe, positions)
    assert data.pixel == pytest.approx(1e-9 * 0.1 / (N * 50e-6))
    np.testing.assert_allclose(data.positions_px, pixels.positions, rtol=1e-12)
    np.testing.assert_allclose(data.positions, pixels.positions * data.pixel, rtol=1e-12)
    np.testing.assert_array_equal(data.intensities, pixels.intensities)


def test_too_small_an_object_is_refused_with_the_size_it_needs():
    positions = np.array([[0, 0], [10.2, 20.0]])
    with pytest.raises(ValueError, match=r"40 x 60 pixels.*32 x 32 windows needs 43 x 52"):
        experiment(random_object((40, 60)), probes.gaussian(N, 9), positions)
    experiment(random_object((43, 52)), probes.gaussian(N, 9), positions)


def test_what_is_not_simulated_is_refused():
    obj, probe, positions = random_object((80, 80)), probes.gaussian(N, 9), scans.raster((2, 2), 6)
    with pytest.raises(ValueError, match="'far' and 'cone'"):
        experiment(obj, probe, positions, geometry=Geometry(1e-9, 0.1, 50e-6, propagation="near"))
    for options in ({"read_noise": 2}, {"dtype": "uint16"}):
        with pytest.raises(ValueError, match="need photons="):
            experiment(obj, probe, positions, **options)
    with pytest.raises(ValueError, match="photons=-1"):
        experiment(obj, probe, positions, photons=-1)
    with pytest.raises(ValueError, match=r"position_error has shape \(3, 2\)"):
        experiment(obj, probe, positions, position_error=np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"positions has shape \(4,\)"):
        experiment(obj, probe, np.zeros(4))
    with pytest.raises(ValueError, match=r"obj has shape \(1, 80, 80\)"):
        experiment(obj[None], probe, positions)
