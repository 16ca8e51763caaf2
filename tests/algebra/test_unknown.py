"""Recipes whose operators are not here: kept to the last character, written again, refused only where they run."""

import json
import pickle
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_strategies import operators
from small_scans import same

import opty
from opty import Every, Operator, Until, rPIE
from opty.algebra import unknown
from opty.algebra.compose import Repeat
from opty.algebra.kept_recipes import kept_recipe
from opty.algebra.operator import REGISTRY, Identity, Recipe
from opty.algebra.text import look_up
from opty.algebra.unknown import Unknown
from opty.errors import RecipeError
from opty.runtime.checkpoint import PendingRun
from opty.runtime.plan import plan


class Mine(Operator, reads="obj", writes="obj"):
    """Of a user's own."""

    strength: float
    names: tuple[str, ...] = ("a b", "c*d")
    inner: Operator = Identity()

    def apply(self, s):
        s.obj *= self.strength


class AroundMine(Recipe):
    """A recipe of a user's own around any operator."""

    op: Operator

    def expand(self):
        return self.op * rPIE()


MINE = Mine(0.5, inner=rPIE(alpha=0.2) ** 2)
HOLDING = {
    "alone": MINE,
    "in a product": rPIE() * MINE * opty.DM(),
    "last": MINE * rPIE(),
    "in a loop": (MINE * rPIE()) ** 7,
    "under a rule": (rPIE() * MINE) ** Until(tol=1e-3, max_turns=9),
    "at some iterations": (Every(5, MINE, first=2) * rPIE()) ** 3,
    "in a sweep": opty.Sweep(opty.ObjUpdate() * MINE, batch=3),
    "in a recipe": AroundMine(MINE) ** 2 * opty.AP(),
    "twice": MINE * rPIE() * Mine(0.25) ** 2 * (MINE * rPIE()) ** 3,
}


def without(monkeypatch, *names):
    for name in names:
        monkeypatch.delitem(REGISTRY, name)


@pytest.mark.parametrize("recipe", HOLDING.values(), ids=HOLDING)
def test_it_is_kept_to_the_last_character(recipe, monkeypatch):
    text, code = recipe.to_json(), repr(recipe)
    with monkeypatch.context() as m:
        without(m, "Mine")
        kept = kept_recipe(text, code)
        assert (kept.to_json(), repr(kept)) == (text, code)
        assert kept == kept_recipe(text, code)
        assert hash(kept) == hash(kept_recipe(text))
        again = pickle.loads(pickle.dumps(kept))
        assert (again.to_json(), repr(again)) == (text, code)
        with pytest.raises(RecipeError, match=r"Mine\(0\.\d+.*cannot run: there is no operator 'Mine' here; import"):
            plan(kept)
        assert kept != recipe
    assert kept_recipe(kept.to_json(), repr(kept)) == recipe  # imported: it is real again


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(operators, st.data())
def test_any_recipe_without_any_of_its_operators(recipe, data):
    text, code = recipe.to_json(), repr(recipe)
    gone = data.draw(st.sets(st.sampled_from(sorted(set(REGISTRY) & set(_names(json.loads(text)["recipe"]))))))
    held = {name: REGISTRY.pop(name) for name in gone}
    try:
        kept = kept_recipe(text, code)
        assert kept.to_json() == text
        if not gone & {"Compose", "Repeat"}:  # these are written with brackets round them
            assert repr(kept) == code
        if gone:
            with pytest.raises(RecipeError, match=r"cannot run: there is no operator '\w+' here"):
                plan(kept)
            with pytest.raises(RecipeError, match="unknown operator"):
                opty.from_json(text)
    finally:
        REGISTRY.update(held)
    assert kept_recipe(kept.to_json(), repr(kept)) == recipe


def _names(value):
    """All names of operators in a recipe in JSON."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            for item in inner.values():
                yield from _names(item)


def test_without_its_code_all_parameters_are_written(monkeypatch):
    text = (Mine(0.5) * rPIE() ** 2).to_json()
    without(monkeypatch, "Mine")
    for code in ("", "not ( code", "rPIE()", "Other(0.5) * rPIE()", "Mine"):
        kept = kept_recipe(text, code)
        assert kept.to_json() == text
        assert repr(kept) == "Mine(strength=0.5, names=('a b', 'c*d'), inner=Identity()) * rPIE() ** 2"


@pytest.mark.parametrize(
    ("old", "says"),
    [
        ({"Mine": {"power": 0.5}}, r"Mine has no parameter 'power'"),
        ({"Mine": {"strength": "much"}}, "strength"),
        ({"Mine": {}}, "strength"),
        ({"rPIE": {"alpha": -3.0}}, "alpha"),
        ({"Every": {"n": 0, "op": {"rPIE": {}}}}, "Every"),
        ({"Repeat": {"body": {"rPIE": {}}, "times": {"Until": {"tolerance": 0.1}}}}, "Until"),
        ({"Repeat": {"body": {"rPIE": {}}, "times": {"Forever": {}}}}, "times"),
        ({"Compose": {"steps": [{"rPIE": {}}]}}, "Compose"),
    ],
)
def test_what_a_class_refuses_now_is_kept_too(old, says):
    """A parameter that was renamed or is gone, one that is new and needed, a value or a rule that is refused."""
    text = json.dumps({"opty": 1, "recipe": {"Compose": {"steps": [{"AP": {}}, old]}}})
    kept = kept_recipe(text)
    assert json.loads(kept.to_json())["recipe"]["Compose"]["steps"][1] == old
    with pytest.raises(RecipeError, match=rf"cannot run: .*{says}.*; write the recipe with what the class takes"):
        plan(kept)
    with pytest.raises((RecipeError, ValueError)):
        opty.from_json(text)


def test_a_check_may_fail_in_any_way():
    class Moody(Operator):
        x: int = 1

        def check(self):
            if self.x > 1:
                raise KeyError("x")

    text = Moody().to_json().replace("1}}}", "7}}}")
    assert isinstance(kept_recipe(text), Unknown)


@pytest.mark.parametrize("text", ["{", '{"opty": 2, "recipe": {"AP": {}}}', '{"opty": 1, "recipe": 3}', "[]"])
def test_what_is_no_recipe_stays_an_error(text):
    with pytest.raises(RecipeError):
        kept_recipe(text)


@pytest.mark.filterwarnings("ignore::opty.RecipeWarning")
def test_a_state_that_it_made_goes_on_and_keeps_it(p, monkeypatch, tmp_path):
    """The recipe that is run has to be here, not the one that made the state."""
    q = (Mine(0.9) * rPIE()) ** 2 * p
    opty.save(tmp_path / "q.h5", q)
    shift = opty.PosCorrectAdam()
    whole = shift * q
    with monkeypatch.context() as m:
        without(m, "Mine")
        back = opty.load(tmp_path / "q.h5", device="cpu")
        assert repr(back.recipe) == repr(q.recipe)
        more = shift * back
        assert same(more, whole)
        assert repr(more.recipe) == f"{shift!r} * {q.recipe!r}"
        opty.save(tmp_path / "more.h5", more)
        with pytest.raises(RecipeError, match="no operator 'Mine' here"):
            opty.rerun(tmp_path / "more.h5")
        for again in (back.replace(seed=3), back.donate()):
            assert repr((rPIE() * again).recipe) == f"rPIE() * {q.recipe!r}"
    assert opty.load(tmp_path / "more.h5", device="cpu").recipe == shift * q.recipe
    assert opty.rerun(tmp_path / "more.h5", start=p, device="cpu").identical


def test_no_step_joins_what_may_be_a_sweep(p, monkeypatch, tmp_path):
    """Where it is unknown what ran last, the next step is written as a separate sweep: the same in every case."""
    q = Mine(0.9) * rPIE() * p
    opty.save(tmp_path / "q.h5", q)
    shift = opty.PosCorrectAdam()
    with monkeypatch.context() as m:
        without(m, "Mine")
        more = shift * opty.load(tmp_path / "q.h5", device="cpu")
    assert repr(more.recipe) == f"Sweep({shift!r}) * Mine(0.9) * rPIE()"
    assert same(more, shift * q)
    assert same(opty.parse(repr(more.recipe)) * p, more)


def test_the_place_of_a_run_is_kept_too(monkeypatch):
    at = PendingRun((Mine(0.9) * rPIE()) ** 9, Mine(0.5) * rPIE(), ())
    without(monkeypatch, "Mine")
    kept = PendingRun.from_json(at.to_json())
    assert kept.to_json() == at.to_json()
    assert (repr(kept.asked), repr(kept.before)) == (repr(at.asked), repr(at.before))
    with pytest.raises(RecipeError, match="no operator 'Mine' here"):
        kept.check()


def test_only_the_files_of_a_result_are_lenient():
    assert Unknown("X", "{}").effects.__func__ is Recipe.effects
    with pytest.raises(RecipeError, match="unknown operator"):
        opty.parse("Unknown('X', '{}')")
    with pytest.raises(RecipeError, match="Repeat"):
        Repeat(rPIE(), Unknown("X", "{}"))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder of installed packages: one whose entry points name two modules, of which one cannot be imported."""
    (tmp_path / "lab_operators.py").write_text(
        "import opty\n\nclass FromTheLab(opty.Operator, reads='obj', writes='obj'):\n"
        "    times: float = 1.0\n\n    def apply(self, s):\n        s.obj *= self.times\n"
    )
    info = tmp_path / "lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[opty.operators]\nlab = lab_operators\nbad = lab_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    unknown.import_installed.cache_clear()
    yield tmp_path
    unknown.import_installed.cache_clear()
    sys.modules.pop("lab_operators", None)


def test_entry_points_are_imported_for_an_unknown_name_once(installed):
    look_up("rPIE")
    assert "lab_operators" not in sys.modules
    with pytest.warns(UserWarning, match=r"entry point bad = lab_that_is_not_there of the group opty\.operators"):
        assert repr(opty.parse("FromTheLab(times=2.0) * rPIE()")) == "FromTheLab(times=2.0) * rPIE()"
    with pytest.raises(RecipeError, match="unknown operator"):
        opty.parse("FromNowhere()")


@pytest.mark.filterwarnings("ignore:the entry point bad")
def test_entry_points_are_imported_for_a_result(installed):
    kept = kept_recipe('{"opty": 1, "recipe": {"FromTheLab": {"times": 3.0}}}')
    assert type(kept).__name__ == "FromTheLab"
