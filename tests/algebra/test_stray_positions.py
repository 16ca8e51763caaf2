"""Positions that leave the frame or become no numbers, whatever the cause: a diverged run, on CPU and GPU."""

import numpy as np
import pytest
from small_scans import everything, same, scan, state

import opty
from opty import (
    AP,
    DM,
    LSQML,
    ML,
    DivergedError,
    Operator,
    PosCorrect,
    PosCorrectAnneal,
    PosLimit,
    PosModel,
    Sweep,
    ViewOperator,
    rPIE,
)

AWAY = [1e6, -40.0, 1e300, np.inf, np.nan]
OF_BATCHES = Sweep(opty.parse("ProbeUpdate() * ObjUpdate() * FourierProject()"), batch=5, order="compact")


class Jumps(Operator, reads="positions", writes="positions"):
    """Moves view 5 after an iteration, for the tests."""

    at: int = 2
    power: str = "1e6"

    def apply(self, s):
        if s.iteration == self.at:
            s.positions[5, 1] += float(self.power)


class JumpsInside(ViewOperator, reads="delta index positions", writes="positions"):
    """Moves view 5 in the middle of a sweep, for the tests."""

    at: int = 2
    power: str = "1e6"

    def apply(self, s, b):
        if s.iteration + 1 == self.at and s.positions[5, 1] < 1e3 and 3 in b.index:
            s.positions[5, 1] += float(self.power)


class ComesBack(ViewOperator, reads="delta index positions", writes="positions"):
    """Brings all views back into the frame in the middle of a sweep, for the tests."""

    def apply(self, s, b):
        s.positions[...] = s.xp.clip(s.xp.nan_to_num(s.positions), 0, 10)


@pytest.fixture(params=["numba", "numpy", "unfused", "gpu"])
def p(request, monkeypatch):
    """A state of 12 views, worked on by loops (compiled or not), step by step, or on the stand-in."""
    if request.param == "numpy":
        monkeypatch.setattr("opty.kernels.compiled.numba_available", lambda: False)
    if request.param == "unfused":
        with opty.unfused():
            yield state(scan())
        return
    p = state(scan(), deterministic=True)
    if request.param == "gpu":
        request.getfixturevalue("standin_gpu")
        p = p.to("gpu")
    yield p


def diverged(recipe, p, told, iteration=1):
    """Run a recipe that must diverge, look at what it says, and return the last good state."""
    with pytest.raises(DivergedError, match=told) as caught:
        recipe * p
    last = caught.value.state
    assert last.iteration == iteration
    assert (rPIE() * last).iteration == iteration + 1
    return last


def words(away):
    return r"view 5, \(" if np.isfinite(away) else r"^positions is no longer finite (in|after) iteration \d: the recon"


@pytest.mark.covering(2)
@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("engine", [rPIE(), AP(), DM(), ML(), LSQML(batch=5), OF_BATCHES], ids=repr)
def test_a_position_that_has_left_the_frame_ends_the_run(p, engine, away):
    last = diverged((engine * Jumps(1, repr(away)) * engine) ** 3, p, words(away), iteration=0)
    assert same(last, p)
    last = diverged((Jumps(2, repr(away)) * engine) ** 6, p, words(away))
    expected = everything(engine * p)
    expected.pop("kept_waves", None)
    assert same(everything(last), expected)


def test_the_message_says_which_view_is_where(p):
    told = r"^the position of view 5, \(.*, 1e\+06\) px, left the frame of the object, in which corners of windows lie "
    diverged((Jumps() * rPIE()) ** 6, p, told + r"from \(0, 0\) to \(21, 23\) px, in iteration 2: the reconstruction")


@pytest.mark.covering(2)
@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("order", ["random", "scan", "uniform", "compact"])
def test_so_does_one_that_leaves_it_within_a_sweep(p, away, order):
    body = JumpsInside(2, repr(away)) * opty.ProbeUpdate() * opty.ObjUpdate()
    last = diverged(Sweep(body, 5, order) ** 4, p, words(away))
    assert np.isfinite(last.numpy("obj")).all()


@pytest.mark.covering(2)
@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize(
    "recipe",
    [
        PosLimit(2.0) * Jumps(2, "{}") * rPIE(),
        PosModel() * Jumps(2, "{}") * rPIE(),
        Sweep(ComesBack() * JumpsInside(2, "{}") * opty.ObjUpdate()),
        PosCorrect(search_every=1) * JumpsInside(2, "{}") * rPIE(),
        PosCorrectAnneal() * Jumps(2, "{}") * rPIE(),
        PosCorrect(search_every=1) * Jumps(2, "{}") * AP(),
    ],
    ids=repr,
)
def test_so_does_one_that_is_brought_back(p, recipe, away):
    recipe = opty.parse(repr(recipe).replace("{}", repr(away)))
    diverged(recipe**4, p, words(away))


@pytest.mark.parametrize("away", AWAY)
def test_runs_that_count_no_iterations_are_looked_at_as_well(p, away):
    told = words(away)
    diverged(Jumps(0, repr(away)), p, told, 0)
    diverged(PosLimit(2.0) * Jumps(0, repr(away)), p, told, 0)
    diverged(Sweep(JumpsInside(1, repr(away))), p, told, 0)
    with pytest.raises(DivergedError, match=told):
        list(((PosLimit(2.0) * Jumps(0, repr(away))) ** 2).iter(p))


class Refuses(Operator, reads="positions"):
    """Fails where a position is not what it should be, for the tests."""

    def apply(self, s):
        if not (s.backend.to_host(s.positions) < 1e3).all():
            raise RuntimeError("no such place")


def test_what_fails_for_it_says_so(p):
    with pytest.raises(DivergedError, match=r"view 5, \(.*in iteration 2") as caught:
        (Refuses() * Jumps(2) * rPIE()) ** 4 * p
    assert "no such place" in str(caught.value.__cause__)
    assert caught.value.state.iteration == 1


def test_no_checkpoint_is_written_of_it(p, tmp_path):
    path = tmp_path / "out.h5"
    diverged((opty.Save(str(path)) * Jumps() * rPIE()) ** 4, p, "view 5")
    assert opty.load(path).iteration == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6, -3.0])
def test_no_state_is_made_with_such_positions(p, value):
    positions = p.numpy("positions")
    positions[5, 0] = value
    with pytest.raises(ValueError, match=r"positions\[5\]|the object must be at least"):
        p.replace(positions=positions)
    _, (_, data, leaves, books) = p.__reduce__()
    books = {name: books[name] for name in ("origin", "seed", "iteration", "history", "recipe")}
    with pytest.raises(ValueError, match=r"positions\[5\]|the object must be at least"):
        opty.PtychoState.restore(data, leaves | {"positions": positions}, **books)
    with pytest.raises(ValueError, match=r"positions\[5\]|the object must be at least"):
        opty.PtychoState(data.replace(positions=positions), obj=p.numpy("obj"))
