"""PosStretch: an affine map of the whole scan is found with the object; noise and right positions are left alone."""

import warnings

import numpy as np
import pytest
from small_scans import same, scan, state

import opty
from opty import PosCorrect, PosStretch, rPIE
from opty.analysis import position_error
from opty.model.views import Windows
from opty.operators.position import affine
from opty.operators.position.stretch import _mapped, asked_step, stretch_left, times_noise
from opty.state.light import rough_light
from opty.state.views import Batch

TURN = np.array([[1.012, 0.004], [-0.006, 0.99]])


def stretched(data, matrix=TURN, **options):
    """The truth of a scan, positions and object stretched, turned and sheared together."""
    p = state(data, wrong=0.0, **options)
    centre = p.positions.mean(axis=0)
    obj = _mapped(p.obj, matrix, centre + data.n // 2)
    return p.replace(positions=centre + (p.positions - centre) @ matrix.T, obj=obj.astype(p.obj.dtype)), p.positions


def test_a_map_of_the_whole_scan_is_found_where_no_view_asks_to_be_moved():
    p, truth = stretched(scan(views=40, seed=2, span=24))
    q = PosStretch() ** 6 * p
    assert position_error(p.positions, truth) > 0.09
    assert position_error(q.positions, truth) < 0.05 * position_error(p.positions, truth)
    assert opty.misfit(q) < 0.2 * opty.misfit(p)
    assert abs(q.positions.mean(axis=0) - p.positions.mean(axis=0)).max() < 1e-9
    assert np.allclose(q.slots["position_given"], p.positions)
    history = q.history
    assert history["stretch_found"][0] > 10 * history["stretch_error"][0]
    assert history["stretch_moved"][0] == pytest.approx(1.5 * history["stretch_found"][0], rel=0.1)
    assert history["stretch_moved"][5] < 0.1 * history["stretch_moved"][0]
    assert same(q, PosStretch() ** 5 * (PosStretch() * p))


def test_no_step_is_longer_than_two_pixels():
    p, _ = stretched(scan(views=40, seed=2, span=24), np.eye(2) * 1.2)
    q = PosStretch() * p
    assert np.linalg.norm(q.positions - p.positions, axis=1).max() == pytest.approx(2, rel=0.01)


def test_places_to_which_views_are_held_go_along():
    data = scan(views=40, seed=2, span=24)
    p, _ = stretched(data)
    q = PosCorrect() * rPIE() * p
    r = PosStretch() * q
    moved = r.positions - q.positions
    assert abs(moved).max() > 0.1
    assert np.allclose(r.slots["position_place"] - q.slots["position_place"], moved)
    assert np.allclose(r.slots["position_given"], q.slots["position_given"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_right_positions_stay_where_counts_do_not_speak_against_them(seed):
    data = scan(views=40, seed=seed, span=24, photons=3e4)
    counts = np.random.default_rng(seed).poisson(data.intensities)
    p = rPIE() ** 10 * state(data.replace(intensities=counts.astype(float)), wrong=0.1)
    q = PosStretch() * p
    assert (q.positions == p.positions).all()
    assert (q.obj == p.obj).all()
    assert q.history["stretch_moved"][-1] == 0


def test_object_and_probe_may_have_any_scale():
    p, _ = stretched(scan(views=40, seed=2, span=24), dtype="complex128")
    q, r = (PosStretch() * a for a in (p, p.replace(obj=p.obj * 3, probe=p.probe / 3)))
    assert np.allclose(q.positions, r.positions, atol=1e-9)
    assert np.allclose(3 * q.obj, r.obj)


def test_a_map_is_found_under_several_modes_too():
    p, truth = stretched(scan(views=40, seed=2, span=24, modes=2))
    q = PosStretch() ** 6 * p
    assert position_error(p.positions, truth) > 0.09
    assert position_error(q.positions, truth) < 0.05 * position_error(p.positions, truth)


def test_what_noise_may_have_made_is_taken_off_the_step():
    p, _ = stretched(scan(views=40, seed=2, span=24))
    z = times_noise(asked_step(p._live))
    first, second = ((PosStretch(least=share * z) * p).history["stretch_moved"][0] for share in (0.5, 0.8))
    assert second == pytest.approx(first * (1 - 0.8**2) / (1 - 0.5**2), rel=1e-3)
    assert ((PosStretch(least=1.01 * z) * (PosStretch() * p)).history["stretch_moved"] > 0).tolist() == [True, False]
    with pytest.raises(ValueError, match=r"least=0"):
        PosStretch(least=0)


@pytest.mark.parametrize("options", [{"background": True}, {"mask": 2}, {"mask": 3, "fractional": False}])
def test_the_slope_is_the_product_of_residuals_and_changes(options):
    """The pass back of all views against changes of the counts, one number of the map after the other."""
    p = state(scan(views=7, seed=3, **options), wrong=0.05, dtype="complex128")
    store, light = p._live, rough_light(p._live)
    places = list(affine._from_the_middle(p.probe))
    slope = affine._sums(store, 1, light)[0]
    b = Batch.at(store, np.arange(7))
    there, weight, residual = affine._compared(store, b)
    windows = [-along * place for along in affine._slopes(store, b, light) for place in (*places, 1.0)]
    for k, window in enumerate(windows):
        moved = b.at_detector(b.tangent({"obj": Windows(window)}), True)
        change = b.seen(2 * (there.conj() * moved).real.sum(axis=1)) * weight
        assert (change * residual).sum() == pytest.approx(slope[k], rel=1e-9)


def test_what_may_be_left_contains_the_map_that_is_there():
    data = scan(views=40, seed=2, span=24, photons=1e5)
    p, truth = stretched(data)
    rms = np.sqrt(((p.positions - truth) ** 2).sum(axis=1).mean())
    assert rms < stretch_left(p._live) < 5 * rms
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", opty.MisfitWarning)
        report = opty.analysis.position_report(p)
    assert report.stretch == pytest.approx(stretch_left(p._live))
    assert f"known up to a stretch, turn or shear of the whole scan by {report.stretch:.2g} px rms" in report.lines()
