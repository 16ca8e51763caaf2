"""What the host is told of an iteration: numbers that come later, and whether all of a state is finite."""

import gc

import numpy as np
import pytest

from opty.backend import on_numpy

SHAPES = (37, 41), (2, 16, 16), (100, 2)
BAD = (np.nan, np.inf, -np.inf, complex(0, np.nan), complex(1, -np.inf))


def state_of(rng, kind):
    """Return finite arrays like object, probe and positions."""
    obj, probe = (rng.normal(size=s).astype(kind) + 1j * rng.normal(size=s).astype(kind) for s in SHAPES[:2])
    return [obj.astype(kind), probe.astype(kind), rng.normal(size=SHAPES[2])]


def told(lookout, backend, arrays):
    """Return what a lookout says of arrays."""
    return [bool(found) for found in lookout.broken(*(None if a is None else backend.asarray(a) for a in arrays))]


@pytest.mark.parametrize("kind", ["complex64", "complex128"])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_value_among_many_is_found(gpu, rng, kind, bad, which):
    for backend in (on_numpy, gpu):
        arrays = state_of(rng, kind)
        lookout = backend.Lookout()
        assert told(lookout, backend, arrays) == [False] * 3
        place = rng.integers(arrays[which].size)
        arrays[which].flat[place] = bad if which < 2 else np.nan if np.isnan(bad) else np.inf
        assert told(lookout, backend, arrays) == [k == which for k in range(3)]
        arrays[which] = None
        assert told(backend.Lookout(), backend, arrays) == [False] * 3


def test_large_values_are_finite(gpu, rng):
    for backend in (on_numpy, gpu):
        arrays = [np.full_like(a, 0.9 * np.finfo(a.real.dtype).max) for a in state_of(rng, "complex64")]
        assert told(backend.Lookout(), backend, arrays) == [False] * 3
        assert told(backend.Lookout(), backend, [None] * 3) == [False] * 3


def test_a_number_is_the_one_that_was_sent(gpu):
    sums = gpu.xp.zeros(1)
    found = []
    for _ in range(40):
        sums += 1.5
        found.append(gpu.number(sums.sum(), 3.0))
    assert [float(number) for number in found] == [(k + 1) * 1.5 / 3.0 for k in range(40)]
    assert [float(number) for number in reversed(found)] == [(k + 1) * 0.5 for k in reversed(range(40))]
    assert on_numpy.number(np.float64(1.5), 3.0) == 0.5


def test_memory_of_letters_that_nobody_reads_is_used_again(gpu):
    from opty.backend import lookout as module

    float(gpu.number(gpu.xp.ones(()), 1.0))
    before = sum(map(len, module._idle.values()))
    for _ in range(20):
        gpu.number(gpu.xp.ones(()), 1.0)
    gc.collect()
    assert sum(map(len, module._idle.values())) == before
    assert float(gpu.number(gpu.xp.full((), 7.0), 2.0)) == 3.5


def test_a_copy_goes_where_it_is_told(gpu, rng):
    for backend in (on_numpy, gpu):
        a, b = backend.asarray(rng.normal(size=(5, 7))), backend.xp.zeros((5, 7))
        backend.copy_into(b, a)
        assert (backend.to_host(b) == backend.to_host(a)).all()
        backend.copy_into(b.T, 2 * a.T)
        assert (backend.to_host(b) == 2 * backend.to_host(a)).all()
