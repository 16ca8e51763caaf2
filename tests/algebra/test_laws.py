"""The laws of ``*`` and ``**``, and that a recipe is its text and its JSON."""

import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_strategies import LOOSE, OWN, made, operators, untils
from small_scans import same

import opty
from opty import Every, Identity, ObjUpdate, Orthogonalise, ProbeUpdate, Until, ePIE, rPIE
from opty.algebra.compose import Compose, Repeat

law = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def is_its_text_and_json(recipe):
    assert eval(repr(recipe), vars(opty.operators) | vars(opty)) == recipe
    parsed, decoded = opty.parse(repr(recipe)), opty.from_json(recipe.to_json())
    assert parsed == decoded == recipe
    assert hash(parsed) == hash(decoded) == hash(recipe)
    assert repr(decoded) == repr(recipe)
    assert decoded.to_json() == recipe.to_json()


@law
@given(operators, operators, operators)
def test_composition_is_associative(a, b, c):
    assert (a * b) * c == a * (b * c)
    assert hash((a * b) * c) == hash(a * (b * c))
    assert repr((a * b) * c) == repr(a * (b * c))


@law
@given(operators)
def test_identity_is_neutral(a):
    assert Identity() * a == a == a * Identity()
    assert Identity() ** 7 == Identity()


@law
@given(operators, st.integers(0, 9), st.integers(0, 9))
def test_powers(a, m, n):
    assert a**0 == Identity()
    assert a**1 == a
    assert (a**m) ** n == a ** (m * n)


def test_six_is_two_times_three_and_not_eight():
    assert (rPIE() ** 2) ** 3 == rPIE() ** 6 != rPIE() ** 8
    assert repr((rPIE() ** 2) ** 3) == "rPIE() ** 6"


@law
@given(operators, untils)
def test_a_rule_is_an_exponent_and_does_not_multiply(a, rule):
    looped = a**rule
    assert looped == (Identity() if a == Identity() else Repeat(a, rule))
    assert is_its_text_and_json(looped) is None
    assert (looped**2).times == 2 if a != Identity() else True


def test_loops_made_by_hand_are_normal_too():
    assert Repeat(Repeat(ePIE(), 2), 3) == ePIE() ** 6
    assert Compose((ePIE() * rPIE(), Identity(), ePIE())) == ePIE() * rPIE() * ePIE()
    with pytest.raises(opty.RecipeError, match=r"write Identity\(\)"):
        Repeat(Identity(), 3)
    for times in (-1, 0, 1):
        with pytest.raises(ValueError, match="two turns or more"):
            Repeat(ePIE(), times)
    with pytest.raises(opty.RecipeError, match="two steps or more, got 1"):
        Compose((ePIE(), Identity()))


@pytest.mark.parametrize("cls", LOOSE, ids=lambda cls: cls.__name__)
def test_every_operator_is_its_text_and_its_json(cls):
    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(made(cls))
    def check(op):
        is_its_text_and_json(op)

    check()


@law
@given(operators)
def test_every_recipe_is_its_text_and_its_json(recipe):
    is_its_text_and_json(recipe)


def test_every_operator_has_a_public_name():
    assert {name for name in OWN if name not in ("Compose", "Repeat")} <= {*opty.__all__, *opty.operators.__all__}


def test_only_what_differs_from_the_defaults_is_written():
    assert repr(rPIE()) == "rPIE()"
    assert repr(rPIE(alpha=0.2, batch="all")) == "rPIE(batch='all')"
    text = "(Every(5, Orthogonalise()) * ePIE()) ** 100"
    assert repr((Every(5, Orthogonalise()) * ePIE()) ** 100) == text
    assert repr(ePIE() ** Until(max_turns=3) * rPIE() ** 2) == "ePIE() ** Until(tol=0.0001, max_turns=3) * rPIE() ** 2"
    assert repr((ePIE() ** Until()) ** 2) == "(ePIE() ** Until(tol=0.0001, max_turns=1000)) ** 2"


def test_numbers_of_another_kind_make_the_same_recipe():
    import numpy as np

    assert rPIE(alpha=1, batch=np.int64(3)) == rPIE(alpha=1.0, batch=3)
    assert repr(rPIE(alpha=np.float64(0.25), batch=np.int64(3))) == "rPIE(alpha=0.25, batch=3)"


def test_five_thousand_steps(p):
    recipe = Identity()
    for k in range(2500):
        recipe = recipe * Orthogonalise() * Every(10_000 + k, Orthogonalise())
    assert len(recipe.steps) == 5000
    assert recipe == opty.from_json(recipe.to_json())
    assert hash(recipe) == hash(opty.from_json(recipe.to_json()))
    assert repr(recipe).count("Every") == 2500
    q = recipe * p
    assert q.recipe == recipe
    assert same(q, Orthogonalise() ** 2500 * p)
    assert same(q, (Orthogonalise() * Every(10_000, Orthogonalise())) ** 2500 * p)


def test_a_sweep_of_two_thousand_steps_is_planned_in_time(p):
    recipe = Identity()
    for _ in range(1000):
        recipe = recipe * ObjUpdate() * ProbeUpdate()
    assert recipe.explain(p).count("ObjUpdate") > 1000


def test_hints_of_every_operator_resolve():
    for cls in OWN.values():
        assert set(typing.get_type_hints(cls)) >= set(cls.__dataclass_fields__)
