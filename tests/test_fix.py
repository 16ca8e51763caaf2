"""``recipe.fix("probe")``: the recipe without what changes the probe."""

import numpy as np
import pytest
from small_scans import scan, state

import opty
from opty import (
    AP,
    DM,
    LSQML,
    ML,
    RAAR,
    Coarse,
    Every,
    FindPositions,
    FourierProject,
    ObjUpdate,
    Orthogonalise,
    PosCorrect,
    RecipeError,
    Sweep,
    ePIE,
    mPIE,
    rPIE,
)  # fmt: skip
from opty.operators import (
    AccumObj,
    AccumProbe,
    LineSearch,
    LSQUpdate,
    MergeObj,
    MergeProbe,
    ObjMomentum,
    ProbeMomentum,
    TakeStep,
)  # fmt: skip

EXPANDED = {
    rPIE(alpha=0.1): ("probe", Sweep(ObjUpdate(0.1) * FourierProject(), batch=1)),
    AP(0.1): ("probe", MergeObj(0.1) * Sweep(AccumObj() * FourierProject(), order="scan")),
    AP(0.2): ("obj", MergeProbe(0.0) * Sweep(AccumProbe() * FourierProject(), order="scan")),
    LSQML(): ("probe", Sweep(ObjMomentum() * LSQUpdate(update="obj") * FourierProject(), 32, "uniform")),
    LSQML(batch=8): ("obj", Sweep(ProbeMomentum() * LSQUpdate(update="probe") * FourierProject(), 8, "uniform")),
    PosCorrect() * rPIE(): ("positions", rPIE()),
    (Every(3, PosCorrect()) * Orthogonalise() * rPIE()) ** 4: ("positions", (Orthogonalise() * rPIE()) ** 4),
    Coarse(2, PosCorrect() * ePIE()): ("positions", Coarse(2, ePIE())),
    ePIE() ** 3: ("positions", ePIE() ** 3),
}


@pytest.mark.parametrize("recipe", EXPANDED, ids=repr)
def test_steps_that_change_nothing_else_are_left_out(recipe):
    leaves, expected = EXPANDED[recipe]
    assert recipe.fix(leaves).expand() == expected


@pytest.mark.parametrize("engine", [ePIE(), rPIE(), mPIE(), AP(), DM(), RAAR(), LSQML(batch=4), ML()], ids=repr)
@pytest.mark.parametrize("leaf", ["obj", "probe"])
def test_what_is_fixed_keeps_its_bits_and_the_rest_moves(engine, leaf):
    p = state(scan(modes=2), wrong=0.1)
    q = (opty.PosCorrectAdam() * engine).fix(f"{leaf} positions") ** 3 * p
    assert (q.numpy(leaf) == p.numpy(leaf)).all()
    assert (q.numpy("positions") == p.numpy("positions")).all()
    other = {"obj": "probe", "probe": "obj"}[leaf]
    assert np.abs(q.numpy(other) - p.numpy(other)).max() > 1e-4
    assert q.iteration == 3


def test_it_is_a_value_with_text_and_json():
    recipe = (rPIE().fix("probe") * PosCorrect()) ** 5
    assert repr(recipe) == "(Fix('probe', rPIE()) * PosCorrect()) ** 5"
    assert opty.parse(repr(recipe)) == recipe == opty.from_json(recipe.to_json())
    assert opty.parse("(rPIE().fix('probe') * PosCorrect()) ** 5") == recipe
    assert opty.parse("(rPIE() * ePIE()).fix('obj probe')") == (rPIE() * ePIE()).fix("obj probe")


def test_inside_a_sweep_and_a_ladder():
    inner = Sweep((opty.ProbeUpdate() * ObjUpdate() * FourierProject()).fix("probe"), batch=2)
    assert inner * state(scan()) is not None
    p = state(scan())
    assert ((inner * p).probe == p.probe).all()
    assert "PosCorrect" not in repr(FindPositions().fix("positions").expand())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rPIE().fix("prob"), r"fix\('prob'\): 'prob' is no estimate; fix one or more of obj, probe, positions"),
        (lambda: rPIE().fix(""), "nothing is no estimate"),
        (lambda: (opty.ScaleObjProbe() * rPIE()).fix("probe"), r"ScaleObjProbe\(\) changes .*obj and probe.* together"),
        (lambda: opty.parse("rPIE().fix()"), r"fix takes the names of estimates, such as rPIE\(\)\.fix\('probe'\)"),
        (lambda: opty.parse("rPIE().fix('x')"), "is no estimate"),
        (lambda: opty.parse("rPIE().explain()"), "not allowed in a recipe"),
    ],
)
def test_what_cannot_be_fixed_is_refused(make, message):
    with pytest.raises(RecipeError, match=message):
        make()


def test_names_of_older_files_are_read():
    old = (
        '{"opty": 1, "recipe": {"Compose": {"steps": ['
        '{"PosCorrect": {"search": 24, "every": 5, "largest": 1.5}}, {"Recall": {}}, {"ER": {"update": "both"}}, '
        '{"mPIE": {"friction": 0.6, "every": 50, "update": "obj"}}, '
        '{"Repeat": {"body": {"ML": {"update": "probe"}}, "times": {"Until": {"tol": 0.1, "max": 7}}}}]}}}'
    )
    new = (
        PosCorrect(search_radius=24, search_every=5, max_step=1.5)
        * opty.operators.LoadKeptWaves()
        * AP()
        * mPIE(momentum=0.6, interval=50).fix("probe")
        * ML().fix("obj") ** opty.Until(tol=0.1, max_turns=7)
    )
    assert opty.from_json(old) == new
    assert opty.algebra.kept_recipes.kept_recipe(old) == new


def test_line_search_goes_with_the_step_of_one():
    steps = ML().fix("probe").expand().steps
    assert steps[0] == TakeStep(update="obj")
    assert steps[1] == Sweep(LineSearch(), order="scan")
