"""What ``recipe * p`` keeps, shares, books and gives back: split law, branches, donation, iter, Until."""

import gc
import warnings

import numpy as np
import pytest
from small_scans import everything, same, scan, state

import opty
from opty import (
    AP,
    DM,
    ConsumedError,
    Every,
    Identity,
    Misfit,
    ObjUpdate,
    Orthogonalise,
    PosCorrectAdam,
    ScaleObjProbe,
    Sweep,
    Until,
    ePIE,
    rPIE,
)

RECIPES = {
    "ePIE": ePIE(),
    "rPIE": rPIE(),
    "rPIE batch 4": rPIE(batch=4),
    "rPIE all": rPIE(batch="all"),
    "AP": AP(),
    "DM": DM(),
    "DM relaxed": DM(beta=0.8),
    "positions": PosCorrectAdam() * rPIE(),
    "positions later": opty.After(2, PosCorrectAdam()) * rPIE(batch=3),
    "every third": Every(3, Orthogonalise()) * ePIE(),
    "two engines": DM() * rPIE(),
    "observed": Misfit() * ScaleObjProbe() * AP(),
    "lifted": opty.ProbeUpdate() * ObjUpdate(),
}


@pytest.fixture(params=RECIPES)
def recipe(request):
    return RECIPES[request.param]


@pytest.fixture
def start():
    return state(scan(modes=2, background=True, mask=2))


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_a_run_may_be_cut_anywhere(recipe, start, cut):
    whole = recipe**5 * start
    assert same(recipe ** (5 - cut) * (recipe**cut * start), whole)
    assert whole.iteration > 0


def test_one_by_one_is_a_loop(recipe, start):
    q = start
    for _ in range(4):
        q = recipe * q
    assert same(q, recipe**4 * start)
    assert same(q.recipe * start, q)


def test_the_same_cell_twice(recipe, start):
    assert same(recipe**3 * start, recipe**3 * start)
    other = recipe**3 * start.replace(seed=9)
    if any(word in repr(recipe) for word in ("PIE", "ObjUpdate")) and "all" not in repr(recipe):
        assert not same(other, recipe**3 * start)


def test_the_start_is_left_as_it_is(recipe, start):
    start = recipe**2 * start
    before, books = everything(start), (start.recipe, start.iteration, start.seed)
    intensities = start.data.intensities.tobytes()
    a = recipe**2 * start
    b = (ePIE() * recipe) * start
    held = everything(a)
    recipe**3 * b
    assert same(everything(start), before)
    assert same(everything(a), held)
    assert (start.recipe, start.iteration, start.seed) == books
    assert start.data.intensities.tobytes() == intensities
    assert not same(a, start)


def test_what_is_not_written_is_shared(p):
    q = Sweep(ObjUpdate()) ** 2 * p
    for name in ("probe", "positions"):
        assert np.shares_memory(getattr(q, name), getattr(p, name))
    assert not np.shares_memory(q.obj, p.obj)
    assert q.data is p.data
    assert q._live.measured is p._live.measured
    assert np.shares_memory((Misfit() * p).obj, p.obj)
    r = PosCorrectAdam() * Sweep(PosCorrectAdam()) * p
    assert np.shares_memory(r.obj, p.obj)
    assert not np.shares_memory(r.positions, p.positions)


def test_identity_runs_and_changes_nothing(p):
    q = Identity() * p
    assert same(q, p)
    assert q.recipe == Identity()
    assert np.shares_memory(q.obj, p.obj)


# -- donation


def test_a_donated_state_is_gone(p):
    given = p.donate()
    for use in (
        lambda: p.obj,
        lambda: p.probe,
        lambda: p.positions,
        lambda: p.background,
        lambda: p.slots,
        lambda: p.history,
        lambda: p.data,
        lambda: p.iteration,
        lambda: p.recipe,
        lambda: p.seed,
        lambda: p.origin,
        lambda: p.device,
        lambda: p.dtype,
        lambda: p.numpy("obj"),
        lambda: p.replace(seed=1),
        lambda: p.to("cpu"),
        lambda: p.donate(),
        lambda: ePIE() * p,
        lambda: next(ePIE().iter(p)),
        lambda: ePIE().explain(p),
        lambda: opty.misfit(p),
        lambda: p.save("x.h5"),
    ):
        with pytest.raises(ConsumedError, match="use the state that came out of it"):
            use()
    assert repr(p) == "<PtychoState: given away, p.donate() passed its buffers on>"
    q = ePIE() * given
    with pytest.raises(ConsumedError):
        given.obj  # noqa: B018
    assert q.iteration == 1


@pytest.mark.parametrize("name", ["obj", "probe", "kept_waves"])
def test_donation_reuses_the_buffers(name):
    recipe = DM() if name == "kept_waves" else ePIE()
    q = recipe**2 * state(scan())
    expected = recipe**3 * (Identity() * q)
    gc.collect()

    def leaf():
        return q._live.leaves[name]

    buffer = leaf().ctypes.data
    q = recipe**3 * q.donate()
    assert leaf().ctypes.data == buffer
    assert same(q, expected)


def test_donation_never_touches_what_another_state_shares(p):
    before = everything(p)
    shared = Orthogonalise() * p  # object and positions are those of p
    reference = (PosCorrectAdam() * ePIE()) ** 2 * shared
    got = (PosCorrectAdam() * ePIE()) ** 2 * shared.donate()
    assert same(everything(p), before)
    assert same(got, reference)
    for sibling in (p.replace(seed=5), p.to("cpu").replace(probe=p.probe), next(Misfit().iter(p))):
        ePIE() * sibling.donate()
        assert same(everything(p), before)


def test_donation_of_a_refused_recipe_keeps_the_state(p):
    q = ePIE() * p
    with pytest.raises(opty.EffectError):
        opty.operators.MergeObj() * q
    given = q.donate()
    with pytest.raises(opty.EffectError):
        opty.operators.MergeObj() * given
    assert (ePIE() * given).iteration == 2


# -- turn by turn


def test_iter_yields_a_state_of_its_own_after_each_turn(recipe, start):
    seen, copies = [], []
    for q in (recipe**3).iter(start):
        seen.append(q)
        copies.append(everything(q))
    assert len(seen) == 3
    for k, (q, copy) in enumerate(zip(seen, copies, strict=True)):
        assert same(q, copy)
        assert same(q, recipe ** (k + 1) * start)
        assert same(q.recipe * start, q)
    assert q.recipe == recipe**3


@pytest.mark.filterwarnings("ignore::opty.RecipeWarning")
def test_iter_goes_through_loops_and_what_stands_between_them(p):
    recipe = Orthogonalise() * rPIE() ** 2 * PosCorrectAdam() * AP() ** 3 * ePIE()
    states = list(recipe.iter(p))
    assert len(states) == 1 + 3 + 1 + 2 + 1
    assert [q.iteration for q in states] == [1, 2, 3, 4, 4, 5, 6, 6]
    assert same(states[-1], recipe * p)
    for q in states:
        assert same(q.recipe * p, q)
    assert states[-1].recipe == recipe


class Staged(opty.Recipe):
    """A recipe that holds loops, for the tests."""

    turns: int = 2

    def expand(self):
        return Orthogonalise() * ePIE() ** self.turns * opty.ProbeUpdate()


def test_a_recipe_that_holds_loops(p):
    whole = Staged() * AP() * p
    assert whole.recipe == Staged() * AP()
    assert same(whole, Staged().expand() * (AP() * p))
    states = list((Staged() * AP()).iter(p))
    assert [q.iteration for q in states] == [1, 2, 3, 4, 4]
    assert same(states[-1], whole)
    for q in states:
        assert same(q.recipe * p, q)
    assert "repeat 2 times" in str(Staged().explain(p))
    scheduled = list((Every(2, Staged()) * AP() ** 2).iter(p))
    assert [q.iteration for q in scheduled] == [1, 2, 3, 4, 5, 5]


class Nothing(opty.Recipe):
    """A recipe that expands to nothing, for the tests."""

    def expand(self):
        return Identity()


def test_a_recipe_of_nothing(p):
    assert same(Nothing() * p, p)
    assert list(Nothing().iter(p)) == []
    assert same(Nothing() ** 3 * p, p)


def test_leaving_a_loop_early_keeps_what_was_yielded(start):
    recipe = Misfit() * (PosCorrectAdam() * rPIE()) ** 50
    for q in recipe.iter(start):
        if q.iteration == 3:
            break
    assert same(q, (PosCorrectAdam() * rPIE()) ** 3 * start)
    assert q.recipe == (PosCorrectAdam() * rPIE()) ** 3
    assert same(rPIE() ** 2 * q, rPIE() ** 2 * ((PosCorrectAdam() * rPIE()) ** 3 * start))


def test_a_donated_state_can_be_iterated(p):
    expected = ePIE() ** 3 * (Identity() * p)
    walk = (ePIE() ** 3).iter(p.donate())
    states = list(walk)
    assert same(states[-1], expected)
    assert same(states[0], ePIE() * state(scan()))


# -- the books


@pytest.mark.filterwarnings("ignore::opty.RecipeWarning")
def test_steps_of_two_runs_do_not_join_on_the_books(p):
    q = PosCorrectAdam() * (rPIE() * p)
    assert q.recipe == Sweep(PosCorrectAdam()) * rPIE()
    assert same(q.recipe * p, q)
    q = opty.ProbeUpdate() * ObjUpdate() * (ObjUpdate() * (Every(2, Orthogonalise()) * p))
    assert q.recipe == Sweep(opty.ProbeUpdate() * ObjUpdate()) * ObjUpdate() * Every(2, Orthogonalise())
    assert same(q.recipe * p, q)
    q = Every(2, PosCorrectAdam()) * (rPIE() * p)
    assert same(q.recipe * p, q)


class Capture(opty.Operator):
    """Keeps the books as they stand in the middle of a run, for the tests."""

    def apply(self, s):
        CAPTURED.append(s.memo["run"].state(frozenset({"obj", "probe", "positions"})))


CAPTURED: list = []


@pytest.mark.parametrize(
    "recipe",
    [
        (Capture() * AP()) ** 3,
        (ePIE() * Capture() * ObjUpdate()) ** 3,
        ((ObjUpdate() * Capture()) ** 2 * ePIE()) ** 2,
        (Every(2, Capture() * PosCorrectAdam() ** 2) * ePIE()) ** 3,
        Capture() * ObjUpdate() * Capture() * rPIE() ** 1,
    ],
    ids=repr,
)
def test_the_books_are_right_in_the_middle_of_a_run(p, recipe):
    CAPTURED.clear()
    q = recipe * p
    assert q.recipe == recipe
    during = list(CAPTURED)
    assert during
    for r in during:
        again = r.recipe * p
        assert same(again, r)


# -- Until


def test_until_ends_by_max_and_by_tol(p):
    few = ePIE() ** Until(tol=0, max_turns=4) * p
    assert few.iteration == 4
    assert same(few, ePIE() ** 4 * p)
    settled = rPIE() ** Until(tol=0.2, max_turns=500) * p
    misfit = settled.history["misfit"]
    change = np.abs(np.diff(misfit)) / misfit[:-1]
    assert 2 <= settled.iteration < 500
    assert change[-1] <= 0.2
    assert (change[:-1] > 0.2).all()
    assert settled.recipe == rPIE() ** Until(tol=0.2, max_turns=500)
    assert same(settled, rPIE() ** settled.iteration * p)


def test_until_compares_turns_and_not_iterations(p):
    # Within a turn DM and AP meet very different misfits; from turn to turn they settle.
    recipe = (AP() ** 2 * DM()) ** Until(tol=0.05, max_turns=60)
    q = recipe * p
    misfit = q.history["misfit"][2::3]
    change = np.abs(np.diff(misfit)) / misfit[:-1]
    assert len(misfit) < 60
    assert change[-1] <= 0.05
    assert (change[:-1] > 0.05).all()


def test_until_starts_anew_in_every_run(p):
    q = ePIE() ** 5 * p
    r = ePIE() ** Until(tol=1e9, max_turns=50) * q
    assert r.iteration == 7


def test_until_can_be_iterated(p):
    rule = Until(tol=0.2, max_turns=50)
    states = list((rPIE() ** rule).iter(p))
    assert same(states[-1], rPIE() ** rule * p)
    assert [q.iteration for q in states] == list(range(1, len(states) + 1))


def test_runs_do_not_warn(p):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (PosCorrectAdam() * rPIE()) ** 3 * p
