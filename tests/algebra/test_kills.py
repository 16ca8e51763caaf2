"""A killed run has a checkpoint that is not old, and goes on from it to the end of the whole run, bit for bit."""

import math
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from recipe_strategies import engines, often, turns
from small_scans import same, scan, state

import opty
from opty import AP, Every, Log, Save, Until, ePIE
from opty.operators.observers import Observer
from opty.runtime.divergence import DivergenceMonitor


class Killed(BaseException):
    """What a kill is to the process: nothing handles it."""


def killed(recipe, p, at):
    """Run a recipe and kill it when iteration ``at`` has been made, before it is anything but a number."""

    def iteration_over(self, node, misfit):
        counted(self, node, misfit)
        if self._store.iteration == at:
            raise Killed

    counted = DivergenceMonitor.iteration_over
    with pytest.MonkeyPatch.context() as m:
        m.setattr(DivergenceMonitor, "iteration_over", iteration_over)
        with pytest.raises(Killed):
            recipe * p


def visits_of_saves(recipe, p):
    """Run a recipe; return the end, and at each visit of Save the iteration and that at which the outer turn began."""

    def due(self, s):
        if isinstance(self, Save):
            visited.append(s.iteration)
            began.append(s.memo["run"].began())
        return looked(self, s)

    looked, visited, began = Observer.due, [], []
    with pytest.MonkeyPatch.context() as m:
        m.setattr(Observer, "due", due)
        return recipe * p, visited, began


def checked(recipe, p, every, part):
    """Kill a run somewhere in its loop, look at the age of the file, and resume it."""
    path = "killed.h5"
    end, visited, began = visits_of_saves(recipe, p)
    # One turn where all are equally long; branches may make the way from one visit to the next longer than a turn.
    turn = max(b - a for a, b in zip([began[0], *visited], [*visited, end.iteration], strict=True))
    at = began[0] + 1 + math.floor(part * (end.iteration - began[0] - 1e-9))
    if os.path.exists(path):
        os.remove(path)
    killed(recipe, p, at)
    reached = opty.load(path, device="cpu").iteration if os.path.exists(path) else began[0]
    assert at - reached < every + turn, (at, reached, turn)
    if os.path.exists(path):
        assert same(opty.resume(path, threads=1), end)


every = st.shared(st.integers(1, 9), key="every")
save = every.map(lambda n: Save("killed.h5", every=n))
bodies = st.tuples(turns(save, st.just(Log(every=10**6))), save, st.booleans()).map(
    lambda t: t[0] * t[1] if t[2] else t[1] * t[0]
)
loops = st.tuples(bodies, st.integers(2, 5) | st.just(Until(tol=0.1, max_turns=4))).map(lambda t: t[0] ** t[1])
outer = st.tuples(loops, engines, st.integers(2, 3)).map(lambda t: (t[1] * t[0]) ** t[2])


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    loops | outer,
    st.none() | st.tuples(engines, often).map(lambda t: t[0] ** t[1]),
    st.none() | engines,
    every,
    st.floats(0, 1),
)
@example((Save("killed.h5", every=50) * opty.rPIE() ** 3) ** 20, None, None, 50, 0.999)
@example((Save("killed.h5", every=5) * ePIE() ** 7) ** 4, None, None, 5, 0.45)
@example((AP() * Save("killed.h5", every=5) * Every(2, ePIE() ** 3) * AP()) ** 9, AP() ** 4, None, 5, 0.8)
@example(((Save("killed.h5", every=6) * AP()) ** 2 * ePIE() ** 9) ** 3, None, ePIE(), 6, 0.5)
def test_a_killed_run_has_a_checkpoint_that_is_not_old(tmp_path_factory, loop, before, after, n, part):
    recipe = loop if before is None else loop * before
    recipe = recipe if after is None else after * recipe
    with pytest.MonkeyPatch.context() as m:
        m.chdir(tmp_path_factory.getbasetemp())
        checked(recipe, state(scan(views=6)), n, part)
