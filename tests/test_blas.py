"""BLAS is at one thread while opty computes, and afterwards at as many as before, however runs overlap."""

import sys
import threading
from pathlib import Path

import pytest
import threadpoolctl

sys.path.insert(0, str(Path(__file__).resolve().parent))
from small_scans import same, scan, state

import opty
from opty import rPIE


def threads():
    return [found["num_threads"] for found in threadpoolctl.threadpool_info() if found["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    """BLAS at two threads, which the environment of the tests may have at one."""
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        found = threads()
        if set(found) != {2}:
            pytest.skip(f"a BLAS whose threads cannot be set: {found}")
        yield


def runs(*recipes):
    """Run recipes at the same time in threads, and return what came out, or what was raised."""
    found = {}

    def one(k, recipe):
        try:
            found[k] = recipe * state(scan())
        except Exception as error:
            found[k] = error

    started = [threading.Thread(target=one, args=(k, recipe)) for k, recipe in enumerate(recipes)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(60)
    return [found[k] for k in range(len(recipes))]


@pytest.mark.parametrize("fails", [False, True])
def test_two_runs_that_overlap(two_threads, fails):
    """The first one ends while the second one, which began later, goes on."""
    first_in, second_in, first_over = threading.Event(), threading.Event(), threading.Event()
    seen = []

    class First(opty.Operator):
        def apply(self, s):
            first_in.set()
            assert second_in.wait(30)
            if fails:
                raise RuntimeError("it broke")

    class Second(opty.Operator):
        def apply(self, s):
            assert first_in.wait(30)
            second_in.set()
            assert first_over.wait(30)
            seen.append(threads())

    def wait_for_the_first():
        first_in.wait(30)
        one.join(30)
        first_over.set()

    one = threading.Thread(target=lambda: found.extend(runs(First() * rPIE())))
    found, watcher = [], threading.Thread(target=wait_for_the_first)
    one.start()
    watcher.start()
    second = runs(Second() * rPIE())[0]
    watcher.join(30)
    assert set(seen[0]) == {1}
    assert set(threads()) == {2}
    assert same(second, rPIE() * state(scan()))
    assert isinstance(found[0], RuntimeError) if fails else same(found[0], second)


def test_many_runs_at_once(two_threads):
    whole = rPIE() ** 3 * state(scan())
    assert all(same(q, whole) for q in runs(*[rPIE() ** 3] * 6))
    assert set(threads()) == {2}
