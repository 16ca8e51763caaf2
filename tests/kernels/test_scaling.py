"""The scale between object and probe, brought back by an exact power of two on each backend."""

import numpy as np
import pytest

from opty.kernels import numpy_backend
from opty.kernels.update import scaling


def arrays_of(rng, kind, count):
    """Return a probe of power one, and other arrays with the powers of its factor by which they go."""
    real = np.dtype(kind).type(0).real.dtype
    probe = rng.normal(size=(2, 19, 19)) + 1j * rng.normal(size=(2, 19, 19))
    probe /= np.sqrt((abs(probe) ** 2).sum())
    others = [rng.normal(size=(31 + k, 37)).astype(real if k % 3 == 2 else kind) for k in range(count - 1)]
    return probe.astype(kind), others, [-1, 1, 2, -2, 1, -1][: count - 1]


@pytest.mark.parametrize("kind", ["complex64", "complex128"])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
@pytest.mark.parametrize(
    ("octaves", "moved"), [(0, 0), (0.9, 0), (1.1, 1), (-3.2, 0), (-29.8, 0), (-30.2, -30), (13.4, 13), (-33, -33)]
)
def test_arrays_go_with_the_probe(gpu, rng, kind, count, octaves, moved):
    probe, others, exponents = arrays_of(rng, kind, count)
    for backend in (numpy_backend, gpu):
        mine = [backend.asarray(a.copy()) for a in (probe, *others)]
        backend.take_scale(mine[0], 4.0**octaves, list(zip(mine, [1, *exponents], strict=True)))
        for a, before, exponent in zip(mine, (probe, *others), [1, *exponents], strict=True):
            assert np.array_equal(backend.to_host(a), before * before.dtype.type(2.0 ** (moved * exponent)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_what_is_not_finite_or_dark_is_left_for_the_watch(gpu, rng, bad):
    probe, (obj,), _ = arrays_of(rng, "complex64", 2)
    probe = probe * 0 if bad == 0 else probe
    probe[1, 3, 4] = bad
    for backend in (numpy_backend, gpu):
        mine = [backend.asarray(a.copy()) for a in (probe, obj)]
        backend.take_scale(mine[0], 1e6, [(mine[0], 1), (mine[1], -1)])
        assert np.array_equal(backend.to_host(mine[0]), probe, equal_nan=True)
        assert np.array_equal(backend.to_host(mine[1]), obj)


def test_dark_data_move_nothing(gpu, rng):
    probe, _, _ = arrays_of(rng, "complex64", 1)
    for backend in (numpy_backend, gpu):
        mine = backend.asarray(probe.copy())
        backend.take_scale(mine, 0.0, [(mine, 1)])
        assert np.array_equal(backend.to_host(mine), probe)


def test_the_rule():
    assert scaling.octaves(1.0, 1.0) == scaling.octaves(1.0, 0.26) == scaling.octaves(1.0, 4.0**29.9) == 0
    assert scaling.octaves(1.0, 0.25) == 1
    assert scaling.octaves(1.0, 4.0**30) == -30
    # What was brought back is not brought back again.
    for power in 10.0 ** np.linspace(-12, 12, 97):
        assert scaling.octaves(1.0, power * 4.0 ** scaling.octaves(1.0, power)) == 0
    assert scaling.octaves(1e300, 1e-300) == scaling.MOST
