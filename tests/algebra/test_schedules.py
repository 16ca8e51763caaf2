"""When scheduled steps run where a turn makes several iterations, and that no way of cutting a run changes it."""

import copy
import pickle
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_strategies import Noted, engines, marks, scheduled, turns
from small_scans import same, scan, state

import opty
from opty import AP, Every, Log, Misfit, Orthogonalise, Save, Show, Sweep, Until, ePIE, rPIE
from opty.algebra.compose import Repeat
from opty.runtime.recipe_edit import after_iterations, without_outputs
from opty.runtime.visits import key_of

law = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ((Every(5, Noted()) * ePIE() ** 3) ** 10, [6, 12, 15, 21, 27, 30]),
        ((ePIE() ** 3 * Every(5, Noted())) ** 10, [6, 12, 15, 21, 27]),
        ((AP() * Every(5, Noted()) * ePIE() ** 3) ** 8, [7, 11, 15, 23, 27, 31]),
        ((Every(5, Noted() * Orthogonalise()) * ePIE() ** 3) ** 10, [6, 12, 15, 21, 27, 30]),
        ((Every(5, Noted() * AP()) * ePIE() ** 3) ** 8, [7, 11, 18, 22, 26]),
        ((Every(10, Noted()) * ePIE() ** 20) ** 3, [20, 40, 60]),
        ((Every(5, Noted()) * ePIE() ** 7) ** 4, [14, 21, 28]),  # at its first visit the iteration counts alone
        ((Every(2, Every(3, Noted())) * ePIE() ** 4) ** 7, [8, 12, 20, 24]),
        ((opty.After(9, Every(4, Noted())) * ePIE() ** 3) ** 8, [12, 18, 21, 24]),
        ((Every(4, Noted(), first=1) * ePIE() ** 3) ** 5, [6, 9, 15]),
        ((Every(1, Noted()) * ePIE() ** 3) ** 3, [3, 6, 9]),
        (((Every(4, Noted()) * AP()) ** 3 * ePIE() ** 3) ** 3, [4, 10, 12, 16]),
        ((Every(5, Noted()) * ePIE() ** 3) ** Until(tol=0, max_turns=4), [6, 12]),
    ],
    ids=repr,
)
def test_a_multiple_that_was_passed_over_counts(p, recipe, expected):
    assert marks(recipe * p) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (Every(5, Noted()) * ePIE(), [5, 10, 15, 20]),
        (Every(5, AP() * Noted()) * ePIE(), [5, 10, 15, 20]),
        (Every(2, Noted()) * Every(2, Noted(1), first=1) * ePIE(), list(range(2, 21, 2))),
        (
            Every(3, Noted()) * Orthogonalise() * Every(3, Noted()) * ePIE(),
            [k for k in range(3, 20, 3) for _ in range(2)],
        ),
        ((Every(4, Noted()) * Orthogonalise()) ** 3 * ePIE(), [k for k in range(4, 21, 4) for _ in range(3)]),
        (ePIE() * Every(6, Noted()), [6, 12, 18]),
    ],
    ids=repr,
)
def test_of_turns_of_one_iteration_it_is_the_iterations_themselves(p, body, expected):
    q = body**20 * p
    assert marks(q) == expected
    assert marks(q, of=1) == ([] if "Noted(of=1)" not in repr(body) else list(range(1, 21, 2)))


def test_view_steps_of_a_sweep(p):
    class Seen(opty.ViewOperator, reads="index"):
        def begin(self, s):
            s.record("seen", s.memo["number"])

        def apply(self, s, b):
            pass

    recipe = (AP() ** 3 * Sweep(Every(5, Seen()) * opty.ProbeUpdate() * opty.ObjUpdate())) ** 6
    assert (recipe * p).history["seen"].tolist() == [5, 13, 17, 21]  # the sweeps are iterations 1, 5, 9, 13, 17, 21


def test_steps_that_do_not_look_are_let_alone(p):
    """What comes between two loops does not make the second one forget when the step was looked at."""
    loop = (Every(5, Noted()) * ePIE()) ** 6
    assert marks(loop * AP() ** 6 * loop * p) == [5, 13, 15]
    assert marks(Every(5, Noted()) * p) == []
    assert marks(Every(5, Noted()) * (ePIE() ** 10 * p)) == [10]
    q = (Every(5, Noted()) * ePIE() ** 3) * p
    for _ in range(3):
        q = (Every(5, Noted()) * ePIE() ** 3) * q
    assert marks(q) == [6, 12]


# -- observers


@pytest.fixture
def printed(capsys):
    return lambda: [int(line.split()[1]) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda look: (look(5) * ePIE() ** 3) ** 6, [6, 12, 15]),
        (lambda look: (look(5) * ePIE() ** 7) ** 3, [7, 14, 21]),
        (lambda look: (ePIE() ** 3 * look(5)) ** 6, [0, 6, 12, 15]),
        (lambda look: ((look(5) * AP()) ** 2 * ePIE() ** 9) ** 3, [10, 21, 32]),
        (lambda look: (look(5) * rPIE()) ** 12 * AP() ** 3, [5, 10, 15]),
        (lambda look: look(5) * ePIE() ** 7, [7]),
        (lambda look: ePIE() * look(5) * ePIE() * look(5) * ePIE() ** 4, [5]),
        (lambda look: look(1) * ePIE() ** 7, [7]),
    ],
)
def test_outputs_look_back_to_where_the_turn_began(p, printed, make, expected, monkeypatch, tmp_path):
    make(lambda n: Log(every=n)) * p
    assert printed() == expected
    shown, saved = [], []

    def drawn(state):
        shown.append(state.iteration)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr("opty.plot.show_operator.overview", drawn)
    monkeypatch.setattr("opty.plot.show_operator.save_figure", lambda figure, path: None)
    make(lambda n: Show(every=n, path=str(tmp_path / "x.png"))) * p
    monkeypatch.setattr("opty.io.save_operator.checkpoint", lambda path, state, place: saved.append(state.iteration))
    make(lambda n: Save(str(tmp_path / "x.h5"), every=n)) * p
    assert shown == saved == expected


def test_what_is_recorded_follows_from_the_state_alone(p):
    q = (Misfit(every=5) * ePIE() ** 7) ** 3 * p
    assert q.history["state_iteration"].tolist() == [14, 21]
    assert (Misfit(every=5) * p).history["state_iteration"].tolist() == [0]
    assert ((ePIE() ** 4 * Misfit(every=5)) ** 4 * p).history["state_iteration"].tolist() == [0, 8, 12]


# -- laws


@law
@given(turns(), st.integers(1, 3), st.integers(1, 3))
def test_a_run_with_schedules_may_be_cut_anywhere(body, m, n):
    p = state(scan())
    whole = body ** (m + n) * p
    split = body**m * (body**n * p)
    assert same(split, whole)
    assert split._live.visits == whole._live.visits
    later = Every(3, Noted(1)) * ePIE() ** 2 * body
    assert same(later * split, later * whole)


@law
@given(turns(), turns(), st.lists(scheduled, max_size=2))
def test_one_factor_after_the_other_is_all_of_them(a, b, steps):
    p = state(scan())
    whole = opty.Identity()
    one_by_one = p
    for op in (b**2, *steps, a, *steps, a**2):
        whole, one_by_one = op * whole, op * one_by_one
    assert same(one_by_one, whole * p)
    assert same(one_by_one.recipe * p, one_by_one)


@law
@given(turns(), engines)
def test_every_turn_of_iter_can_be_repeated(body, first):
    p = first * state(scan())
    for k, q in enumerate((body**3).iter(p), 1):
        assert isinstance(body, Repeat) or same(q, body**k * p)
        assert same(q.recipe * state(scan()), q)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_remember_the_visits(p, copied):
    body = Every(5, Noted()) * ePIE() ** 3
    q = body**3 * p
    assert marks(body * copied(q)) == marks(body**4 * p) == [6, 12]


def test_files_remember_the_visits(p, tmp_path):
    body = Every(5, Noted()) * ePIE() ** 3
    kept = (body**3 * p).replace(obj=p.obj)  # begins in the middle of the schedule
    path = tmp_path / "a.h5"
    kept.save(path)
    assert marks(body * opty.load(path, device="cpu", threads=1)) == [6, 12]
    (body * kept).save(path)
    again = opty.rerun(path, threads=1)
    assert again.identical, str(again)
    assert marks(again.state) == [6, 12]


def test_an_output_in_a_schedule_does_not_change_when_it_runs_again(p, tmp_path):
    """``rerun`` leaves outputs out, of recipes that differ in nothing else too; a checkpoint may have moved."""
    one, two = (Every(3, Save(str(tmp_path / name)) * Noted()) for name in ("a.h5", "b.h5"))
    recipe = (one * ePIE() ** 2 * two * ePIE() ** 2) ** 4
    q = recipe * p
    assert marks(without_outputs(recipe) * p) == marks(q)
    assert key_of(one) == key_of(two) == key_of(without_outputs(one))
    assert key_of(Every(3, Save("a.h5"))) != key_of(Every(3, Log()))
    assert Save("here/a.h5", every=3).key == Save("there/a.h5", every=3).key != Save("a.h5", every=4).key


class StagedAgain(opty.Recipe):
    """A recipe that holds a loop, for the tests."""

    def expand(self):
        return Orthogonalise() * ePIE() ** 9


@pytest.mark.filterwarnings("ignore::opty.RecipeWarning")
@pytest.mark.parametrize(
    "recipe",
    [
        AP() * ePIE() * AP() * AP() * ePIE() * AP() * AP(),
        Orthogonalise() * opty.PosCorrectAdam() * rPIE() ** 9,
        (AP() ** 10 * Misfit() * ePIE() ** 2) ** 2,
        StagedAgain() * opty.PosCorrectAdam() * AP(),
        AP() * opty.After(1, ePIE() ** 8) * AP(),
        ePIE() ** Until(tol=0, max_turns=9),
    ],
    ids=repr,
)
def test_checkpoints_are_put_wherever_iterations_are_made(p, recipe, monkeypatch, tmp_path):
    """What ``opty reconstruct --save-every`` does: no more than so many iterations without a file."""
    saved = [0]
    monkeypatch.setattr("opty.io.save_operator.checkpoint", lambda path, state, place: saved.append(state.iteration))
    end = after_iterations(recipe, opty.Save(str(tmp_path / "a.h5"), 3)) * p
    assert same(end, recipe * p)
    assert saved == list(range(0, end.iteration + 1, 3))
