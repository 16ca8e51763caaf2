"""The compiled kernels of fits against those of NumPy, on numbers drawn by the name of the test."""

import zlib

import numpy as np
import pytest
from families import all_functions, meaning

from opty.kernels.likelihood.noise import AMPLITUDE, GAUSSIAN, POISSON

loops = pytest.importorskip("opty.kernels.likelihood.loops")
compiled = all_functions("loops")
TOLERANCE = {"complex64": 2e-5, "complex128": 1e-12}
VIEWS, N, SIZE = 5, 12, 20


@pytest.fixture(params=TOLERANCE)
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng(request):
    """A generator that each test has to itself, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


def waves(rng, dtype, *shape):
    """Complex numbers of all sizes."""
    size = 10 ** rng.uniform(-2, 2, shape)
    return (size * np.exp(2j * np.pi * rng.random(shape))).astype(dtype)


def corners(rng):
    return rng.integers(0, SIZE - N + 1, (VIEWS, 2))


def frames(rng, dtype, kind, masked, background):
    """Intensities of more views than the batch has, some of them zero, and where the batch stands in them."""
    real = np.zeros(0, dtype).real.dtype
    intensity = rng.poisson(10 ** rng.uniform(-1, 4, (VIEWS + 3, N, N))).astype(kind)
    mask = rng.random((VIEWS + 3 if masked == 3 else 1, N, N)) < 0.8 if masked else None
    return intensity, rng.permutation(VIEWS + 3)[:VIEWS], mask, rng.random((N, N)).astype(real) if background else None


def both(kernel, *arguments):
    """Run a kernel of each kind on arguments of its own; return what all arrays hold afterwards, pair by pair."""
    own = [[a.copy() if isinstance(a, np.ndarray) else a for a in arguments] for _ in range(2)]
    for module, given in zip((meaning, compiled), own, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            getattr(module, kernel)(*given)
    return [(a, b) for a, b in zip(*own, strict=True) if isinstance(a, np.ndarray) and a.dtype != bool]


def agree(pairs, dtype):
    for a, b in pairs:
        assert abs(a - b).max() <= TOLERANCE[str(dtype)] * max(abs(a).max(), 1e-30)


CASES = pytest.mark.parametrize(("masked", "background"), [(0, False), (2, True), (3, False)])


@pytest.mark.covering(2)
@CASES
@pytest.mark.parametrize("noise", [POISSON, GAUSSIAN, AMPLITUDE])
@pytest.mark.parametrize("kind", ["uint16", "float32", "float64"])
@pytest.mark.parametrize("modes", [1, 3])
def test_slope(rng, dtype, masked, background, noise, kind, modes):
    there = waves(rng, dtype, VIEWS, modes, N, N)
    there[0, :, 0, 0] = 0
    agree(both("put_slope", there, *frames(rng, dtype, kind, masked, background), noise, *np.empty((2, VIEWS))), dtype)


@pytest.mark.parametrize("noise", [POISSON, GAUSSIAN, AMPLITUDE])
def test_a_perfect_fit_has_no_slope_and_no_misfit(rng, dtype, noise):
    there = (rng.integers(1, 30, (VIEWS, 1, N, N)) * np.array([1, 1j, -1, -1j])[rng.integers(0, 4, N)]).astype(dtype)
    misfits, values = np.ones((2, VIEWS))
    loops.put_slope(there, (abs(there[:, 0]) ** 2).round(), np.arange(VIEWS), None, None, noise, misfits, values)
    assert (misfits == 0).all()
    assert (values == 0).all()
    assert abs(there).max() <= 1e-6


@pytest.mark.parametrize("noise", [POISSON, GAUSSIAN, AMPLITUDE])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(rng, dtype, noise, bad):
    there = waves(rng, dtype, VIEWS, 2, N, N)
    there[3, 1, 5, 7] = bad
    misfits, values = np.empty((2, VIEWS))
    loops.put_slope(there, *frames(rng, dtype, "uint16", 0, False), noise, misfits, values)
    assert (np.isfinite(values) == (np.arange(VIEWS) != 3)).all()
    assert not np.isfinite(there[3, 1, 5, 7])


@pytest.mark.covering(2)
@CASES
@pytest.mark.parametrize("noise", [POISSON, GAUSSIAN, AMPLITUDE])
@pytest.mark.parametrize("modes", [1, 3])
def test_changes(rng, dtype, masked, background, noise, modes):
    there = waves(rng, dtype, 3, VIEWS, modes, N, N)
    trials = np.array([0.25, 1, 2], there.real.dtype) * there.real.dtype.type(10 ** rng.uniform(-3, 0))
    agree(
        both(
            "add_up_changes",
            there,
            *frames(rng, dtype, "float32", masked, background),
            noise,
            trials,
            np.empty((VIEWS, 3)),
        ),
        dtype,
    )


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("modes", [1, 3])
def test_sums_over_views(rng, dtype, own, modes):
    obj, step = waves(rng, dtype, 2, SIZE, SIZE)
    seen = [waves(rng, dtype, VIEWS if own else 1, modes, N, N) for _ in range(2)]
    at, rows, lengths = corners(rng), rng.permutation(VIEWS + 2)[:VIEWS], rng.normal(size=VIEWS)
    light = abs(seen[0][:, 0]) ** 2
    agree(both("along", obj, at, seen[0], step, seen[1], np.empty((3, VIEWS, modes, N, N), dtype)), dtype)
    residual = waves(rng, dtype, VIEWS + 2, modes, N, N)
    agree(both("add_up_products", residual, rows, obj, at, seen[0], step, seen[1], np.empty((VIEWS, 5))), dtype)
    for low, high in ((0, SIZE), (3, 9), (9, 9)):
        agree(both("add_light", at, light, lengths, np.zeros((SIZE, SIZE), light.dtype), low, high), dtype)
    for low, high in ((0, N), (3, 9), (9, 9)):
        agree(both("add_transmission", obj, at, lengths, np.zeros((N, N), light.dtype), low, high), dtype)


@pytest.mark.parametrize("band", [(0, SIZE), (4, 11)])
def test_steps(rng, dtype, band):
    target, direction = waves(rng, dtype, 2, 3, SIZE, SIZE)
    total, weight = abs(waves(rng, dtype, 2, SIZE, SIZE)) * (rng.random((2, SIZE, SIZE)) < 0.7).astype(
        target.real.dtype
    )
    agree(both("divide", direction, weight, weight.max(), rng.random(), *band), dtype)
    agree(both("add_average", target, direction, total, weight, *band), dtype)


def test_the_logarithm(rng):
    """To the last digits but two, for numbers near one and of all sizes."""
    x = np.concatenate(
        [rng.uniform(-0.999, 3, 5000), 10 ** rng.uniform(-9, 8, 5000), -(10 ** rng.uniform(-9, -1, 5000))]
    )
    x = x.astype(np.float32).reshape(-1, 100)
    # Changes of L of one photon measured and one predicted: x - log(1 + x).
    got = np.empty_like(x)
    for row, out in zip(x, got, strict=True):
        loops._poisson_changes(np.ones_like(row), np.ones_like(row), row, out)
    exact = x.astype(float)
    line = exact < 1 / 4 - 1
    gain = np.where(line, 1 / 4 - 1, exact)
    exact = gain - np.log1p(gain) - 3 * (exact - gain)
    assert (abs(got - exact) <= 4 * np.finfo(np.float32).eps * abs(x)).all()
