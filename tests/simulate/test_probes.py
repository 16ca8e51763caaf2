"""Probes: power, widths and curvatures against the formulae of optics."""

import numpy as np
import pytest
import scipy.interpolate
import scipy.special

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
    """phase = pi r^2 / (wavelength z): Goodman, Introduction to Fourier Optics, sec. 4.2.1 (quadratic-phase wave)."""
    distance = 4e-4
    wave = probes.spherical_wave(96, WAVELENGTH, PIXEL, distance, 40 * PIXEL)
    line = wave[48, 40:57]
    second = np.angle(line[2:] * line[:-2] / line[1:-1] ** 2)
    np.testing.assert_allclose(second, 2 * np.pi * PIXEL**2 / (WAVELENGTH * distance), rtol=1e-3)
    r = (np.arange(96) - 48)[28:69] * PIXEL
    fitted = np.polynomial.Polynomial.fit(r, np.unwrap(np.angle(wave[48, 28:69])), 2).convert().coef[2]
    assert np.pi / (WAVELENGTH * fitted) == pytest.approx(distance, rel=1e-3)  # the radius of curvature


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
    for diameter, edge in ((65, 1), (0, 1), (40, -1)):
        with pytest.raises(ValueError, match=r"does not fit|edge is -1"):
            probes.aperture(64, diameter, edge)


def test_a_hard_aperture_has_the_area_of_its_disc():
    amplitude = np.abs(probes.aperture(64, 40.6, edge=0))
    assert np.unique((amplitude[32] / amplitude.max()).round(3)) == pytest.approx([0, 0.8, 1])
    assert (amplitude / amplitude.max()).sum() == pytest.approx(np.pi * 20.3**2, rel=5e-3)


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


# -- modes


def test_hermite_gauss_modes_are_orthogonal_with_their_powers_and_widths():
    powers = [0.5, 0.2, 0.15, 0.1, 0.04, 0.01]
    modes = probes.hermite_gauss(96, (14, 20), powers)
    gram = np.einsum("lij,mij->lm", modes.conj(), modes, dtype=complex)
    np.testing.assert_allclose(gram, np.diag(powers), atol=2e-6)
    intensity = np.abs(modes[0]) ** 2
    assert intensity[48 + 7, 48] / intensity[48, 48] == pytest.approx(0.5, rel=1e-4)
    assert intensity[48, 48 + 10] / intensity[48, 48] == pytest.approx(0.5, rel=1e-4)
    # (2, 0) against the formula: H_2(x) = 4 x^2 - 2.
    x = (np.arange(96) - 48) * 2 * np.sqrt(np.log(2)) / 14
    line = modes[3, :, 48].real
    np.testing.assert_allclose(line / line[48], -(4 * x**2 - 2) / 2 * np.exp(-(x**2) / 2), atol=1e-4)
    with pytest.raises(ValueError, match="smaller fwhm or fewer powers"):
        probes.hermite_gauss(32, 20, powers)
    with pytest.raises(ValueError, match=r"fwhm is \(3, 0\)"):
        probes.hermite_gauss(32, (3, 0), [1])


def test_zernike_polynomials_are_nolls():
    """Table I of Noll, J. Opt. Soc. Am. 66, 207 (1976), and mean products of one over the disc."""
    n = 400
    x = (np.arange(n) + 0.5 - n / 2) / (n / 2)
    rho, angle = np.hypot(x[:, None], x), np.arctan2(x[:, None], x)
    table = {
        1: 1 + 0 * rho,
        2: 2 * rho * np.cos(angle),
        3: 2 * rho * np.sin(angle),
        4: np.sqrt(3) * (2 * rho**2 - 1),
        5: np.sqrt(6) * rho**2 * np.sin(2 * angle),
        6: np.sqrt(6) * rho**2 * np.cos(2 * angle),
        7: np.sqrt(8) * (3 * rho**3 - 2 * rho) * np.sin(angle),
        8: np.sqrt(8) * (3 * rho**3 - 2 * rho) * np.cos(angle),
        9: np.sqrt(8) * rho**3 * np.sin(3 * angle),
        11: np.sqrt(5) * (6 * rho**4 - 6 * rho**2 + 1),
    }
    inside = rho <= 1
    made = np.array([probes.zernike_polynomial(j, rho, angle)[inside] for j in table])
    np.testing.assert_allclose(made, [z[inside] for z in table.values()], atol=1e-10)
    np.testing.assert_allclose(made @ made.T / inside.sum(), np.eye(len(table)), atol=0.02)


def test_zernike_modes_modulate_magnitude_and_phase():
    probe = 3 * probes.spherical_wave(96, WAVELENGTH, PIXEL, 4e-4, 60 * PIXEL, edge=0)
    modes = probes.zernike(probe, (1, 2, 4), powers=(4, 2, 1), diameter=60)
    gram = np.einsum("lij,mij->lm", modes.conj(), modes, dtype=complex)
    np.testing.assert_allclose(gram, np.diag([4, 2, 1]) * 9 / 7, atol=0.02 * 9)
    np.testing.assert_allclose(gram.diagonal().real, np.array([4, 2, 1]) * 9 / 7, rtol=1e-5)
    np.testing.assert_allclose(modes[0] / np.sqrt(4 / 7), probe, atol=1e-5)
    turned = probes.zernike(probe, (4,), diameter=60, magnitude=0.0, phase=0.5)[0]
    np.testing.assert_allclose(np.abs(turned), np.abs(probe), atol=1e-6)
    r = radius(96)[48, 48:70] / 30
    phase = np.angle(turned[48, 48:70] / probe[48, 48:70])
    np.testing.assert_allclose(phase, 0.5 * np.sqrt(3) * (2 * r**2 - 1), atol=1e-5)
    by_itself = probes.zernike(probe, (2,))
    assert np.abs(np.vdot(by_itself[0], modes[1])) / (3 * np.sqrt(18 / 7)) == pytest.approx(1, abs=1e-6)
    for options, says in (
        ({"terms": (0,)}, "from 1 on"),
        ({"terms": (1, 2), "powers": (1,)}, "1 numbers for 2 terms"),
        ({"magnitude": 2}, "magnitude is 2"),
    ):
        with pytest.raises(ValueError, match=says):
            probes.zernike(probe, **options)


# -- the zone plate


def width(line):
    """Full width at half maximum [px] by cubic interpolation between pixels."""
    spline = scipy.interpolate.CubicSpline(np.arange(len(line)), line / line.max() - 0.5)
    roots = spline.roots(extrapolate=False)
    return roots[-1] - roots[0]


def around(wave, pixels=20):
    middle = len(wave) // 2
    return np.abs(wave[middle, middle - pixels : middle + pixels + 1]) ** 2


@pytest.mark.parametrize(("outer", "pixel"), [(40e-9, 10e-9), (50e-9, 8e-9), (25e-9, 6e-9)])
def test_focal_spot_of_a_zone_plate_is_103_outer_zones_wide(outer, pixel):
    """FWHM 1.029 and first dark ring at 1.22 outer zones: Attwood, Soft X-Rays and EUV Radiation (1999), sec. 9.4."""
    wave = probes.zone_plate(256, WAVELENGTH, pixel, 100e-6, outer)
    assert power(wave) == pytest.approx(1, rel=1e-5)
    assert width(around(wave, 6)) * pixel / outer == pytest.approx(1.029, rel=0.02)
    line = scipy.interpolate.CubicSpline(np.arange(20) * pixel / outer, around(wave)[20:40])
    dark = line.derivative().roots(extrapolate=False)
    assert dark[dark > 0.5][0] == pytest.approx(1.22, rel=0.02)


def test_a_central_stop_makes_the_annular_pattern():
    """I ~ (2 J1(v) / v - e^2 2 J1(e v) / (e v))^2: Born, Wolf, Principles of Optics (1999), sec. 8.6.2."""
    outer, pixel, ratio = 40e-9, 10e-9, 0.5
    wave = probes.zone_plate(512, WAVELENGTH, pixel, 100e-6, outer, ratio * 100e-6)
    v = np.pi * np.arange(1, 20) * pixel / outer
    airy = 2 * scipy.special.j1(v) / v - ratio * 2 * scipy.special.j1(ratio * v) / v
    line = around(wave)[20:]
    np.testing.assert_allclose(line[1:20] / line[0], (airy / (1 - ratio**2)) ** 2, atol=5e-3)


def test_depth_of_focus_and_the_phase_behind_it():
    """80 percent of the peak at +-2 dr^2 / wavelength: Attwood (1999), sec. 9.5."""
    outer, pixel = 40e-9, 10e-9
    wave = probes.zone_plate(256, WAVELENGTH, pixel, 100e-6, outer)
    for sign in (-1, 1):
        away = probes.defocus(wave, WAVELENGTH, pixel, sign * 2 * outer**2 / WAVELENGTH)
        assert around(away)[20] / around(wave)[20] == pytest.approx(0.81, rel=0.02)


def test_order_sorting_aperture_clips_what_is_wider_than_it():
    outer, pixel, distance = 40e-9, 10e-9, 1e-3
    beam = (256, WAVELENGTH, pixel, 100e-6, outer, 50e-6)
    free = probes.zone_plate(*beam)
    cone = WAVELENGTH / outer * distance  # 31 um wide where the aperture stands
    wide = probes.zone_plate(*beam, osa=(1.3 * cone, distance))
    assert np.abs(np.vdot(free, wide)) == pytest.approx(1, abs=1e-4)
    narrow = probes.zone_plate(*beam, osa=(0.8 * cone, distance))
    equal = probes.zone_plate(256, WAVELENGTH, pixel, 80e-6, outer / 0.8, 50e-6)  # the rays that pass
    assert np.abs(np.vdot(equal, narrow)) > 0.98
    assert np.abs(np.vdot(equal, free)) < 0.9
    close = probes.zone_plate(*beam, osa=(1e-6, 5e-6))  # by the angular spectrum, so near the focus
    assert 0.98 < np.abs(np.vdot(free, close)) < 1 - 1e-5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pixel": 50e-9}, "too coarse"),
        ({"central_stop": 200e-6}, "smaller than the zone plate"),
        ({"osa": (20e-6, 1e-3)}, "zeroth order pass"),
        ({"osa": (20e-6, 1.0), "central_stop": 30e-6}, "focal length"),
    ],
)
def test_impossible_zone_plates_are_refused(options, says):
    given = {"wavelength": WAVELENGTH, "pixel": 10e-9, "diameter": 100e-6, "outer_zone": 40e-9}
    with pytest.raises(ValueError, match=says):
        probes.zone_plate(64, **(given | options))


def test_two_pictures_make_a_probe():
    pytest.importorskip("skimage")
    wave = probes.two_images(96, 60, edge=1)
    assert power(wave) == pytest.approx(1, rel=1e-5)
    lit = np.abs(wave) > 1e-3 * np.abs(wave).max()
    assert np.ptp(np.nonzero(lit)[0]) == pytest.approx(60, abs=8)
    assert np.abs(np.angle(wave[lit])).max() == pytest.approx(1.5, abs=0.2)
    assert power(wave[radius(96) > 38]) < 1e-3
