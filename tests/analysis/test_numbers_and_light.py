"""Frames that hold no counts, and light that varies from view to view."""

import dataclasses

import numpy as np
import pytest

from opty.analysis import quick_look
from opty.analysis.check.brightness import of_brightness, uneven
from opty.analysis.check.exposures import two_exposures
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.number_law import of_numbers
from opty.analysis.check.pedestal import floor, of_pedestal
from opty.analysis.check.trials import Trials
from opty.analysis.orientation import AS_GIVEN
from opty.simulate import demo_scan, experiment, objects


@pytest.fixture(scope="module")
def scan():
    data = demo_scan()
    return data.replace(probe=data.truth["probe"], truth=None)


LAWS = {
    "roots": (lambda counts: np.sqrt(counts).astype(np.float32), "data.intensities[:] ** 2"),
    "roots in a unit": (lambda counts: (3.7 * np.sqrt(counts)).astype(np.float32), "/ 3.7"),
    "squares": (lambda counts: counts.astype(np.float64) ** 2, "np.sqrt"),
    "log(1 + I)": (lambda counts: np.log1p(counts).astype(np.float32), "np.expm1"),
    "log10(1 + I)": (lambda counts: np.log10(1.0 + counts).astype(np.float32), "10 **"),
}


@pytest.mark.parametrize("law", LAWS)
def test_numbers_that_are_no_counts(scan, law):
    made, remedy = LAWS[law]
    (said,) = of_numbers(scan.replace(intensities=made(scan.intensities[:]))).problems
    assert "and no counts" in said
    assert remedy in said


def test_roots_that_were_rounded_scatter_less_than_counts(scan):
    counts = np.random.default_rng(0).poisson(scan.intensities[:] * 3.0)
    assert of_numbers(scan.replace(intensities=counts)).every == ()
    rounded = np.rint(np.sqrt(counts)).astype(np.uint16)
    (said,) = of_numbers(scan.replace(intensities=rounded)).warnings
    assert "data.intensities[:] ** 2" in said
    assert float(said.split()[3]) < 0.6


@pytest.mark.parametrize("factor", [1, 2, 1.7, 1e-4])
def test_counts_in_any_unit_are_left_alone(scan, factor):
    counts = scan.intensities[:]
    data = scan if factor == 1 else scan.replace(intensities=(counts * factor).astype(np.float32))
    assert of_numbers(data).every == ()


def test_noise_free_intensities_are_left_alone(scan):
    exact = np.random.default_rng(0).exponential(5, scan.intensities.shape).astype(np.float32)
    assert of_numbers(scan.replace(intensities=exact)).every == ()


def test_they_are_refused_without_a_run(scan):
    found = quick_look(scan.replace(intensities=np.sqrt(scan.intensities[:]).astype(np.float32)))
    assert any("roots of counts" in why for why in found.problems)


@pytest.mark.parametrize("counts", [0, 3, 40])
def test_a_pedestal(scan, counts):
    data = scan.replace(intensities=scan.intensities[:] + np.uint32(counts))
    frames = look_at_frames(data)
    trials = Trials(data, frames)
    trials.views = 48
    part = trials.part(AS_GIVEN)
    said = of_pedestal(trials, frames, part, trials.probe).warnings
    assert floor(frames) == pytest.approx(counts, abs=0.6)
    assert len(said) == (counts > 0)
    if counts:
        assert float(said[0].split("load with dark=")[1]) == pytest.approx(counts, abs=0.6)
        told = trials.data.replace(background=np.full((data.n, data.n), counts))
        assert of_pedestal(Trials(told, frames), frames, part, trials.probe).every == ()


@pytest.mark.parametrize("kind", ["one", "two"])
def test_two_exposures(scan, kind):
    rng = np.random.default_rng(1)
    share = np.where(rng.random(scan.views) < 0.5, 0.4 if kind == "two" else 1.0, 1.0)
    counts = rng.binomial(scan.intensities[:].astype(np.int64), share[:, None, None]).astype(np.uint32)
    data = scan.replace(intensities=counts)
    frames = look_at_frames(data)
    assert (frames.exposures is not None) == (kind == "two")
    trials = Trials(data, dataclasses.replace(frames, exposures=None))
    trials.views = 48
    part = trials.part(AS_GIVEN)
    said = of_brightness(part, trials.probe).warnings
    assert len(said) == (kind == "two")
    if kind == "two":
        assert np.array_equal(frames.exposures.dim, share < 1)
        assert frames.exposures.ratio == pytest.approx(0.4, rel=0.05)
        assert uneven(part)
        assert "IntensityUpdate() * rPIE()" in said[0]


def thin_sample():
    """Return a scan of a sample that absorbs up to a tenth, in the beam of a Gaussian."""
    places = np.stack(np.meshgrid(np.arange(10), np.arange(10), indexing="ij"), -1).reshape(-1, 2) * 3.0
    obj = objects.two_images((64, 64), ("camera", "moon"), (0.9, 1), (-0.6, 0.6))
    r2 = ((np.indices((32, 32)) - 16) ** 2).sum(axis=0)
    return experiment(obj, np.exp(-r2 / 40).astype("complex64"), places, 1e5, seed=1).replace(truth=None)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_two_exposures_are_counted_and_said_without_a_run(share):
    """Whether the dim frames are the first half or any: their neighbours say less in the one case than in the other."""
    good = thin_sample()
    assert not any("two exposures" in line for line in quick_look(good).warnings)
    rng = np.random.default_rng(2)
    first = np.arange(good.views) < good.views // 2
    for dim in (first, rng.permutation(first)):
        shares = np.where(dim, share, 1.0)[:, None, None]
        data = good.replace(intensities=rng.binomial(good.intensities[:].astype(np.int64), shares).astype(np.uint32))
        (said,) = [line for line in quick_look(data).warnings if "two exposures" in line]
        assert f"{dim.sum()} frames have" in said
        assert float(said.split("frames have ")[1].split()[0]) == pytest.approx(share, rel=0.1)
        assert "IntensityUpdate() * rPIE()" in said
        frames = look_at_frames(data)
        assert frames.dim == tuple(np.flatnonzero(dim))
        assert frames.faint == frames.bright == ()
        trials = Trials(data, frames)
        trials.views = 48
        light = trials.part(AS_GIVEN).photons()
        assert light.mean() == pytest.approx(share * 1e5, rel=0.1)
        assert light.std() < 0.1 * light.mean()


def test_a_sample_that_absorbs_on_one_side_has_one_exposure():
    """Views at the edge of the dark part lie between."""
    places = np.stack(np.meshgrid(np.arange(10), np.arange(10), indexing="ij"), -1).reshape(-1, 2) * 3.0
    obj = np.where(np.arange(64) < 32, 1.0, 0.5) * np.ones((64, 1), np.complex64)
    r2 = ((np.indices((32, 32)) - 16) ** 2).sum(axis=0)
    data = experiment(obj, np.exp(-r2 / 40).astype("complex64"), places, 1e5, seed=1)
    photons = data.photons()
    assert photons.max() > 3 * photons.min()
    assert two_exposures(photons, data.positions) is None


def test_a_half_that_absorbs_is_no_exposure_but_all_views_from_one_on_are():
    places = np.stack(np.meshgrid(np.arange(10), np.arange(10), indexing="ij"), -1).reshape(-1, 2) * 3.0
    rng = np.random.default_rng(5)
    light = 1e5 * np.exp(rng.normal(0, 0.1, 100))
    left = places[:, 1] < 12
    assert two_exposures(np.where(left, 0.6 * light, light), places) is None
    found = two_exposures(np.where(np.arange(100) > 62, 0.5 * light, light), places)
    assert np.array_equal(found.dim, np.arange(100) > 62)
