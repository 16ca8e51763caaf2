"""An operator of a user's own: seven lines, and everything works with it."""

import numpy as np
import pytest
from small_scans import same

import opty
from opty import Every, Operator, ViewOperator, rPIE
from opty.runtime.recipe_edit import in_outer_loops
from opty.testing import check_operator

METHODS = ("begin", "collect", "finish")


class ClipObj(Operator, reads="obj", writes="obj"):
    """Clamp |obj| to at most ``hi``, phase kept."""

    hi: float = 1.0

    def apply(self, s):
        s.obj *= s.xp.minimum(1, self.hi / s.xp.maximum(s.xp.abs(s.obj), 1e-12))


RECIPE = (ClipObj(hi=0.7) * rPIE()) ** 4


def test_it_multiplies_and_runs(p):
    q = RECIPE * p
    assert abs(q.obj).max() <= 0.7 + 1e-6
    assert abs((rPIE() ** 4 * p).obj).max() > 0.8
    by_hand = p
    for _ in range(4):
        by_hand = rPIE() * by_hand
        clipped = by_hand.obj * np.minimum(1, 0.7 / np.maximum(abs(by_hand.obj), 1e-12))
        by_hand = by_hand.replace(obj=clipped)
    assert (abs(q.obj - by_hand.obj) < 1e-5).all()
    assert same(RECIPE * (RECIPE * p), (ClipObj(hi=0.7) * rPIE()) ** 8 * p)


def test_it_has_text_json_and_plan(p):
    assert repr(RECIPE) == "(ClipObj(hi=0.7) * rPIE()) ** 4"
    assert opty.parse(repr(RECIPE)) == opty.from_json(RECIPE.to_json()) == RECIPE
    assert ClipObj(hi=1) == ClipObj() != ClipObj(hi=0.9)
    assert "ClipObj(hi=0.7): reads obj; writes obj" in str(RECIPE.explain(p))
    assert "; every 3 iterations" in str(Every(3, ClipObj()).explain())


def test_it_iterates_and_shows_progress(p, capfd):
    assert [q.iteration for q in RECIPE.iter(p)] == [1, 2, 3, 4]
    assert same(in_outer_loops(RECIPE, opty.Progress()) * p, RECIPE * p)
    assert "4/4" in capfd.readouterr().err


def test_it_is_saved_and_goes_on(p, tmp_path):
    q = RECIPE * p
    q.save(tmp_path / "q.h5")
    back = opty.load(tmp_path / "q.h5")
    assert back.recipe == RECIPE
    assert same(RECIPE * back, RECIPE * q)


class Doubled(Operator, reads="obj", writes="obj"):
    """Returns what it should have written."""

    def apply(self, s):
        return s.obj * 2


class NoChange(ViewOperator, reads="delta", writes="delta"):
    """Returns the change of a batch."""

    joins_before_update = True

    def apply(self, s, b):
        return 0 * b.delta


class Returns(ViewOperator, reads="delta"):
    """Returns a number from the method that it is told to."""

    method: str = "begin"

    def begin(self, s):
        return 1.0 if self.method == "begin" else None

    def apply(self, s, b):
        pass

    def collect(self, s):
        return 1.0 if self.method == "collect" else None

    def finish(self, s):
        return 1.0 if self.method == "finish" else None


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (
            Doubled(),
            r"Doubled\.apply\(self, s\) returns a value of type ndarray, .*write s\.obj\[\.\.\.\] = \.\.\. and",
        ),
        (NoChange() * rPIE(), r"NoChange\.apply\(self, s, b\) returns .*write b\.delta = \.\.\. and return nothing"),
        *((Returns(m) * rPIE(), rf"Returns\.{m}\(self, s\) returns a value of type float") for m in METHODS),
    ],
    ids=repr,
)
def test_what_a_step_returns_is_refused(p, recipe, says):
    with pytest.raises(opty.RecipeError, match=says):
        _ = recipe * p
    with pytest.raises(opty.RecipeError, match=says):
        check_operator(recipe, models=[None])
