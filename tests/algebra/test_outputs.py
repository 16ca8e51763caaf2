"""Outputs put into recipes and taken out again: what is left does the same, and can be written into a file."""

import contextlib

import pytest
from hypothesis import given, settings
from recipe_strategies import operators
from small_scans import same

import opty
from opty import AP, DM, Every, Log, PosCorrectAdam, Progress, Save, Sweep, Until, rPIE
from opty.algebra.compose import Compose, Repeat, compose
from opty.algebra.control import Control
from opty.algebra.operator import REGISTRY, Identity, Recipe
from opty.errors import RecipeError
from opty.io.save_operator import saving_to
from opty.runtime.checkpoint import recorded
from opty.runtime.plan import followed_by
from opty.runtime.recipe_edit import after_iterations, in_outer_loops, without_outputs

SHIFT, LOG = PosCorrectAdam(), Log(every=100)


class LoudRecipe(Recipe):
    """A recipe of a user's own with an output in it."""

    def expand(self):
        return SHIFT * LOG * rPIE()


CASES = {
    "alone": LOG,
    "between a sweep and a view step": SHIFT * LOG * rPIE(),
    "two of them": SHIFT * LOG * Progress() * rPIE(),
    "view steps that join each other": SHIFT * PosCorrectAdam(step=0.2) * LOG * rPIE(),
    "on both sides": LOG * SHIFT * rPIE() * LOG,
    "in a loop": (SHIFT * LOG * rPIE()) ** 3 * AP(),
    "in loops": ((LOG * AP()) ** 2 * SHIFT * DM() ** 2) ** 2,
    "alone in a loop": SHIFT * LOG**3 * rPIE(),
    "under a rule": (LOG * AP()) ** Until(tol=0.1, max_turns=6),
    "at some iterations": SHIFT * Every(2, LOG) * rPIE(),
    "beside what runs at some iterations": (Every(2, SHIFT * LOG) * rPIE()) ** 4,
    "on the left of it": (Every(2, LOG * SHIFT) * rPIE()) ** 4,
    "left of what runs at some iterations": SHIFT * Every(1, PosCorrectAdam(step=0.2) * LOG) * AP(),
    "in a recipe": (PosCorrectAdam(step=0.2) * LoudRecipe() * AP()) ** 2,
    "in a recipe at some iterations": (Every(2, LoudRecipe()) * AP()) ** 4,
    "in a sweep's neighbourhood": Sweep(SHIFT) * LOG * Sweep(SHIFT) * rPIE(),
}


def steps(op):
    """All operators in a recipe, however deep; those of named recipes too."""
    yield op
    inner = op.steps if isinstance(op, Compose) else (op.body,) if isinstance(op, (Repeat, Sweep)) else ()
    inner = (op.op,) if isinstance(op, Control) else (op.expand(),) if isinstance(op, Recipe) else inner
    for one in inner:
        yield from steps(one)


def outputs(op):
    return [one for one in steps(op) if isinstance(one, (Save, opty.Show, Log, Progress))]


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
@pytest.mark.parametrize("recipe", CASES.values(), ids=CASES)
def test_without_outputs_the_same_is_done(p, recipe, capfd):
    silent = without_outputs(recipe)
    assert outputs(silent) == []
    assert same(silent * p, recipe * p)
    assert opty.parse(repr(silent)) == opty.from_json(silent.to_json()) == silent
    assert without_outputs(silent) == silent


@pytest.mark.parametrize("recipe", [rPIE() ** 3, SHIFT * rPIE(), (Every(2, SHIFT) * AP()) ** 4, Identity()])
def test_what_has_no_outputs_stays_as_it_is(recipe):
    assert without_outputs(recipe) == recipe
    assert repr(without_outputs(recipe)) == repr(recipe)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(operators, operators)
def test_no_unregistered_operator_gets_into_a_recipe(a, b):
    """Whatever opty makes of a recipe can be read again from a file."""
    made = [
        without_outputs(a),
        in_outer_loops(a, opty.Progress()),
        recorded(in_outer_loops(a, opty.Progress())),
        saving_to(a, "x.h5"),
        followed_by(a, b),
        compose(a, b),
    ]
    with contextlib.suppress(RecipeError, ValueError):  # a recipe that cannot run
        made.append(after_iterations(a, opty.Save("x.h5", 3)))
    for recipe in made:
        assert all(REGISTRY.get(type(op).__name__) is type(op) for op in steps(recipe))
        assert opty.from_json(recipe.to_json()) == recipe


def test_the_result_of_a_rerun_loads(p, tmp_path):
    path = tmp_path / "r.h5"
    q = (Save(str(tmp_path / "ck.h5"), every=2) * SHIFT * LOG * rPIE()) ** 3 * p
    q.save(path)
    again = opty.rerun(path, start=p, device="cpu")
    assert again.identical
    again.state.save(tmp_path / "again.h5")
    back = opty.load(tmp_path / "again.h5", device="cpu")
    assert back.recipe == again.state.recipe == (Sweep(SHIFT) * rPIE()) ** 3
    assert opty.rerun(tmp_path / "again.h5", start=p, device="cpu").identical
