"""A beam of several wavelengths, through every engine, positions, the spectrum itself, and files."""

from __future__ import annotations

import numpy as np
import pytest
import thin_scene
from small_scans import scan, state
from test_varying_probe import NEAR
from thin_scene import every_engine, thin_state

import opty
from opty import DM, ML, RAAR, Refine, rPIE
from opty.analysis import errors
from opty.errors import RecipeError
from opty.model import FarField, FlyScan, NearField, Object, Probe, Slices, Wavelengths
from opty.model.complete import complete
from opty.model.host_views import HostViews
from opty.testing import check_element

RATIOS, WEIGHTS = (0.96, 1.0, 1.04), (1.0, 2.0, 1.0)
THREE = Wavelengths(RATIOS, WEIGHTS)


@pytest.fixture(scope="module")
def coloured():
    return thin_scene.simulated(model=THREE)


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
@pytest.mark.parametrize(
    "model",
    [THREE, Wavelengths((0.9, 1.1)) * Slices(2, 1e-7) * FlyScan(2) * Probe(variable=1)],
    ids=repr,
)
def test_adjoint_and_derivative(model, geometry):
    worst = check_element(model, geometry=geometry)
    assert {"obj", "probe", "spectrum", "positions"} <= worst.keys()
    assert max(worst.values()) < 1e-14


def waves_of(model, geometry, wave):
    """Return the detector waves (W, n, n) that a model makes of an exit wave (n, n)."""
    n = len(wave)
    leaves = {"obj": np.ones((n, n), complex), "probe": wave[None], "spectrum": np.array([1.0, 3.0])}
    v = HostViews(complete(model, geometry, n), leaves, np.zeros((1, 2)), geometry)
    return v.at_detector(v.exit_waves())[0]


def test_a_pattern_of_twice_the_wavelength_is_twice_as_wide():
    """Its samples are every frequency of the transform of a window twice as large."""
    rng = np.random.default_rng(0)
    n = 16
    wave = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
    plain, wide = waves_of(Wavelengths((1.0, 2.0)), None, wave)
    np.testing.assert_allclose(abs(plain) ** 2, abs(np.fft.fft2(wave, norm="ortho")) ** 2 / 4)
    large = abs(np.fft.fft2(np.pad(wave, (0, n)), norm="ortho")) ** 2  # of the same power as the wave
    k = np.fft.fftfreq(n, 1 / n).astype(int)
    np.testing.assert_allclose(abs(wide) ** 2, 0.75 * large[np.ix_(k, k)])


def test_in_the_near_field_it_is_the_propagation_at_that_wavelength():
    from opty.kernels import numpy_backend
    from opty.physics.propagation import Propagator

    rng = np.random.default_rng(1)
    wave = rng.normal(size=(16, 16)) + 1j * rng.normal(size=(16, 16))
    _, found = waves_of(Wavelengths((1.0, 1.2)), NEAR, wave)
    other = opty.Geometry(1.2 * NEAR.wavelength, NEAR.distance, NEAR.pixel_size, propagation="near")
    expected = Propagator(other, 16, numpy_backend, complex).forward(wave[None, None])[0, 0]
    np.testing.assert_allclose(found, np.sqrt(0.75) * expected, atol=1e-12)


@every_engine()
def test_every_engine_finds_the_object(coloured, recipe, times):
    p = thin_state(coloured, THREE)
    assert opty.misfit(recipe * p) < times * opty.misfit(p)


@pytest.mark.parametrize("recipe", [DM(), RAAR()], ids=repr)
def test_the_difference_map_refuses_it(coloured, recipe):
    with pytest.raises(RecipeError, match=r"nearest waves.*Wavelengths\(\(0.96"):
        recipe * thin_state(coloured, THREE)


def test_one_wavelength_does_not_explain_the_data(coloured):
    one, three = (rPIE(alpha=0.1, batch=4) ** 20 * thin_state(coloured, model) for model in (None, THREE))
    assert opty.misfit(three) < 0.3 * opty.misfit(one)
    assert errors(three)["object"] < 0.9 * errors(one)["object"]


def test_the_width_of_the_spectrum_is_found(coloured):
    """Once the object is there, equal weights move towards the true ones; which outer one is stronger stays open."""
    known = rPIE(alpha=0.1, batch=4) ** 15 * thin_state(coloured, THREE)
    p = known.replace(leaves={"spectrum": np.full(3, 1 / 3)})
    q = (Refine("spectrum") * rPIE(alpha=0.1, batch=4)) ** 10 * p
    shares = q.numpy("spectrum") / q.numpy("spectrum").sum()
    assert abs(shares[1] - 0.5) < 0.4 * (0.5 - 1 / 3)


def test_a_factor_of_the_spectrum_changes_nothing(coloured):
    p = thin_state(coloured, THREE)
    q = p.replace(leaves={"spectrum": 7 * p.numpy("spectrum")})
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-6)


def test_positions_come_home(coloured):
    truth = coloured[0].truth["positions"]
    wrong = np.clip(truth + np.random.default_rng(1).uniform(-1, 1, truth.shape), 0, 31)
    p = thin_state(coloured, THREE).replace(positions=wrong)
    q = (opty.PosCorrect() * rPIE(alpha=0.1, batch=4)) ** 20 * p
    assert errors(q)["position"] < 0.6 * errors(p)["position"]


def test_a_run_in_parts_is_the_run(coloured, tmp_path):
    recipe = Refine("spectrum") * rPIE(batch=8)
    whole, half = recipe**4 * thin_state(coloured, THREE), recipe**2 * thin_state(coloured, THREE)
    half.save(tmp_path / "half.h5")
    other = recipe**2 * opty.load(tmp_path / "half.h5")
    for name in ("obj", "probe", "spectrum"):
        np.testing.assert_array_equal(whole.numpy(name), other.numpy(name))
    assert opty.rerun(tmp_path / "half.h5").identical


def test_values_texts_and_refusals():
    model = FarField() * THREE * Object() * Probe()
    assert opty.model.parse(repr(model)) == model == opty.model.from_json(model.to_json())
    assert model.states(2) == 6
    assert complete(THREE, NEAR, 16) == NearField() * THREE * Object() * Probe()
    cone = opty.Geometry(1e-9, 1, 1e-4, focus_to_sample=0.01, propagation="cone")
    for wrong, says in (
        (lambda: Wavelengths((1.0,)), "two different ratios"),
        (lambda: Wavelengths((1.0, 1.0)), "two different ratios"),
        (lambda: Wavelengths((1.0, -1.0)), "above 0"),
        (lambda: Wavelengths(RATIOS, (1.0, 1.0)), "each of the 3 ratios"),
        (lambda: Wavelengths(RATIOS, (1.0, 0.0, 1.0)), "a weight above 0"),
        (lambda: Object() * THREE, r"acts on the wave behind the object: it stands on the left of Object\(\)"),
        (lambda: complete(THREE, cone, 16), "in a cone beam"),
    ):
        with pytest.raises((ValueError, RecipeError), match=says):
            wrong()


@pytest.mark.parametrize("recipe", [rPIE(batch=5), ML()], ids=repr)
def test_a_gpu_gives_the_numbers_of_numpy(gpu, recipe):
    model = THREE * Object() * Probe(modes=2)
    p = rPIE(batch=4) * state(scan(modes=2, mask=3, background=True), model=model, dtype="complex128")
    here, there = recipe**2 * p, recipe**2 * p.to("gpu")
    for name in ("obj", "probe"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())
