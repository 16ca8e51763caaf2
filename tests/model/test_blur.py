"""A detector that spreads light, through every engine, positions, noise models and files."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import thin_scene
from small_scans import scan, state
from test_varying_probe import NEAR
from thick_scene import N
from thin_scene import every_engine, thin_state

import opty
from opty import DM, ML, RAAR, rPIE
from opty.analysis import errors
from opty.errors import RecipeError
from opty.model import Blur, FarField, FlyScan, NearField, Object, Probe, Slices
from opty.model.host_views import HostViews
from opty.physics.propagation import Propagator
from opty.simulate import Detector
from opty.testing import check_element

SIGMA = 0.8
PSF = ((0.0, 0.1, 0.05), (0.1, 0.5, 0.1), (0.0, 0.1, 0.0))


@pytest.fixture(scope="module")
def spread():
    """Patterns that the simulated detector blurs."""
    detector = Detector(psf=SIGMA * 2 * np.sqrt(2 * np.log(2)), counting=False, dtype="float32")
    return thin_scene.simulated(detector=detector)


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
@pytest.mark.parametrize(
    "model",
    [Blur(SIGMA), Blur((0.5, 1.2)), Blur(psf=PSF), Blur(psf=PSF) * Blur(0.6)],
    ids=repr,
)
def test_transpose_and_derivative(model, geometry):
    propagation = FarField() if geometry is None else NearField()
    worst = check_element(model * propagation * Slices(2, 1e-7) * FlyScan(2), geometry=geometry)
    assert repr(opty.model.compose.elements_of(model)[0]) in worst
    assert max(worst.values()) < 1e-13


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
@pytest.mark.parametrize("element", [Blur(1.1), Blur((0.7, 1.4)), Blur(psf=PSF)], ids=repr)
def test_it_is_the_convolution(element, geometry):
    """Light that leaves over the rim is lost; the order of the waves is that of the propagation."""
    model = opty.model.complete.complete(element, geometry, N)
    leaves = {"obj": np.ones((N, N), complex), "probe": np.ones((1, N, N), complex)}
    v = HostViews(model, leaves, np.zeros((2, 2)), geometry)
    image = np.random.default_rng(0).uniform(size=(2, N, N))
    if element.psf is None:
        sigma = element.sigma if isinstance(element.sigma, tuple) else (element.sigma,) * 2
        expected = scipy.ndimage.gaussian_filter(image, (0, *sigma), mode="constant")
    else:
        expected = scipy.ndimage.convolve(image, np.array(element.psf)[None], mode="constant")
    order = Propagator(geometry, N, v.backend, complex)
    found = order.from_kernel_order(v.seen(order.to_kernel_order(image)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@every_engine()
def test_every_engine_finds_the_object(spread, recipe, times):
    p = thin_state(spread, Blur(SIGMA))
    assert opty.misfit(recipe * p) < times * opty.misfit(p)


@pytest.mark.parametrize("recipe", [DM(), RAAR()], ids=repr)
def test_the_difference_map_refuses_it(spread, recipe):
    with pytest.raises(RecipeError, match=r"nearest waves.*Blur\(sigma=0.8"):
        recipe * thin_state(spread, Blur(SIGMA))


def test_a_sharp_detector_does_not_explain_the_data(spread):
    sharp, blurred = (rPIE(alpha=0.1, batch=4) ** 20 * thin_state(spread, model) for model in (None, Blur(SIGMA)))
    assert opty.misfit(blurred) < 0.2 * opty.misfit(sharp)
    assert errors(blurred)["object"] < 0.8 * errors(sharp)["object"]


@pytest.mark.parametrize("noise", ["poisson", "gaussian", "amplitude"])
def test_gradients_of_the_likelihood_are_its_slopes(spread, noise):
    """dL/dO* from the sweep against differences of L, through the detector, with a mask and a background."""
    from opty.operators.likelihood import LikelihoodGradient

    data, probe = spread
    mask = np.random.default_rng(1).random((N, N)) > 0.1
    p = thin_state((data.replace(mask=mask, background=np.full((N, N), 3.0)), probe), Blur(SIGMA), dtype="complex128")
    rng = np.random.default_rng(2)
    start = p.replace(obj=np.exp(0.3j * rng.normal(size=p.obj.shape)), probe=p.numpy("probe") * 1.3)
    q = opty.Sweep(LikelihoodGradient(noise)) * start
    change = rng.normal(size=p.obj.shape) + 1j * rng.normal(size=p.obj.shape)
    h = 1e-5

    def value(sign):
        r = opty.Sweep(LikelihoodGradient(noise)) * start.replace(obj=start.numpy("obj") + sign * h * change)
        return r.history["llk"][-1] * data.views * mask.sum()

    along = 2 * np.vdot(q.slots["obj_gradient"], change).real
    assert along == pytest.approx((value(1) - value(-1)) / (2 * h), rel=2e-5)


def test_positions_come_home(spread):
    truth = spread[0].truth["positions"]
    wrong = np.clip(truth + np.random.default_rng(1).uniform(-1, 1, truth.shape), 0, 31)
    p = thin_state(spread, Blur(SIGMA)).replace(positions=wrong)
    q = (opty.PosCorrect(wait=False) * rPIE(alpha=0.1, batch=4)) ** 25 * p
    left, before = (opty.analysis.position_error(s.numpy("positions"), truth, affine=True) for s in (q, p))
    assert left < 0.15 * before


def test_dark_pixels_and_single_precision(spread):
    """Counts of a few photons in a dark rim, in float32: nothing overflows."""
    data, probe = thin_scene.simulated(photons=2e3, model=Blur(SIGMA))
    assert (data.intensities == 0).mean() > 0.3
    p = thin_state((data, probe), Blur(SIGMA))
    for recipe in (rPIE(batch=4) ** 5, ML() ** 5):
        q = recipe * p
        assert np.isfinite(q.numpy("obj")).all()
        assert opty.misfit(q) < 0.5 * opty.misfit(p)


def test_the_model_simulates_what_the_detector_does(spread):
    made, _ = thin_scene.simulated(model=Blur(SIGMA))
    np.testing.assert_allclose(made.intensities, spread[0].intensities, rtol=1e-4, atol=1e-3)


def test_a_run_in_parts_is_the_run(spread, tmp_path):
    recipe = opty.BackgroundUpdate() * opty.IntensityUpdate() * rPIE(batch=8)
    whole, half = recipe**4 * thin_state(spread, Blur(SIGMA)), recipe**2 * thin_state(spread, Blur(SIGMA))
    half.save(tmp_path / "half.h5")
    other = recipe**2 * opty.load(tmp_path / "half.h5")
    assert other.model == whole.model
    for name in ("obj", "probe", "intensity_factors"):
        np.testing.assert_array_equal(whole.numpy(name), other.numpy(name))
    assert opty.rerun(tmp_path / "half.h5").identical


def test_values_texts_and_refusals():
    model = Blur(psf=PSF) * Blur((0.5, 1.0)) * FarField() * Object() * Probe()
    assert opty.model.parse(repr(model)) == model == opty.model.from_json(model.to_json())
    assert model.detection == (Blur((0.5, 1.0)), Blur(psf=PSF))
    assert not model.thin
    assert not model.closed
    for wrong, says in (
        (lambda: Blur(), "give either sigma"),
        (lambda: Blur(0.5, PSF), "give either sigma"),
        (lambda: Blur(0.0), "above 0"),
        (lambda: Blur((1.0, -1.0)), "above 0"),
        (lambda: Blur(psf=((0.5, 0.5),)), "odd count"),
        (lambda: Blur(psf=((1.0,), (1.0, 2.0), (1.0,))), "one length"),
        (lambda: Blur(psf=((-1.0,),)), "from 0 on"),
        (lambda: FarField() * Blur(0.8) * Object(), "stands on the left of the propagation"),
        (lambda: Object() * Blur(0.8), "stands on the left of the propagation"),
        (lambda: Object() * FarField(), "stands on the left of all others"),
    ):
        with pytest.raises((ValueError, RecipeError), match=says):
            wrong()


def test_what_is_missing_stands_behind_the_detector(spread):
    assert thin_state(spread, "Blur(0.8)").model == Blur(0.8) * FarField() * Object() * Probe(1)


def test_a_file_opens_without_an_element_of_the_detector():
    from opty.model.unknown_element import kept_model

    text = '{"opty": 1, "model": [{"Lost": {}}, {"FarField": {}}, {"Object": {}}, {"Probe": {}}]}'
    model = kept_model(text, "Lost() * FarField() * Object() * Probe()", ())
    assert model.unknown
    assert model.elements[0].detects
    assert model.path[-1] == FarField()


@pytest.mark.parametrize("recipe", [rPIE(batch=5), ML()], ids=repr)
def test_a_gpu_gives_the_numbers_of_numpy(gpu, recipe):
    model = Blur(SIGMA) * FarField() * Object() * Probe(modes=2)
    p = rPIE(batch=4) * state(scan(modes=2, mask=3, background=True), model=model, dtype="complex128")
    here, there = recipe**2 * p, recipe**2 * p.to("gpu")
    for name in ("obj", "probe"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())
