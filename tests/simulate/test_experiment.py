"""The forward model against direct formulae, its dose, its positions, and what it refuses."""

import sys

import numpy as np
import pytest

import opty
from opty.geometry import Geometry
from opty.simulate import Detector, Experiment, Exposure, experiment, probes, scans, stage

N = 32
EXACT = Detector(counting=False, dtype="float64")
NEAR = Geometry(1e-10, 1.1, 55e-6, focus_to_sample=3.6e-3, propagation="near")


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
    data = experiment(obj, probe_at(0, 0), positions, detector=EXACT)
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


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
def test_a_view_repeated_200_times_is_poisson_within_three_standard_errors(geometry):
    repeats = 200
    again = np.tile([[3.3, 4.6]], (repeats, 1))
    data = experiment(random_object((50, 50)), probes.gaussian(N, 6), again, 3e4, geometry=geometry, seed=1)
    clean = experiment(data.truth["obj"], data.truth["probe"], again[:1], geometry=geometry, detector=EXACT)
    expected = clean.intensities[0]
    counts = data.intensities.astype(float)
    # Standard errors of the mean and of the variance of n Poisson numbers, added up over independent pixels.
    of_mean = np.sqrt(expected / repeats)
    of_variance = np.sqrt((expected + 2 * expected**2 * repeats / (repeats - 1)) / repeats)
    assert abs((counts.mean(axis=0) - expected).sum()) < 3 * np.linalg.norm(of_mean)
    assert abs((counts.var(axis=0, ddof=1) - expected).sum()) < 3 * np.linalg.norm(of_variance)
    bright = expected > 10
    assert bright.sum() > 50
    off = (counts.mean(axis=0) - expected)[bright] / of_mean[bright]
    assert (np.abs(off) < 3).mean() > 0.98  # 99.7 percent of normal numbers
    assert data.photons().sum() == pytest.approx(repeats * 3e4, rel=1e-2)


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
    whole = experiment(obj, probe, positions, 1e4, detector=Detector(read_noise=1, dtype="uint16"))
    monkeypatch.setattr(sys.modules[experiment.__module__], "_CHUNK", 2 * N * N)
    pieces = experiment(obj, probe, positions, 1e4, detector=Detector(read_noise=1, dtype="uint16"))
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
    np.testing.assert_allclose(data.intensities, pixels.intensities, atol=1e-6 * pixels.intensities.max())


def test_too_small_an_object_is_refused_with_the_size_it_needs():
    positions = np.array([[0, 0], [10.2, 20.0]])
    with pytest.raises(ValueError, match=r"40 x 60 pixels.*32 x 32 windows needs 43 x 52"):
        experiment(random_object((40, 60)), probes.gaussian(N, 9), positions)
    experiment(random_object((43, 52)), probes.gaussian(N, 9), positions)


def test_what_is_not_simulated_is_refused():
    obj, probe, positions = random_object((80, 80)), probes.gaussian(N, 9), scans.raster((2, 2), 6)
    for detector in (Detector(), Detector(counting=False), Detector(counting=False, dtype="float32", read_noise=2)):
        with pytest.raises(ValueError, match="need photons "):
            experiment(obj, probe, positions, detector=detector)
    with pytest.raises(ValueError, match="photons is -1"):
        experiment(obj, probe, positions, photons=-1)
    with pytest.raises(ValueError, match="give one"):
        experiment(obj, probe, positions, photons=10, dose=20)
    with pytest.raises(ValueError, match="no light"):
        experiment(0 * obj, probe, positions, photons=10)
    with pytest.raises(TypeError, match="detector is a dict"):
        experiment(obj, probe, positions, photons=10, detector={"read_noise": 1})
    with pytest.raises(ValueError, match=r"position_error has shape \(3, 2\)"):
        experiment(obj, probe, positions, position_error=np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"positions has shape \(4,\)"):
        experiment(obj, probe, np.zeros(4))
    with pytest.raises(ValueError, match=r"obj has shape \(1, 80, 80\)"):
        experiment(obj[None], probe, positions)
    with pytest.raises(ValueError, match=r"background has shape \(4, 4\)"):
        experiment(obj, probe, positions, exposure=Exposure(background=np.ones((4, 4))))
    with pytest.raises(ValueError, match=r"travel has shape \(3, 2\)"):
        experiment(obj, probe, positions, exposure=Exposure(travel=np.ones((3, 2))))


# -- the model is the reconstruction's own


@pytest.mark.parametrize("kind", ["complex64", "complex128"])
@pytest.mark.parametrize(
    "geometry", [None, Geometry(1e-9, 0.1, 50e-6, 1e-3, "cone"), NEAR], ids=["far", "cone", "near"]
)
def test_without_noise_the_truth_has_no_misfit(geometry, kind):
    obj = random_object((80, 80)).astype(kind)
    probe = 30 * probes.modes(probes.gaussian(N, 9), [3, 1]).astype(kind)
    detector = Detector(counting=False, dtype="float32" if kind == "complex64" else "float64")
    data = experiment(
        obj,
        probe,
        scans.raster((5, 5), 6, jitter=2.5),
        geometry=geometry,
        position_error=[stage.Gaussian(0.7), stage.Affine(rotation=0.05)],
        exposure=Exposure(background=0.25),
        detector=detector,
    )
    truth = data.truth
    start = opty.PtychoState(data, probe=truth["probe"], obj=truth["obj"], dtype=kind, device="cpu")
    assert opty.misfit(start.replace(positions=truth["positions"])) < {"complex64": 1e-12, "complex128": 1e-28}[kind]
    assert opty.misfit(start) > 1e-4  # at the nominal positions
    assert set(opty.analysis.errors(start)) == {"object", "position", "position_affine"}


def test_near_field_is_the_angular_spectrum_of_the_moving_sample():
    """The detector and the beam stand still while the sample moves: the same light with the object moved instead."""
    rng, wide = np.random.default_rng(1), 96
    spectrum = np.zeros((wide, wide), complex)
    spectrum[:9, :9] = rng.normal(size=(9, 9)) + 1j * rng.normal(size=(9, 9))
    obj = 3 + np.roll(np.fft.fft2(spectrum), (5, 9), (0, 1)) / 40  # band-limited, periodic
    probe, position = probes.gaussian(N, 4).astype(complex), np.array([30.37, 31.81])
    data = experiment(
        obj, probe, [position, [*position + 32]], geometry=NEAR, position_error=np.zeros((2, 2)), detector=EXACT
    )
    r, c = data.truth["positions"][0]
    q = np.fft.fftfreq(wide)
    moved = np.fft.ifft2(np.fft.fft2(obj) * np.exp(2j * np.pi * (q[:, None] * r + q * c)))[:N, :N]
    f = np.fft.fftfreq(N, NEAR.sample_pixel(N))
    square = f[:, None] ** 2 + f**2
    path = np.sqrt(1 / NEAR.wavelength**2 - square) - 1 / NEAR.wavelength
    seen = np.fft.ifft2(np.fft.fft2(probe * moved) * np.exp(2j * np.pi * NEAR.effective_distance * path))
    np.testing.assert_allclose(data.intensities[0], np.abs(seen) ** 2, atol=1e-6 * (np.abs(seen) ** 2).max())


# -- dose, exposure, detector


@pytest.mark.parametrize("geometry", [None, NEAR])
def test_total_counts_are_the_dose_within_a_percent(geometry):
    obj = random_object((80, 80)) * np.linspace(0.2, 1, 80)
    exposure = Exposure(fluctuation=0.2, travel=(0.0, 4.0), steps=3)
    options = dict(dose=1e6, geometry=geometry, seed=5)
    for detector in (None, Detector(pixel_integration=True), Detector(counting=False, dtype="float64")):
        data = experiment(
            obj, probes.gaussian(N, 6), scans.raster((8, 8), 5), exposure=exposure, detector=detector, **options
        )
        assert data.photons().sum() == pytest.approx(1e6, rel=1e-2)
    assert data.photons().sum() == pytest.approx(1e6, rel=1e-6)  # the last one does not count one by one


def test_the_beam_fluctuates_from_view_to_view():
    obj = np.ones((90, 90), np.complex64)
    positions = scans.raster((20, 20), 2)
    data = experiment(obj, probes.gaussian(N, 6), positions, exposure=Exposure(fluctuation=0.1), seed=3)
    photons = data.photons() / data.photons().mean()
    assert photons.std() == pytest.approx(0.1, rel=0.1)
    calm = experiment(obj, probes.gaussian(N, 6), positions).photons()
    assert calm.std() < 1e-5 * calm.mean()


def test_background_is_added_and_handed_over():
    obj, probe, positions = random_object((80, 80)), 100 * probes.gaussian(N, 9), scans.raster((3, 3), 6)
    image = np.random.default_rng(0).random((N, N)).astype(np.float32)
    data = experiment(obj, probe, positions, exposure=Exposure(background=image))
    np.testing.assert_array_equal(data.background, image)
    dark = experiment(obj, probe, positions)
    assert dark.background is None
    np.testing.assert_allclose(data.intensities - dark.intensities, np.broadcast_to(image, (9, N, N)), atol=2e-4)


def test_a_moving_stage_averages_intensities_along_its_way():
    obj, probe, positions = random_object((80, 80)), probes.gaussian(N, 9), scans.raster((3, 3), 6, jitter=1)
    travel = np.random.default_rng(2).normal(size=(9, 2))
    data = experiment(obj, probe, positions, exposure=Exposure(travel=travel, steps=4), detector=EXACT)
    still = []
    for share in (-0.375, -0.125, 0.125, 0.375):
        places = data.truth["positions"] + share * travel
        error = places - data.positions
        frozen = experiment(obj, probe, data.positions, position_error=error, detector=EXACT)
        shift = np.rint(frozen.truth["positions"] - places)[0].astype(int)
        still.append(
            experiment(np.roll(obj, shift, (0, 1)), probe, data.positions, position_error=error, detector=EXACT)
        )
    mean = np.mean([one.intensities for one in still], axis=0)
    np.testing.assert_allclose(data.intensities, mean, atol=1e-6 * mean.max())
    one = experiment(obj, probe, positions, exposure=Exposure(travel=travel, steps=1)).intensities
    np.testing.assert_array_equal(one, experiment(obj, probe, positions).intensities)


def test_the_detectors_flaws_come_with_a_mask():
    obj, probe, positions = random_object((80, 80)), probes.gaussian(N, 9), scans.raster((4, 4), 6)
    detector = Detector(dead=0.02, hot=0.01, beamstop=5, gaps=(("column", 7, 2),), saturation=5000, dtype="uint16")
    data = experiment(obj, probe, positions, photons=1e6, detector=detector, seed=4)
    assert (data.intensities[:, ~data.mask] % 5000 == 0).all()
    assert data.intensities.max() == 5000
    clean = experiment(obj, probe, positions, photons=1e6, seed=4)
    assert (data.intensities[:, data.mask] == np.minimum(clean.intensities[:, data.mask], 5000)).all()
    assert 0.8 < data.mask.mean() < 0.93
    again = experiment(obj, probe, positions, photons=1e6, detector=detector, seed=5)
    assert not np.array_equal(again.mask, data.mask)


def test_point_spread_blurs_the_pattern():
    obj, probe, positions = random_object((80, 80)), probes.gaussian(N, 9), scans.raster((2, 2), 6)
    sharp = experiment(obj, probe, positions).intensities
    soft = experiment(obj, probe, positions, detector=Detector(counting=False, dtype="float32", psf=2)).intensities
    assert np.abs(soft - sharp).max() > 0.05 * sharp.max()
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.05)


def test_patterns_come_in_pieces_as_they_come_at_once(monkeypatch):
    monkeypatch.setattr(sys.modules[experiment.__module__], "_CHUNK", 3 * N * N)
    e = Experiment(random_object((80, 80)), probes.gaussian(N, 9), scans.raster((5, 5), 6), photons=1e4, seed=2)
    pieces = list(e.patterns())
    assert [views for views, _ in pieces][:2] == [slice(0, 3), slice(3, 6)]
    np.testing.assert_array_equal(np.concatenate([patterns for _, patterns in pieces]), e.measure().intensities)
    np.testing.assert_array_equal(e.measure().intensities, e.measure().intensities)
