"""The watch over a run on a GPU, by the stand-in: it looks one iteration later, and the host waits for nothing."""

import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scale_case import power_against_dark
from small_scans import close, everything, same, scan, state
from test_watch import Poison, PoisonInside, PressCtrlC, Worsens

import opty
from opty import (
    AP,
    DM,
    LSQML,
    ML,
    DivergedError,
    Every,
    InterruptedWarning,
    MisfitWarning,
    Operator,
    PosCorrectAdam,
    Sweep,
    Until,
    rPIE,
)
from opty.runtime.divergence import DivergenceMonitor
from opty.runtime.interrupt import ctrl_c_returns
from opty.runtime.memory_estimate import footprint
from opty.runtime.program import program_of
from opty.state.light import rough_light

sys.path.append(str(Path(__file__).resolve().parents[1] / "kernels"))
from standin_plugin import standin_gpu

__all__ = ["standin_gpu"]

BY_BATCH = opty.parse("Sweep(ProbeUpdate() * ObjUpdate() * FourierProject(), batch='all', order='scan')")


@pytest.fixture
def p(standin_gpu):
    """A state of 12 views on the stand-in, that adds up in one order."""
    return state(scan(), deterministic=True).to("gpu")


@pytest.fixture
def waits(p):
    """What the host waited for, with the launches that were in the queue behind it."""
    found = sys.modules["cupy._waits"].WAITS
    found.clear()
    return found


# -- waiting


@pytest.mark.covering
@pytest.mark.parametrize("recipe", [AP(), DM(), rPIE(), rPIE(batch=4), LSQML(batch=4), ML(), BY_BATCH], ids=repr)
@pytest.mark.parametrize("whole", [False, True])
def test_no_sweep_waits_for_the_device(p, waits, recipe, whole):
    p = p.replace(positions=np.rint(p.numpy("positions"))) if whole else p
    waits.clear()
    recipe**4 * p
    few = list(waits)
    waits.clear()
    recipe**9 * p
    # Two in each iteration, for numbers of the one before: the next one lies in the queue. Only the end waits for all.
    # A live sweep keeps the power of the probe from iteration 8 on: see runtime/probe_power.py.
    letters = [behind for what, behind in waits if what == "for an event"]
    assert len(waits) - len(few) == len(letters) - [what for what, _ in few].count("for an event") == 2 * 5
    assert min(letters[:-3]) > 2
    assert letters[-1] == 0


class Grows(Operator, reads="obj probe", writes="obj probe"):
    """Lets the probe grow as noise does, for the tests."""

    scale_free = True

    def apply(self, s):
        s.probe *= s.real_dtype.type(1.05)
        s.obj /= s.xp.where(rough_light(s.store) > 0, s.real_dtype.type(1.05), s.real_dtype.type(1))


def test_a_probe_that_grows_is_brought_back_as_on_the_cpu(p, waits):
    waits.clear()
    q = (Grows() * rPIE()) ** 44 * p
    assert min(behind for what, behind in waits[:-3] if what == "for an event") > 0
    held = q.numpy("held_power")[0]
    assert 0.8 < power_against_dark(q.to("cpu")) / held < 1.05**18
    on_cpu = (Grows() * rPIE()) ** 44 * p.to("cpu")
    assert close(q, on_cpu, 1e-2)  # pixels in the dark
    assert opty.misfit(q) == pytest.approx(opty.misfit(on_cpu), rel=1e-2)


class Reads(Operator):
    """Reads the misfit at an iteration, for the tests."""

    at: int

    def apply(self, s):
        if s.iteration == self.at:
            s.record("read", s.history["misfit"][-1])


def test_who_reads_the_history_waits_and_gets_the_number(p, waits):
    rPIE() ** 6 * p
    few = len(waits)
    waits.clear()
    q = (Reads(4) * rPIE()) ** 6 * p
    assert len(waits) <= few + 1
    assert q.history["read"] == q.history["misfit"][3]
    assert close(q, (Reads(4) * rPIE()) ** 6 * p.to("cpu"), 1e-4)


def test_numbers_that_nobody_reads_do_not_keep_their_room(p):
    llk = (ML() ** 9 * p)._live.history["llk"]
    assert sum(type(number) is not float for number in llk._numbers) <= 2
    assert list(llk) == pytest.approx(list((ML() ** 9 * p.to("cpu")).history["llk"]), rel=1e-4)


def test_positions_are_fetched_when_a_step_has_written_them(p, waits):
    recipe = Sweep(BY_BATCH.body, batch=4, order="uniform")
    recipe**6 * p
    assert [what for what, _ in waits].count("a copy to the host") == 1
    waits.clear()
    q = (Every(3, PosCorrectAdam()) * recipe) ** 7 * p
    assert close(q, (Every(3, PosCorrectAdam()) * recipe) ** 7 * p.to("cpu"), 1e-4)


class Rounds(Operator, reads="positions", writes="positions"):
    """Puts positions on whole pixels after an iteration, for the tests."""

    at: int

    def apply(self, s):
        if s.iteration == self.at:
            s.positions = s.xp.rint(s.positions)


@pytest.mark.parametrize("order", ["scan", "compact"])
def test_what_is_known_of_positions_is_asked_anew(p, order):
    recipe = (Rounds(2) * Sweep(BY_BATCH.body, batch=4, order=order)) ** 4
    assert close(recipe * p, recipe * p.to("cpu"), 1e-4)


# -- divergence


@pytest.mark.covering
@pytest.mark.parametrize("leaf", ["obj", "probe", "positions"])
@pytest.mark.parametrize("engine", [rPIE(batch=4), AP(), DM(), PosCorrectAdam() * rPIE()], ids=repr)
def test_the_last_finite_state_is_handed_over(p, engine, leaf):
    recipe = (Poison(3, leaf) * engine) ** 6
    with pytest.raises(
        DivergedError, match=rf"^{leaf} is no longer finite in iteration 3: .*\(iteration 2\)"
    ) as caught:
        recipe * p
    last = caught.value.state
    expected = everything(engine**2 * p)
    expected.pop("kept_waves", None)
    assert same(everything(last), expected)
    assert last.recipe == (Poison(3, leaf) * engine) ** 2
    assert (rPIE() * last).iteration == 3


@pytest.mark.parametrize("at", [1, 2, 6])
def test_it_is_found_in_the_first_iteration_and_in_the_last(p, at):
    with pytest.raises(DivergedError, match=rf"iteration {at}: .*\(iteration {at - 1}\)") as caught:
        (Poison(at) * rPIE()) ** 6 * p
    assert same(caught.value.state, rPIE() ** (at - 1) * p)


def test_a_value_that_spoils_the_misfit_is_found(p):
    recipe = Sweep(opty.ProbeUpdate() * opty.ObjUpdate() * PoisonInside(2) * opty.FourierProject()) ** 6
    with pytest.raises(DivergedError, match=r"in iteration 3: the reconstruction diverged") as caught:
        recipe * p
    assert caught.value.state.iteration == 2
    with pytest.raises(DivergedError) as on_cpu:
        recipe * p.to("cpu")
    assert str(caught.value) == str(on_cpu.value)
    assert close(caught.value.state, on_cpu.value.state, 1e-4)


class Needs(Operator, reads="obj"):
    """Refuses an object that is not finite, for the tests."""

    def apply(self, s):
        if not np.isfinite(s.backend.to_host(s.obj)).all():
            raise RuntimeError("no such object")


def test_what_fails_after_a_divergence_fails_for_that_reason(p):
    with pytest.raises(DivergedError, match="obj is no longer finite in iteration 3") as caught:
        (Poison(3) * rPIE() * Needs()) ** 6 * p
    assert "no such object" in str(caught.value.__cause__)
    assert same(caught.value.state, rPIE() ** 2 * p)


def test_divergence_in_iter_keeps_what_was_yielded(p):
    states = []
    with pytest.raises(DivergedError) as caught:
        states.extend(((Poison(3) * rPIE()) ** 6).iter(p))
    assert [q.iteration for q in states] == [1, 2]
    assert same(states[-1], caught.value.state)


def test_divergence_without_a_loop(p):
    for recipe in (Poison(0), Poison(2) * AP() * AP(), rPIE() * Poison(1) * rPIE()):
        with pytest.raises(DivergedError) as caught:
            recipe * p
        with pytest.raises(DivergedError) as on_cpu:
            recipe * p.to("cpu")
        assert str(caught.value) == str(on_cpu.value)
        assert caught.value.state.recipe == on_cpu.value.state.recipe
        assert caught.value.state.iteration == on_cpu.value.state.iteration


def test_no_checkpoint_is_written_of_what_diverged(p, tmp_path):
    path = tmp_path / "out.h5"
    with pytest.raises(DivergedError, match="in iteration 3"):
        (opty.Save(str(path)) * Sweep(opty.ObjUpdate() * PoisonInside(2) * opty.FourierProject())) ** 9 * p
    assert opty.load(path).iteration == 2


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_state_that_was_handed_over_is_not_written_into(p, device):
    store = p.to(device)._live.fork({"obj", "probe"})
    watch = DivergenceMonitor(store, program_of(AP(), store), store.recipe, ())
    for number in (1, 2, 3, 4):
        store.leaves["obj"] += 1
        store.iteration = number
        watch.turn_over(lambda: ())
        watch.settle()
        if number == 2:
            last, _ = watch.last()
            before = everything(last)
    assert last.iteration == 2
    assert same(last, before)


# -- the rest of a run's life


def test_a_rule_ends_the_loop_at_the_same_turn(p):
    q, on_cpu = (rPIE() ** Until(tol=0.05, max_turns=30) * start for start in (p, p.to("cpu")))
    assert q.iteration == on_cpu.iteration < 30
    assert q.recipe == on_cpu.recipe


def test_ctrl_c_ends_the_turn_and_the_run_goes_on_from_there(p):
    before = signal.getsignal(signal.SIGINT)
    with ctrl_c_returns(), pytest.warns(InterruptedWarning) as caught:
        q = (PressCtrlC(3) * rPIE()) ** 6 * p
    assert signal.getsignal(signal.SIGINT) is before
    assert q.iteration == 3
    assert q.recipe == (PressCtrlC(3) * rPIE()) ** 3
    assert same(q, rPIE() ** 3 * p)
    assert same(caught[0].message.unfinished.go_on(q), rPIE() ** 6 * p)


def test_iter_yields_states_of_their_own(p):
    states = list((rPIE() ** 4).iter(p))
    for turns, q in enumerate(states, 1):
        assert same(q, rPIE() ** turns * p)


def test_a_rising_misfit_is_told_once_and_in_its_place(p):
    told = []
    for start in (p, p.to("cpu")):
        with pytest.warns(MisfitWarning) as caught:
            (Worsens() * AP()) ** 25 * start
        told.append([str(warning.message) for warning in caught])
    assert len(told[0]) == 1
    assert told[0] == told[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rPIE() ** 20 * p


def test_explain_counts_the_state_that_was_not_looked_at_yet(p):
    here, there = (footprint(q._live, program_of(AP(), q._live)) for q in (p.to("cpu"), p))
    assert there.state - here.state == p.obj.nbytes + p.probe.nbytes
