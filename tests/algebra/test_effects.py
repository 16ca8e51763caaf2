"""Declarations are kept to: wrong orders are refused before anything runs, lies are caught where they happen."""

import numpy as np
import pytest
from small_scans import everything, same, scan, state

import opty
from opty import (
    AP,
    DM,
    After,
    EffectError,
    Every,
    FourierProject,
    ObjUpdate,
    Operator,
    Orthogonalise,
    ProbeUpdate,
    ScaleObjProbe,
    Sweep,
    ViewOperator,
    ePIE,
    rPIE,
)
from opty.operators import AccumObj, AccumProbe, LoadKeptWaves, MergeObj, MergeProbe, Reflect, RelaxedStep
from opty.state.leaves import OBJ

RAN: list = []


class Spy(Operator):
    """Tells that something ran, for the tests."""

    def apply(self, s):
        RAN.append(self)


WRONG_ORDERS = {
    "projection after the update": (
        FourierProject() * ObjUpdate(),
        r"ObjUpdate\(\) reads 'delta' but no step to its right writes it: FourierProject\(\) stands on its left.*"
        r"write \.\.\. \* ObjUpdate\(\) \* FourierProject\(\)",
    ),
    "in a sweep": (Sweep(FourierProject() * ProbeUpdate()), r"ProbeUpdate\(\) reads 'delta'"),
    "waves after their use": (
        Sweep(opty.operators.ExitWave() * AccumObj()),
        r"AccumObj\(\) reads 'waves'.*ExitWave\(\) stands on",
    ),
    "in a loop": ((ePIE() * Sweep(FourierProject() * ObjUpdate())) ** 3, r"ObjUpdate\(\) reads 'delta'"),
    "merge without a sum": (
        MergeObj(),
        r"MergeObj\(\) reads 'obj_sum' but no step to its right writes it.*slots: none",
    ),
    "merge before the sum": (Sweep(AccumObj()) * MergeObj(), r"MergeObj\(\) reads 'obj_sum'"),
    "merge twice": (MergeObj() * MergeObj() * Sweep(AccumObj()), r"MergeObj\(\) reads 'obj_sum'"),
    "probe without a sum": (MergeProbe() * Sweep(AccumObj()), r"MergeProbe\(\) reads 'probe_sum'"),
    "recall of nothing": (
        Sweep(AccumProbe() * LoadKeptWaves()),
        r"LoadKeptWaves\(\) reads 'kept_waves' but no step to its right",
    ),
    "recall after another engine": (
        Sweep(AccumProbe() * LoadKeptWaves()) * ePIE() * DM(),
        r"LoadKeptWaves\(\) reads 'kept_waves'",
    ),
    "recall after scaling": (
        Sweep(AccumProbe() * LoadKeptWaves()) * ScaleObjProbe() * DM(),
        r"LoadKeptWaves\(\) reads 'kept_waves'",
    ),
}


@pytest.mark.parametrize(("recipe", "message"), WRONG_ORDERS.values(), ids=WRONG_ORDERS)
def test_a_wrong_order_is_refused_before_anything_runs(p, recipe, message):
    RAN.clear()
    before = everything(p)
    for use in (lambda: recipe * Spy() * p, lambda: recipe.explain(p), lambda: next((recipe * Spy()).iter(p))):
        with pytest.raises(EffectError, match=message):
            use()
    assert not RAN
    assert same(everything(p), before)


def test_what_the_state_holds_may_be_read(p):
    q = Sweep(AccumObj()) * p
    assert (MergeObj() * q).iteration == 0
    kept = DM() * p
    assert "kept_waves" in kept.slots
    assert (MergeProbe() * Sweep(AccumProbe() * LoadKeptWaves()) * kept).iteration == 1


def test_a_difference_without_kept_waves_is_refused(p):
    step = Sweep(AccumObj() * RelaxedStep() * FourierProject())
    with pytest.raises((EffectError, AttributeError), match="kept_waves"):
        step * p
    assert (step * (DM() * p)).iteration == 2
    assert (Sweep(AccumObj() * RelaxedStep() * FourierProject() * Reflect()) * p).iteration == 1


def test_memory_that_is_stale_or_used_up_is_freed(p):
    q = DM() * p
    assert set(q.slots) == {"kept_waves"}
    assert set((AP() * q).slots) == set()
    assert set((ePIE() * q).slots) == set()
    assert set((ScaleObjProbe() * q).slots) == set()
    assert set((Orthogonalise() * q).slots) == {"kept_waves"}
    assert set(q.replace(obj=q.obj).slots) == set()
    assert set(q.replace(seed=3).slots) == {"kept_waves"}


# -- lies


class Doubles(Operator, reads="probe", writes="obj"):
    def apply(self, s):
        s.probe *= 2


class DoublesInPlace(Operator, reads="probe", writes="obj"):
    def apply(self, s):
        probe = s.probe
        probe *= 2


class Assigns(Operator, reads="probe", writes="obj"):
    def apply(self, s):
        s.probe = s.probe * 2


class MovesInPlace(Operator, reads="positions", writes="obj"):
    def apply(self, s):
        s.positions[0] += 1


class ReadsMore(Operator, reads="obj", writes="obj"):
    def apply(self, s):
        s.obj *= abs(s.probe).max()


class Creates(Operator, reads="obj", writes="obj"):
    def apply(self, s):
        s.create("memory")


class Drops(Operator, reads="obj", writes="obj"):
    def apply(self, s):
        s.drop("positions")


class Illuminates(ViewOperator, reads="illum delta", writes="delta"):
    def apply(self, s, b):
        illum = b.illum
        illum *= 2


class AssignsIllum(ViewOperator, reads="illum delta", writes="delta"):
    def apply(self, s, b):
        b.illum = b.illum * 2


class Patches(ViewOperator, reads="patches delta", writes="delta"):
    def apply(self, s, b):
        b.patches[:] = 0


class ReadsWaves(ViewOperator, reads="delta", writes="delta"):
    def apply(self, s, b):
        b.delta *= abs(b.waves).max()


class TouchesObj(ViewOperator, reads="delta obj"):
    def apply(self, s, b):
        s.obj[:] = 1


LIES = {
    "*=": (Doubles(), "Doubles writes 'probe' without declaring it; add it to writes=|Doubles changes a leaf in place"),
    "in place": (DoublesInPlace(), r"DoublesInPlace changes a leaf in place.*declares writes=obj\).*iteration 1"),
    "assigned": (Assigns(), "Assigns writes 'probe' without declaring it; add it to writes= in its class line"),
    "positions": (MovesInPlace(), "MovesInPlace changes a leaf in place that it does not declare as written"),
    "read": (ReadsMore(), "ReadsMore reads 'probe' without declaring it; add it to reads= in its class line"),
    "created": (Creates(), "Creates creates 'memory' without declaring it"),
    "dropped": (Drops(), "Drops drops 'positions' without declaring it"),
    "illum in place": (
        Sweep(ObjUpdate() * Illuminates()),
        r"Illuminates changes a leaf in place.*views \[.*\], iteration \d",
    ),
    "illum assigned": (Sweep(ObjUpdate() * AssignsIllum()), "AssignsIllum writes 'illum' without declaring it"),
    "patches": (Sweep(ObjUpdate() * Patches()), "Patches changes a leaf in place"),
    "waves": (
        Sweep(ObjUpdate() * ReadsWaves()),
        "ReadsWaves reads 'waves' without declaring it|has no attribute 'waves'",
    ),
    "state in a sweep": (Sweep(TouchesObj()), "TouchesObj changes a leaf in place"),
}


@pytest.mark.parametrize(("lie", "message"), LIES.values(), ids=LIES)
@pytest.mark.parametrize("fractional", [False, True])
def test_a_lie_is_caught(lie, message, fractional):
    p = ePIE() * state(scan(fractional=fractional))
    before = everything(p)
    with pytest.raises((EffectError, AttributeError), match=message) as caught, opty.unfused():
        lie * p
    told = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "iteration" in told
    assert same(everything(p), before)


class BrightensOpenly(ViewOperator, reads="illum delta", writes="illum delta"):
    """Changes its own illumination in place, as it declares."""

    def apply(self, s, b):
        b.illum[:] *= 2


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
def test_illum_that_may_be_changed_is_the_batch_s_own(fractional, batch):
    p = state(scan(fractional=fractional))
    before = everything(p)
    q = Sweep(ObjUpdate() * BrightensOpenly(), batch=batch) * p
    assert same(everything(p), before)
    assert (q.numpy("probe") == before["probe"]).all()


class Keeps(Operator, reads="obj", slots=OBJ.like("best")):
    """Keeps the object under another name, for the tests."""

    def apply(self, s):
        s.best = s.obj


class Swaps(Operator, writes="obj best"):
    """Sets the object to what was kept."""

    def apply(self, s):
        s.obj = s.best


def test_a_leaf_under_two_names_is_two_arrays(p):
    kept = Keeps() * p
    later = ePIE() * kept
    assert (later.slots["best"] == p.obj).all()
    back = Swaps() * later
    assert (back.obj == p.obj).all()
    again = ObjUpdate() * back
    assert (again.slots["best"] == p.obj).all()
    assert (again.obj != p.obj).any()


class WrongShape(Operator, writes="obj"):
    def apply(self, s):
        s.obj = s.obj[:-1]


class DoublePrecision(Operator, writes="obj"):
    def apply(self, s):
        s.obj = s.obj.astype(complex) * 2


def test_shapes_and_types_are_held(p):
    with pytest.raises(ValueError, match=r"WrongShape sets obj of shape \(36, 39\); it has shape \(37, 39\)"):
        WrongShape() * p
    q = DoublePrecision() * p
    assert q.obj.dtype == np.complex64
    assert (q.obj == 2 * p.obj).all()


class Fails(ViewOperator, reads="delta", writes="obj"):
    def apply(self, s, b):
        if s.iteration == 2:
            raise OSError("no disk")


def test_an_exception_says_where_it_happened(p):
    with pytest.raises(OSError, match=r"^no disk\n") as caught:
        Sweep(Fails(), batch=5) ** 4 * p
    assert caught.value.__notes__[0].startswith("in Fails(), views [")
    assert caught.value.__notes__[0].endswith("iteration 3")
    assert p.iteration == 0


class Halves(ViewOperator, reads="waves delta", writes="waves delta"):
    """Changes waves and delta on their way, for the tests."""

    def apply(self, s, b):
        b.waves *= 0.5
        b.delta *= 0.5


def test_a_step_may_change_what_others_make(p):
    half = Sweep(ObjUpdate() * Halves(), batch=1) * p
    assert abs(half.obj - (Sweep(ObjUpdate(step=0.5), batch=1) * p).obj).max() < 1e-6
    sums = Sweep(AccumObj() * Halves() * FourierProject()) * p
    whole = Sweep(AccumObj() * FourierProject()) * p
    assert abs(2 * sums.slots["obj_sum"] - whole.slots["obj_sum"]).max() < 1e-5 * abs(whole.slots["obj_sum"]).max()


class PendingRun(Operator):
    pass


class UnfinishedView(ViewOperator):
    pass


def test_an_operator_without_apply_says_what_it_lacks(p):
    for op, text in ((PendingRun(), r"no apply\(self, s\)"), (UnfinishedView(), r"no apply\(self, s, b\)")):
        with pytest.raises(opty.RecipeError, match=text):
            op * p
    with pytest.raises(opty.RecipeError, match=r"UnfinishedRecipe has no expand\(self\)"):
        type("UnfinishedRecipe", (opty.Recipe,), {})()


def test_names_of_opty_s_own_cannot_be_taken():
    with pytest.raises(opty.RecipeError, match="rPIE is an operator of opty's own; choose another name"):
        type("rPIE", (Operator,), {})
    assert opty.parse("rPIE()") == opty.rPIE()


def test_a_parameter_without_a_type_is_refused():
    with pytest.raises(opty.RecipeError, match=r"Clips.hi = 3.0 is no parameter without a type; write hi: float = 3.0"):
        type("Clips", (opty.Operator,), {"hi": 3.0, "apply": lambda self, s: None})


@pytest.mark.parametrize("loop", [lambda: Every(2, AP()) ** 10, lambda: After(3, rPIE()) ** 10])
def test_a_loop_that_waits_for_itself_is_refused(loop, p):
    with pytest.raises(opty.RecipeError, match="waits for iterations to go by, but nothing else in its loop"):
        loop() * p
