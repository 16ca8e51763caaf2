"""Electrons: their wavelength, the probe of a lens, scans on a grid, and their rotation against the detector."""

import numpy as np
import pytest

import opty
from opty.analysis import centres_of_mass, find_rotation
from opty.data.scan_grid import grid_shape, rotated, scan_grid
from opty.geometry import Geometry, electron_wavelength
from opty.physics.optics import aperture_probe, lens_phase
from opty.simulate import experiment, probes


@pytest.mark.parametrize(("kilovolts", "picometres"), [(60, 4.8661), (100, 3.7014), (200, 2.5079), (300, 1.9687)])
def test_wavelength_of_electrons(kilovolts, picometres):  # tables of Kirkland, Appendix D
    assert electron_wavelength(kilovolts * 1e3) == pytest.approx(picometres * 1e-12, rel=2e-5)
    g = Geometry(voltage=kilovolts * 1e3, distance=1.0, pixel_size=1e-3)
    assert g.wavelength == electron_wavelength(kilovolts * 1e3)
    assert g.energy == pytest.approx(kilovolts * 1.602176634e-16)


def test_voltage_against_wavelength_and_energy():
    with pytest.raises(ValueError, match=r"wavelength is 4\.1e-12 m, and electrons of 300000\.0 V have 1\.96875e-12 m"):
        Geometry(4.1e-12, 1.0, 1e-3, voltage=300e3)
    with pytest.raises(ValueError, match=r"300 V, too low for electrons.*give 300e3 for 300 kV"):
        Geometry(voltage=300, distance=1.0, pixel_size=1e-3)
    with pytest.raises(ValueError, match=r"for photons, and voltage 300000\.0 V is for electrons"):
        Geometry.from_energy(300e3 * 1.602e-19, distance=1.0, pixel_size=1e-3, voltage=300e3)
    with pytest.raises(ValueError, match="no energy of photons for ptychography: for electrons give voltage="):
        Geometry.from_energy(300e3 * 1.602e-19, distance=1.0, pixel_size=1e-3)


WAVE = electron_wavelength(300e3)
N, SEMI = 64, 21.4e-3
PIXEL = WAVE / (2 * 60e-3)


def test_the_probe_in_focus_is_an_airy_disc():
    probe = aperture_probe(N, WAVE, PIXEL, SEMI)
    assert (np.abs(probe) ** 2).sum() == pytest.approx(1, rel=1e-6)
    line = np.abs(probe[N // 2, N // 2 :]) ** 2
    first_dark = int(np.argmax(np.diff(line) > 0))
    assert first_dark * PIXEL == pytest.approx(0.61 * WAVE / SEMI, abs=PIXEL)
    far = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe)))) ** 2
    angle = np.hypot(*np.meshgrid(*[(np.arange(N) - N // 2) * WAVE / (N * PIXEL)] * 2))
    assert far[angle > SEMI + 2e-3].max() < 1e-9 * far.max()
    assert np.ptp(far[angle < SEMI - 2e-3]) < 1e-5 * far.max()


@pytest.mark.parametrize("z", [8e-9, -8e-9])
def test_c10_is_free_space(z):
    lens = aperture_probe(N, WAVE, PIXEL, SEMI, aberrations={"C10": z})
    walked = probes.defocus(aperture_probe(N, WAVE, PIXEL, SEMI), WAVE, PIXEL, z)
    assert abs(np.vdot(lens, walked)) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(aperture_probe(N, WAVE, PIXEL, SEMI, defocus=-z), lens, atol=1e-6)


@pytest.mark.parametrize("name", ["C12", "C21", "C23", "C30", "C34"])
def test_each_aberration_by_its_own_formula(name):
    n, m = int(name[1]), int(name[2])
    alpha, phi = np.array([0.01, 0.02]), np.array([0.3, 1.1])
    chi = lens_phase(alpha, phi, WAVE, {name: 2e-6, f"phi{n}{m}": 0.2})
    np.testing.assert_allclose(
        chi, 2 * np.pi / WAVE * 2e-6 * alpha ** (n + 1) / (n + 1) * np.cos(m * (phi - 0.2 * (m > 0))), rtol=1e-12
    )


def test_astigmatism_focuses_rows_before_columns():
    probe = aperture_probe(N, WAVE, PIXEL, SEMI, aberrations={"C10": 6e-9, "C12": 6e-9})
    power = np.abs(probe) ** 2
    r = np.arange(N) - N // 2
    rows, columns = (power.sum(axis=1) * r**2).sum(), (power.sum(axis=0) * r**2).sum()
    assert columns > 3 * rows  # along columns (phi = 0) C10 + C12 = 12 nm, along rows C10 - C12 = 0
    turned = aperture_probe(N, WAVE, PIXEL, SEMI, aberrations={"C10": 6e-9, "C12": 6e-9, "phi12": np.pi / 2})
    np.testing.assert_allclose(turned[1:, 1:], probe.T[1:, 1:], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"semi_angle": 21.4}, "semi_angle is 21.4; give an angle in radians"),
        ({"semi_angle": 0.09}, "90 mrad does not fit in patterns that reach 60 mrad"),
        ({"defocus": 1e-6}, "spread over 4.28e-08 m, more than"),
        ({"aberrations": {"C31": 1.0}}, "there is no aberration 'C31'; did you mean"),
        ({"aberrations": {"C10": 1e-9}, "defocus": 1e-9}, "C10 is -defocus"),
        ({"aberrations": {"Cs": 1e-9, "C30": 1e-9}}, "C30 is given twice"),
        ({"central_stop": 1.0}, "central_stop is 1.0"),
    ],
)
def test_optics_that_make_no_probe(options, message):
    with pytest.raises(ValueError, match=message):
        aperture_probe(N, WAVE, PIXEL, **{"semi_angle": SEMI, **options})


def test_scan_grid():
    places = scan_grid((2, 3), (2.0, 0.5))
    np.testing.assert_allclose(places, [[0, 0], [0, 0.5], [0, 1], [2, 0], [2, 0.5], [2, 1]])
    turned = scan_grid((2, 3), (2.0, 0.5), np.pi / 2)
    np.testing.assert_allclose(turned[3], [0, 2], atol=1e-12)  # the row axis has become the column axis
    np.testing.assert_allclose(rotated(turned, -np.pi / 2), places, atol=1e-12)
    for made in (places, turned + 7, scan_grid((5, 4), 1e-10, 0.2)):
        assert grid_shape(made) == ((5, 4) if len(made) == 20 else (2, 3))
    assert grid_shape(np.random.default_rng(0).uniform(0, 9, (20, 2))) is None
    snake = places.copy()
    snake[3:] = snake[:2:-1]
    assert grid_shape(snake) is None
    with pytest.raises(ValueError, match="scan_step is 0"):
        scan_grid((2, 3), 0)


def test_four_axes(counts_4d):
    grid = opty.PtychoData(counts_4d, scan_step=(2.0, 1.0), scan_rotation=0.1)
    assert grid.views == 12
    np.testing.assert_array_equal(grid.intensities[5], counts_4d[1, 1])
    np.testing.assert_allclose(grid.positions, scan_grid((3, 4), (2.0, 1.0), 0.1))
    places = np.random.default_rng(0).uniform(0, 9, (3, 4, 2))
    given = opty.PtychoData(counts_4d, places)
    np.testing.assert_array_equal(given.positions[5], places[1, 1])
    with pytest.raises(ValueError, match=r"views on a grid: give either the distance between them, scan_step="):
        opty.PtychoData(counts_4d)
    with pytest.raises(ValueError, match="scan_step and scan_rotation are for a grid"):
        opty.PtychoData(counts_4d[0], places[0], scan_step=1.0)
    with pytest.raises(ValueError, match="there are no positions"):
        opty.PtychoData(counts_4d[0])


@pytest.fixture
def counts_4d():
    return np.random.default_rng(5).poisson(9, (3, 4, 8, 8)).astype("uint16")


# -- rotation


def lattice(shape, pixel, spacing=2.13e-10, tilt=0.3, width=0.35e-10):
    """A hexagonal lattice of two kinds of atoms, phases upwards."""
    y, x = (axis * pixel for axis in np.indices(shape, dtype=float))
    c, s = np.cos(tilt), np.sin(tilt)
    u, v = c * y + s * x, c * x - s * y
    waves = [np.cos(2 * np.pi * (np.cos(a) * u + np.sin(a) * v) / spacing) for a in (0, np.pi / 3, 2 * np.pi / 3)]
    bumps = np.exp(1.4 * sum(waves))
    return np.exp(0.5j * bumps / bumps.max())


def scan_4d(degrees, defocus, n=32, side=24, step=0.5e-10, electrons=1e4, seed=0):
    """A simulated 300 kV scan: frames (side, side, n, n), geometry, probe, and the truth."""
    geometry = Geometry.from_reciprocal(2 * 60e-3 / n, voltage=300e3)
    pixel = geometry.sample_pixel(n)
    probe = aperture_probe(n, geometry.wavelength, pixel, SEMI, defocus=defocus)
    places = scan_grid((side, side), step, np.deg2rad(degrees)) / pixel
    places -= places.min(axis=0)
    size = int(np.ceil(places.max())) + n + 4
    data = experiment(lattice((size, size), pixel), probe, places, electrons, geometry=geometry, seed=seed)
    return data.intensities.reshape(side, side, n, n), geometry, probe, data.truth


@pytest.mark.parametrize(("degrees", "defocus", "n"), [(12, 0, 32), (-100, 0, 32), (12, 8e-9, 48), (-165, -8e-9, 48)])
def test_rotation_by_the_probe(degrees, defocus, n):
    frames, geometry, probe, _ = scan_4d(degrees, defocus, n)
    data = opty.PtychoData(frames, geometry=geometry, probe=probe, scan_step=0.5e-10)
    found = find_rotation(data)
    assert (found.by, found.sure, found.transpose) == ("probe", True, False)
    off = (found.degrees - degrees + 180) % 360 - 180
    assert abs(off) < 0.5
    swapped = find_rotation(data.replace(intensities=np.swapaxes(data.intensities, 1, 2)))
    assert swapped.transpose
    assert abs(found.degrees - swapped.degrees) < 1e-6


@pytest.mark.parametrize("degrees", [12, -70])
def test_rotation_by_curl(degrees):
    frames, geometry, *_ = scan_4d(degrees, 0.0, electrons=1e5)
    data = opty.PtychoData(frames, geometry=geometry, scan_step=0.5e-10)
    found = find_rotation(data)
    assert (found.by, found.sure, found.transpose) == ("curl", True, False)
    assert abs(found.degrees - degrees) < 1.0
    assert find_rotation(data.replace(intensities=np.swapaxes(data.intensities, 1, 2))).transpose


def test_noise_tells_no_rotation():
    rng = np.random.default_rng(2)
    data = opty.PtychoData(rng.poisson(9, (12, 12, 16, 16)), scan_step=1.0)
    assert not find_rotation(data).sure
    probe = aperture_probe(16, WAVE, PIXEL, SEMI)
    assert not find_rotation(data.replace(probe=probe)).sure
    with pytest.raises(ValueError, match="no grid of 3 x 3 views or more"):
        find_rotation(opty.PtychoData(rng.poisson(9, (9, 16, 16)), rng.uniform(0, 9, (9, 2))))


def test_centres_of_mass():
    frames = np.zeros((2, 8, 8))
    frames[0, 2, 5], frames[1, 6, 1] = 3, 7
    data = opty.PtychoData(frames, [[0, 0], [1, 1]])
    np.testing.assert_allclose(centres_of_mass(data), [[-2, 2], [2, -2]])
