"""Probes: power, widths and curvatures against the formulae of optics."""

import numpy as np
import pytest

from opty.simulate import probes

WAVELENGTH, PIXEL = 1.24e-9, 35e-9


def radius(n):
    r = np.arange(n) - n // 2
    return np.hypot(r[:, None], r)


def power(wave):
    return (np.abs(wave.astype(np.complex128)) ** 2).sum()


@pytest.mark.parametrize(
    "probe",
    [
        probes.gaussian(64, 20),
        probes.aperture(65, 30, edge=2),
        probes.spherical_wave(64, WAVELENGTH, PIXEL, 4e-4, 30 * PIXEL),
    ],
)
def test_single_probes_have_power_one(probe):
    assert probe.dtype == np.complex64
    assert power(probe) == pytest.approx(1, rel=1e-5)
    n = len(probe)
    assert np.abs(probe).argmax() == n // 2 * n + n // 2 or np.abs(probe[n // 2, n // 2]) > 0.99 * np.abs(probe).max()


@pytest.mark.parametrize(("distance", "pixel"), [(4e-4, PIXEL), (-4e-4, PIXEL), (1e-6, 2e-9)])
def test_spherical_wave_has_the_phase_of_the_path(distance, pixel):
    wave = probes.spherical_wave(96, WAVELENGTH, pixel, distance, 60 * pixel, edge=2)
    lit = np.abs(wave) > 1e-4 * np.abs(wave).max()
    r = (radius(96) * pixel).astype(np.longdouble)
    path = np.sqrt(r**2 + np.longdouble(distance) ** 2) - abs(np.longdouble(distance))
    expected = np.exp(1j * (2 * np.pi / WAVELENGTH * np.sign(distance) * path).astype(float))
    assert np.abs(wave / np.abs(wave).clip(1e-30) - expected)[lit].max() < 1e-5


def test_spherical_wave_curves_by_the_paraxial_formula():
    distance = 4e-4
    wave = probes.spherical_wave(96, WAVELENGTH, PIXEL, distance, 40 * PIXEL)
    line = wave[48, 40:57]
    second = np.angle(line[2:] * line[:-2] / line[1:-1] ** 2)
    np.testing.assert_allclose(second, 2 * np.pi * PIXEL**2 / (WAVELENGTH * distance), rtol=1e-3)


def test_the_seeds_own_numbers_are_accepted_and_aliased_ones_refused():
    # Listing 1: 1024 pixels of 13.5 um, 4.892e-10 m, focus to detector 0.8932 m, focus to sample 2.5 mm.
    pixel = 4.892e-10 * (0.8932 - 2.5e-3) / (1024 * 13.5e-6)
    wave = probes.spherical_wave(1024, 4.892e-10, pixel, 2.5e-3, 1024 * pixel / 3)
    half = np.abs(wave).max() / 2
    assert (np.abs(wave[512]) > half).sum() == pytest.approx(1024 / 3, abs=2)
    widest = 4.892e-10 * 1e-4 / pixel
    probes.spherical_wave(1024, 4.892e-10, pixel, 1e-4, 0.99 * widest)
    with pytest.raises(ValueError, match=rf"aliased beyond {widest:.2e}"[:18]):
        probes.spherical_wave(1024, 4.892e-10, pixel, 1e-4, 1.01 * widest)
    with pytest.raises(ValueError, match="distance is 0"):
        probes.spherical_wave(1024, 4.892e-10, pixel, 0, 1e-6)


def test_gaussian_has_its_width_in_intensity():
    intensity = np.abs(probes.gaussian(64, 20)) ** 2
    assert intensity[32, 32 + 10] / intensity[32, 32] == pytest.approx(0.5, rel=1e-5)
    with pytest.raises(ValueError, match="fwhm is 0"):
        probes.gaussian(64, 0)


def test_aperture_falls_to_half_at_its_rim():
    amplitude = np.abs(probes.aperture(64, 40, edge=1.5))[32]
    assert amplitude[32 + 20] / amplitude[32] == pytest.approx(0.5, rel=1e-5)
    assert amplitude[32 + 23] / amplitude[32] == pytest.approx(1 / (1 + np.exp(2)), rel=1e-4)
    for diameter, edge in ((65, 1), (0, 1), (40, 0)):
        with pytest.raises(ValueError, match=r"does not fit|edge is 0"):
            probes.aperture(64, diameter, edge)


def test_defocused_gaussian_widens_and_curves_as_a_gaussian_beam():
    n, fwhm = 256, 20
    waist = fwhm * PIXEL / np.sqrt(2 * np.log(2))  # radius at 1/e^2 of the intensity
    rayleigh = np.pi * waist**2 / WAVELENGTH
    distance = 1.5 * rayleigh
    wave = probes.defocus(probes.gaussian(n, fwhm), WAVELENGTH, PIXEL, distance)
    assert power(wave) == pytest.approx(1, rel=1e-5)
    width = waist * np.sqrt(1 + 1.5**2)
    r = radius(n)[n // 2] * PIXEL
    intensity = np.abs(wave[n // 2]) ** 2
    np.testing.assert_allclose(intensity / intensity.max(), np.exp(-2 * (r / width) ** 2), atol=2e-4)
    # A beam behind its focus diverges: its phase grows outwards, as that of spherical_wave(distance > 0).
    line = wave[n // 2, n // 2 - 5 : n // 2 + 6].astype(np.complex128)
    second = np.angle(line[2:] * line[:-2] / line[1:-1] ** 2)
    curvature_radius = distance * (1 + 1 / 1.5**2)
    np.testing.assert_allclose(second, 2 * np.pi * PIXEL**2 / (WAVELENGTH * curvature_radius), rtol=2e-3)


def test_defocus_goes_back_and_takes_modes():
    modes = probes.modes(probes.aperture(64, 30, edge=2), [2, 1])
    there = probes.defocus(modes, WAVELENGTH, PIXEL, 6e-5)
    assert np.abs(there - modes).max() > 0.1 * np.abs(modes).max()
    back = probes.defocus(there, WAVELENGTH, PIXEL, -6e-5)
    np.testing.assert_allclose(back, modes, atol=1e-5 * np.abs(modes).max())


def test_modes_are_orthogonal_with_the_powers_asked_for():
    probe = 30 * probes.spherical_wave(64, WAVELENGTH, PIXEL, 4e-4, 30 * PIXEL)
    modes = probes.modes(probe, [4, 2, 2, 1])
    assert modes.shape == (4, 64, 64)
    assert modes.dtype == np.complex64
    gram = np.einsum("lij,mij->lm", modes.conj(), modes)
    np.testing.assert_allclose(gram, np.diag([400, 200, 200, 100]), atol=1e-3)
    np.testing.assert_allclose(modes[0], probe * (2 / 3), atol=1e-5)


def test_modes_refuse_what_they_cannot_make():
    with pytest.raises(ValueError, match=r"powers is \[1.0, 0.0\]"):
        probes.modes(probes.gaussian(16, 5), [1, 0])
    with pytest.raises(ValueError, match="give one mode"):
        probes.modes(probes.gaussian(16, 5)[None], [1])
