"""What is no arithmetic of operators is refused, with what to write instead."""

import copy
import inspect
import pickle
import re
from typing import Literal

import numpy as np
import pytest

import opty
from opty import Coarse, Every, ObjUpdate, RecipeError, Sweep, Until, ePIE, rPIE
from opty.algebra.parameters import spoken


def test_an_array_times_an_operator():
    for array in (np.ones((3, 3)), np.float64(2.5), np.ones(2, dtype=object)):
        with pytest.raises(RecipeError, match=r"operators act on a PtychoState.*p\.replace\(obj=\.\.\.\)"):
            array * rPIE()
    with pytest.raises(RecipeError, match=r"rPIE\(\) \* ndarray: an operator multiplies an operator or a PtychoState"):
        rPIE() * np.ones((3, 3))


def test_a_state_stands_on_the_right(p):
    with pytest.raises(RecipeError, match=r"write rPIE\(\) \* p, not p \* rPIE\(\)"):
        p * rPIE()


@pytest.mark.parametrize("number", [2, np.int64(2)])
def test_a_number_times_an_operator(number):
    with pytest.raises(RecipeError, match=r"to repeat an operator write rPIE\(\) \*\* 2"):
        number * rPIE()


@pytest.mark.parametrize("wrong", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: 1 + a, lambda a, b: a + 1])
def test_a_sum(wrong):
    with pytest.raises(RecipeError, match=r"write A \* B \(B runs first\)"):
        wrong(ePIE(), rPIE())


def test_a_negative_power():
    with pytest.raises(ValueError, match=r"\*\* -1: a reconstruction cannot be undone; keep the earlier state"):
        rPIE() ** -1


@pytest.mark.parametrize("power", [1.5, True, 2.0, "2", None, rPIE()])
def test_a_power_that_is_no_number_of_turns(power):
    with pytest.raises(RecipeError, match=r"the exponent is a number of turns, or Until"):
        rPIE() ** power


def test_numbers_of_numpy_are_turns():
    assert rPIE() ** np.int32(3) == rPIE() ** 3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda p: ePIE() * rPIE,
        lambda p: rPIE * ePIE(),
        lambda p: rPIE * ePIE,
        lambda p: rPIE * p,
        lambda p: p * rPIE,
        lambda p: rPIE**3,
        lambda p: rPIE ** Until(),
        lambda p: 3 * rPIE,
        lambda p: np.ones(3) * rPIE,
        lambda p: rPIE + rPIE(),
    ],
)
def test_the_class_instead_of_an_operator(p, wrong):
    with pytest.raises(RecipeError, match=r"rPIE is the class; write rPIE\(\)"):
        wrong(p)
    with pytest.raises(RecipeError, match=r"Every is the class; write Every\(n=\.\.\., op=\.\.\.\)"):
        Every * p


def test_the_class_as_a_parameter():
    for wrong in (lambda: Every(3, rPIE), lambda: Sweep(ObjUpdate)):
        with pytest.raises(RecipeError, match=r"is the class; write \w+\(\)"):
            wrong()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rPIE(alpha="a"), r"rPIE\(alpha=\.\.\.\) is 'a'; give a number"),
        (lambda: rPIE(alpha=True), r"rPIE\(alpha=\.\.\.\) is True; give a number"),
        (lambda: rPIE(batch=True), "give a whole number or 'all'"),
        (lambda: rPIE(batch="some"), "give a whole number or 'all'"),
        (lambda: rPIE(batch=1.5), "give a whole number or 'all'"),
        (
            lambda: rPIE(batch=np.array([1, 2])),
            r"is an array of shape \(2,\); give a .*number.*; an array lives in the state",
        ),
        (
            lambda: rPIE(alpha=np.array([0.1, 0.2])),
            r"is an array of shape \(2,\); give a .*number.*; an array lives in the state",
        ),
        (lambda: rPIE(alpha=float("nan")), "give a finite number"),
        (lambda: rPIE(alpha=10**400), "one that a float can hold"),
        (lambda: Every(0, ePIE()), "number of iterations from 1 on"),
        (lambda: Until(tol=-1), "from 0 on"),
        (lambda: Until(tol=float("inf")), "from 0 on"),
        (lambda: Until(tol=10**400), "from 0 on"),
        (lambda: Until(max_turns=0), "at least one turn"),
        (lambda: Until(max_turns=True), "give a number"),
        (lambda: ObjUpdate(alpha=1.5), "from 0 to 1"),
        (lambda: ObjUpdate(step=0), "above 0"),
        (lambda: Sweep(ObjUpdate(), batch=0), "from 1 on, 'all' or None"),
        (lambda: Sweep(ObjUpdate(), order="any"), "is 'any'; give 'random', 'scan', 'uniform' or 'compact'"),
        (lambda: opty.operators.RelaxedStep(beta=2.5), "up to 2"),
        (lambda: opty.operators.MergeObj(inertia=-1), "from 0 on"),
        (lambda: opty.PosCorrectAdam(beta1=1), "not with, 1"),
        (lambda: opty.Log(every=0), "from 1 on"),
        (lambda: opty.LBFGS(memory=0), r"^LBFGS\(memory=0\): give how many pairs are kept, from 1 on$"),
        (lambda: opty.LBFGS(damping=-1), r"^LBFGS\(damping=-1\.0\): give a share above 0"),
        (lambda: rPIE(probe_step=0), r"^rPIE\(probe_step=0\.0\): give a step above 0"),
        (lambda: opty.DM(beta=0), r"^DM\(beta=0\.0\): give a relaxation above 0"),
        (lambda: opty.AP(obj_smooth=-1), r"^AP\(obj_smooth=-1\.0\): give a number from 0 on"),
        (lambda: opty.LBFGS(noise="student"), r"or 'amplitude' \(a noise model of your own cannot be added\)"),
    ],
)
def test_parameters_out_of_range_or_of_another_type(make, message):
    with pytest.raises((RecipeError, ValueError), match=message):
        make()


def test_parameters_are_frozen():
    recipe = rPIE()
    with pytest.raises(AttributeError):
        recipe.alpha = 0.5


class Weights(opty.Operator):
    """An operator with a tuple, for the tests."""

    values: tuple[float, ...] = (1.0,)
    pair: tuple[int, str] | None = None


def test_tuples_are_checked_to_the_bottom():
    op = Weights(values=[1, np.float32(0.5)], pair=(np.int64(3), "x"))
    assert op == Weights(values=(1.0, 0.5), pair=(3, "x"))
    assert repr(op) == "Weights(values=(1.0, 0.5), pair=(3, 'x'))"
    assert opty.from_json(op.to_json()) == opty.parse(repr(op)) == op
    for wrong in ({"values": (1.0, float("nan"))}, {"values": ("a",)}, {"pair": (1, "x", 2)}, {"values": 1.0}):
        with pytest.raises((RecipeError, ValueError), match=r"Weights\((values|pair)=\.\.\.\)"):
            Weights(**wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rPIE(alfa=0.05), r"rPIE has no parameter 'alfa'; did you mean alpha\? It has alpha, beta, batch, "),
        (lambda: rPIE(zzz=1), "rPIE has no parameter 'zzz'; it has alpha, beta, batch"),
        (lambda: rPIE(1, 2, 3, 4, 5, 6, 7), r"rPIE takes 5 values \(alpha, beta, .*\), not 7"),
        (lambda: opty.Identity(3), "Identity takes no values, not 1"),
        (lambda: opty.operators.Reflect(1), "Reflect takes no values, not 1"),
        (lambda: opty.Save(), r"Save needs path; write Save\(path=\.\.\.\)"),
        (lambda: Every(), r"Every needs n and op; write Every\(n=\.\.\., op=\.\.\.\)"),
        (lambda: Every(3), r"Every needs op; write"),
        (lambda: rPIE(0.1, alpha=0.2), "rPIE is given alpha twice, by its place and by its name"),
        (lambda: Coarse(rPIE(), factor=4), r"by its name; did you mean Coarse\(factor=4, recipe=rPIE\(\)\)\?"),
        (lambda: Coarse(rPIE(), 4), r"a whole number; did you mean Coarse\(factor=4, recipe=rPIE\(\)\)\?"),
        (lambda: Every(rPIE(), n=5), r"did you mean Every\(n=5, op=rPIE\(\)\)\?"),
        (lambda: opty.BestOf(3, rPIE()), r"an operator; did you mean BestOf\(recipe=rPIE\(\), tries=3\)\?"),
        (lambda: rPIE(alpha=None), r"give a number$"),
        (lambda: rPIE(0.1, alpha=0.2), "by its name$"),
        (lambda: Until(tolerance=1e-3), r"Until has no parameter 'tolerance'; did you mean tol\? It has tol, max"),
        (lambda: Until(1e-3, 10, 3), r"Until takes 2 values \(tol, max_turns\), not 3"),
    ],
)
def test_arguments_that_no_operator_has(make, message):
    with pytest.raises(RecipeError, match=message):
        make()


def test_a_fault_inside_a_constructor_stays_what_it_is():
    class Broken(opty.Operator):
        alpha: float = 1.0

        def check(self):
            len(3)

    with pytest.raises(TypeError, match="object of type 'int' has no len"):
        Broken(alpha=0.5)


def test_the_signature_and_copies_stay():
    assert list(inspect.signature(rPIE).parameters)[:3] == ["alpha", "beta", "batch"]
    assert inspect.signature(Every).parameters["first"].default is None
    for recipe in (rPIE(alpha=0.3) ** 4, Every(2, ePIE()), Weights(values=(1.0, 2.0))):
        assert pickle.loads(pickle.dumps(recipe)) == recipe == copy.deepcopy(recipe)


def test_the_types_are_said_in_words():
    for name, cls in opty.algebra.operator.REGISTRY.items():
        for hint in cls._types.values():
            text = spoken(hint)
            assert "typing" not in text, name
            assert not re.search(r"Literal|float|\bint\b|str\b|NoneType|class", text), name
    assert spoken(int | Literal["all"] | None) == "a whole number, 'all' or None"
    assert spoken(tuple[float, ...]) == "a tuple, each a number"
    assert spoken(tuple[int, str] | None) == "a tuple (a whole number, a text) or None"
    assert spoken(int | Until) == "a whole number or Until(tol=..., max_turns=...)"
