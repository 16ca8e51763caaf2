"""Whether the memory that a recipe is told to need is what it takes."""

import tracemalloc

import pytest

from opty.runtime.memory_estimate import footprint
from opty.runtime.program import program_of


def assert_told(recipe, p, rel):
    """The largest memory of two iterations, beside what is there, is the estimate, within a share of it."""
    recipe * p  # what is made once
    tracemalloc.start()
    recipe**2 * p
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    told = footprint(p._live, program_of(recipe, p._live))
    there = told.data + sum(a.nbytes for a in p._live.leaves.values())
    assert told.total - there == pytest.approx(peak, rel=rel), recipe
