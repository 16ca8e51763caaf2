"""Sweeps that repeat are captured and replayed: the numbers are those of launches one by one, and of NumPy."""

import logging
import sys

import numpy as np
import pytest
from small_scans import close, same, scan, state

import opty
from opty import DM, Every, Misfit, Operator, ePIE, rPIE
from opty.backend import replay
from opty.backend.replay import CaptureError
from opty.state.batch import Tour

DM_BY_TWO = opty.parse(
    "MergeProbe() * Sweep(AccumProbe() * Recall(), batch=2, order='scan') * MergeObj()"
    " * Sweep(AccumObj() * Difference() * FourierProject() * Reflect(), batch=2, order='random')"
)
AP_BY_TWO = opty.parse("MergeProbe() * MergeObj() * Sweep(AccumProbe() * AccumObj() * FourierProject(), batch=2)")


LSQ_BY_TWO = opty.Sweep(opty.LSQUpdate(), batch=2)


@pytest.fixture
def p(request):
    """A state of 41 views at whole pixels; deterministic on a device, where atomics leave the last bits to chance."""
    data = scan(views=41, modes=2, mask=3, background=True, fractional=False)
    return state(data, wrong=0.1, deterministic=request.node.get_closest_marker("gpu") is not None)


class Counted:
    """A graph of CuPy's own, its launches counted as the stand-in counts them."""

    def __init__(self, graph):
        self.graph, self.launches = graph, 0

    def launch(self):
        self.launches += 1
        self.graph.launch()


@pytest.fixture
def graphs(gpu, monkeypatch):
    """The graphs that are captured while a test runs."""
    found, captured = [], gpu.captured

    def counted(work):
        graph = captured(work)
        found.append(graph if hasattr(graph, "launches") else Counted(graph))
        return found[-1]

    monkeypatch.setattr(gpu, "captured", counted)
    return found


def one_by_one(recipe, p, monkeypatch):
    """Return ``recipe * p`` without captures."""
    with monkeypatch.context() as patch:
        patch.setattr(replay, "FEW", 1000)
        return recipe * p


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("recipe", [ePIE(), rPIE(), rPIE(batch=2), AP_BY_TWO, DM_BY_TWO, LSQ_BY_TWO], ids=repr)
def test_a_replay_gives_the_bits_of_plain_launches(graphs, monkeypatch, p, recipe, fractional):
    p = p.replace(positions=p.positions + np.random.default_rng(8).random((41, 2)) - 0.5) if fractional else p
    q = p.to("gpu")
    plain = one_by_one(recipe**5, q, monkeypatch)
    assert not graphs
    replayed = recipe**5 * q
    assert same(replayed, plain)
    assert close(replayed, recipe**5 * p, 1e-4)
    if recipe not in (AP_BY_TWO, DM_BY_TWO):  # their sums are new arrays in each sweep, and may lie elsewhere
        assert [graph.launches for graph in graphs] == [4]


def test_the_first_sweep_is_plain_the_second_is_captured(graphs, p):
    q = p.to("gpu")
    rPIE() * q
    assert not graphs
    rPIE() ** 2 * q
    assert [graph.launches for graph in graphs] == [1]
    rPIE() ** 4 * q
    assert [graph.launches for graph in graphs] == [1, 3]


def test_long_sweeps_make_several_graphs(graphs, monkeypatch, p):
    monkeypatch.setattr(replay, "PIECE", 10)
    q = p.to("gpu")
    assert same(rPIE() ** 4 * q, one_by_one(rPIE() ** 4, q, monkeypatch))
    assert [graph.launches for graph in graphs] == [3, 3, 3, 3, 3]
    if hasattr(graphs[0], "nodes"):  # CuPy does not tell
        assert len(graphs[-1].nodes) * 10 == len(graphs[0].nodes)


class Renews(Operator, reads="obj", writes="obj"):
    """Puts the object into another array, for the tests."""

    def apply(self, s):
        s.obj = s.obj * 1


def test_what_has_moved_is_captured_anew(graphs, monkeypatch, p):
    q, recipe = p.to("gpu"), (Every(4, Renews()) * rPIE()) ** 12
    assert same(recipe * q, one_by_one(recipe, q, monkeypatch))
    assert len(graphs) == 3
    graphs.clear()
    assert same((Renews() * rPIE()) ** 4 * q, one_by_one((Renews() * rPIE()) ** 4, q, monkeypatch))
    assert not graphs


def test_engines_take_turns(graphs, monkeypatch, p):
    q, recipe = p.to("gpu"), (ePIE(batch=2) * rPIE() * Misfit()) ** 5
    assert same(recipe * q, one_by_one(recipe, q, monkeypatch))
    assert len(graphs) == 2
    assert {graph.launches for graph in graphs} <= {3, 4}


def test_a_step_with_a_schedule_makes_another_sweep(graphs, monkeypatch, p):
    q, recipe = p.to("gpu"), opty.Sweep(opty.After(4, opty.ProbeUpdate()) * opty.ObjUpdate(), batch=1) ** 8
    assert same(recipe * q, one_by_one(recipe, q, monkeypatch))
    assert [graph.launches for graph in graphs] == [3]  # a step with a schedule is not fused, and comes in the fifth
    assert close(recipe * q, recipe * p, 1e-4)


HINDRANCES = {
    "batches are few": rPIE(batch=3),
    "a step that is not fused sees them": opty.PosCorrectAdam() * rPIE(),
    "a probe of its own brightness": opty.parse("Sweep(Difference() * FourierProject() * Reflect(), batch=1)"),
    "frames come batch by batch": rPIE(),
    "a step makes arrays": DM_BY_TWO,
    "or does what the next sweep will not": opty.Sweep(opty.LSQUpdate(update="obj"), batch=2),
}


@pytest.mark.parametrize("why", HINDRANCES)
def test_where_nothing_is_captured_the_log_says_why(gpu, monkeypatch, caplog, p, why):
    if "frames" in why:
        monkeypatch.setattr(gpu, "holds", lambda count: False)
    q = p.to("gpu")
    if "of its own" in why:
        q = q.replace(intensity_factors=np.ones(41))
    with caplog.at_level(logging.DEBUG, "opty.backend.replay"):
        HINDRANCES[why] * q
    assert any(why in text for text in caplog.messages)
    assert not any("captured" in text for text in caplog.messages)


def test_the_near_field_is_launched_batch_by_batch(gpu, caplog):
    from test_gpu_recipes import start

    with caplog.at_level(logging.DEBUG, "opty.backend.replay"):
        rPIE() ** 3 * start("near", 1).to("gpu")
    assert any("near field" in text for text in caplog.messages)


def test_a_driver_that_refuses_is_told_of_and_obeyed(gpu, monkeypatch, caplog, p):
    q, asked = p.to("gpu"), []

    def refused(work):
        asked.append(work)
        raise CaptureError("operation not permitted when stream is capturing")

    plain = one_by_one(rPIE() ** 5, q, monkeypatch)
    monkeypatch.setattr(gpu, "captured", refused)
    with caplog.at_level(logging.WARNING, "opty.backend.replay"):
        assert same(rPIE() ** 5 * q, plain)
    assert len(asked) == 1
    (record,) = caplog.records
    assert "not permitted" in record.getMessage()


def test_errors_of_the_driver_that_are_no_refusal_are_raised(standin_gpu, monkeypatch, p):
    cuda = sys.modules["cupy"].cuda

    for status, expected in ((900, CaptureError), (700, cuda.runtime.CUDARuntimeError)):

        def work(status=status):
            error = cuda.runtime.CUDARuntimeError("driver")
            error.status = status
            raise error

        with pytest.raises(expected, match="driver"):
            standin_gpu.captured(work)
        assert not cuda.get_current_stream().is_capturing()


def test_an_error_in_a_step_comes_through_a_capture(graphs, monkeypatch, p):
    from opty.operators.fused_steps import Update

    q, apply, calls = p.to("gpu"), Update.apply, []

    def failing(self, s, b):
        calls.append(b)
        if len(calls) == 50:
            raise ValueError("in the middle")
        apply(self, s, b)

    monkeypatch.setattr(Update, "apply", failing)
    with pytest.raises(ValueError, match="in the middle") as told:
        rPIE() ** 3 * q
    assert "views" in "".join(told.value.__notes__)
    assert not sys.modules["cupy"].cuda.get_current_stream().is_capturing()


def test_a_graph_outlives_no_buffer_that_it_uses(graphs, p):
    # A larger batch takes the place of the waves that the graphs of smaller ones work in.
    q, recipe = p.to("gpu"), rPIE(batch="all") * rPIE() ** 3
    both = (recipe**2) * q
    assert close(both, recipe**2 * p, 1e-4)
    assert len(graphs) == 2


@pytest.mark.parametrize("still", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_tour_is_filled_again_where_it_stands(p, still, whole):
    store = p._live
    rng = np.random.default_rng(3)
    first, second = (np.array_split(rng.permutation(41), 20) for _ in range(2))
    tour, fresh = Tour(store, first, whole, still), Tour(store, second, whole, still)
    places = [tour.index, *(tour.places or ())]
    tour.refill(second)
    assert [id(a) for a in places] == [id(a) for a in (tour.index, *(tour.places or ()))]
    for a, b in zip(tour, fresh, strict=True):
        assert np.array_equal(a.number, b.number)
        assert np.array_equal(a.leaves["index"], b.leaves["index"])
        assert np.array_equal(a.corners, b.corners)
        assert (a.fraction is None) == (b.fraction is None) == whole


def test_nothing_is_captured_on_the_cpu(caplog, p):
    with caplog.at_level(logging.DEBUG, "opty.backend.replay"):
        rPIE() ** 3 * p
    assert caplog.messages == ["batches are launched one by one: the CPU launches nothing"]


def test_kept_waves_that_are_made_anew_are_not_replayed_over(graphs, monkeypatch, p):
    # rPIE drops the kept waves: the difference map begins with new ones, maybe where the old ones were.
    q, recipe = p.to("gpu"), (rPIE() * DM_BY_TWO**3) ** 2 * DM()
    assert same(recipe * q, one_by_one(recipe, q, monkeypatch))
    assert close(recipe * q, recipe * p, 1e-4)
