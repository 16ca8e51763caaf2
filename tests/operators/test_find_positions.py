"""FindPositions, and what it is made of beside Coarse: HoldOut, ComparePositions."""

import re
import warnings

import numpy as np
import pytest
from small_scans import same, scan, state
from test_pos_correct import error, misplaced, probed

import opty
from opty import ComparePositions, FindPositions, HoldOut, Identity, PosCorrect, ePIE, rPIE
from opty.analysis import position_report
from opty.operators import CompareMisfit
from opty.operators.position.compare import goes_back, went_back
from opty.operators.position.hold_out import held_out, shared_light
from opty.operators.position.others import OthersSay
from opty.simulate import stage


def astray(view, by):
    """The truth, with one view elsewhere that has printed its own object there."""
    data, _ = misplaced(0.0)
    margin = 12
    obj = np.pad(data.truth["obj"], margin, mode="edge")
    p = opty.PtychoState(data, probe=data.truth["probe"], obj=obj, device="cpu", threads=1)
    positions = data.truth["positions"] + margin
    p = p.replace(positions=positions)
    wrong = positions.copy()
    wrong[view] += by
    return ePIE() ** 10 * p.replace(positions=wrong), positions


@pytest.mark.parametrize(("view", "by"), [(0, (-10, -9)), (14, (11, 8))])
def test_a_view_that_explains_itself_is_held_out_and_comes_home(view, by):
    p, home = astray(view, by)
    assert view in probed(held_out, p)
    q = HoldOut(ePIE() ** 8) * p
    off = q.positions - home
    assert abs(off - np.median(off, axis=0)).max() < 1.5
    assert q.iteration == 18


def test_a_view_far_off_is_looked_for_where_it_was_given_too():
    home, _ = astray(14, 0)
    q = (PosCorrect(search_radius=0) * ePIE()) * home
    far = q._of(q._live.fork({"positions"}))
    far._live.leaves["positions"][14] += (13, -12)
    far = ePIE() ** 10 * far
    found = HoldOut(ePIE() ** 8, search_radius=4) * far
    off = found.positions - q.positions
    assert abs(off - np.median(off, axis=0)).max() < 1.5


def test_a_view_at_the_corner_shares_less_light_than_one_inside():
    data, p = misplaced(0.0)
    shared = probed(lambda s: shared_light(s), p.replace(probe=data.truth["probe"]))
    assert shared[0] < 0.9 * shared[14]
    assert ((shared > 0) & (shared < 1)).all()


def test_nothing_is_held_out_of_what_fits():
    data, _ = misplaced(0.0)
    truth = data.truth
    p = opty.PtychoState(data, probe=truth["probe"], obj=truth["obj"], device="cpu", threads=1)
    p = p.replace(positions=truth["positions"])
    q = HoldOut(ePIE()) * p
    assert same(q, p) or abs(q.positions - p.positions).max() < 0.5


def test_positions_that_fit_no_better_are_dropped():
    data, p = misplaced(0.0, photons=1e5)
    given = p.replace(probe=data.truth["probe"])
    q = (PosCorrect(search_radius=0) * rPIE()) * given
    rng = np.random.default_rng(3)
    worse = q._of(q._live.fork({"positions"}))
    worse._live.leaves["positions"] += rng.normal(0, 1.5, (36, 2))
    with pytest.warns(opty.MisfitWarning, match="went on from those given"):
        back = ComparePositions(ePIE() ** 6) * worse
    assert np.allclose(np.ptp(back.positions - given.positions, axis=0), 0)
    assert back.history["compare_refined"][-1] > back.history["compare_given"][-1]
    assert back.iteration == q.iteration + 12
    assert same(ComparePositions(ePIE()) * given, given), "no refinement has begun"


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (0.9, "do not tell for sure .* by 10 percent .* went on"),
        (0.98, None),
        (1.2, "explain the .* worse"),
    ],
)
def test_what_the_data_do_not_tell_is_said(gain, said, monkeypatch):
    """The first look is at the positions refined, the second at those given."""
    views = np.full(36, 1.0)
    looks = iter((gain, 1.0))
    monkeypatch.setattr(
        "opty.operators.position.compare.others_say",
        lambda live: OthersSay(1e3 * next(looks) * views + 1, 1e5 * views, views, views),
    )
    _, p = misplaced(0.0, photons=1e5)
    q = (PosCorrect(search_radius=0) * rPIE()) * p
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        r = ComparePositions(ePIE()) * q
    texts = [str(w.message) for w in heard]
    assert bool(r.history["compare_back"][-1])
    assert len(texts) == (said is not None)
    assert said is None or re.search(said, texts[0])
    report = position_report(r)
    assert report is None or report.compared == pytest.approx(gain)


@pytest.mark.parametrize(("gain", "sweeps"), [(0.2, 4), (0.6, 10)])
def test_the_comparison_ends_early_where_a_few_sweeps_tell(gain, sweeps, monkeypatch):
    """Of e that have to be 0.85 times as low."""
    views, looks = np.full(36, 1.0), iter((gain, 1.0) * 2)
    monkeypatch.setattr(
        "opty.operators.position.compare.others_say",
        lambda live: OthersSay(1e3 * next(looks) * views + 1, 1e5 * views, views, views),
    )
    _, p = misplaced(0.0, photons=1e5)
    q = (PosCorrect(search_radius=0) * rPIE()) * p
    r = ComparePositions(ePIE() ** 3, first=ePIE() ** 2) * q
    assert r.iteration == q.iteration + sweeps
    assert not r.history["compare_back"][-1]
    assert (r.positions == q.positions).all()


def test_refined_positions_that_fit_better_stay():
    data, p = misplaced(stage.Gaussian(1.5), photons=1e6)
    p = p.replace(probe=data.truth["probe"])
    q = (PosCorrect() * ePIE()) ** 30 * p
    r = ComparePositions(ePIE() ** 6) * q
    assert same(r.replace(), q.replace()) or (r.positions == q.positions).all()
    assert r.history["compare_refined"][-1] < 0.85 * r.history["compare_given"][-1]


@pytest.mark.filterwarnings("ignore:the misfit rose")  # of the fit that is dropped; it hangs on rounding
def test_positions_are_found_from_far_and_right_ones_stay():
    _, p = misplaced(stage.Gaussian(3.0), photons=1e7)
    with pytest.warns(opty.MisfitWarning, match="are not found"):  # not all of them are
        q = FindPositions() * p  # patterns of 48 x 48 have one coarse level only
    assert error(p) > 3
    assert error(q) < 0.5 * error(p)
    _, p = misplaced(0.0, photons=1e5)
    with pytest.warns(opty.MisfitWarning, match="went on from those given"):
        q = FindPositions(8) * p
    off = q.positions - p.positions
    assert np.sqrt(((off - off.mean(axis=0)) ** 2).sum(axis=1).mean()) < 0.1


def test_it_is_a_line_of_the_algebra():
    recipe = FindPositions(sweeps=3)
    assert opty.parse(repr(recipe)) == recipe
    assert "HoldOut" in recipe.explain()
    with pytest.raises(ValueError, match="from 1 on"):
        FindPositions(0)
    with pytest.raises(ValueError, match="from 1 up"):
        HoldOut(Identity(), search_radius=0)


@pytest.mark.filterwarnings("ignore:the data do not tell for sure")  # which hangs on rounding
def test_a_misfit_that_is_higher_afterwards_is_said_unless_an_engine_went_on():
    data, p = misplaced(0.0, photons=1e5)
    finished = rPIE() ** 80 * p.replace(probe=data.truth["probe"])
    with pytest.warns(
        opty.MisfitWarning, match=r"go on with rPIE\(\) \*\* 50, or .* on the left of FindPositions\(\)"
    ) as w:
        q = FindPositions(sweeps=2) * finished
    before, after = opty.misfit(finished), opty.misfit(q)
    assert after > 1.02 * before
    (said,) = [str(one.message) for one in w if "looked for" in str(one.message)]
    assert f"the misfit is {after:.4g} after positions were looked for, and was {before:.4g} before" in said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "the refined positions explain the patterns worse")
        warnings.filterwarnings("ignore", "the data do not tell for sure")
        more = rPIE() ** 50 * FindPositions(sweeps=2) * finished
    assert opty.misfit(more) < 1.02 * before


def test_a_misfit_that_falls_is_not_worth_a_word():
    p = state(scan(views=12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        q = CompareMisfit(after=True) * rPIE() ** 3 * CompareMisfit() * p
        assert q.numpy("compared_misfit") == pytest.approx([opty.misfit(p), opty.misfit(q), 3])
        Identity() * q
    with pytest.warns(opty.MisfitWarning, match="the misfit is"):
        CompareMisfit(after=True) * rPIE(probe_step=3.0, alpha=0.0) * CompareMisfit() * (rPIE() ** 20 * p)


def test_positions_that_both_explain_the_counts_are_not_called_right():
    seen = np.full(36, 0.02)
    assert went_back(-0.0004, -0.0003, 0.01, seen, 0.5) == ""
    assert "do not tell which positions are right" in went_back(-0.0004, -0.0003, 0.01, seen, 1.8)
    assert went_back(0.005, -0.0003, 0.01, seen, 1.8) == ""  # those refined explain less than the counts


@pytest.mark.parametrize(
    ("refined", "given", "usual", "noise", "back"),
    [
        (0.8, 1.0, 0.05, 0.1, False),
        (0.9, 1.0, 0.05, 0.1, True),  # less than 15 percent is what a wrong probe gains by positions moved to suit it
        (0.8, 1.0, 0.4, 0.1, True),  # a model that explains little has to gain much
        (0.8, 1.0, 0.05, 0.0, False),  # no counts: nothing is known of noise
        (0.006, 0.015, 0.01, 1.0, True),  # those given explain the counts: right positions of three modes, moved
        (0.035, 0.49, 0.01, 1.0, False),
    ],
)
def test_when_positions_that_were_given_are_taken(refined, given, usual, noise, back):
    assert goes_back(refined, given, usual, noise) is back
