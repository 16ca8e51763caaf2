"""What a model lacks is told by the noise of counts, and results of other models are judged by pixels held out."""

import numpy as np
import pytest

import opty
from opty.analysis.beside_noise import noise_misfit
from opty.analysis.check.health import tried_out
from opty.analysis.check.lacking import causes, of_lacking
from opty.analysis.held_blocks import on
from opty.analysis.verdict import verdict
from opty.model import Blur, Object, Slices
from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects, scans
from opty.state.misfit import predictions

N, VIEWS, WAVELENGTH, PIXEL = 48, 80, 1.5e-10, 1e-7
GEOMETRY = opty.Geometry(WAVELENGTH, N * PIXEL * 75e-6 / WAVELENGTH, 75e-6)
SLICES = Slices(2, 40 * PIXEL**2 / WAVELENGTH)
ENGINE = opty.rPIE(alpha=0.05, batch=4)


def measured(model=None, photons=1e6):
    """Return a scan with its true probe: of two slices where the ``model`` has them, else of a thin object."""
    places = np.rint(scans.fermat(VIEWS, 3.2))
    places -= places.min(axis=0)
    shape = tuple(int(x) + N + 4 for x in places.max(axis=0))
    obj = objects.two_images(shape, ("camera", "moon"), (0.7, 1), (-0.9, 0.6))
    if isinstance(model, Slices):
        obj = np.stack([obj, objects.two_images(shape, ("coins", "text"), (0.7, 1), (-0.9, 0.6))])
    probe = aperture_probe(N, WAVELENGTH, PIXEL, 2.4e-4, defocus=2.5e-3)
    data = experiment(obj, probe, places, photons, geometry=GEOMETRY, model=model, seed=4)
    return data.replace(truth=None, probe=data.truth["probe"])


def flickering(exposures=False):
    """Return a scan whose views were thinned by chance to 0.4 to 1 of their photons, or each second one to 0.4."""
    data, rng = measured(), np.random.default_rng(1)
    shares = rng.uniform(0.4, 1, (VIEWS, 1, 1))
    if exposures:
        shares = np.where(np.arange(VIEWS) % 2, 0.4, 1)[:, None, None]
    counts = rng.binomial(np.asarray(data.intensities).astype(int), shares)
    return data.replace(intensities=counts.astype(np.uint32))


@pytest.mark.slow
def test_what_is_lacking_is_named():
    data = measured(Blur(1.0))
    assert "model=Blur(sigma=1.0)" in of_lacking(data, data.probe, PIXEL, WAVELENGTH, counts=True)
    thin = measured()
    assert of_lacking(thin, thin.probe, PIXEL, WAVELENGTH, counts=True) is None


@pytest.mark.slow
def test_a_thick_sample_fitted_as_thin_is_not_right():
    data = measured(Slices(2, SLICES.spacing * 0.4))
    found = verdict(ENGINE**30 * opty.PtychoState(data, threads=1), test=True)
    assert found.word != "right", found
    assert "where counting noise makes at most" in str(found)


@pytest.mark.parametrize(("model", "word"), [(SLICES, "right"), (Object(states=2), "cannot tell")])
def test_pixels_held_out_tell_right_and_wrong_models(model, word):
    p = ENGINE**60 * opty.PtychoState(measured(SLICES, 1e5), model=model, threads=1)
    found = verdict(p, test=True)
    assert found.word == word, found
    assert "pixels held out" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("exposures", [False, True])
def test_views_held_out_of_a_flickering_beam_have_their_intensities(exposures):
    p = (opty.IntensityUpdate() * ENGINE) ** 40 * opty.PtychoState(flickering(exposures), threads=1)
    found = verdict(p, test=True)
    assert found.word == "right", found


@pytest.mark.slow
def test_intensities_that_are_estimated_need_no_word():
    data = flickering()
    assert any("the light varies" in line for line in tried_out(data).warnings)
    estimated = frozenset(["intensity_factors"])
    assert not any("the light varies" in line for line in tried_out(data, estimated=estimated).warnings)


def test_the_misfit_of_counts_of_what_is_predicted_is_that_of_noise():
    data = measured(photons=3e4)
    p = ENGINE**5 * opty.PtychoState(data, threads=1)
    counts = np.empty((VIEWS, N, N), np.uint32)
    for b, _, there, _ in predictions(p._live):
        counts[b.number] = np.random.default_rng(b.number).poisson(np.fft.fftshift(there, axes=(1, 2)))
    q = on(p, data.replace(intensities=counts))
    assert opty.misfit(q) == pytest.approx(noise_misfit(q), rel=0.02)


def test_a_stage_that_moves_is_tried_where_views_follow_a_way():
    lines, spiral = scans.raster((6, 6), 4.0, jitter=1, seed=0), scans.fermat(36, 4.0)
    frames = np.ones((36, 16, 16), np.uint16)
    for positions, tried in ((lines, True), (spiral, False)):
        part = opty.PtychoData(frames, positions - positions.min(axis=0))
        words = [cause.words for cause in causes(part, 1, 16, None, None)]
        assert ("a stage that moves during the exposure" in words) is tried
