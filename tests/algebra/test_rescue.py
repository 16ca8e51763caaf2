"""No state is lost: whatever ends a run carries the last whole state, whether the start was donated or not."""

import signal
import warnings

import numpy as np
import pytest
from small_scans import everything, same, scan, state
from test_watch import Worsens

import opty
from opty import AP, DM, Every, Operator, Orthogonalise, PosCorrectAdam, Save, ViewOperator, ePIE, rPIE
from opty.kernels import numpy_backend
from opty.runtime.divergence import DivergenceMonitor


class Refuses(RuntimeError):
    """An exception that takes no attributes but those which Python itself sets."""

    def __setattr__(self, name, value):
        if name not in ("__traceback__", "__context__", "__cause__"):
            raise TypeError(f"no {name} here")
        super().__setattr__(name, value)


class Goes(RuntimeError):
    """An exception with an attribute of that name, which cannot be set."""

    state = property(lambda self: "broken")


KINDS = {kind.__name__: kind for kind in (RuntimeError, ValueError, OSError, MemoryError, Refuses, Goes)}
ARMED = [True]


class FailsWhole(Operator, writes="obj"):
    """Raises after an iteration, when the object is spoiled already, for the tests."""

    at: int
    kind: str = "RuntimeError"

    def apply(self, s):
        if s.iteration == self.at and ARMED[0]:
            s.obj[:] = 7
            raise KINDS[self.kind]("it broke")


class FailsInside(ViewOperator, reads="delta index", writes="obj"):
    """Raises in the middle of a sweep, for the tests."""

    at: int

    def apply(self, s, b):
        if s.iteration == self.at and b.index[0] == 5 and ARMED[0]:
            s.obj[:] = 7
            raise RuntimeError("it broke")


class PressTwice(Operator):
    """Raises SIGINT twice after an iteration, for the tests."""

    at: int

    def apply(self, s):
        if s.iteration == self.at and ARMED[0]:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)


def ways(recipe, start):
    """Run a recipe that fails in every way in which a user may; yield the exceptions."""
    for run in (
        lambda p: recipe * p,
        lambda p: recipe * p.donate(),
        lambda p: list(recipe.iter(p)),
        lambda p: list(recipe.iter(p.donate())),
    ):
        ARMED[0], p = True, opty.Identity() * start
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - of any kind
            run(p.replace(seed=p.seed))
        yield caught.value


@pytest.mark.parametrize(
    ("recipe", "done"),
    [
        ((FailsWhole(3) * rPIE()) ** 5, rPIE() ** 2),
        ((FailsWhole(1) * rPIE()) ** 5, opty.Identity()),
        ((rPIE() * FailsWhole(0)) ** 5 * Orthogonalise(), Orthogonalise()),
        ((PosCorrectAdam() * FailsInside(3) * ePIE()) ** 5, (PosCorrectAdam() * ePIE()) ** 3),
        (AP() * FailsWhole(4) * AP() ** 2 * DM() ** 2, AP() ** 2 * DM() ** 2),
        (AP() * FailsWhole(3) * AP() * AP() * AP(), AP() * AP() * AP()),
        ((Every(2, (FailsWhole(4) * AP()) ** 3) * ePIE()) ** 5, AP() * ePIE() ** 2),
        ((PressTwice(3) * rPIE()) ** 5, rPIE() ** 2),
        *(((FailsWhole(3, kind) * rPIE()) ** 5, rPIE() ** 2) for kind in ("ValueError", "OSError", "MemoryError")),
    ],
    ids=repr,
)
def test_what_ends_a_run_carries_the_last_whole_state(p, recipe, done):
    expected = everything(done * p)
    expected.pop("kept_waves", None)
    for error in ways(recipe, p):
        assert same(everything(error.state), expected)
        assert same(error.state.recipe * p, error.state)
        note = f"the last whole state, iteration {error.state.iteration}, is the exception's .state"
        assert error.__notes__.count(note) == 1
        ARMED[0] = False
        again = error.unfinished.go_on(error.state)
        if "DM" not in repr(recipe):  # what DM keeps is not in that state
            assert same(again, recipe * p)
        assert again.recipe == recipe


@pytest.mark.parametrize("kind", ["Refuses", "Goes"])
def test_an_exception_that_takes_no_state_is_what_it_was(p, kind):
    for error in ways((FailsWhole(3, kind) * rPIE()) ** 5, p):
        assert type(error) is KINDS[kind]
        assert str(error) == "it broke"
        assert not any(".state" in note for note in getattr(error, "__notes__", ()))


def test_a_donated_state_comes_back_from_a_recipe_that_is_refused(p):
    q = ePIE() * p
    expected = everything(q)
    for refused in (opty.operators.MergeObj(), Save("nowhere/x.h5") * rPIE()):
        q = ePIE() * p
        with pytest.raises((opty.EffectError, FileNotFoundError)) as caught:
            refused * q.donate()
        back = caught.value.state
        assert "the state that was donated, iteration 1, is the exception's .state" in caught.value.__notes__
        assert same(back, expected)
        assert same(ePIE() * back, ePIE() * (ePIE() * p))
        assert same(back, expected)  # it is a state like others: not donated once more
    with pytest.raises(opty.EffectError) as caught:
        opty.operators.MergeObj() * p
    assert not hasattr(caught.value, "state")  # nothing ran, and nothing was given away
    with pytest.raises(opty.ConsumedError):
        ePIE() * q


def test_no_memory_for_the_copies_that_a_run_begins_with(p, monkeypatch):
    def no_memory(self, *args):
        raise MemoryError

    q = ePIE() * p
    with monkeypatch.context() as m:
        m.setattr(DivergenceMonitor, "__init__", no_memory)
        with pytest.raises(MemoryError) as caught:
            ePIE() * q.donate()
    assert same(ePIE() * caught.value.state, ePIE() * (ePIE() * p))


class MakesASlot(Operator, slots=opty.Leaf("more", "4")):
    """Makes a slot in an iteration, for the tests."""

    def apply(self, s):
        if s.iteration == 3 and not s.has("more"):
            s.create("more")


def test_no_memory_for_the_copy_at_the_end_of_a_turn(p, monkeypatch):
    """The state kept before is written over only when there is memory for all that is to be kept."""
    from opty.runtime import divergence as watch

    like = watch._like

    def no_memory(a, old):
        if old is None:
            raise MemoryError
        return like(a, old)

    monkeypatch.setattr(watch, "_like", no_memory)
    with pytest.raises(MemoryError) as caught:
        (MakesASlot() * rPIE()) ** 5 * p.donate()
    monkeypatch.undo()
    assert same(caught.value.state, rPIE() ** 2 * state(scan()))


@pytest.mark.parametrize("presses", [2, 3])
def test_ctrl_c_while_the_last_state_is_copied(p, monkeypatch, presses):
    copied = []

    def copy_into(old, new):
        copied.append(new)
        if len(copied) == 3:  # the first leaf of the second turn
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)
        old[...] = new

    monkeypatch.setattr(numpy_backend, "copy_into", copy_into)
    with pytest.raises(KeyboardInterrupt) as caught:
        rPIE() ** 5 * p
    assert same(caught.value.state, rPIE() ** caught.value.state.iteration * p)
    assert caught.value.state.iteration == 2


def test_the_state_of_the_run_that_the_user_made(p):
    """An operator may run a recipe of its own, and fail there."""

    class InnerFailing(Operator, writes="obj"):
        def apply(self, s):
            if s.iteration == 2:
                (FailsWhole(1) * AP()) ** 3 * p

    with pytest.raises(RuntimeError) as caught:
        (InnerFailing() * rPIE()) ** 4 * (opty.Identity() * p).donate()
    assert same(caught.value.state, rPIE() * p)


def test_on_a_gpu_it_is_the_same(standin_gpu):
    p = state(scan(), device="gpu")
    for error in ways((FailsWhole(3) * AP()) ** 5, p):
        assert error.state.device == "gpu"
        assert same(error.state, AP() ** 2 * p)


def test_a_warning_that_is_an_error_carries_the_state_too(p):
    with warnings.catch_warnings():
        warnings.simplefilter("error", opty.MisfitWarning)
        with pytest.raises(opty.MisfitWarning) as caught:
            (Worsens() * AP()) ** 25 * p
    assert caught.value.state.iteration > 3
    assert same(caught.value.state.recipe * p, caught.value.state)
    assert np.isfinite(caught.value.state.obj).all()
