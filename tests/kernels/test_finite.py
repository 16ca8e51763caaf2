"""What the host is told of an iteration: numbers that come later, and whether all of a state is finite."""

import gc

import numpy as np
import pytest

from opty.kernels import numpy_backend

SHAPES = (37, 41), (2, 16, 16), (100, 2)
LARGEST, INSIDE = (21, 25), [0.0, 0.0, 0.0]
BAD = (np.nan, np.inf, -np.inf, complex(0, np.nan), complex(1, -np.inf))


def state_of(rng, kind):
    """Return finite arrays like object, probe and positions."""
    obj, probe = (rng.normal(size=s).astype(kind) + 1j * rng.normal(size=s).astype(kind) for s in SHAPES[:2])
    return [obj.astype(kind), probe.astype(kind), rng.uniform(0, 20, SHAPES[2])]


def told(check, backend, arrays):
    """Return what a check says of arrays: which are not finite, then the view that left the frame and its place."""
    found = check.broken(*(None if a is None else backend.asarray(a) for a in arrays), LARGEST)
    return [*map(bool, found[:3]), *map(float, found[3:])]


@pytest.mark.parametrize("kind", ["complex64", "complex128"])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_value_among_many_is_found(gpu, rng, kind, bad, which):
    for backend in (numpy_backend, gpu):
        arrays = state_of(rng, kind)
        check = backend.FiniteCheck()
        assert told(check, backend, arrays) == [False] * 3 + INSIDE
        place = rng.integers(arrays[which].size)
        arrays[which].flat[place] = bad if which < 2 else np.nan if np.isnan(bad) else np.inf
        assert told(check, backend, arrays) == [k == which for k in range(3)] + INSIDE
        arrays[which] = None
        assert told(backend.FiniteCheck(), backend, arrays) == [False] * 3 + INSIDE


def test_large_values_are_finite(gpu, rng):
    for backend in (numpy_backend, gpu):
        obj, probe, positions = state_of(rng, "complex64")
        arrays = [*(np.full_like(a, 0.9 * np.finfo(np.float32).max) for a in (obj, probe)), positions]
        assert told(backend.FiniteCheck(), backend, arrays) == [False] * 3 + INSIDE
        assert told(backend.FiniteCheck(), backend, [None] * 3) == [False] * 3 + INSIDE


@pytest.mark.parametrize("value", [-0.51, -3.0, -1e300, 1e9])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_first_view_that_left_the_frame_is_named(gpu, rng, value, axis):
    positions = state_of(rng, "complex64")[2]
    positions[[17, 60]] = 5.0
    positions[[17, 60], axis] = value, LARGEST[axis] + 0.51
    for backend in (numpy_backend, gpu):
        check = backend.FiniteCheck()
        expected = [False] * 3 + [18, *positions[17]]
        assert told(check, backend, [None, None, positions]) == expected
        assert told(check, backend, [None, None, np.clip(positions, 0, 20)]) == expected  # the run is over


def test_windows_at_the_edge_are_inside(gpu):
    positions = np.array([[-0.5, 0.0], [-0.0, -0.49], [21.49, 25.0], [3.0, 25.49]])
    for backend in (numpy_backend, gpu):
        assert told(backend.FiniteCheck(), backend, [None, None, positions]) == [False] * 3 + INSIDE


def test_what_is_brought_back_before_the_iteration_ends_is_told_all_the_same(gpu, rng):
    inside = state_of(rng, "complex64")[2]
    gone_to = [False, 100, inside[99, 0], -9]
    for bad, expected in ((np.nan, [True, *INSIDE]), (np.inf, [True, *INSIDE]), (-9.0, gone_to)):
        gone = inside.copy()
        gone[99, 1] = bad
        for backend in (numpy_backend, gpu):
            check = backend.FiniteCheck()
            check.look_at(backend.asarray(inside), LARGEST)
            check.look_at(backend.asarray(gone), LARGEST)
            assert told(check, backend, [None, None, inside])[2:] == expected


@pytest.mark.parametrize("whole", [False, True])
def test_no_window_lies_outside_wherever_a_position_is(gpu, rng, whole):
    positions = rng.uniform(-0.5, 21.5, (40, 2))
    positions[:6] = [[np.nan, 3.2], [4.7, np.inf], [-np.inf, 0], [1e300, -1e300], [-7.3, 22.4], [2, 1e19]]
    for backend in (numpy_backend, gpu):
        corners, fraction = backend.placed(backend.asarray(positions), LARGEST, whole)
        corners = backend.to_host(corners)
        assert corners.dtype == np.int64
        assert (corners[6:] == np.clip(np.rint(positions[6:]), 0, LARGEST)).all()
        assert (corners[:6] == [[0, 3], [5, 25], [0, 0], [21, 0], [0, 22], [2, 25]]).all()
        if whole:
            assert fraction is None
            continue
        fraction = backend.to_host(fraction)
        assert (fraction[6:] == positions[6:] - np.rint(positions[6:])).all()
        assert (abs(fraction) <= 0.5).all()
        assert (fraction[:3] == np.array([[0, 3.2 - 3], [4.7 - 5, 0], [0, 0]])).all()


def test_a_number_is_the_one_that_was_sent(gpu):
    sums = gpu.xp.zeros(1)
    found = []
    for _ in range(40):
        sums += 1.5
        found.append(gpu.number(sums.sum(), 3.0))
    assert [float(number) for number in found] == [(k + 1) * 1.5 / 3.0 for k in range(40)]
    assert [float(number) for number in reversed(found)] == [(k + 1) * 0.5 for k in reversed(range(40))]
    assert numpy_backend.number(np.float64(1.5), 3.0) == 0.5


def test_memory_of_copies_that_nobody_reads_is_used_again(gpu):
    from opty.arrays import async_scalars as module

    float(gpu.number(gpu.xp.ones(()), 1.0))
    before = sum(map(len, module._idle.values()))
    for _ in range(20):
        gpu.number(gpu.xp.ones(()), 1.0)
    gc.collect()
    assert sum(map(len, module._idle.values())) == before
    assert float(gpu.number(gpu.xp.full((), 7.0), 2.0)) == 3.5


def test_a_copy_goes_where_it_is_told(gpu, rng):
    for backend in (numpy_backend, gpu):
        a, b = backend.asarray(rng.normal(size=(5, 7))), backend.xp.zeros((5, 7))
        backend.copy_into(b, a)
        assert (backend.to_host(b) == backend.to_host(a)).all()
        backend.copy_into(b.T, 2 * a.T)
        assert (backend.to_host(b) == 2 * backend.to_host(a)).all()
