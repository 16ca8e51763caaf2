"""A stage that moves during the exposure, through every engine, positions, files and pictures."""

from __future__ import annotations

import numpy as np
import pytest
import thin_scene
from small_scans import scan, state
from test_varying_probe import NEAR
from thick_scene import N
from thin_scene import every_engine, thin_state

import opty
from opty import DM, ML, RAAR, Refine, rPIE
from opty.analysis import errors
from opty.errors import RecipeError
from opty.model import FarField, FlyScan, NearField, Object, Probe, Slices
from opty.physics.stage_travel import stage_travel
from opty.simulate import Exposure, experiment, scans
from opty.testing import check_element

FLY = FlyScan(3, travel=(0, 3.4))


@pytest.fixture(scope="module")
def flown():
    """Lines along columns, the detector counting all the time: 12 places of each way."""
    lines = scans.fly_lines((9, 9), step=3.4, pitch=3.4)
    exposure = Exposure(travel=scans.travel(lines, line=9), steps=12)
    return thin_scene.simulated(lines, exposure=exposure)


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
@pytest.mark.parametrize(
    "model",
    [
        FlyScan(2),
        FlyScan(3, travel=(1e-8, -2e-8)),
        Object() * FlyScan(3, duty=0.5) * Probe(modes=2, variable=2),
        Slices(2, 1e-7) * FlyScan(2),
    ],
    ids=repr,
)
def test_adjoint_and_derivative(model, geometry):
    worst = check_element(model, geometry=geometry)
    assert {"obj", "probe", "travel", "positions"} <= worst.keys()
    assert max(worst.values()) < 1e-14


@every_engine(rpie=0.02, lsqml=0.1)
def test_every_engine_finds_the_object(flown, recipe, times):
    p = thin_state(flown, FlyScan(2))
    assert opty.misfit(recipe * p) < times * opty.misfit(p)


@pytest.mark.parametrize("recipe", [DM(), RAAR()], ids=repr)
def test_the_difference_map_refuses_it(flown, recipe):
    with pytest.raises(RecipeError, match=r"nearest waves.*FlyScan\(2"):
        recipe * thin_state(flown, FlyScan(2))


def test_a_stage_that_stands_does_not_explain_the_data(flown):
    still, moves = (rPIE(alpha=0.1, batch=4) ** 20 * thin_state(flown, model) for model in (None, FlyScan(2)))
    assert opty.misfit(moves) < 0.25 * opty.misfit(still)
    assert errors(moves)["object"] < 0.6 * errors(still)["object"]


def test_the_way_follows_from_the_positions(flown):
    p = thin_state(flown, FlyScan(2))
    np.testing.assert_allclose(p.travel, scans.travel(flown[0].positions, line=9), atol=1e-9)
    np.testing.assert_allclose(p.travel[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(p.travel[:, 1].reshape(9, 9)[:2], [[3.4] * 9, [-3.4] * 9], atol=1e-9)
    half = thin_state(flown, FlyScan(2, duty=0.5, line=9))
    np.testing.assert_allclose(half.travel, p.travel / 2)
    given = p.replace(leaves={"travel": np.full((81, 2), 0.5)})
    assert (given.travel == 0.5).all()


def test_lines_end_where_the_stage_turns_or_jumps():
    steps = np.arange(5.0)
    there_and_back = np.concatenate([np.c_[0 * steps, steps], np.c_[0 * steps + 2, steps[::-1]]])
    np.testing.assert_allclose(stage_travel(there_and_back), [[0, 1]] * 5 + [[0, -1]] * 5)
    flyback = np.concatenate([np.c_[0 * steps, steps], np.c_[0 * steps + 2, steps]])
    np.testing.assert_allclose(stage_travel(flyback), [[0, 1]] * 10)
    angle = np.linspace(0, 2 * np.pi, 60)
    circle = 20 * np.c_[np.sin(angle), np.cos(angle)]
    np.testing.assert_allclose(stage_travel(circle), np.gradient(circle, axis=0))
    with pytest.raises(ValueError, match="give two views or more"):
        stage_travel(np.zeros((1, 2)))


def test_views_out_of_order_are_said(flown):
    data = flown[0]
    shuffled = data.replace(positions=data.positions[np.random.default_rng(0).permutation(data.views)], truth=None)
    with pytest.warns(UserWarning, match="in the order in which they were taken"):
        opty.PtychoState(shuffled, model=FlyScan(3), device="cpu")
    assert FlyScan(3).doubt(data) is None
    assert FlyScan(3, line=9).doubt(shuffled) is None
    assert FlyScan(3, travel=(0, 1e-9)).doubt(shuffled) is None


def test_lengths_are_those_of_the_positions(flown):
    data, probe = flown
    geometry = opty.Geometry(1e-9, 0.032, 1e-4)  # 10 nm at the sample
    metres = data.replace(geometry=geometry, positions=data.positions * geometry.sample_pixel(N))
    p = opty.PtychoState(metres, probe, model=FlyScan(2, travel=(0, 3.4e-8)))
    np.testing.assert_allclose(p.travel, np.broadcast_to([0, 3.4], (81, 2)))


@pytest.mark.parametrize("geometry", [None, opty.Geometry(1e-10, 2e-3, 1e-7, propagation="near")], ids=["far", "near"])
def test_the_model_is_the_sum_of_places(geometry):
    """The patterns of a model with many points are those of an experiment whose stage takes many steps."""
    rng = np.random.default_rng(3)
    obj = rng.uniform(0.5, 1, (48, 48)) * np.exp(1j * rng.uniform(0, 1, (48, 48)))
    soft = np.exp(-(np.arange(-8, 8)[:, None] ** 2 + np.arange(-8, 8) ** 2) / 4) + 0j
    places = rng.uniform(0, 20, (4, 2))
    way = (1.2, -0.7)
    taken = experiment(obj, soft, places, geometry=geometry, exposure=Exposure(travel=way, steps=200))
    pixel = 1.0 if geometry is None else geometry.sample_pixel(16)
    model = FlyScan(5, travel=tuple(pixel * a for a in way))
    made = experiment(obj, soft, places, geometry=geometry, model=model)
    # Each puts its scan in the middle of the object.
    beside = np.rint(made.truth["positions"] - taken.truth["positions"])[0].astype(int)
    made = experiment(np.roll(obj, beside, axis=(0, 1)), soft, places, geometry=geometry, model=model)
    np.testing.assert_allclose(made.intensities, taken.intensities, atol=2e-3 * taken.intensities.max())


def test_positions_come_home(flown):
    truth = flown[0].truth["positions"]
    wrong = np.clip(truth + np.random.default_rng(1).uniform(-1, 1, truth.shape), 0, 31)
    p = thin_state(flown, FlyScan(2)).replace(positions=wrong)
    q = (opty.PosCorrect(wait=False) * rPIE(alpha=0.1, batch=4)) ** 25 * p
    assert errors(q)["position"] < 0.4 * errors(p)["position"]


def test_a_view_that_went_astray_is_found(flown):
    """Two modes of the probe, so that there are more states than modes."""
    p = rPIE(alpha=0.1, batch=4) ** 10 * thin_state(flown, Object() * FlyScan(2) * Probe(modes=2))
    wrong = p.numpy("positions").copy()
    wrong[40] += (4, -5)
    sensed = opty.Sweep(opty.PosCorrect(search_radius=0)) * p.replace(positions=wrong)
    q = opty.PosSearch(8) * sensed
    assert np.hypot(*(q.numpy("positions") - p.numpy("positions"))[40]) < 1.5


def test_the_length_of_the_way_is_found(flown):
    p = thin_state(flown, FlyScan(2, duty=0.6))
    q = (opty.After(3, Refine("travel")) * rPIE(alpha=0.1, batch=4)) ** 20 * p
    found, truth = q.numpy("travel"), scans.travel(flown[0].positions, line=9)
    assert np.median(np.hypot(*(found - truth).T)) < 0.5 * np.median(np.hypot(*(p.numpy("travel") - truth).T))


def test_a_run_in_parts_is_the_run(flown, tmp_path):
    recipe = opty.PosCorrect() * rPIE(batch=8)
    whole, half = recipe**4 * thin_state(flown, FlyScan(2)), recipe**2 * thin_state(flown, FlyScan(2))
    half.save(tmp_path / "half.h5")
    other = recipe**2 * opty.load(tmp_path / "half.h5")
    for name in ("obj", "probe", "positions", "travel"):
        np.testing.assert_array_equal(whole.numpy(name), other.numpy(name))
    assert opty.rerun(tmp_path / "half.h5").identical


def test_values_texts_and_refusals():
    model = FarField() * Object() * FlyScan(3, travel=(0.0, 1e-7)) * Probe()
    assert opty.model.parse(repr(model)) == model == opty.model.from_json(model.to_json())
    assert not model.thin
    assert not model.closed
    assert model.states(2) == 6
    for wrong, says in (
        (lambda: FlyScan(1), "give two points or more"),
        (lambda: FlyScan(2, duty=0), "above 0 and up to 1"),
        (lambda: FlyScan(2, line=1), "from 2 on"),
        (lambda: FlyScan(2, travel=(1.0, np.nan)), "give a finite number"),
        (lambda: FlyScan(2, duty=0.5, travel=(0.0, 1.0)), "leave duty and line out"),
        (lambda: FlyScan(2) * Object(), r"FlyScan\(2\) acts on the beam: it stands on the right of Object\(\)"),
    ):
        with pytest.raises((ValueError, RecipeError), match=says):
            wrong()


def test_a_missing_object_goes_in_front_of_the_beam(flown):
    assert thin_state(flown, "FlyScan(2)").model == FarField() * Object() * FlyScan(2) * Probe(1)
    near = opty.Geometry(1e-10, 2e-3, 1e-7, propagation="near")
    assert opty.model.complete.complete(FlyScan(2), near, 16) == NearField() * Object() * FlyScan(2) * Probe()


def test_pictures_show_the_way(flown):
    from matplotlib.collections import LineCollection

    p = thin_state(flown, FlyScan(2))
    (ways,) = [a for a in opty.plot.positions(p).axes[0].collections if isinstance(a, LineCollection)]
    first = ways.get_segments()[0]
    np.testing.assert_allclose(first[1] - first[0], [3.4, 0], atol=1e-6)
    assert p.plot().axes


def transforms(recipe, p, monkeypatch):
    from opty.kernels import numpy_backend

    counted, transform = [0], numpy_backend._C2C

    def count(a, *rest):
        counted[0] += a.size // N**2
        return transform(a, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(numpy_backend, "_C2C", count)
        _ = recipe * p
    return counted[0] / p.data.views


@pytest.mark.parametrize("points", [2, 3])
def test_a_sweep_takes_four_transforms_a_state(flown, points, monkeypatch):
    """To each place and back, to the detector and back. Where no state stands in the middle the probe's own place costs
    one more a view; a batch takes three of the probe.
    """
    p = thin_state(flown, FlyScan(points))
    found = transforms(rPIE(batch=9), p, monkeypatch)
    assert found <= 4 * points + (points % 2 == 0) + 3 / 9 + 1e-9


@pytest.mark.parametrize("recipe", [rPIE(batch=5), ML()], ids=repr)
def test_a_gpu_gives_the_numbers_of_numpy(gpu, recipe):
    data = scan(modes=2, mask=3, background=True)
    model = Object() * FlyScan(2, line=data.views) * Probe(modes=2)
    p = rPIE(batch=4) * state(data, model=model, dtype="complex128")
    here, there = recipe**2 * p, recipe**2 * p.to("gpu")
    for name in ("obj", "probe"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())
