"""Lift, join, open, schedule: what a recipe becomes, in explain() and in numbers."""

import pytest
from small_scans import everything, same, scan, state

import opty
from opty import (
    AP,
    DM,
    After,
    Every,
    FourierProject,
    Misfit,
    ObjUpdate,
    Orthogonalise,
    PosCorrectAdam,
    ProbeUpdate,
    RecipeError,
    Sweep,
    ViewOperator,
    ePIE,
    rPIE,
)
from opty.operators import ExitWave
from opty.runtime.nodes import LoopNode, StepNode, SweepNode, walk
from opty.runtime.plan import plan


def passes(recipe):
    return [node for node in walk(plan(recipe)) if isinstance(node, SweepNode)]


def names(node):
    """Return the names of the steps of a pass, those of fused ones by their parts."""
    return [type(part).__name__ for s in node.steps for part in getattr(s.op, "parts", (s.op,))]


def test_bare_view_steps_are_one_sweep(p):
    lifted = ProbeUpdate() * ObjUpdate() * FourierProject()
    (only,) = passes(lifted)
    assert names(only) == ["ExitWave", "DeltaProject", "ObjUpdate", "ProbeUpdate"]
    with opty.unfused():
        assert names(passes(lifted)[0]) == ["ExitWave", "FourierProject", "ObjUpdate", "ProbeUpdate"]
    assert same(lifted * p, Sweep(lifted) * p)
    assert (lifted * p).iteration == 1
    assert "lifted over all views, 1 view at a time, in random order (one iteration; fused: Project, Update)" in str(
        lifted.explain(p)
    )


def test_a_step_left_of_a_sweep_joins_it(p):
    joined = PosCorrectAdam() * rPIE()
    (only,) = passes(joined)
    assert names(only)[-3:] == ["PosCorrectAdam", "ObjUpdate", "ProbeUpdate"]  # it looks at windows as they were before
    by_hand = Sweep(PosCorrectAdam() * rPIE().expand().body, batch=1)
    assert same(joined**3 * p, by_hand**3 * p)
    assert not same(joined**3 * p, (Sweep(PosCorrectAdam()) * rPIE()) ** 3 * p)
    assert str(joined.explain(p)).count("over all views") == 1
    assert (joined**3 * p).recipe == joined**3


def test_several_steps_join_and_a_state_step_parts_them():
    assert len(passes(Every(3, PosCorrectAdam()) * ProbeUpdate() * rPIE())) == 1
    assert len(passes(PosCorrectAdam() * Orthogonalise() * rPIE())) == 2
    assert len(passes(rPIE() * PosCorrectAdam())) == 2
    assert len(passes(PosCorrectAdam() * AP())) == 2


@pytest.mark.filterwarnings("ignore::opty.RecipeWarning")
def test_nothing_joins_across_a_loop(p):
    recipe = PosCorrectAdam() * rPIE() ** 2
    assert [names(node)[-1] for node in passes(recipe)] == ["ProbeUpdate", "PosCorrectAdam"]
    assert same(recipe * p, Sweep(PosCorrectAdam()) * (rPIE() ** 2 * p))
    assert len(passes(PosCorrectAdam() ** 2 * rPIE())) == 2
    assert len(passes((PosCorrectAdam() * rPIE()) ** 2)) == 1


def test_a_sweep_opens_what_it_reads():
    assert names(passes(Sweep(ObjUpdate()))[0]) == ["ExitWave", "DeltaProject", "ObjUpdate"]
    assert names(passes(Sweep(opty.operators.AccumObj()))[0]) == ["ExitWave", "AccumObj"]
    assert names(passes(Sweep(ObjUpdate() * FourierProject() * ExitWave()))[0]) == [
        "ExitWave",
        "DeltaProject",
        "ObjUpdate",
    ]
    assert "[opened by the sweep]" in str(Sweep(ObjUpdate()).explain())
    assert [len(names(node)) for node in passes(DM())] == [4, 2]


class AfterAll(ViewOperator, reads="waves delta", slots=opty.Leaf("twice", "1")):
    """Reads both results of the projection, for the tests."""

    def apply(self, s, b):
        s.create("twice")
        s.twice[0] += float(abs(b.waves).sum() + abs(b.delta).sum())


def test_fusion_leaves_what_is_read(p):
    assert names(passes(Sweep(AfterAll() * FourierProject()))[0])[1] == "FourierProject"
    assert names(passes(AP())[0])[1] == "WaveProject"
    q = Sweep(AfterAll()) * p
    assert q.slots["twice"][0] > 0


def test_explain_tells_batches_memory_and_what_is_written(p):
    text = str(((Every(5, Orthogonalise()) * rPIE(batch=5)) ** 7 * DM() ** 2).explain(p))
    assert text.startswith("plan of (Every(5, Orthogonalise()) * rPIE(batch=5)) ** 7 * DM() ** 2")
    assert text.index("repeat 2 times") < text.index("Reflect()") < text.index("repeat 7 times")
    assert "sweep over all views, 5 views at a time, in random order (one iteration" in text
    assert "12 views at a time, in scan order (not counted as an iteration; fused: Accumulate)" in text
    kept = "kept_obj_velocity kept_probe_velocity kept_waves"
    assert f"Orthogonalise(): reads probe; writes {kept} probe; every 5 iterations" in text
    assert "kept_waves, obj, obj_sum, obj_weight, probe, probe_sum, probe_weight; everything else is shared" in text
    assert "kept waves 24 KiB" in text
    assert "all views at a time" in str(rPIE(batch="all").explain())
    assert "if after iteration 3" in str(After(3, ePIE() ** 2).explain())
    assert "repeat Until(tol=0.1, max_turns=9)\n" in str((ePIE() ** opty.Until(0.1, 9)).explain())
    assert repr(rPIE().explain()) == str(rPIE().explain())


def test_plans_are_cached_and_fusing_is_part_of_the_key():
    assert plan(rPIE(alpha=0.3)) is plan(rPIE(alpha=0.3))
    fused = plan(rPIE())
    with opty.unfused():
        assert plan(rPIE()) != fused
    assert plan(rPIE()) is fused


# -- what does not go together


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Sweep(Orthogonalise() * ObjUpdate()),
            r"Orthogonalise\(\) works on the whole state.*left of the Sweep",
        ),
        (lambda: Sweep(Every(2, Misfit()) * ObjUpdate()), r"Misfit\(\) works on the whole state"),
        (lambda: Sweep(ObjUpdate() ** 3), r"ObjUpdate\(\) \*\* 3 stands inside a Sweep"),
        (lambda: Sweep(rPIE()), r"rPIE\(\) stands inside a Sweep"),
        (lambda: Sweep(Sweep(ObjUpdate())), r"Sweep\(ObjUpdate\(\)\) stands inside a Sweep"),
        (
            lambda: Orthogonalise() ** opty.Until(),
            "waits for a misfit, but nothing in its loop updates object or probe",
        ),
        (lambda: Sweep(PosCorrectAdam()) ** opty.Until(), "waits for a misfit"),
        (lambda: ePIE() * Misfit() ** opty.Until(), "waits for a misfit"),
        (lambda: Sweep(ObjUpdate() * Every(2, FourierProject())), r"FourierProject\(\) writes 'delta' for other steps"),
        (
            lambda: Sweep(ObjUpdate() * FourierProject() * After(2, ExitWave())),
            "put After around the steps that read it",
        ),
    ],
)
def test_compositions_that_make_no_sense(make, message, p):
    recipe = make()
    with pytest.raises(RecipeError, match=message):
        recipe * p
    with pytest.raises(RecipeError, match=message):
        recipe.explain()


class Both(opty.Recipe):
    """A recipe of view steps only, for the tests."""

    def expand(self):
        return ProbeUpdate() * ObjUpdate()


class Stages(opty.Recipe):
    """A recipe that holds loops, for the tests."""

    def expand(self):
        return Orthogonalise() * ePIE() ** 2 * Sweep(ObjUpdate())


def test_a_recipe_of_view_steps_goes_where_view_steps_go(p):
    bare = Sweep(ProbeUpdate() * ObjUpdate()) * p
    assert same(Both() * p, bare)
    assert same(Sweep(Both()) * p, bare)
    assert len(passes(Both() * rPIE())) == 1


# -- schedules


class Note(ViewOperator, reads="delta"):
    """Writes down the iterations in which it ran, for the tests."""

    slot: str = "x"

    def begin(self, s):
        s.record(f"noted_{self.slot}", s.iteration)

    def apply(self, s, b):
        pass


class Mark(opty.Operator):
    """Writes down the iterations after which it ran, for the tests."""

    slot: str = "x"

    def apply(self, s):
        s.record(f"noted_{self.slot}", s.iteration)


def noted(p, slot="x"):
    return [int(v) for v in p.history.get(f"noted_{slot}", [])]


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        (lambda op: Every(3, op), [2, 5, 8], [3, 6, 9]),
        (lambda op: After(6, op), [6, 7, 8, 9], [7, 8, 9, 10]),
        (lambda op: After(4, Every(2, op)), [5, 7, 9], [6, 8, 10]),
        (lambda op: Every(2, After(4, op)), [5, 7, 9], [6, 8, 10]),
        (lambda op: Every(2, Every(3, op)), [5], [6]),
        (lambda op: Every(1, op), list(range(10)), list(range(1, 11))),
    ],
)
def test_schedules_count_iterations(p, rule, inside, outside):
    # Inside, the step runs in the course of its iteration, which is booked at the end: 2 is the third one.
    recipe = rule(Mark("out")) * Sweep(rule(Note("in")) * ProbeUpdate() * ObjUpdate())
    whole = recipe**10 * p
    assert noted(whole, "in") == inside
    assert noted(whole, "out") == outside
    joined = (rule(Note("join")) * rPIE()) ** 10 * p
    assert noted(joined, "join") == inside
    resumed = recipe**4 * (recipe * (recipe**5 * p))
    assert same(resumed, whole)


def test_a_scheduled_recipe_runs_as_a_whole(p):
    q = (Every(3, Orthogonalise() * Mark("whole")) * ePIE()) ** 7 * p
    assert noted(q, "whole") == [3, 6]
    q = (After(2, AP()) * ePIE()) ** 4 * p
    assert q.iteration == 6  # ePIE; ePIE; ePIE, AP; ePIE, AP
    assert ((After(2, ePIE() ** 2) * ePIE()) ** 3 * p).iteration == 5


def test_a_sweep_whose_updates_wait_counts_its_iterations(p):
    q = Sweep(Every(3, ObjUpdate()) * After(4, ProbeUpdate())) ** 5 * p
    before, after = everything(p), everything(q)
    assert q.iteration == 5
    assert len(q.history["misfit"]) == 5
    assert q.history["misfit"][0] > 0
    assert q.history["misfit"][1] == pytest.approx(q.history["misfit"][0], rel=1e-5)
    assert q.history["misfit"][2] < 0.9 * q.history["misfit"][1]
    assert (before["obj"] != after["obj"]).any()
    two = Sweep(Every(3, ObjUpdate())) ** 2 * p
    assert (everything(two)["obj"] == before["obj"]).all()
    assert two.iteration == 2


def test_only_passes_that_improve_the_estimate_are_iterations(p):
    q = (Sweep(PosCorrectAdam()) * Orthogonalise() * Misfit()) ** 3 * p
    assert q.iteration == 0
    assert list(q.history["state_iteration"]) == [0, 0, 0]
    assert (DM() ** 3 * p).iteration == 3
    assert (AP() ** 3 * p).iteration == 3
    assert (Sweep(opty.operators.AccumObj()) * p).iteration == 0


def test_loops_and_steps_are_nodes():
    kinds = [type(node) for node in walk(plan((Orthogonalise() * ePIE()) ** 2))]
    assert kinds == [LoopNode, SweepNode, StepNode]


def test_order_and_batches_are_a_function_of_seed_and_iteration():
    seen = []

    class Watchful(ViewOperator, reads="index delta", register=False):
        def apply(self, s, b):
            seen.append(b.index.tolist())

    q = state(scan(), seed=3)
    loop = Sweep(Watchful() * ObjUpdate(), batch=5) ** 3
    loop * q
    first = list(seen)
    assert [len(batch) for batch in first] == [5, 5, 2] * 3
    turns = [sorted(j for batch in first[k : k + 3] for j in batch) for k in (0, 3, 6)]
    assert turns == [list(range(12))] * 3
    assert first[:3] != first[3:6] != first[6:]
    seen.clear()
    loop * q
    assert seen == first
    seen.clear()
    loop * q.replace(seed=4)
    assert seen != first
    seen.clear()
    Sweep(Watchful() * ObjUpdate(), batch="all", order="scan") * q
    assert seen == [list(range(12))]
