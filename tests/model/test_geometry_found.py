"""Lengths of the geometry found along: derivatives, what moves and what stays, files, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import thin_scene
from scipy.ndimage import gaussian_filter
from thick_scene import GEOMETRY, N

import opty
from opty import DM, LSQML, ML, Refine, rPIE
from opty.errors import RecipeError
from opty.io.info import info
from opty.model import FlyScan, Object, Probe, Slices, Wavelengths
from opty.operators.refine import check_inside
from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects, scans
from opty.testing import check_element

NEAR = opty.Geometry(1e-10, 2e-3, 1e-7, propagation="near")
DIVERGING = opty.Geometry(1e-10, 2e-3, 4e-7, focus_to_sample=1e-3, propagation="near")
CONE = opty.Geometry(1e-9, 0.12, 1e-3, focus_to_sample=1e-3, propagation="cone")


@pytest.mark.parametrize(
    ("geometry", "told"),
    [
        (None, {"distance"}),
        (CONE, {"distance"}),
        (NEAR, {"distance", "pixel_size"}),
        (DIVERGING, {"distance", "pixel_size", "focus_to_sample"}),
    ],
    ids=["far", "cone", "near", "diverging"],
)
def test_adjoint_and_derivative(geometry, told):
    """By positions, the near field's transfer, the space between slices, the stage's way, and each wavelength's."""
    beam = Slices(2, 1e-7) * FlyScan(2) * Probe(variable=1)
    model = beam if geometry is CONE else Wavelengths((0.9, 1.1)) * beam
    worst = check_element(model, geometry=geometry)
    assert told == worst.keys() & {"distance", "pixel_size", "focus_to_sample"}
    assert max(worst.values()) < 1e-14


def lens_scene():
    """A lens with a central stop, a little defocused, and a start at another defocus; 121 views of 48 x 48."""
    n, pixel = 48, 1e-8
    geometry = opty.Geometry(1e-9, pixel * n * 1e-4 / 1e-9, 1e-4)
    size = n + 70
    obj = objects.random_phase((size, size), feature=3.0, phase_range=(0, 0.9), seed=1)
    probe, start = (aperture_probe(n, 1e-9, pixel, 0.016, defocus=d * 4e-6, central_stop=0.3)[None] for d in (1, 1.05))
    places = scans.raster((11, 11), step=4.5, jitter=1.7, seed=1)
    return experiment(obj, probe, places, photons=1e7, geometry=geometry, seed=1), start


@pytest.fixture(scope="module")
def lens():
    return lens_scene()


@pytest.fixture(scope="module")
def far():
    return thin_scene.simulated(geometry=GEOMETRY, photons=1e7)


def started(scene, factor=1.0, **machine):
    data, probe = scene
    told = data.replace(geometry=replace(data.geometry, distance=factor * data.geometry.distance))
    return opty.ScaleObjProbe() * opty.PtychoState(told, probe, margin=12, **machine)


def ratio(p):
    return p.geometry.distance / p.data.geometry.distance


@pytest.mark.parametrize("factor", [1.05, 1.0])
def test_a_wrong_distance_is_found_and_a_right_one_stays(lens, factor):
    recipe = rPIE(alpha=0.1, batch=4)
    p = started(lens, factor)
    q = (Refine("distance") * recipe) ** 40 * p
    assert abs(factor * ratio(q) - 1) < 0.004
    assert q.history["distance"][-1] == q.geometry.distance
    assert q.history["distance_error"][-1] < 0.002 * q.geometry.distance
    assert len(q.history["distance"]) == 40
    if factor != 1:
        assert opty.misfit(q) < 0.9 * opty.misfit(recipe**40 * p)


def test_positions_and_pixel_follow(lens):
    """Metres of the positions, and their middle, are what they were."""
    p = started(lens, 1.04)
    q = (Refine("distance") * rPIE(alpha=0.1, batch=4)) ** 16 * p
    before, after = p.numpy("positions"), q.numpy("positions")
    away = (before - before.mean(axis=0)) * p.pixel
    np.testing.assert_allclose((after - after.mean(axis=0)) * q.pixel, away, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=1e-9)
    assert q.pixel == pytest.approx(q.geometry.sample_pixel(48))
    assert q.pixel < p.pixel == p.data.pixel


ENGINES = [LSQML(batch=8), pytest.param(ML("amplitude"), marks=pytest.mark.slow), opty.mPIE()]


@pytest.mark.parametrize("recipe", ENGINES, ids=repr)
def test_every_engine_moves_it_the_right_way(lens, recipe):
    q = (Refine("distance") * recipe) ** 24 * started(lens, 1.04)
    assert 0.98 < 1.04 * ratio(q) < 1.03


@pytest.mark.parametrize("recipe", [DM(), opty.AP()], ids=repr)
def test_it_runs_beside_engines_of_all_views(far, recipe):
    q = (Refine("distance") * recipe) ** 3 * started(far, 1.04)
    np.testing.assert_array_equal(q.history["distance_iteration"], [1, 2, 3])


def diffuser_scene():
    """A near field under a diffuser, 64 views of 32 x 32, with the probe to begin with."""
    rng = np.random.default_rng(4)
    geometry = opty.Geometry(1e-10, 30 * 1e-14 / 1e-10, 1e-7, propagation="near")  # wavelength distance / pixel^2 = 30
    away = np.hypot(*np.meshgrid(*2 * [np.arange(N) - N // 2]))
    diffuse = gaussian_filter(rng.normal(size=(2, N, N)), (0, 1.5, 1.5)) * 4
    probe = (np.exp(1j * diffuse[0]) / (1 + np.exp((away - 11) / 1.5)))[None]
    obj = objects.random_phase((64, 64), feature=3.0, phase_range=(0, 0.9), seed=4)
    return experiment(obj, probe, scans.raster((8, 8), 3.4, 1.0, seed=4), photons=1e7, geometry=geometry), probe


@pytest.fixture(scope="module")
def diffuser():
    return diffuser_scene()


@pytest.mark.parametrize(("factor", "bound"), [(1.05, 0.004), (0.95, 0.004), (1.0, 0.002)])
def test_the_distance_of_a_near_field(diffuser, factor, bound):
    p = started(diffuser, factor)
    q = (Refine("distance") * rPIE(alpha=0.1, batch=4)) ** 15 * p
    assert abs(factor * ratio(q) - 1) < bound
    assert q.history["distance_error"][-1] < 0.002 * q.geometry.distance
    np.testing.assert_array_equal(q.numpy("positions"), p.numpy("positions"))


def test_in_a_near_field_each_batch_improves_what_object_and_probe_explain(diffuser):
    """Fewer than four batches in a sweep, or a misfit that has settled: conjugate gradients, once a sweep."""
    p = started(diffuser, 1.05)
    step = Refine("distance")
    live, summed = ((step * rPIE(alpha=0.1, batch=batch)) ** 2 * p for batch in (16, 32))
    assert not live.numpy("distance_obj_way").any()
    assert summed.numpy("distance_obj_way").any()
    settled = rPIE(alpha=0.3, batch=16) ** 60 * p
    assert (step * rPIE(alpha=0.3, batch=16) * settled).numpy("distance_obj_way").any()


def test_a_name_that_is_none_is_refused_with_those_that_are(lens):
    with pytest.raises(opty.RecipeError, match=r"'distanc'.* what can be refined here is 'distance'"):
        Refine("distanc") * rPIE() * started(lens, 1.0)
    bare = started(lens, 1.0)
    bare = opty.PtychoState(bare.data.replace(geometry=None, positions=bare.positions), bare.probe)
    with pytest.raises(opty.RecipeError, match="what can be refined here is nothing"):
        Refine("distanc") * rPIE() * bare


def test_a_run_in_parts_is_the_run(lens, tmp_path):
    recipe = Refine("distance") * rPIE(alpha=0.05, batch=8)
    whole, half = recipe**17 * started(lens, 1.05), recipe**15 * started(lens, 1.05)
    assert half.geometry.distance != half.data.geometry.distance
    half.save(tmp_path / "half.h5")
    other = recipe**2 * opty.load(tmp_path / "half.h5")
    for name in ("obj", "probe", "positions", "distance"):
        np.testing.assert_array_equal(whole.numpy(name), other.numpy(name))
    assert opty.rerun(tmp_path / "half.h5").identical
    said = info(tmp_path / "half.h5")
    assert "distance" in said.refined[0]
    assert "given" in str(said)


def test_refusals(far):
    for recipe, data, says in (
        (Refine("pixel_size"), far[0], "distance over the pixel size"),
        (Refine("focus_to_sample"), far[0], "curvature of the beam"),
        (Refine("distance"), thin_scene.simulated()[0], "needs lengths"),
    ):
        with pytest.raises(RecipeError, match=says):
            (recipe * rPIE(batch=8)) * opty.PtychoState(data, far[1])
    with pytest.raises(ValueError, match="belongs to the geometry"):
        started(far).replace(leaves={"distance": [0.1]})


def test_a_scan_that_leaves_the_frame_says_how_much_more_it_needs(far):
    p = started(far)
    positions = p.numpy("positions") - p.numpy("positions").min(axis=0) - (1.2, 0)
    with pytest.raises(ValueError, match=r"leaves the frame of the object by 1.2 px.* margin=12"):
        check_inside(p._live, positions, "distance")


def test_the_model_needs_not_be_thin(far):
    p = opty.PtychoState(far[0], far[1], model=Object() * Probe(variable=1), margin=12)
    q = (Refine("distance") * rPIE(batch=8)) ** 3 * p
    assert len(q.history["distance"]) == 3


@pytest.mark.parametrize("geometry", [pytest.param(GEOMETRY, marks=pytest.mark.slow), NEAR], ids=["far", "near"])
def test_a_gpu_gives_the_numbers_of_numpy(gpu, geometry):
    data, probe = thin_scene.simulated(geometry=geometry)
    p = opty.PtychoState(data, probe, margin=12, dtype="complex128")
    recipe = (Refine("distance") * rPIE(batch=27 if geometry is GEOMETRY else 9)) ** 3
    here, there = recipe * p, recipe * p.to("gpu")
    for name in ("distance_obj", "distance_probe", "distance_search"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())
