"""Steps that do nothing where they stand are said to, with the line that was meant; others are not complained of."""

import warnings

import numpy as np
import pytest
from small_scans import scan, state

import opty
from opty import RecipeWarning
from opty.runtime.idle_steps import idle_steps, late_steps
from opty.runtime.plan import plan

IDLE = {
    "PosCorrect() * rPIE()**3": ("in its first 5 sweeps it only looks", "write (PosCorrect() * rPIE()) ** 50"),
    "PosCorrect() * rPIE()**100": ("in its first 5 sweeps it only looks", "write (PosCorrect() * rPIE()) ** 100"),
    "rPIE()**100 * PosCorrect()": ("runs once before rPIE() ** 100", "write (PosCorrect() * rPIE()) ** 100"),
    "PosCorrect() * (Progress() * rPIE())**9": ("once after rPIE() ** 9", "write (PosCorrect() * rPIE()) ** 9"),
    "PosCorrect() * Log() * AP()**9": ("in its first 9 sweeps it only looks", "write (PosCorrect() * AP()) ** 50"),
    "(PosCorrect() * rPIE()**10)**3": ("runs 3 times after rPIE() ** 10", "write (PosCorrect() * rPIE()) ** 10"),
    "PosCorrect(hold=0.0) * rPIE()**9": ("runs once", "write (PosCorrect(hold=0.0) * rPIE()) ** 9"),
    "PosCorrectAdam() * LSQML()**9": ("runs once after", "write (PosCorrectAdam() * LSQML()) ** 9"),
    "Every(5, PosCorrect()) * rPIE()**9": ("runs once after", "write (Every(5, PosCorrect()) * rPIE()) ** 9"),
    "BackgroundUpdate() * rPIE()**9": ("runs once after", "write (BackgroundUpdate() * rPIE()) ** 9"),
    "IntensityUpdate() * ML()**9": ("runs once after", "write (IntensityUpdate() * ML()) ** 9"),
    "ObjMomentum() * rPIE()**9": ("runs once after", "write (ObjMomentum() * rPIE()) ** 9"),
    "PosCorrect() * rPIE()**Until(tol=0.1)": (
        "only looks",
        "(PosCorrect() * rPIE()) ** Until(tol=0.1, max_turns=1000)",
    ),
    "PosCorrect() * FindPositions()": ("once after FindPositions()", "beside an engine, (PosCorrect() * rPIE()) ** 50"),
    "BestOf(PosCorrect() * rPIE())**40": ("begins PosCorrect() * rPIE() anew", "BestOf((PosCorrect() * rPIE()) ** 40)"),
    "Coarse(2, PosCorrect() * rPIE()**9)": ("only looks", "write (PosCorrect() * rPIE()) ** 9"),
    "BestOf((PosCorrect() * AP())**8)": ("PosCorrect() runs 8 times", "write BestOf((PosCorrect() * AP()) ** 50)"),
    "(Progress() * FindPositions() * rPIE())**50": ("begins anew in each turn", "write rPIE() ** 50 * FindPositions()"),
    "FindPositions()**20": ("begins anew in each turn of FindPositions() ** 20", "write FindPositions()"),
    "(Every(9, FindPositions()) * rPIE())**50": ("begins anew", "write rPIE() ** 50 * FindPositions()"),
    "(Orthogonalise() * LBFGS())**30": (
        "are changed by Orthogonalise(), too, so that LBFGS()",
        "(Every(10, Orthogonalise()) * LBFGS()) ** 30",
    ),
    "(TotalVariation(0.1) * Log() * LBFGS('amplitude'))**12": (
        "LBFGS(noise='amplitude'), which learns",
        "write (Every(6, TotalVariation(weight=0.1)) * LBFGS(noise='amplitude')) ** 12",
    ),
    "RemoveRamp() * (RemoveRamp() * LBFGS() * ClampObj())**Until(tol=1e-3)": (
        "are changed by ClampObj() and RemoveRamp(), too",
        "(Every(10, RemoveRamp()) * LBFGS() * Every(10, ClampObj())) ** Until(tol=0.001, max_turns=1000)",
    ),
    "PosCorrect()": ("in its first 5 sweeps it only looks", "PosCorrect() ** 50 refines with object and probe held"),
}
AT_WORK = [
    "(PosCorrect() * rPIE())**100",
    "PosCorrect() * rPIE()",
    "PosCorrect() * AP()",
    "(AP() * PosCorrect())**2",
    "(PosCorrect() * rPIE()**5)**10",
    "PosCorrect()**20",
    "PosCorrect()**6 * rPIE()**50",
    "(PosCorrect()**2 * AP())**50",
    "(PosCorrect() * rPIE())**9 * Coarse(2, (PosCorrect() * rPIE())**60)",
    "Coarse(2, PosCorrect(hold=0.0) * rPIE())**20",
    "BestOf((PosCorrect() * rPIE())**6)",
    "(PosCorrect() * rPIE())**50 * FindPositions()",
    "FindPositions()",
    "FindPositions() * rPIE()**20",
    "Orthogonalise() * PosLimit(9.0) * rPIE()**50",
    "ProbeUpdate() * rPIE()**50",
    "(BackgroundUpdate() * IntensityUpdate() * PosCorrect() * rPIE())**50 * DM()**30",
    "Orthogonalise() * LBFGS()**30",
    "(Every(5, RemoveRamp()) * LBFGS())**30",
    "(RemoveRamp() * LBFGS()**10)**5",
    "(Orthogonalise() * ML())**30",
    "(PosCorrectGradient() * BackgroundUpdate() * LBFGS())**30",
    "(LBFGS() * rPIE())**9",
    "CheckPositions() * ((After(20, PosCorrect()) * rPIE())**50)",
]


@pytest.mark.parametrize(("text", "said"), IDLE.items(), ids=IDLE)
def test_a_step_that_does_nothing_where_it_stands(text, said):
    (found,) = idle_steps(opty.parse(text), {})
    fact, remedy = said
    assert fact in found
    assert found.endswith(remedy) or (remedy in found and "refines with" in remedy)
    assert f"note: {found}" in opty.parse(text).explain()
    written = found.rpartition("write ")[2]
    if "write " in found:  # what is proposed can be pasted, and nothing is said of it
        assert not idle_steps(opty.parse(written), {})


@pytest.mark.parametrize("text", AT_WORK)
def test_steps_that_are_at_work(text):
    assert not idle_steps(opty.parse(text), {})
    assert not late_steps(opty.parse(text), 0)


def test_it_is_true():
    """One PosCorrect() after the engine moves nothing; beside it, it does."""
    data = scan(seed=2, views=20)
    wrong = data.positions + np.random.default_rng(0).normal(0, 0.6, data.positions.shape)
    p = state(data).replace(positions=wrong)
    with pytest.warns(RecipeWarning, match=r"write \(PosCorrect\(\) \* rPIE\(\)\) \*\* 30$"):
        q = opty.PosCorrect() * opty.rPIE() ** 30 * p
    assert abs(q.positions - p.positions).max() < 1e-9
    assert abs(((opty.PosCorrect() * opty.rPIE()) ** 30 * p).positions - p.positions).max() > 0.3
    with pytest.warns(RecipeWarning, match="BestOf"):
        q = opty.BestOf(opty.PosCorrect() * opty.rPIE(), tries=2) ** 3 * p
    assert abs(q.positions - p.positions).max() < 1e-9


def test_each_step_of_a_run_that_is_split_by_hand_is_let_alone():
    p = state(scan(views=12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(6):
            p = opty.PosCorrect() * opty.rPIE() * p
        opty.PosCorrect() * p  # it has looked by now, and moves views with object and probe held


def test_a_warning_that_is_an_error_leaves_the_state():
    p = state(scan(views=12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RecipeWarning) as caught:
            opty.PosCorrect() * opty.rPIE() ** 3 * p.donate()
    assert caught.value.state.iteration == 0


def test_what_begins_after_the_end():
    recipe = opty.parse("(After(200, PosCorrect()) * Every(60, BackgroundUpdate()) * rPIE())**50")
    assert late_steps(recipe, 0) == [
        "Every(60, BackgroundUpdate()) never runs: it begins in iteration 60, and the run ends in 50",
        "After(200, PosCorrect()) never runs: it begins in iteration 201, and the run ends in 50",
    ]
    assert late_steps(recipe, 40) == [
        "After(200, PosCorrect()) never runs: it begins in iteration 201, and the run ends in 90"
    ]
    assert not late_steps(recipe, 151)
    assert "note: After(200, PosCorrect()) never runs" in recipe.explain()
    assert not late_steps(opty.parse("(After(200, PosCorrect()) * rPIE())**Until(tol=0.1)"), 0)
    assert not late_steps(opty.parse("(After(200, PosCorrect()) * rPIE())**50 * Coarse(2, rPIE()**200)"), 0)


def test_a_loop_of_a_recipe_with_loops_makes_iterations():
    assert plan(opty.parse("FindPositions()**2"))
