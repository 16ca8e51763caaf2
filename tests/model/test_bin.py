"""Detector pixels coarser than the samples of the wave, through every engine, positions, loading and files."""

from __future__ import annotations

import numpy as np
import pytest
import thin_scene
from small_scans import scan, state
from test_varying_probe import NEAR
from thin_scene import every_engine, thin_state

import opty
from opty import DM, ML, RAAR, rPIE
from opty.analysis import errors
from opty.errors import RecipeError
from opty.model import Bin, Blur, FarField, FlyScan, NearField, Object, Probe, Slices
from opty.model.host_views import HostViews
from opty.physics.propagation import Propagator
from opty.testing import check_element


def added_up(images, k=2):
    """Return what pixels k times as large count."""
    *rest, n, _ = images.shape
    return images.reshape(*rest, n // k, k, n // k, k).sum(axis=(-3, -1))


@pytest.fixture(scope="module")
def coarse():
    """A scan whose pixels were twice as large as the window needs, divided."""
    data, probe = thin_scene.simulated()
    divided = opty.PtychoData(added_up(data.intensities), data.positions).subdivided(2)
    return divided.replace(truth=data.truth), probe


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
@pytest.mark.parametrize("model", [Bin(2), Bin(3), Bin(2) * Blur(0.7)], ids=repr)
def test_transpose_and_derivative(model, geometry):
    propagation = FarField() if geometry is None else NearField()
    worst = check_element(model * propagation * Slices(2, 1e-7) * FlyScan(2), geometry=geometry)
    assert max(worst.values()) < 1e-13


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
@pytest.mark.parametrize(("k", "n"), [(2, 12), (3, 12), (2, 14), (3, 15), (4, 12)])
def test_it_adds_up_the_samples_of_a_pixel(k, n, geometry):
    model = opty.model.complete.complete(Bin(k), geometry, n)
    v = HostViews(
        model, {"obj": np.ones((n, n), complex), "probe": np.ones((1, n, n), complex)}, np.zeros((2, 2)), geometry
    )
    image = np.random.default_rng(0).uniform(size=(2, n, n))
    order = Propagator(geometry, n, v.backend, complex)
    found = order.from_kernel_order(v.seen(order.to_kernel_order(image)))
    np.testing.assert_allclose(added_up(found, k), added_up(image, k), rtol=1e-13)
    np.testing.assert_allclose(found[:, ::k, ::k] * k**2, added_up(image, k), rtol=1e-13)


@every_engine(rpie=0.1, lsqml=0.25)
def test_every_engine_finds_the_object(coarse, recipe, times):
    p = thin_state(coarse, Bin(2))
    assert opty.misfit(recipe * p) < times * opty.misfit(p)


@pytest.mark.parametrize("recipe", [DM(), RAAR()], ids=repr)
def test_the_difference_map_refuses_it(coarse, recipe):
    with pytest.raises(RecipeError, match=r"nearest waves.*Bin\(2\)"):
        recipe * thin_state(coarse, Bin(2))


def test_pixels_taken_for_samples_do_not_explain_the_data(coarse):
    sharp, binned = (rPIE(alpha=0.1, batch=4) ** 12 * thin_state(coarse, model) for model in (None, Bin(2)))
    assert opty.misfit(binned) < 0.15 * opty.misfit(sharp)
    assert errors(binned)["object"] < 0.8 * errors(sharp)["object"]


def test_positions_come_home(coarse):
    truth = coarse[0].truth["positions"]
    wrong = np.clip(truth + np.random.default_rng(1).uniform(-1, 1, truth.shape), 0, 31)
    p = thin_state(coarse, Bin(2)).replace(positions=wrong)
    q = (opty.PosCorrect(wait=False) * rPIE(alpha=0.1, batch=4)) ** 15 * p
    left, before = (opty.analysis.position_error(s.numpy("positions"), truth, affine=True) for s in (q, p))
    assert left < 0.5 * before


def test_simulation_shares_what_a_pixel_counts(coarse):
    made, _ = thin_scene.simulated(model=Bin(2))
    np.testing.assert_allclose(made.intensities, coarse[0].intensities, rtol=1e-5, atol=1e-3)
    counted, _ = thin_scene.simulated(model=Bin(2), photons=1e5)
    whole = added_up(counted.intensities)
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-3)
    gap = whole - added_up(made.intensities) * counted.photons().sum() / made.photons().sum()
    assert (gap**2).sum() / whole.sum() == pytest.approx(1, abs=0.05)  # Poisson's variance


def measurement(rng, near):
    probe = rng.normal(size=(2, 16, 16)) + 1j * rng.normal(size=(2, 16, 16))
    mask, dark = rng.random((16, 16)) > 0.1, rng.random((16, 16))
    frames = rng.poisson(9.0, (6, 16, 16)).astype("uint16")
    geometry = NEAR if near else opty.Geometry(1e-9, 0.1, 1e-4)
    places = 3 * geometry.sample_pixel(16) * rng.random((6, 2))
    return opty.PtychoData(frames, places, geometry, mask, dark, probe=probe)


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_loading_divides_as_subdivided_does(tmp_path, near, stream):
    data = measurement(np.random.default_rng(3), near)
    opty.save(tmp_path / "scan.h5", data)
    want, found = data.subdivided(2), opty.load(tmp_path / "scan.h5", subdivide=2, stream=stream)
    for name in ("intensities", "mask", "background", "probe"):
        np.testing.assert_array_equal(np.asarray(getattr(found, name)[:]), getattr(want, name))
    assert found.pixel == pytest.approx(want.pixel) == pytest.approx(data.pixel / (2 if near else 1))
    np.testing.assert_allclose(added_up(want.intensities), data.intensities)
    np.testing.assert_allclose((abs(want.probe) ** 2).sum(), (abs(data.probe) ** 2).sum())
    with pytest.raises(ValueError, match="subdivide=2"):
        opty.load(tmp_path / "scan.h5", stream=True).subdivided(2)


def test_a_run_is_kept_and_refusals(coarse, tmp_path):
    p = rPIE(batch=8) ** 2 * thin_state(coarse, "Bin(2)")
    p.save(tmp_path / "run.h5")
    other = opty.load(tmp_path / "run.h5")
    assert other.model == p.model == Bin(2) * FarField() * Object() * Probe(1)
    np.testing.assert_array_equal((rPIE(batch=8) * other).obj, (rPIE(batch=8) * p).obj)
    for wrong, says in (
        (lambda: Bin(1), "from 2 on"),
        (lambda: Object() * Bin(2), "stands on the left of the propagation"),
        (lambda: thin_state(coarse, Bin(3)), "32 x 32 pixels are no 3 x 3 samples each; divide the pixels"),
        (lambda: thin_state(thin_scene.simulated(), Bin(2)), "share its counts, and these do not"),
        (lambda: coarse[0].subdivided(0), "whole number from 1 on"),
    ):
        with pytest.raises((ValueError, RecipeError), match=says):
            wrong()


@pytest.mark.parametrize("recipe", [rPIE(batch=5), ML()], ids=repr)
def test_a_gpu_gives_the_numbers_of_numpy(gpu, recipe):
    data = scan(modes=2, mask=3, background=True)
    shares = np.kron(added_up(data.intensities) / 4, np.ones((2, 2), np.float32))
    data = data.replace(intensities=shares)
    p = rPIE(batch=4) * state(data, model=Bin(2) * FarField() * Object() * Probe(modes=2), dtype="complex128")
    here, there = recipe**2 * p, recipe**2 * p.to("gpu")
    for name in ("obj", "probe"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())
