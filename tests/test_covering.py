"""The cases that a default run takes of a test with many."""

import itertools

from covering import covering


def test_each_value_and_each_pair_is_there():
    axes = {"noise": ("poisson", "gaussian", "amplitude"), "dtype": ("c8", "c16"), "modes": (1, 3)}
    cases = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    assert len(covering(cases)) == 3
    kept = [cases[number] for number in covering(cases, 2)]
    assert 6 <= len(kept) < 12
    for one, other in itertools.combinations(axes, 2):
        pairs = {(case[one], case[other]) for case in kept}
        assert pairs == {*itertools.product(axes[one], axes[other])}


def test_cases_that_come_only_together_are_taken_as_they_come():
    assert covering([{"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 1}]) == {0, 1}
