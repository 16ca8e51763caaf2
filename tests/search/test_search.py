"""search and auto: recipes scored by pixels that they have not seen."""

import functools
import importlib
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import opty
from benchmarks.bare import counted
from opty import ML, PosCorrect, PtychoData, PtychoState, ScaleObjProbe, rPIE
from opty.analysis.check.refined_stretch import of_given
from opty.analysis.check.scan_stretch import Stretch
from opty.analysis.held_blocks import deviances, on, withhold
from opty.cli.auto import command
from opty.physics.optics import aperture_probe
from opty.search import part as part_module
from opty.search import start as start_module
from opty.search.choice import Choice
from opty.search.judgement import judged
from opty.search.part import Part
from opty.search.plan import Plan
from opty.search.repair import repaired
from opty.search.scale import mendable
from opty.search.start import Begin, begin
from opty.search.trial import Trial, tried
from opty.simulate import experiment, objects, scans

N, VIEWS = 32, 49


@functools.cache
def scan(photons=1e5, seed=0):
    """Return a far-field scan of a defocused beam, positions right, no probe."""
    probe = aperture_probe(N, 1e-10, 1e-8, 2.6e-3, defocus=2.4e-5)
    positions = np.rint(scans.fermat(VIEWS, 2.2))
    obj = objects.two_images((64, 64), ("camera", "coins"))
    return experiment(obj, probe, positions - positions.min(axis=0), photons, seed=seed)


def start(**options):
    data = scan()
    return PtychoState(data, probe=data.truth["probe"] * 1.1, device="cpu", threads=1, **options)


def test_blocks_are_in_neither_part_twice_and_differ_from_view_to_view():
    data = scan().replace(mask=np.arange(N * N).reshape(N, N) % 7 > 0)
    held = withhold(data, seed=3)
    assert not (held.fitted.mask & held.blocks.mask).any()
    assert np.array_equal(held.fitted.mask | held.blocks.mask, np.broadcast_to(data.mask, (VIEWS, N, N)))
    assert 0.04 < held.blocks.mask.mean() / data.mask.mean() < 0.08
    assert (held.blocks.mask[0] != held.blocks.mask[1]).any()
    assert np.array_equal(held.fitted.mask, withhold(data, seed=3).fitted.mask)


def test_deviance_is_that_of_its_formula_and_one_a_pixel_at_the_truth():
    data = scan()
    truth = PtychoState(data, probe=data.truth["probe"], obj=data.truth["obj"], device="cpu")
    found, pixels = deviances(truth)
    counts = data.intensities[0].astype(float)
    corner = np.rint(truth.numpy("positions")[0]).astype(int)
    window = data.truth["obj"][corner[0] : corner[0] + N, corner[1] : corner[1] + N]
    wave = np.fft.fftshift(np.fft.fft2(data.truth["probe"][0] * window, norm="ortho"))
    expected = np.abs(wave) ** 2
    by_hand = 2 * (expected - counts + (counts + 1) * np.log((counts + 1) / (expected + 1))).sum()
    assert found[0] == pytest.approx(by_hand, rel=1e-3)
    assert (pixels == N * N).all()
    lit = data.intensities[:].mean(axis=0) > 20
    bright = PtychoState(data.replace(mask=lit), probe=data.truth["probe"], obj=data.truth["obj"], device="cpu")
    found, pixels = deviances(bright)
    assert found.sum() / pixels.sum() == pytest.approx(1, abs=0.1)


def test_what_is_held_out_is_not_fitted():
    """The score of a recipe does not depend on the counts that it is scored by."""
    held = withhold(scan())
    p = rPIE() ** 3 * on(start(), held.fitted)
    counts = np.where(held.blocks.mask, 0, scan().intensities[:])
    q = rPIE() ** 3 * on(start(), held.fitted.replace(intensities=counts))
    assert np.array_equal(p.obj, q.obj)


def test_search_ranks_recipes_as_the_truth_does_and_runs_the_best_on_everything():
    seen = []
    found = opty.search([rPIE() ** 1, "ML() ** 30", rPIE(alpha=0.1) ** 12], start(), tell=seen.append)
    assert [one.recipe for one in seen] == [rPIE() ** 1, ML() ** 30, rPIE(alpha=0.1) ** 12]
    assert [one.score for one in found.trials] == sorted(one.score for one in seen)
    errors = {one.recipe: opty.analysis.errors(on(one.state, scan()))["object"] for one in seen}
    assert found.recipe == min(errors, key=errors.get) == ML() ** 30
    assert np.array_equal(found.state.obj, (ML() ** 30 * start()).obj)
    assert found.whole
    assert str(found).splitlines()[1].endswith("ML() ** 30")


def test_fitting_noise_lowers_the_misfit_but_not_the_score():
    data = scan(photons=1000.0, seed=1)
    found = opty.search([ML() ** 25, ML() ** 8], PtychoState(data, probe=data.truth["probe"], device="cpu"))
    short, long = found.trials
    assert (short.recipe, long.recipe) == (ML() ** 8, ML() ** 25)
    assert opty.misfit(long.state) < 0.99 * opty.misfit(short.state)


def test_search_repeats_single_turns():
    found = opty.search([rPIE(), ML()], start(), sweeps=4)
    assert {one.recipe for one in found.trials} == {rPIE() ** 4, ML() ** 4}
    assert found.state.iteration == 4


def test_a_recipe_that_cannot_run_is_a_row_and_no_error():
    found = opty.search([rPIE() ** 2, opty.Coarse(8, rPIE())], start())
    assert found.recipe == rPIE() ** 2
    assert found.trials[-1].why
    assert found.trials[-1].state is None
    with pytest.raises(ValueError, match="no recipe ran"):
        opty.search([opty.Coarse(8, rPIE())], start())


def test_search_refuses_what_it_cannot_score():
    with pytest.raises(ValueError, match="search has no recipes"):
        opty.search([], start())
    with pytest.raises(ValueError, match="has seen all pixels"):
        opty.search([rPIE()], rPIE() * start())


def test_ctrl_c_gives_the_best_so_far():
    def stop(trial):
        raise KeyboardInterrupt

    found = opty.search([rPIE() ** 2, ML() ** 2], start(), tell=stop)
    assert [one.recipe for one in found.trials] == [rPIE() ** 2]
    assert not found.whole
    assert found.state.data is scan()
    assert np.array_equal(found.state.obj, found.best.state.obj)


def test_time_that_is_over_starts_no_further_recipe():
    found = opty.search([rPIE() ** 3, ML() ** 3], start(), seconds=1e-9)
    assert len(found.trials) == 1
    assert not found.whole


@pytest.fixture(scope="module")
def chosen():
    return opty.auto(scan().replace(truth=None), minutes=0.5, device="cpu", threads=1)


def test_auto_finds_the_object_without_a_probe(chosen):
    p = chosen.state
    truth = PtychoState(scan(), probe=p.probe, obj=p.obj)
    obj, lit = (
        p.numpy("obj"),
        opty.analysis.illuminated(scan().truth["positions"], scan().truth["probe"], scan().truth["obj"].shape),
    )
    offset = np.rint((p.numpy("positions") - scan().truth["positions"]).mean(axis=0))
    assert opty.analysis.object_error(obj, scan().truth["obj"], lit, offset) < 0.12
    assert truth.data.views == VIEWS
    assert chosen.verdict.word == "right"
    assert min(one.score for one in chosen.trials) == chosen.trials[0].score


def test_the_expression_makes_the_same_state(chosen):
    names = {name: getattr(opty, name) for name in opty.__all__}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", opty.MisfitWarning)  # as in auto: a part of a recipe may fit noise
        again = eval(chosen.expression, names | {"opty": opty, "data": scan().replace(truth=None)})
    assert np.array_equal(again.obj, chosen.state.obj)


ONE_CORE = {"device": "cpu", "threads": 1, "deterministic": False}


def fits(data):
    """Say whether positions are those of the scan (1), or turned by half a turn (-1), or neither (0)."""
    about, given = (one.positions - one.positions.mean(axis=0) for one in (data, scan()))
    return next((sign for sign in (1, -1) if np.allclose(about, sign * given)), 0)


def searches(sure):
    """Return a search that finds the true probe, or its twin; for the right way round decided, where it is ``sure``."""

    class Searches(start_module.Searching):
        def found(self, best=None):
            right = fits(self.data)
            probe = twin(scan().truth["probe"][0]) if right == -1 else scan().truth["probe"][0]
            score = 0.01 if sure and right else 0.05
            return opty.analysis.ProbeSearch(probe, 1.0, None, {1.0: score}, bool(sure and right))

        refined = found

        def look(self, every=1):
            pass

    return Searches


def twin(image):
    """Return the complex conjugate turned by half a turn about the middle pixel."""
    return np.roll(image[::-1, ::-1].conj(), (1, 1), axis=(0, 1))


def turned_scan():
    return scan().replace(positions=scan().positions[:, ::-1] * np.array([1, -1]), truth=None)


def test_the_way_round_is_that_whose_searched_probe_predicts_best(monkeypatch):
    """A search is decided, and better, for one way of the four that differ only."""
    monkeypatch.setattr(start_module, "Searching", searches(sure=True))
    said = []
    found = start_module.begin(turned_scan(), 0, ONE_CORE, said.append)
    assert found.way is not None
    assert fits(found.data)
    assert len(said) == 4
    assert found.way.name in found.said[1]
    assert start_module.begin(scan(), 0, ONE_CORE, said.append).way is None


def test_where_no_search_decides_longer_runs_tell_the_way_round(monkeypatch):
    monkeypatch.setattr(start_module, "Searching", searches(sure=False))
    said = []
    found = start_module.begin(turned_scan(), 0, ONE_CORE, said.append)
    assert fits(found.data)
    assert found.decided
    assert said[4:] == ["orientation of the positions, by longer runs"]
    assert start_module.begin(scan().replace(truth=None), 0, ONE_CORE, said.append).way is None


def test_a_second_look_at_the_way_round_runs_only_from_other_probes(monkeypatch):
    ran = []
    monkeypatch.setattr(start_module, "tried", lambda *given: ran.append(given) or tried(*given))
    starts = [Begin(scan(), scan().truth["probe"], "x", None, False, ())]
    starts.append(start_module.half_turned(starts[0], 0, 1, search=False))
    known = {}
    found = start_module._by_longer_runs(starts, known, 0, ONE_CORE)
    first = len(ran)
    assert first >= 2
    assert start_module._by_longer_runs(starts, known, 0, ONE_CORE) == found
    assert len(ran) == first
    starts[1] = replace(starts[1], probe=0.5 * starts[1].probe)
    start_module._by_longer_runs(starts, known, 0, ONE_CORE)
    assert first < len(ran) <= 2 * first


def test_half_a_turn_takes_the_twin_of_the_probe_and_the_way_back():
    """Probe and object window turned by half a turn and conjugate make the same pattern."""
    window, probe = scan().truth["obj"][:N, :N], scan().truth["probe"]
    flip = start_module.half_turned(Begin(scan(), probe, "x", None, True, ()), 0, 1, search=False)
    assert fits(flip.data) == -1
    assert flip.way.turn == (False, "both")
    first, second = (np.abs(np.fft.fft2(wave)) for wave in (probe[0] * window, flip.probe[0] * twin(window)))
    assert np.allclose(first, second, atol=1e-4 * first.max())
    again = start_module.half_turned(flip, 0, 1, search=False)
    assert again.way is None
    assert np.array_equal(again.probe, probe)


def test_a_probe_of_several_modes_keeps_them():
    probe = np.concatenate([scan().truth["probe"], 0.1 * scan().truth["probe"][:, ::-1]])
    found = opty.auto(scan().replace(truth=None, probe=probe), minutes=0.005, device="cpu", threads=1)
    assert len(found.state.probe) >= 2
    assert "find_probe" not in found.expression


@pytest.mark.parametrize("views", [VIEWS, 16])
def test_ctrl_c_in_auto_gives_the_best_trial(views, monkeypatch):
    """Of the part of the scan that trials run on, which is said."""
    monkeypatch.setattr(part_module, "MOST", views)
    pressed = []

    def press(line):
        if "1 mode" in line and not pressed:
            pressed.append(line)
            raise KeyboardInterrupt

    data = scan().replace(truth=None, probe=scan().truth["probe"])
    found = opty.auto(data, minutes=1, device="cpu", threads=1, tell=press)
    assert found.interrupted
    assert len(found.trials) == 1
    assert found.verdict.word != "right"
    assert found.expression.startswith("ScaleObjProbe() * ")
    trial = found.trials[0].state
    scaled = ScaleObjProbe() * trial
    np.testing.assert_allclose(found.state.obj, scaled.obj, rtol=1e-5, atol=1e-6)
    assert found.state.data.views == views
    part = [line for line in found.said if f"the result is of {views} of {VIEWS} views" in line]
    assert len(part) == (views < VIEWS)


def test_noise_is_not_called_right():
    rng = np.random.default_rng(5)
    mean = scan().intensities[:].mean(axis=0)
    probe = scan().truth["probe"]
    data = PtychoData(rng.poisson(rng.exponential(mean, (VIEWS, N, N))), scan().positions, probe=probe)
    assert opty.auto(data, minutes=0.02, device="cpu", threads=1).verdict.word != "right"


def test_repairs_are_made_and_said():
    counts = np.array(scan().intensities)
    counts[5] = 0
    counts[9] = counts[8]
    counts[:, 3, 4] = 10**6
    found = repaired(PtychoData(counts, scan().positions))
    assert found.options == {"mask": ["hot", "saturated"], "leave_out": [5, 9]}
    assert found.data.views == VIEWS - 2
    assert not found.data.mask[3, 4]
    assert len(found.done) == 2


def test_what_is_pointless_is_refused():
    data = scan().replace(positions=np.zeros((VIEWS, 2)), truth=None)
    with pytest.raises(ValueError, match="would be pointless"):
        opty.auto(data)


@pytest.mark.parametrize(
    ("score", "apart", "whole", "word"),
    [
        (1.2, 0.1, True, "right"),
        (2.5, 0.1, True, "right"),
        (2.5, 0.6, True, "cannot tell"),
        (1.2, 0.6, True, "doubtful"),
        (9.0, 0.6, True, "cannot tell"),
        (9.0, 0.1, True, "doubtful"),
        (1.2, None, False, "doubtful"),
    ],
)
def test_verdicts(score, apart, whole, word):
    assert judged(score, 1.0, apart, whole).word == word


def test_a_plan_writes_its_recipe():
    plan = Plan(engine="DM, LSQML, ML", positions="refined", background=True, sweeps=5)
    free = opty.BackgroundUpdate()
    moving = (free * PosCorrect(wait=False) * opty.LSQML(batch=8)) ** 5
    assert plan.recipe == (free * ML()) ** 5 * moving * opty.DM() ** 5

    by_gradient = (opty.PosCorrectGradient() * opty.LSQML(batch=8)) ** 5
    assert Plan(positions="refined", gradient=True, sweeps=5).recipe == by_gradient


def test_a_background_that_hardly_helps_is_left_out_again():
    from opty.search.plan import LIGHT_WORTH, without

    changes = tuple(without(Plan(background=True, modes=2)))
    assert [change.plan for change in changes] == [Plan(modes=2), Plan(modes=3), Plan(modes=4)]
    assert not tuple(without(Plan(modes=2)))
    with_it, hardly, far = (Trial(ML(), 1, score, 1.0, 1.0, None) for score in (1.0, 1.03, 1.06))
    for change in changes:
        assert change.worth == -LIGHT_WORTH
        assert hardly.beats(with_it, change.worth)
        assert not far.beats(with_it, change.worth)


def test_a_background_takes_the_place_of_a_second_mode_only_where_it_explains_much_more():
    from opty.search.plan import INSTEAD_WORTH, LIGHT_WORTH, instead

    (change,) = instead(Plan(modes=2, positions="refined"))
    assert change.plan == Plan(background=True, positions="refined")
    assert change.worth == INSTEAD_WORTH
    (change,) = instead(Plan())  # a second mode did not gain
    assert (change.plan, change.worth) == (Plan(background=True), LIGHT_WORTH)


def test_saturated_pixels_are_masked_in_the_views_where_they_are():
    data = scan(1e6)
    top = int(data.intensities.max() // 3)
    cut = data.replace(intensities=np.minimum(data.intensities, top), truth=None)
    mended = repaired(cut)
    assert mended.options == {"mask": ["saturated"]}
    assert np.array_equal(mended.data.mask[:], cut.intensities < top)


@pytest.mark.slow
def test_a_scale_is_mended_and_said():
    """A distance five percent too long: positions in pixels are too small."""
    data = scan().replace(truth=None, positions=scan().positions / 1.05, probe=scan().truth["probe"])
    found = opty.auto(data, minutes=5, device="cpu", threads=1)
    assert found.options["position_scale"] == pytest.approx(1.05, rel=0.01)
    assert any("positions multiplied by" in line for line in found.said)
    assert np.allclose(found.data.positions, data.positions * found.options["position_scale"])
    assert f"--position-scale {found.options['position_scale']}" in command(Path("a.cxi"), Path("b.h5"), found, {})


def test_a_stretch_of_refined_positions_is_one_of_the_given():
    given = np.random.default_rng(0).uniform(0, 50, (40, 2))
    found = Stretch(1.03, 1.0, 0.0, 0.0, 0.05, True, True)
    together = of_given(found, given * 1.02, given)
    assert together.scale == pytest.approx(1.03 * 1.02)
    assert together.better
    assert not of_given(found, given / 1.03, given).better


@pytest.mark.parametrize(
    ("scale", "aspect", "shear", "off", "worth"),
    [
        (1.05, 1.0, 0.0, True, True),
        (1.05, 1.0, 0.0, False, False),
        (1.05, 1.1, 0.0, True, False),
        (1.01, 1.04, 0.0, True, False),
        (0.68, 1.0, 0.1, True, False),
    ],
)
def test_only_one_factor_that_is_off_is_worth_a_trial(scale, aspect, shear, off, worth):
    found = Stretch(scale, aspect, 0.0, shear, 0.0, off, False)
    assert mendable(scan(), found) is worth


def test_right_positions_are_not_multiplied_whatever_the_look_says(monkeypatch):
    """Held-out pixels have the last word; what ran before is known again afterwards."""
    for name in ("opty.search.auto", "opty.search.choice"):
        module = importlib.import_module(name)
        monkeypatch.setattr(module, "look_at_scale", lambda p, given: Stretch(1.06, 1.0, 0.0, 0.0, 0.1, True, True))
    data = scan().replace(truth=None, probe=scan().truth["probe"])
    said = []
    found = opty.auto(data, minutes=0.5, device="cpu", threads=1, tell=said.append)
    assert any("positions multiplied by 1.06" in line for line in said)
    assert any("positions as they were" in line for line in said)
    assert "position_scale" not in found.options
    assert np.array_equal(found.data.positions, data.positions)
    assert found.verdict.word != "right"


def test_what_the_noise_leaves_no_room_for_is_not_tried_and_nothing_twice(chosen):
    assert not any("FindPositions" in repr(one.recipe) for one in chosen.trials)
    assert len({(repr(one.recipe), one.modes) for one in chosen.trials}) == len(chosen.trials)


def test_a_start_that_cannot_be_right_is_said_at_the_first_run_only():
    data = scan().replace(truth=None, positions=3 * scan().positions)
    with pytest.warns(opty.StartWarning, match=r"find_probe\(data\)"):
        p = rPIE() * PtychoState(data, device="cpu")
    rPIE() * p  # warnings are errors here
    rPIE() * PtychoState(data, probe=scan().truth["probe"], device="cpu")
    rPIE() * PtychoState(scan().replace(positions=data.positions), device="cpu")  # brings its truth
    with pytest.warns(opty.StartWarning):
        next(rPIE().iter(PtychoState(data, device="cpu")))


def test_no_trial_takes_the_time_of_the_last_run(monkeypatch):
    data = scan().replace(truth=None)
    longer = Part.longer.func
    measured = []
    monkeypatch.setattr(Part, "longer", property(lambda part: measured.append(longer(part)) or 1e4))
    found = opty.auto(data, minutes=0.5, device="cpu", threads=1)
    assert len(found.trials) == 1
    ratio = Part(begin(data, 0, ONE_CORE, str), 0, ONE_CORE).ratio
    assert all(ratio <= one < 20 * ratio for one in measured)


def test_three_scores_point_to_the_scale_of_the_positions():
    from opty.search.scale import ASIDE, LEAST, pointed

    rng = np.random.default_rng(4)
    views = rng.uniform(1, 3, 60)

    def score(by, right, noise=0.02):
        return views * (1 + 40 * (by - right) ** 2) + noise * rng.standard_normal(60)

    def found(right, noise=0.02):
        return pointed(*(score(by, right, noise) for by in (-ASIDE, 0.0, ASIDE)))

    for right in (-0.03, 0.025):
        assert found(right).sure
        assert np.log(found(right).scale) == pytest.approx(right, abs=0.004)
    assert found(0.0).known
    assert not found(0.5 * LEAST).sure
    assert np.log(found(0.2).scale) == pytest.approx(ASIDE)  # no farther than was tried
    assert found(0.2).sure
    assert not found(0.2).known
    assert not found(0.03, noise=2.0).sure


def test_the_effort_of_a_plan_goes_as_its_transforms():
    """Of a run, not its seconds, which hang on what else the machine does."""

    def transforms(plan):
        with counted("cpu") as found:
            plan.recipe * start(modes=plan.modes)
        return sum(call.images * times for call, times in found.items())

    plain, ended = Plan(sweeps=20, modes=2), Plan("LSQML, ML", sweeps=20, modes=2)
    assert ended.effort == plain.at_its_end.effort == pytest.approx(2.7 * plain.effort)
    assert transforms(ended) / transforms(plain) == pytest.approx(ended.effort / plain.effort, rel=0.5)


def test_a_prior_may_become_weaker_again():
    from opty.search.plan import priors

    assert [change.value for change in priors(Plan("LSQML, ML", smooth=0.1))] == [0.3, 0.0]
    assert [change.value for change in priors(Plan("LSQML, ML"))] == [0.1]
    assert [change.plan.counted for change in priors(Plan())] == [True, True]


def choice(plan, spent, above):
    """Return a search that has taken ``spent`` seconds, and a trial of a plan, a second for 30 sweeps of one mode, with
    a score ``above`` times the noise of counts.
    """
    now = time.perf_counter()
    start = Begin(scan(), scan().truth["probe"], "", None, True, ())
    found = Choice(start, 0, ONE_CORE, now - spent, now + 1e6, str)
    best = Trial(plan.recipe, plan.modes, above, plan.effort / 30, plan.effort / 30, object(), of_views=np.ones(9))
    found.trials.append(best)
    found._measured = best, 1.0
    return found, best


@pytest.mark.parametrize(("above", "allowed"), [(1.1, False), (3.0, True)])
def test_far_from_the_noise_a_longer_recipe_is_counted_on(above, allowed):
    """Three modes with the likelihood at the end: 5.4 times the work, and what a search may take."""
    plan = Plan()
    found, best = choice(plan, 60, above)
    assert found._time_for(plan, best) is allowed
    later, best = choice(plan, 100, above)
    assert not later._time_for(plan, best)


@pytest.mark.parametrize(("engine", "allowed"), [("LSQML", True), ("LSQML, ML", False)])
def test_a_run_too_short_for_what_was_spent_does_not_stop_a_longer_one(engine, allowed):
    """After 46 s one run of a second is lost; of 3.6 s it is not. One with the likelihood at its end may stay."""
    plan = Plan(engine)
    found, best = choice(plan, 46, 1.2)
    assert found._time_for(plan, best, replace(plan, engine="DM, LSQML, ML")) is allowed
    assert not found._time_for(plan, best)


def test_what_is_kept_for_the_verdict_is_its_own_run_and_a_look_where_it_may_be_right():
    plan = Plan("DM, LSQML, ML")
    near, far = (choice(plan, 0, above) for above in (1.2, 8.0))
    run, second = far[1].clock, far[1].clock / 3.6
    assert far[0].reserve(plan, far[1]) == pytest.approx(1.2 * second)
    assert near[0].reserve(plan, near[1]) == pytest.approx(1.2 * second + 1.5 * run)


def test_positions_found_from_far_are_not_tried_in_the_near_field(monkeypatch):
    from opty.search.plan import positions

    found, best = choice(Plan(), 0, 9.0)
    ran = []
    monkeypatch.setattr(found, "_try", lambda plan: ran.append(plan.positions) or best)
    module = importlib.import_module("opty.search.choice")
    for near, names in ((False, ["refined", "found"]), (True, ["refined"])):
        ran.clear()
        found._useless.clear()
        monkeypatch.setattr(module, "is_near", lambda data, near=near: near)
        assert found._better(Plan(), positions, best) is None
        assert ran == names
