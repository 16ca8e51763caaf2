"""Sweeps that repeat are captured and replayed: the numbers are those of launches one by one, and of NumPy."""

import itertools
import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from small_scans import close, same, scan, state

import opty
from opty import DM, LSQML, Every, Misfit, Operator, Sweep, ePIE, rPIE
from opty.arrays import CaptureError
from opty.operators import LSQUpdate
from opty.runtime import graph_replay as replay
from opty.runtime.graph_replay import Replay
from opty.state.views import ViewBatches

DM_BY_TWO = opty.parse(
    "MergeProbe() * Sweep(AccumProbe() * LoadKeptWaves(), batch=2, order='scan') * MergeObj()"
    " * Sweep(AccumObj() * RelaxedStep() * FourierProject() * Reflect(), batch=2, order='random')"
)
AP_BY_TWO = opty.parse("MergeProbe() * MergeObj() * Sweep(AccumProbe() * AccumObj() * FourierProject(), batch=2)")
ML_BY_TWO = opty.parse(
    "TakeStep() * Sweep(LineSearch(), batch=2, order='random') * ConjugateDirection()"
    " * Sweep(LikelihoodGradient(), batch=2, order='random')"
)
LSQ_BY_TWO = [Sweep(LSQUpdate(update=update), batch=2) for update in ("both", "obj", "probe")]
RECIPES = [ePIE(), rPIE(), rPIE(batch=2), *LSQ_BY_TWO, LSQML(batch=2), AP_BY_TWO, DM_BY_TWO, ML_BY_TWO]


@pytest.fixture
def p(request, monkeypatch):
    """A state of 11 views at whole pixels, of which 8 make a piece; deterministic on a device, where atomics leave the
    last bits to chance.
    """
    monkeypatch.setattr(replay, "PIECE", 8)
    return begun(16, 11, request)


def begun(n, views, request):
    """Return the state of a scan of so many views of n x n pixels."""
    data = scan(views=views, n=n, modes=2, mask=3, background=True, fractional=False)
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


# Positions off the pixels in turn: what a batch holds more there is replayed alike in every recipe.
@pytest.mark.parametrize(
    ("recipe", "fractional"),
    [*zip(RECIPES, [False, True] * 5, strict=True)],
    ids=str,
)
def test_a_replay_gives_the_bits_of_plain_launches(graphs, monkeypatch, p, recipe, fractional):
    p = p.replace(positions=p.positions + np.random.default_rng(8).random((11, 2)) - 0.5) if fractional else p
    q, turns = p.to("gpu"), 8 if isinstance(recipe, LSQML) else 4
    plain = one_by_one(recipe**turns, q, monkeypatch)
    assert not graphs
    replayed = recipe**turns * q
    assert same(replayed, plain)
    if recipe is not ML_BY_TWO:  # whose search amplifies rounding
        assert close(replayed, recipe**turns * p, 1e-4)
    launches = [graph.launches for graph in graphs]
    if not isinstance(recipe, LSQML):  # whose batches of 2 views and of 1 come in another order each time
        sweeps = 2 if recipe in (DM_BY_TWO, ML_BY_TWO) else 1
        assert sum(launches) in (3 * 3 * sweeps, 3 * 3 * sweeps - 3)  # DM's first sweep is another one
        assert len(graphs) == 3 * sweeps
    else:
        assert 3 < len(graphs) < sum(launches)  # in one order there would be three


@pytest.mark.parametrize("recipe", [rPIE(), opty.Anderson(2) * rPIE(), LSQ_BY_TWO[0], DM_BY_TWO, ML_BY_TWO], ids=repr)
def test_so_does_one_with_transforms_of_our_own(graphs, monkeypatch, request, recipe):
    q = begun(32, 8, request).to("gpu")
    plain = one_by_one(recipe**4, q, monkeypatch)
    assert not graphs
    assert same(recipe**4 * q, plain)
    assert graphs


def test_the_second_piece_of_a_kind_is_captured_in_the_first_sweep(graphs, monkeypatch, p):
    monkeypatch.setattr(replay, "PIECE", 2)
    q = p.to("gpu")
    assert same(rPIE() * q, one_by_one(rPIE(), q, monkeypatch))
    assert [graph.launches for graph in graphs] == [4]  # 11 views: five pieces of 2, and one view that is left
    rPIE() ** 3 * q
    assert [graph.launches for graph in graphs] == [4, 14, 2]
    if hasattr(graphs[1], "nodes"):  # CuPy does not tell
        assert len(graphs[1].nodes) == 2 * len(graphs[2].nodes)


def test_pieces_are_made_of_batches_of_one_size():
    sizes = [31] * 5 + [32] + [31] * 70
    pieces = list(replay._pieces(sizes))
    assert [look for look, _, _ in pieces] == [(4, 31), (1, 31), (1, 32), (32, 31), (32, 31), (4, 31), (2, 31)]
    assert [size for _, some, _ in pieces for size in sizes[some]] == sizes
    assert [views.stop - views.start for _, _, views in pieces] == [sum(sizes[some]) for _, some, _ in pieces]
    assert all(one.stop == next_.start for (*_, one), (*_, next_) in itertools.pairwise(pieces))


class Renews(Operator, reads="obj", writes="obj"):
    """Puts the object into another array, for the tests."""

    def apply(self, s):
        s.obj = s.obj * 1


def test_what_has_moved_is_captured_anew(graphs, monkeypatch, p):
    q, recipe = p.to("gpu"), (Every(4, Renews()) * rPIE()) ** 8
    assert same(recipe * q, one_by_one(recipe, q, monkeypatch))
    assert sum(graph.launches for graph in graphs) in (18, 21)  # the object may come back to where it was
    graphs.clear()
    assert same((Renews() * rPIE()) ** 4 * q, one_by_one((Renews() * rPIE()) ** 4, q, monkeypatch))


def events(p, places):
    """Return what becomes of sweeps over four views, with everything at each of the places, (address, generation)."""
    found = []

    def captured(work):
        work()
        found[-4:] = ["captured"]
        return SimpleNamespace(launch=lambda: found.append("launched"))

    backend = SimpleNamespace(CAPTURES=True, captured=captured)
    store = SimpleNamespace(backend=backend, leaves={}, measured=SimpleNamespace(intensity=None, mask=None))
    fused = SimpleNamespace(generation=0)
    sweeps = Replay(store, fused)
    for address, fused.generation in places:
        store.leaves["obj"] = SimpleNamespace(data=SimpleNamespace(ptr=address), shape=(3, 3))
        store.leaves["other"] = SimpleNamespace(data=SimpleNamespace(ptr=id(found) + len(found)), shape=(3, 3))
        tour = ViewBatches(p._live, list(np.arange(4)[:, None]), True)
        sweeps.sweep("kind", frozenset({"obj", "probe"}), tour, lambda batch: found.append("plain"), None)
        found.append("|")
    return "".join({"plain": "p", "captured": "c", "launched": "l", "|": " "}[event] for event in found).split()


def test_graphs_are_kept_for_a_few_places(p):
    def of(places):
        return events(p, [(int(place), 0) for place in places])

    plain, new, old = "pppp", "cl", "l"
    assert of("1111") == [plain, new, old, old]
    assert of("12121212") == [plain, plain, new, new, old, old, old, old]
    assert of("123412341234") == [plain] * 4 + [new] * 4 + [old] * 4
    assert of("1234512345") == [plain] * 10  # one place more than are kept
    assert of("11234511") == [plain, new, *[plain] * 5, new]  # forgotten when the fifth came
    assert events(p, [(1, 0), (1, 0), (1, 1), (1, 1), (1, 1)]) == [plain, new, plain, new, old]


def test_engines_take_turns(graphs, monkeypatch, p):
    q, recipe = p.to("gpu"), (ePIE(batch=2) * rPIE() * Misfit()) ** 4
    assert same(recipe * q, one_by_one(recipe, q, monkeypatch))
    assert len(graphs) == 6  # of 4, 1 and 1 batches, of 8, 2 and 1
    assert {graph.launches for graph in graphs} <= {2, 3}


def test_a_step_with_a_schedule_makes_another_sweep(graphs, monkeypatch, p):
    q, recipe = p.to("gpu"), opty.Sweep(opty.After(4, opty.ProbeUpdate()) * opty.ObjUpdate(), batch=1) ** 8
    assert same(recipe * q, one_by_one(recipe, q, monkeypatch))
    assert [graph.launches for graph in graphs] == [3] * 3  # a step with a schedule is not fused: it comes in the fifth
    assert close(recipe * q, recipe * p, 1e-4)


HINDRANCES = {
    "batches are few": rPIE(batch=4),
    "a step that is not fused sees them": opty.PosCorrectAnneal() * rPIE(),
    "not fused": Sweep(opty.operators.ObjMomentum(interval=4) * LSQUpdate(), batch=2),
    "probe's brightness differs from view to view": opty.parse(
        "Sweep(RelaxedStep() * FourierProject() * Reflect(), batch=1)"
    ),
    "frames come batch by batch": rPIE(),
    "does what the next sweep will not": DM_BY_TWO,
}


@pytest.mark.parametrize("why", HINDRANCES)
def test_where_nothing_is_captured_the_log_says_why(gpu, monkeypatch, caplog, p, why):
    if "frames" in why:
        monkeypatch.setattr(gpu, "holds", lambda count: False)
    q = p.to("gpu")
    if "brightness" in why:
        q = q.replace(intensity_factors=np.ones(11))
    with caplog.at_level(logging.DEBUG, "opty.runtime.graph_replay"):
        HINDRANCES[why] * q
    assert any(why in text for text in caplog.messages)
    assert not any("captured" in text for text in caplog.messages)


def test_the_near_field_is_launched_batch_by_batch(gpu, caplog):
    from test_gpu_recipes import start

    with caplog.at_level(logging.DEBUG, "opty.runtime.graph_replay"):
        rPIE() ** 3 * start("near", 1).to("gpu")
    assert any("near field" in text for text in caplog.messages)


def test_a_driver_that_refuses_is_told_of_and_obeyed(gpu, monkeypatch, caplog, p):
    q, asked = p.to("gpu"), []

    def refused(work):
        asked.append(work)
        raise CaptureError("operation not permitted when stream is capturing")

    plain = one_by_one(rPIE() ** 5, q, monkeypatch)
    monkeypatch.setattr(gpu, "captured", refused)
    with caplog.at_level(logging.WARNING, "opty.runtime.graph_replay"):
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
    from opty.fusion.sweeps import Update

    q, apply, calls = p.to("gpu"), Update.apply, []

    def failing(self, s, b):
        calls.append(b)
        if len(calls) == 14:
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
    assert len(graphs) == 6


@pytest.mark.parametrize("whole", [True, False])
def test_part_of_a_tour_is_filled_again_where_it_stands(request, whole):
    store, rng, some = begun(16, 41, request)._live, np.random.default_rng(3), slice(4, 9)
    first, second = (ViewBatches(store, np.array_split(rng.permutation(41), 20), whole) for _ in range(2))
    seen = [batch.size for batch in first]
    views = slice(sum(seen[:4]), sum(seen[:9]))
    part = first.part(some, views)
    places = [part.index, *part.places]
    for tour in (first, second):
        if tour is second:
            part.follow(second, some, views)
        assert [id(a) for a in places] == [id(a) for a in (part.index, *part.places)]
        assert len(list(part)) == 5
        for a, b in zip(part, list(tour)[some], strict=True):
            assert np.array_equal(a.number, b.number)
            assert np.array_equal(a.leaves["index"], b.leaves["index"])
            assert np.array_equal(a.corners, b.corners)
            assert not np.shares_memory(a.corners, b.corners)
            assert (a.fraction is None) == (b.fraction is None) == whole
            assert whole or np.array_equal(a.fraction, b.fraction)


def test_nothing_is_captured_on_the_cpu(caplog, p):
    with caplog.at_level(logging.DEBUG, "opty.runtime.graph_replay"):
        rPIE() ** 3 * p
    assert caplog.messages == ["batches are launched one by one: the CPU launches nothing"]


def test_kept_waves_that_are_made_anew_are_not_replayed_over(graphs, monkeypatch, p):
    # rPIE drops the kept waves: the difference map begins with new ones, maybe where the old ones were.
    q, recipe = p.to("gpu"), (rPIE() * DM_BY_TWO**3) ** 2 * DM()
    assert same(recipe * q, one_by_one(recipe, q, monkeypatch))
    assert close(recipe * q, recipe * p, 1e-4)
