"""What is no arithmetic of operators is refused, with what to write instead."""

import numpy as np
import pytest

import opty
from opty import Every, ObjUpdate, RecipeError, Sweep, Until, ePIE, rPIE


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
    with pytest.raises(RecipeError, match=r"the exponent is a whole number of turns, or Until"):
        rPIE() ** power


def test_numbers_of_numpy_are_turns():
    assert rPIE() ** np.int32(3) == rPIE() ** 3


@pytest.mark.parametrize("product", [lambda: ePIE() * rPIE, lambda: rPIE * ePIE()])
def test_the_class_instead_of_an_operator(product):
    with pytest.raises(RecipeError, match=r"rPIE is the class, write rPIE\(\)"):
        product()


def test_the_class_as_a_parameter():
    for wrong in (lambda: Every(3, rPIE), lambda: Sweep(ObjUpdate)):
        with pytest.raises(RecipeError, match=r"is the class \w+; write \w+\(\)"):
            wrong()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rPIE(alpha="a"), r"rPIE\(alpha=\.\.\.\) is 'a' of type str; expected 'float'"),
        (lambda: rPIE(alpha=True), "expected 'float'"),
        (lambda: rPIE(batch=True), "expected 'int' or"),
        (lambda: rPIE(batch="some"), "expected 'int' or"),
        (lambda: rPIE(batch=1.5), "expected 'int' or"),
        (lambda: rPIE(batch=np.array([1, 2])), "an array lives in the state"),
        (lambda: rPIE(alpha=np.array([0.1, 0.2])), "an array lives in the state"),
        (lambda: rPIE(alpha=float("nan")), "give a finite number"),
        (lambda: rPIE(alpha=10**400), "one that a float can hold"),
        (lambda: Every(0, ePIE()), "number of iterations from 1 on"),
        (lambda: Until(tol=-1), "from 0 on"),
        (lambda: Until(tol=float("inf")), "from 0 on"),
        (lambda: Until(tol=10**400), "from 0 on"),
        (lambda: Until(max=0), "at least one turn"),
        (lambda: Until(max=True), "give a number"),
        (lambda: ObjUpdate(alpha=1.5), "from 0 to 1"),
        (lambda: ObjUpdate(step=0), "above 0"),
        (lambda: Sweep(ObjUpdate(), batch=0), "from 1 on, 'all' or None"),
        (lambda: Sweep(ObjUpdate(), order="any"), "expected"),
        (lambda: opty.Difference(beta=2.5), "up to 2"),
        (lambda: opty.MergeObj(inertia=-1), "from 0 on"),
        (lambda: opty.PosCorrectAdam(beta1=1), "not with, 1"),
        (lambda: opty.Log(every=0), "from 1 on"),
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
