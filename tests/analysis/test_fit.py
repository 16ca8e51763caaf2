"""The fit view by view and pixel by pixel, two states compared, and what the probe is."""

import numpy as np
import pytest

import opty
from opty.analysis import difference, fit, pattern, probe_report
from opty.physics.optics import aperture_probe
from tests.small_scans import pattern as by_hand
from tests.small_scans import scan, seen, state


def test_views_add_up_to_the_misfit_and_the_r_factor():
    p = state(scan(mask=3, background=True, modes=2), wrong=0.2)
    found, data = fit(p), p.data
    light = np.where(data.mask, data.intensities, 0).sum(axis=(1, 2))
    assert (found.misfit * light).sum() / light.sum() == pytest.approx(opty.misfit(p), rel=1e-4)
    roots = np.where(data.mask, np.sqrt(data.intensities), 0).sum(axis=(1, 2))
    assert (found.r_factor * roots).sum() / roots.sum() == pytest.approx(opty.analysis.r_factor(p), rel=1e-4)
    assert found.misfit.shape == (data.views,)


def test_pattern_and_likelihoods_are_those_written_out():
    p = state(scan(mask=2, background=True), wrong=0.2, dtype="complex128")
    data, view = p.data, 5
    _, illum, window = seen(p.numpy("obj"), p.numpy("probe"), p.numpy("positions")[view])
    expected = by_hand(illum * window) + data.background
    found = pattern(p, view)
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-9)
    np.testing.assert_array_equal(found.mask, data.mask)
    np.testing.assert_allclose(found.measured[data.mask], data.intensities[view][data.mask])
    counts, whole = data.intensities[view], fit(p)
    terms = {
        "poisson": expected - counts + counts * np.log(counts / expected),
        "gaussian": (counts - expected) ** 2 / (2 * (counts + 1)),
        "euclidean": 2 * (np.sqrt(counts) - np.sqrt(expected)) ** 2,
    }
    for name, term in terms.items():
        told = getattr(whole, name)
        assert told.views[view] == pytest.approx(term[data.mask].mean(), rel=1e-9)
        assert told.total == pytest.approx((told.views * data.mask.sum()).sum(), rel=1e-9)
        assert (np.isnan(told.pixels) == ~data.mask).all()
        assert np.nanmean(told.pixels) == pytest.approx(told.views.mean(), rel=1e-9)
    assert pattern(p, -1).view == data.views - 1
    with pytest.raises(IndexError, match="view is 12, and the scan has views 0 to 11"):
        pattern(p, 12)


def test_a_right_model_has_a_likelihood_of_a_half_a_pixel():
    clean = scan(photons=1e6)
    noisy = clean.replace(intensities=np.random.default_rng(1).poisson(clean.intensities))
    found = fit(state(noisy, wrong=0, dtype="complex128"))
    bright = clean.intensities.mean(axis=0) > 100
    for likelihood in (found.poisson, found.gaussian, found.euclidean):
        assert likelihood.pixels[bright].mean() == pytest.approx(0.5, abs=0.03)


def test_freedoms_are_no_difference():
    data = scan(views=40, span=30)
    p = state(data, wrong=0)
    obj, probe = p.numpy("obj"), p.numpy("probe")
    row, column = np.indices(obj.shape)
    turn = np.exp(1j * (0.03 * row - 0.02 * column))
    n = data.n
    back = np.exp(-1j * (0.03 * np.arange(n)[:, None] - 0.02 * np.arange(n)))
    q = p.replace(obj=(2 - 1j) * obj * turn, probe=probe * back / (2 - 1j))
    found = difference(q, p)
    assert found.obj < 1e-5
    assert found.probe < 1e-3
    assert found.positions < 1e-6
    worse = difference(state(data, wrong=0.3), p)
    assert worse.obj > 0.05
    assert worse.misfits[0] > 10 * worse.misfits[1]
    with pytest.raises(ValueError, match="12 views of 16 x 16, and 40 views"):
        difference(state(scan()), p)


@pytest.mark.parametrize("defocus", [3e-4, -2e-4, 0.0])
def test_the_focus_is_where_the_lens_puts_it(defocus):
    geometry = opty.Geometry(wavelength=1e-10, distance=2.0, pixel_size=50e-6)
    pixel = geometry.sample_pixel(64)
    probe = aperture_probe(64, 1e-10, pixel, 0.7e-3, defocus=defocus)
    positions = np.random.default_rng(0).uniform(0, 20, (9, 2)) * pixel
    data = opty.PtychoData(np.ones((9, 64, 64)), positions, geometry)
    found = probe_report(opty.PtychoState(data, probe=probe, device="cpu"))
    beam = found.caustic
    assert beam.focus == pytest.approx(defocus, abs=6e-6)
    assert max(beam.width) < 1.2 * 1e-10 / (2 * 0.7e-3)
    np.testing.assert_allclose(beam.rows.sum(axis=1), 1, rtol=1e-6)
    assert ("at the sample" if defocus == 0 else "behind" if defocus > 0 else "before") in str(found)
    with pytest.raises(ValueError, match="reach is 0"):
        probe_report(opty.PtychoState(data, probe=probe, device="cpu"), reach=0)


def test_powers_and_coherence_of_modes():
    data = scan(modes=3)
    p = state(data, wrong=0)
    power = (np.abs(opty.analysis.orthogonal(p.numpy("probe"))) ** 2).sum(axis=(1, 2))
    found = probe_report(p)
    np.testing.assert_allclose(found.powers, power / power.sum(), rtol=1e-4)
    assert found.coherence == pytest.approx((found.powers**2).sum())
    assert found.photons == pytest.approx((np.abs(p.probe) ** 2).sum(), rel=1e-5)
    assert found.caustic is None
    assert " px across" in str(found)
