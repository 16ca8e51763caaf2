"""What the methods of position refinement share, and the literature's methods by hand: limits, weights, books."""

import warnings

import numpy as np
import pytest
from by_hand import View
from small_scans import same, scan, state

import opty
from opty import (
    Identity,
    PosCorrect,
    PosCorrectAdam,
    PosCorrectAnneal,
    PosCorrectGain,
    PosCorrectGradient,
    PosCorrectSerial,
    PosLimit,
    PosModel,
    Sweep,
    rPIE,
)
from opty.analysis import position_error
from opty.operators.position.registration import Registration

METHODS = [
    PosCorrect(hold=0.0),  # which moves from the first sweep on
    PosCorrectAdam(),
    PosCorrectAdam(signal="detector"),
    PosCorrectGain(),
    PosCorrectGain(signal="detector"),
    PosCorrectSerial(),
    PosCorrectGradient(),
    PosCorrectGradient(momentum=0.5),
    PosCorrectAnneal(radius=0.5),
]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_mean_is_held_and_the_split_law_holds(method, p):
    q = (method * rPIE(batch=3)) ** 4 * p
    assert abs(q.positions.mean(axis=0) - p.positions.mean(axis=0)).max() < 1e-9
    assert abs(q.positions - p.positions).max() > 1e-4
    assert same(q, (method * rPIE(batch=3)) ** 3 * (method * rPIE(batch=3) * p))


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_sweep_moves_each_view_alike_in_any_batch(method):
    """Alone in a sweep, a refinement looks at a state that stands still: batches are only memory."""
    p = state(scan(modes=2), dtype="complex128")
    one, all_views = (Sweep(method, batch=batch) * p for batch in (1, "all"))
    assert np.allclose(one.positions, all_views.positions, atol=1e-9)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_books_say_how_it_went(method):
    data = scan(seed=2)
    p = state(data).replace(positions=data.positions + np.random.default_rng(0).normal(0, 0.4, data.positions.shape))
    q = (method * rPIE()) ** 3 * p
    history = q.history
    assert history["position_iteration"].tolist() == [1, 2, 3]
    truth = data.truth["positions"]
    assert history["position_error"][-1] == pytest.approx(position_error(q.positions, truth))
    assert history["position_error_affine"][-1] == pytest.approx(position_error(q.positions, truth, affine=True))
    assert (history["object_change"] > 0).all()
    assert (history["position_signal"] > 0).all()
    steps = [np.linalg.norm(b.positions - a.positions, axis=1).max() for a, b in [(p, method * rPIE() * p)]]
    assert steps[0] < 2.1 * history["position_step"][0] + 1e-12
    alone = method * (opty.AP() * p.replace(seed=1))  # beside an engine of several passes
    assert alone.history["position_iteration"].tolist() == [1]


def test_the_object_change_is_equation_3(p):
    """Sum of ||O' - O||^2 with each window updated as by ePIE."""
    q = Sweep(PosCorrectGradient()) * p
    total = 0.0
    for j in range(p.data.views):
        v = View(p, j)
        delta = v.projected()[0] - v.waves
        light = (abs(v.illum) ** 2).sum(axis=0)
        total += (abs((v.illum.conj() * delta).sum(axis=0) / light.max()) ** 2).sum()
    assert q.history["object_change"][0] == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_no_step_is_longer_than_the_longest(method, p):
    import dataclasses

    short = dataclasses.replace(method, max_step=0.01)
    q = Sweep(short) * p
    assert np.linalg.norm(q.positions - p.positions, axis=1).max() < 0.0201
    assert q.history["position_step"][0] <= 0.01 + 1e-12


def test_weights_hold_views_back(p):
    trust = np.ones(12)
    trust[[3, 8]] = 0
    q = p.replace(arrays={"trust": trust})
    moved = (Sweep(PosCorrectGradient(weights="trust")) * q).positions - p.positions
    free = (Sweep(PosCorrectGradient()) * p).positions - p.positions
    assert np.allclose(moved[3], moved[8])  # the mean shift, and nothing else
    assert abs(free[3] - free[8]).max() > 1e-3
    back = moved - moved[3]
    assert np.allclose(back[[0, 5]], (free - free.mean(axis=0) + free.mean(axis=0))[[0, 5]], atol=0.2)
    with pytest.raises(ValueError, match=r"'trust' has shape \(3,\); expected \(12,\)"):
        Sweep(PosCorrect(weights="trust")) * p.replace(arrays={"trust": np.ones(3)})
    with pytest.raises(opty.EffectError, match="'trust'"):
        Sweep(PosCorrect(weights="trust")) * p
    with pytest.raises(ValueError, match="'equal', 'coverage', or the name"):
        PosCorrect(weights="no name")


def test_coverage_is_the_light_around_a_view():
    positions = np.array([[4.0, 4], [8, 8], [9, 9], [10, 8], [8, 10], [9, 7]])
    p = state(scan(views=6, fractional=False), dtype="complex128").replace(positions=positions)
    light, power = np.zeros(p.obj.shape), abs(p.probe[0]) ** 2
    windows = [np.s_[r : r + 16, c : c + 16] for r, c in positions.astype(int)]
    for window in windows:
        light[window] += power
    weight = (np.array([(light[w] * power).sum() for w in windows]) / power.sum() / light.max()) ** 0.125
    assert weight[0] < 0.97 * weight[2]
    by_hand = Sweep(PosCorrectGradient(weights="mine")) * p.replace(arrays={"mine": weight})
    assert np.allclose((Sweep(PosCorrectGradient(weights="coverage")) * p).positions, by_hand.positions, atol=1e-12)


def shifts_by_hand(p, j, registration, share):
    v = View(p, j)
    delta = v.projected()[0] - v.waves
    light = (abs(v.illum) ** 2).sum(axis=0)
    updated = v.window + share * (v.illum.conj() * delta).sum(axis=0) / light.max()
    return registration.peak(updated[None], v.window[None])[0]


def test_gain_and_serial_move_by_the_peak():
    from test_position import others_share

    p = state(scan(modes=2), dtype="complex128")
    registration = Registration(16, opty.kernels.backend_for("cpu"), "complex128")
    shifts = np.array([shifts_by_hand(p, j, registration, others_share(p, j)) for j in range(12)])
    for op, gain in ((PosCorrectGain(gain=3.0, max_step=99), 3), (PosCorrectSerial(gain=20.0, max_step=99), 20)):
        moved = (Sweep(op) * p).positions - p.positions
        assert np.allclose(moved, gain * (shifts - shifts.mean(axis=0)), atol=1e-6)


def test_the_serial_gain_learns_from_successive_shifts(p):
    first = Sweep(PosCorrectSerial(gain=5.0)) * p
    assert (first.slots["serial_gain"] == 5).all()
    second = Sweep(PosCorrectSerial(gain=5.0)) * first
    a, b = first.slots["serial_shift"], second.slots["serial_shift"]
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    expected = np.where(cosine > 0.3, 5.5, np.where(cosine < -0.3, 5 / 1.1, 5))
    assert np.allclose(second.slots["serial_gain"], expected)
    assert set((Sweep(PosCorrectSerial(gain=5.0)) ** 6 * p).slots["serial_gain"]) != {5 * 1.1**5}


@pytest.mark.parametrize("by", [(3.0, 0.0), (0.0, 3.0), (-3.0, 0.0)])
def test_a_shifted_pattern_is_seen_in_the_near_field(by):
    """The beam's own structure stands still and dilutes the shift, but the direction is right."""
    from test_pos_correct import misplaced

    data, _ = misplaced(0.0, near=True)
    truth = data.truth
    p = opty.PtychoState(data, probe=truth["probe"], obj=truth["obj"], device="cpu", threads=1)
    positions = truth["positions"].copy()
    positions[14] += by
    moved = (Sweep(PosCorrectGain(signal="detector")) * p.replace(positions=positions)).positions[14] - positions[14]
    back, across = -moved @ np.array(by) / 3, abs(moved @ np.array(by)[::-1]) / 3
    assert back > 0.02
    assert across < 0.6 * back


def test_annealing_keeps_the_best_and_ends():
    p = state(scan(views=16, n=24, seed=3), wrong=0, dtype="complex128")
    positions = p.numpy("positions")
    positions[5] += (1.5, -1.0)
    wrong = p.replace(positions=positions)
    op = PosCorrectAnneal(radius=2.5, trials=16, over=12)
    q = Sweep(op) ** 12 * wrong
    assert np.linalg.norm(q.positions[5] - p.positions[5] - (q.positions - p.positions).mean(axis=0)) < 0.4
    assert opty.misfit(q) < 0.2 * opty.misfit(wrong)
    assert q.slots["anneal_count"] == 12
    still = Sweep(op) ** 2 * q
    assert np.allclose(still.positions, q.positions)


def test_positions_are_pulled_to_a_map_that_is_reported(p):
    nominal = p.data.positions_px + p.origin
    turned = opty.simulate.stage.Affine(rotation=0.02, scale=(1.03, 0.98)).move(nominal, None)
    off = np.zeros_like(nominal)
    off[4] = (1.0, 0.5)
    q = PosModel() * p.replace(positions=np.clip(turned + off, 0, None))
    history = q.history
    assert history["model_scale_row"][0] == pytest.approx(1.03, abs=0.01)
    assert history["model_rotation"][0] == pytest.approx(0.02, abs=0.01)
    assert position_error(q.positions, turned) < 0.1
    half, none = (PosModel(strength=w) * p.replace(positions=turned + off) for w in (0.5, 0.0))
    assert (none.positions == turned + off).all()
    assert np.allclose(half.positions.mean(axis=0), (turned + off).mean(axis=0))
    assert position_error(half.positions, turned) < position_error(turned + off, turned)
    drifted = PosModel("drift", strength=0.0) * p.replace(positions=nominal + np.linspace(0, 2, 12)[:, None])
    assert drifted.history["model_drift_row"][0] == pytest.approx(2)
    with pytest.raises(ValueError, match="from 0 to 1"):
        PosModel(strength=1.5)
    with pytest.raises(opty.RecipeError, match="kind"):
        PosModel("linear")


UNGUARDED = [PosCorrectAdam(), PosCorrectGain(), PosCorrectSerial(), PosCorrectGradient(), PosCorrectAnneal(radius=2.0)]


@pytest.mark.parametrize("method", UNGUARDED, ids=repr)
def test_methods_that_move_right_positions_can_be_compared_with_them(method):
    """Few photons: noise looks like displacements, and the object follows the views."""
    square = (np.arange(48) - 24) ** 2
    curved = np.exp(0.02j * np.add.outer(square, square))
    places = opty.simulate.scans.raster((6, 6), step=6, jitter=1.5, seed=4)
    sample = opty.simulate.objects.two_images((108, 108))
    probe = opty.simulate.probes.aperture(48, 24, edge=2) * curved
    data = opty.simulate.experiment(sample, probe, places, photons=1e4, seed=4).replace(truth=None)
    start = opty.simulate.probes.aperture(48, 23, edge=3) * curved
    p = opty.PtychoState(data, probe=start, device="cpu", threads=1)
    q = (method * rPIE()) ** 15 * p
    assert np.allclose(q.numpy("position_given"), p.positions)
    assert position_error(q.positions, p.positions) > 0.05
    report = opty.analysis.position_report(q)
    assert report.unasked
    assert "does not ask whether those given were right: ComparePositions(rPIE() ** 12)" in report.lines()[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", opty.MisfitWarning)
        back = opty.ComparePositions(rPIE() ** 12) * q
    assert back.history["compare_back"][-1] == 1
    assert position_error(back.positions, p.positions) < 1e-6
    again = opty.analysis.position_report(back)
    assert again is None or not again.unasked


def test_the_method_that_asks_is_not_reported_as_one_that_does_not():
    data = scan(seed=2, views=20)
    wrong = data.positions + np.random.default_rng(0).normal(0, 0.6, data.positions.shape)
    q = (PosCorrect() * rPIE()) ** 15 * state(data).replace(positions=wrong)
    assert not opty.analysis.position_report(q).unasked


MAPPED = ["(PosModel() * PosCorrect() * rPIE()) ** 60", "(PosCorrect() * PosModel() * rPIE()) ** 60"]


def asked_elsewhere(positions_of):
    """A scan of 30 views that was told other positions than it has, and the true ones."""
    data = scan(seed=2, views=30)
    given = positions_of(data.positions)
    p = state(data).replace(positions=given)
    told = data.replace(positions=given, truth=None)
    start = {"probe": p.numpy("probe"), "device": "cpu", "threads": 1, "margin": 10}
    return opty.PtychoState(told, **start), data.positions


@pytest.mark.filterwarnings("ignore:the misfit rose:opty.MisfitWarning")
@pytest.mark.parametrize("text", MAPPED)
def test_a_map_that_undoes_what_is_found_of_single_views_is_said(text):
    p, truth = asked_elsewhere(lambda x: x + np.random.default_rng(0).normal(0, 0.6, x.shape))
    with pytest.warns(
        opty.MisfitWarning, match=r"beside the affine map of the scan, and PosModel\(\) draws it back by"
    ):
        undone = opty.parse(text) * p
    remedy = opty.parse(text.replace("PosModel()", "PosModel(strength=0.1)")) * p
    assert position_error(remedy.positions, truth) < 0.6 * position_error(undone.positions, truth)


def test_a_map_of_positions_that_have_no_more_than_that_is_no_fault():
    p, truth = asked_elsewhere(lambda x: opty.simulate.stage.Affine(rotation=0.01, scale=(1.02, 0.99)).move(x, None))
    q = opty.parse(MAPPED[0]) * p
    assert position_error(q.positions, truth) <= position_error(p.positions, truth)


def test_an_excursion_ends_at_its_limit(p):
    positions = p.numpy("positions") + np.array([1.0, -1.0])
    positions[2] += (3.0, 4.0)
    q = PosLimit(1.5) * p.replace(positions=positions)
    gone = positions - p.positions
    gone -= gone.mean(axis=0)
    kept = q.positions - p.positions - (positions - p.positions).mean(axis=0)
    length = np.linalg.norm(gone, axis=1)
    assert np.allclose(kept, gone * np.minimum(1, 1.5 / length)[:, None])
    assert same(PosLimit(9) * q, Identity() * q) or np.allclose((PosLimit(9) * q).positions, q.positions)
    with pytest.raises(ValueError, match="above 0"):
        PosLimit(0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: PosCorrectGain(gain=0),
        lambda: PosCorrectSerial(gain=-1),
        lambda: PosCorrectGradient(momentum=1),
        lambda: PosCorrectAnneal(radius=0),
        lambda: PosCorrectAnneal(trials=0),
        lambda: PosCorrectAdam(decay=-1),
        lambda: PosCorrectAdam(max_step=0),
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="give"):
        wrong()
