"""Exceptions cross to another process: with their message, estimates and place, and without the frames."""

import copy
import inspect
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import opty
from opty import errors
from opty.errors import DivergedError, SaveError, SourceError
from opty.runtime.checkpoint import PendingRun

NOISE = np.random.default_rng(3).integers(0, 60_000, (40, 32, 32)).astype("uint16")


class BlowUp(opty.Operator, writes="obj"):
    """Make the object infinite in an iteration."""

    at: int = 2

    def apply(self, s):
        if s.iteration == self.at:
            s.obj[...] = np.inf


def start():
    where = np.random.default_rng(4).uniform(0, 20, (40, 2))
    return opty.PtychoState(opty.PtychoData(NOISE, where), device="cpu", threads=1)


def diverge(at):
    return ((BlowUp(at) * opty.AP()) ** 5 * start()).iteration


def fail(kind):
    """Raise an error of the given kind that carries a state and a place."""
    p = opty.AP() ** 2 * start()
    place = PendingRun(opty.AP() ** 9, opty.Identity(), ())
    if kind == "an ordinary one":
        error = ValueError("wrong", 7)
        errors.carry(error, p, place)
    elif kind == "of the system":
        error = OSError(28, "No space left", "x.h5")
        errors.carry(error, p, place)
    else:
        error = getattr(errors, kind)("it went wrong", p)
        error.unfinished = place
    error.add_note("in rPIE(), iteration 2")
    raise error


KINDS = ("DivergedError", "SaveError", "SourceError", "an ordinary one", "of the system")


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as made:
        yield made


def test_a_diverged_run_does_not_break_the_pool(pool):
    ends = [pool.submit(diverge, at) for at in (3, 99, 2)]
    assert ends[1].result() == 5
    for end, at in ((ends[0], 3), (ends[2], 2)):
        with pytest.raises(DivergedError, match=rf"iteration {at}.* diverged; the last .*\.state") as caught:
            end.result()
        q = caught.value.state
        here = opty.AP() ** (at - 1) * start()
        assert q.iteration == at - 1
        for name in ("obj", "probe", "positions"):
            assert np.array_equal(q.numpy(name), here.numpy(name))
        assert np.array_equal(q.history["misfit"], here.history["misfit"])
        assert "stayed in the process" in q.data.absent
        with pytest.raises(SourceError, match=r"p\.save\('x\.h5'\).*opty\.load\('x\.h5', data=\.\.\.\)"):
            opty.AP() * q


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_home_whole(pool, kind, tmp_path):
    with pytest.raises((errors._Carrying, ValueError, OSError)) as caught:
        pool.submit(fail, kind).result()
    error, here = caught.value, opty.AP() ** 2 * start()
    with pytest.raises(type(error)) as local:
        fail(kind)
    assert (error.args, str(error)) == (local.value.args, str(local.value))
    assert error.unfinished == PendingRun(opty.AP() ** 9, opty.Identity(), ())
    assert error.__notes__[0] == "in rPIE(), iteration 2"
    assert np.array_equal(error.state.obj, here.obj)
    error.state.save(tmp_path / "x.h5")
    back = opty.load(tmp_path / "x.h5", data=here.data, device="cpu", threads=1)
    assert np.array_equal((opty.AP() * back).obj, (opty.AP() * here).obj)


@pytest.mark.parametrize("kind", KINDS)
def test_the_frames_do_not_come_along(kind):
    with pytest.raises((errors._Carrying, ValueError, OSError)) as caught:
        fail(kind)
    text = pickle.dumps(caught.value)
    assert NOISE.tobytes() not in text
    assert len(text) < NOISE.nbytes
    assert pickle.loads(pickle.dumps(pickle.loads(text))).state.data.absent
    assert len(pickle.dumps(start())) > NOISE.nbytes  # a state by itself is whole


def test_what_an_exception_carries_is_whole_in_this_process():
    with pytest.raises(ValueError, match="wrong") as caught:
        fail("an ordinary one")
    carried = caught.value.state
    for p in (carried, copy.copy(carried), copy.deepcopy(carried), carried.replace(seed=2), carried.to("cpu")):
        assert p.data.absent is None
        assert pickle.loads(pickle.dumps(opty.AP() * p)).data.absent is None


def test_every_exception_and_warning_of_opty_survives():
    """Those that are made of a message alone too, and those whose state is not known."""
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BaseException)]
    found = [kind for kind in found if kind.__module__ == "opty.errors" and not kind.__name__.startswith("_")]
    assert {DivergedError, SaveError, SourceError, errors.InterruptedWarning} < set(found)
    for kind in found:
        again = pickle.loads(pickle.dumps(kind("the message")))
        assert (type(again), str(again)) == (kind, "the message")
        assert getattr(again, "state", None) is None
    warning = errors.InterruptedWarning("stopped", PendingRun(opty.AP() ** 9, opty.DM(), ()))
    assert pickle.loads(pickle.dumps(warning)).unfinished == warning.unfinished


def test_a_link_to_the_measurement_comes_along(tmp_path):
    """So that the state saved at home finds its frames again; a changed measurement has no link."""
    opty.save(tmp_path / "scan.h5", start().data)
    for stream in (False, True):
        data = opty.load(tmp_path / "scan.h5", stream=stream)
        p = opty.PtychoState(data, device="cpu", threads=1)
        pickle.loads(pickle.dumps(DivergedError("x", p))).state.save(tmp_path / "r.h5")
        assert opty.load(tmp_path / "r.h5", device="cpu").data.absent is None
    halved = data.replace(intensities=np.asarray(data.intensities) // 2)
    q = opty.PtychoState(halved, device="cpu", threads=1)
    pickle.loads(pickle.dumps(DivergedError("x", q))).state.save(tmp_path / "q.h5")
    assert "stayed in the process" in opty.load(tmp_path / "q.h5", device="cpu").data.absent


def test_frames_that_are_lost_do_not_keep_the_error_from_crossing(tmp_path):
    opty.save(tmp_path / "scan.h5", start().data)
    p = opty.PtychoState(opty.load(tmp_path / "scan.h5", stream=True), device="cpu", threads=1)
    (tmp_path / "scan.h5").unlink()
    with pytest.raises(SourceError) as caught:
        opty.AP() * p
    again = pickle.loads(pickle.dumps(caught.value))
    assert np.array_equal(again.state.obj, p.obj)
    assert "scan.h5" in str(again)
