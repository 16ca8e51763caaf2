"""The mark ``covering``: of a test with many cases, the default run takes those that have each value among them."""

from __future__ import annotations

import itertools

import pytest


def mark_the_rest(items: list[pytest.Item]) -> None:
    """Mark as slow the cases that the default run leaves out; those for a device are left as they are."""
    tests: dict[tuple[pytest.Collector, str], list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("covering") and not {"gpu", "slow"} & {mark.name for mark in item.iter_markers()}:
            tests.setdefault((item.parent, item.originalname), []).append(item)
    for cases in tests.values():
        kept = covering([item.callspec.params for item in cases], *cases[0].get_closest_marker("covering").args)
        for number, item in enumerate(cases):
            if number not in kept:
                item.add_marker(pytest.mark.slow)


def covering(cases: list[dict[str, object]], together: int = 1) -> set[int]:
    """Return the numbers of cases that have each choice of so many parameters' values that comes among all of them."""
    choices = [
        {*itertools.combinations(sorted((name, repr(value)) for name, value in case.items()), together)}
        for case in cases
    ]
    left, kept = set().union(*choices), set()
    while left:
        kept.add(max(range(len(cases)), key=lambda number: len(left & choices[number])))
        left.difference_update(*(choices[number] for number in kept))
    return kept
