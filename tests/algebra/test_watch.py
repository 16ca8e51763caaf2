"""Ctrl-C, divergence and a rising misfit."""

import signal
import subprocess
import sys
import threading
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from small_scans import close, everything, same, scan, state

import opty
from opty import (
    AP,
    DM,
    DivergedError,
    Every,
    InterruptedWarning,
    MisfitWarning,
    ObjUpdate,
    Operator,
    Orthogonalise,
    PosCorrectAdam,
    Sweep,
    ViewOperator,
    ePIE,
    rPIE,
)
from opty.runtime.interrupt import ctrl_c_returns


class PressCtrlC(Operator):
    """Raises SIGINT after an iteration, for the tests."""

    at: int
    times: int = 1

    def apply(self, s):
        if s.iteration == self.at:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


class PressInside(ViewOperator, reads="delta index"):
    """Raises SIGINT in the middle of a sweep, for the tests."""

    at: int

    def apply(self, s, b):
        if s.iteration == self.at and b.index[0] == 3:
            signal.raise_signal(signal.SIGINT)


def interrupted(recipe, p):
    before = signal.getsignal(signal.SIGINT)
    with ctrl_c_returns(), pytest.warns(InterruptedWarning) as caught:
        q = recipe * p
    assert signal.getsignal(signal.SIGINT) is before
    assert len(caught) == 1
    assert f"after iteration {q.iteration}" in str(caught[0].message)
    assert caught[0].filename == __file__
    return q


def test_ctrl_c_ends_the_turn_and_returns_the_state(p):
    q = interrupted((PosCorrectAdam() * PressInside(2) * rPIE()) ** 9, p)
    assert q.iteration == 3
    assert q.recipe == (PosCorrectAdam() * PressInside(2) * rPIE()) ** 3
    assert same(q, (PosCorrectAdam() * rPIE()) ** 3 * p)


@pytest.mark.parametrize(
    ("recipe", "iteration", "done"),
    [
        (AP() * (PressCtrlC(2) * ePIE()) ** 5, 2, (PressCtrlC(2) * ePIE()) ** 2),
        ((PressCtrlC(2) * ePIE()) ** 5 * AP(), 2, (PressCtrlC(2) * ePIE()) * AP()),
        (((PressCtrlC(4) * ePIE()) ** 3 * AP()) ** 3, 4, None),
        ((PressCtrlC(5) * DM() * PressInside(2) * rPIE()) ** 3, 4, None),
        (AP() * AP() * Orthogonalise() * PressCtrlC(1) * AP(), 1, PressCtrlC(1) * AP()),
        (AP() * Every(1, Orthogonalise() * (PressCtrlC(3) * ePIE()) ** 5) * AP(), 3, None),
        ((PressCtrlC(3) * ePIE()) ** 3, 3, (PressCtrlC(3) * ePIE()) ** 3),
        ((ObjUpdate() * PressInside(1)) ** 3 * ePIE(), 2, None),
        ((PressCtrlC(2) * ePIE()) ** opty.Until(tol=0, max_turns=6), 2, (PressCtrlC(2) * ePIE()) ** 2),
    ],
    ids=repr,
)
def test_the_books_tell_what_was_done(p, recipe, iteration, done):
    q = interrupted(recipe, p)
    assert q.iteration == iteration
    assert done is None or q.recipe == done
    with ctrl_c_returns(), warnings.catch_warnings():
        warnings.simplefilter("ignore", InterruptedWarning)
        # Done again, Ctrl-C comes in the last turn: the same state.
        assert same(q.recipe * p, q)


class LateCtrlC(ViewOperator, reads="index"):
    """Raises SIGINT when the last sweep of a run is over, for the tests."""

    def apply(self, s, b):
        pass

    def finish(self, s):
        if s.iteration == 4:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("recipe", "iteration"),
    [
        ((PressCtrlC(3) * ePIE()) ** 9, 3),
        (AP() * ((PressCtrlC(3) * DM()) ** 5 * AP()) ** 4, 3),
        (AP() * AP() * PressCtrlC(1) * AP(), 1),
        ((LateCtrlC() * ePIE()) ** 5, 5),
        (Sweep(LateCtrlC() * opty.ProbeUpdate()) * ePIE() ** 4, 5),
        (Orthogonalise() * PressCtrlC(3) * ePIE() ** 3, 3),
    ],
    ids=repr,
)
def test_in_a_script_ctrl_c_is_an_interrupt_with_the_state(p, recipe, iteration):
    before, reached = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt, match=f"after iteration {iteration}, .*the exception's .state") as caught:
        recipe * p
    with pytest.raises(KeyboardInterrupt, match=f"after iteration {iteration},") as again:
        reached.extend(recipe.iter(p))
    assert type(caught.value) is KeyboardInterrupt  # for which alone Python ends the process as Ctrl-C does
    assert signal.getsignal(signal.SIGINT) is before
    assert again.value.state.recipe not in [q.recipe for q in reached]  # it is handed over once
    for error in (caught.value, again.value):
        assert error.state.iteration == iteration
        with ctrl_c_returns(), warnings.catch_warnings():
            warnings.simplefilter("ignore", InterruptedWarning)
            assert same(error.state.recipe * p, error.state)
            assert error.unfinished.asked == recipe


def test_a_loop_over_recipes_stops_at_once(p):
    done = []
    recipes = (ePIE() ** 3, (PressCtrlC(2) * rPIE()) ** 5, rPIE() ** 2)
    with pytest.raises(KeyboardInterrupt) as caught:
        done.extend(recipe * p for recipe in recipes)
    assert [q.iteration for q in done] == [3]
    assert same(caught.value.unfinished.go_on(caught.value.state), rPIE() ** 5 * p)


@pytest.mark.parametrize("prompt", ["python", "ipython"])
def test_at_a_prompt_ctrl_c_returns_the_state(p, monkeypatch, prompt):
    if prompt == "python":
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    else:
        module = types.ModuleType("IPython")
        module.get_ipython = lambda: types.SimpleNamespace(has_trait=lambda name: False)
        monkeypatch.setitem(sys.modules, "IPython", module)
    with pytest.warns(InterruptedWarning):
        assert ((PressCtrlC(3) * ePIE()) ** 9 * p).iteration == 3
    with pytest.warns(InterruptedWarning):
        assert [q.iteration for q in ((PressCtrlC(3) * ePIE()) ** 9).iter(p)] == [1, 2, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InterruptedWarning) as caught:
            (PressCtrlC(3) * ePIE()) ** 9 * p
    assert same(caught.value.state, ePIE() ** 3 * p)


SCRIPT = """
import signal, sys
sys.path[:0] = {paths!r}
from small_scans import scan, state
import opty

class Press(opty.Operator):
    def apply(self, s):
        if s.iteration == 2:
            signal.raise_signal(signal.SIGINT)

for k in range(3):
    q = (Press() * opty.rPIE()) ** 5 * state(scan())
    print("reached", q.iteration)
print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
@pytest.mark.parametrize("at_a_prompt", [False, True])
def test_a_script_ends_as_ctrl_c_ends_it(tmp_path, at_a_prompt):
    path = tmp_path / "script.py"
    root = Path(opty.__file__).parents[1]
    path.write_text(SCRIPT.format(paths=[str(root), str(root / "tests")]))
    command = [sys.executable, *(["-i"] if at_a_prompt else []), "-W", "ignore", str(path)]
    ended = subprocess.run(
        command,
        input="",
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(2, signal.default_int_handler),
    )
    if at_a_prompt:
        assert (ended.returncode, ended.stdout.split()) == (0, ["reached", "2"] * 3 + ["done"])
    else:
        assert (ended.returncode, ended.stdout) == (-signal.SIGINT, "")
        assert "KeyboardInterrupt: the run ended after iteration 2, its turn done: the state is" in ended.stderr


@pytest.mark.parametrize("nested", [False, True])
def test_ctrl_c_in_iter(p, nested):
    recipe = ((PressCtrlC(3) * ePIE()) ** 5 * AP()) ** 4 if nested else (PressCtrlC(3) * ePIE()) ** 9
    before = signal.getsignal(signal.SIGINT)
    handlers = []
    with ctrl_c_returns(), pytest.warns(InterruptedWarning, match="after iteration 3"):
        states = [q for q in recipe.iter(p) if not handlers.append(signal.getsignal(signal.SIGINT))]
    assert all(handler is before for handler in handlers)
    assert [q.iteration for q in states] == ([3] if nested else [1, 2, 3])
    with ctrl_c_returns(), warnings.catch_warnings():
        warnings.simplefilter("ignore", InterruptedWarning)
        assert same(states[-1].recipe * p, states[-1])


def test_a_second_ctrl_c_is_an_interrupt(p):
    before = signal.getsignal(signal.SIGINT)
    copy = everything(p)
    with pytest.raises(KeyboardInterrupt):
        (PressCtrlC(2, times=2) * ePIE()) ** 5 * p
    with pytest.raises(KeyboardInterrupt):
        list(((PressCtrlC(2, times=2) * ePIE()) ** 5).iter(p))
    assert signal.getsignal(signal.SIGINT) is before
    assert same(everything(p), copy)


class Breaks(Operator):
    def apply(self, s):
        raise RuntimeError("broken")


def test_the_handler_is_restored_after_an_error(p):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError, match="broken"):
        (Breaks() * ePIE()) ** 3 * p
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_ctrl_c_stays_ignored(p):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert ((PressCtrlC(1) * ePIE()) ** 3 * p).iteration == 3
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_run_too(p):
    results = []
    thread = threading.Thread(target=lambda: results.append(ePIE() ** 2 * p))
    thread.start()
    thread.join()
    assert same(results[0], ePIE() ** 2 * p)


# -- divergence


class Poison(Operator, writes="obj probe positions"):
    """Puts a value that is not finite into a leaf after an iteration, for the tests."""

    at: int
    leaf: str = "obj"

    def apply(self, s):
        if s.iteration == self.at:
            getattr(s, self.leaf).flat[7] = np.nan


@pytest.mark.parametrize("leaf", ["obj", "probe", "positions"])
@pytest.mark.parametrize("engine", [ePIE(), rPIE(batch=4), AP(), DM(), PosCorrectAdam() * rPIE()], ids=repr)
def test_the_last_finite_state_is_handed_over(p, engine, leaf):
    recipe = (Poison(3, leaf) * engine) ** 6
    with pytest.raises(DivergedError, match=rf"{leaf} is no longer finite in iteration 3") as caught:
        recipe * p
    last = caught.value.state
    assert last.iteration == 2
    expected = everything(engine**2 * p)
    expected.pop("kept_waves", None)
    assert same(everything(last), expected)
    assert last.recipe == (Poison(3, leaf) * engine) ** 2
    assert "(iteration 2) is in the exception's .state" in str(caught.value)
    assert (rPIE() * last).iteration == 3


class PoisonInside(ViewOperator, reads="delta index", writes="delta"):
    """Spoils one wave of an iteration, for the tests."""

    at: int

    def apply(self, s, b):
        if s.iteration == self.at and 3 in b.index:
            b.delta[0, 0, 2, 2] = np.inf


def test_a_value_that_spoils_the_misfit_is_found(p):
    recipe = Sweep(opty.ProbeUpdate() * ObjUpdate() * PoisonInside(2) * opty.FourierProject()) ** 6
    with pytest.raises(
        DivergedError, match=r"in iteration 3: the reconstruction diverged.*a smaller step of the pr"
    ) as e:
        recipe * p
    # With a step between them the two updates are not fused, and round differently.
    assert close(e.value.state, (Sweep(opty.ProbeUpdate() * ObjUpdate())) ** 2 * p, 1e-5)
    assert "alpha" in str(e.value)


def test_divergence_in_iter_keeps_what_was_yielded(p):
    states = []
    with pytest.raises(DivergedError) as caught:
        states.extend(((Poison(3) * ePIE()) ** 6).iter(p))
    assert [q.iteration for q in states] == [1, 2]
    assert same(states[-1], caught.value.state)


def test_divergence_without_a_loop(p):
    with pytest.raises(DivergedError) as caught:
        ePIE() * Poison(1) * ePIE() * p
    assert same(caught.value.state, ePIE() * p) or caught.value.state.iteration in (0, 1)
    with pytest.raises(DivergedError) as caught:
        Poison(0) * p
    assert same(caught.value.state, p)


class Wavers(Operator, writes="obj"):
    """Lets the misfit creep up by less than a thousandth a turn, for the tests."""

    def apply(self, s):
        s.obj *= 1 + 2e-6 * s.iteration


def test_a_misfit_that_wavers_is_not_told():
    p = state(scan(), wrong=0).replace(obj=1.2 * scan().truth["obj"])
    creep = (Wavers() * Sweep(ObjUpdate(step=1e-9))) ** 12 * p
    assert (np.diff(creep.history["misfit"]) > 0).all()


class Worsens(Operator, writes="obj"):
    """Adds more and more noise to the object, for the tests."""

    advice = "a quieter hand"

    def apply(self, s):
        noise = np.random.default_rng(s.iteration).normal(size=s.obj.shape)
        s.obj += s.xp.asarray(0.02 * s.iteration * noise)


def test_a_rising_misfit_is_told_once(p):
    with pytest.warns(
        MisfitWarning, match=r"rose in 5 turns in a row, from .* at iteration \d+; try .*a quieter hand"
    ) as w:
        (Worsens() * AP()) ** 25 * p
    assert len(w) == 1


def test_steps_that_are_too_long_are_told_with_their_knob(p):
    recipe = Sweep(opty.ProbeUpdate(step=9) * ObjUpdate(step=9)) ** 60
    with pytest.raises((MisfitWarning, DivergedError), match=r"smaller step, of the object update"):
        recipe * p


def test_a_misfit_that_falls_is_not_told(p):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rPIE() ** 20 * p
        DM() ** 20 * p
