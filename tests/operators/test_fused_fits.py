"""Fused steps of fits give what the steps one by one give; on scans, objects and probes drawn anew in each run."""

import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from small_scans import close, same, scan, state

import opty
from opty import ML, FourierProject, Leaf, Sweep, ViewOperator
from opty.fusion.fits import BestSteps, Gradient, Search
from opty.operators import (
    AccumObj,
    ConjugateDirection,
    LikelihoodGradient,
    LineSearch,
    LSQUpdate,
    ObjMomentum,
    TakeStep,
)

STEP = {"complex64": 1e-5, "complex128": 1e-11}  # the most that a step may differ by
NOISES = ("poisson", "gaussian", "amplitude")
SCANS = [
    {"modes": modes, "mask": mask, "background": background, "fractional": fractional}
    for modes, mask, background in ((1, 0, False), (1, 2, True), (3, 3, True), (3, 0, False))
    for fractional in (False, True)
]
KINDS = ("far", "cone", "near")


@pytest.fixture
def seed(request):
    """A seed that each test has to itself, the same in every run."""
    return zlib.crc32(request.node.name.encode()) >> 1


def drawn(seed, dtype, options, kind="far", threads=1):
    """Return a random state, near its truth."""
    data = scan(seed=seed, views=7, **options)
    if kind != "far":
        focus = 1e-3
        geometry = opty.Geometry(1e-10, 1.0, 1e-6, focus, kind)
        pixels = geometry.sample_pixel(16)
        data = data.replace(positions=data.positions * pixels, geometry=geometry)
    return state(data, wrong=0.1, dtype=dtype, seed=seed % 1000, threads=threads)


def one_by_one(recipe, p):
    with opty.unfused():
        return recipe * p


def fused_as(recipe, p, name):
    """Say whether the plan has a fused step of that name."""
    return f"fused: {name}" in str(recipe.explain(p)) or f", {name}" in str(recipe.explain(p))


def gradient(noise):
    return Sweep(LikelihoodGradient(noise), order="scan")


def search(noise):
    return Sweep(LineSearch(noise), order="scan")


@pytest.mark.covering(2)
@pytest.mark.parametrize("dtype", STEP)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("options", SCANS, ids=repr)
def test_gradient_and_search(seed, noise, options, dtype):
    p = drawn(seed, dtype, options)
    assert fused_as(gradient(noise), p, "Gradient")
    assert close(gradient(noise) * p, one_by_one(gradient(noise), p), STEP[dtype])
    q = one_by_one(ConjugateDirection() * gradient(noise), p)
    assert fused_as(search(noise), q, "Search")
    assert close(search(noise) * q, one_by_one(search(noise), q), STEP[dtype])


@pytest.mark.covering(2)
@pytest.mark.parametrize("dtype", STEP)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fractional", [False, True])
def test_through_every_propagator(seed, noise, kind, fractional, dtype):
    p = drawn(seed, dtype, {"modes": 2, "mask": 2, "fractional": fractional}, kind)
    assert close(gradient(noise) * p, one_by_one(gradient(noise), p), STEP[dtype])
    q = one_by_one(ConjugateDirection() * gradient(noise), p)
    assert close(search(noise) * q, one_by_one(search(noise), q), STEP[dtype])
    lsq = Sweep(LSQUpdate(), batch=4)
    assert close(lsq * p, one_by_one(lsq, p), STEP[dtype])


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("options", SCANS[::3], ids=repr)
def test_turns_of_maximum_likelihood(seed, noise, options):
    p = drawn(seed, "complex128", options)
    for recipe in (ML(noise) ** 3, ML(noise, smooth=0.1) ** 3, ML(noise).fix("obj") ** 2):
        assert close(recipe * p, one_by_one(recipe, p), 1e-9)


@pytest.mark.covering(2)
@pytest.mark.parametrize("dtype", STEP)
@pytest.mark.parametrize("update", ["both", "obj", "probe"])
@pytest.mark.parametrize("batch", [1, 3, "all"])
@pytest.mark.parametrize("options", SCANS, ids=repr)
def test_least_squares(seed, options, batch, update, dtype):
    p = drawn(seed, dtype, options)
    recipe = Sweep(LSQUpdate(update=update, ridge=seed % 3 / 10), batch)
    assert fused_as(recipe, p, "BestSteps")
    # Steps of batches follow each other.
    assert close(recipe * p, one_by_one(recipe, p), STEP[dtype] * (1 if batch == "all" else 10))


@pytest.mark.parametrize("recipe", [ML() ** 2, ML("gaussian"), opty.LSQML(batch=7) ** 2, opty.LSQML(batch=3)], ids=repr)
@pytest.mark.parametrize("fractional", [False, True])
def test_any_number_of_threads_gives_the_same_bits(seed, recipe, fractional, monkeypatch):
    options = {"modes": 2, "mask": 3, "background": True, "fractional": fractional}
    one, three = (drawn(seed, "complex64", options, threads=threads) for threads in (1, 3))
    # Pieces of a view or two: with the usual ones a small scan would be done in one.
    monkeypatch.setattr("opty.kernels.cpu_base.PIECE", 10000)
    assert same(recipe * one, recipe * three)


def test_any_number_of_views_at_a_time_gives_the_same_bits(seed, monkeypatch):
    results = []
    for size in (1 << 12, 1 << 14, 1 << 22):
        monkeypatch.setattr("opty.kernels.numpy_backend._BATCH", size)
        q = ML() ** 2 * drawn(seed, "complex64", {"modes": 1, "fractional": True})
        results.append((q.obj, q.probe, q.history["llk"]))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert (np.asarray(a) == np.asarray(b)).all()


class Peek(ViewOperator, reads="predicted", slots=Leaf("seen", "view row col", dtype="real", grid="detector")):
    """Keeps what is predicted, for the tests."""

    def begin(self, s):
        s.create("seen")

    def apply(self, s, b):
        s.seen[b.selection] = b.predicted


@pytest.mark.parametrize("body", [Peek() * LikelihoodGradient(), AccumObj() * LikelihoodGradient()], ids=repr)
def test_what_a_later_step_reads_is_made(p, body):
    recipe = Sweep(body, order="scan")
    assert not fused_as(recipe, p, "Gradient")
    assert close(recipe * p, one_by_one(recipe, p), 1e-5)


def test_steps_beside_the_fused_ones(p):
    recipe = Sweep(ObjMomentum(interval=5) * LSQUpdate() * FourierProject(), batch=5)
    assert close(recipe**2 * p, one_by_one(recipe**2, p), 1e-4)


def test_a_flickering_beam_is_left_to_the_steps_themselves(p):
    p = p.replace(intensity_factors=np.linspace(0.7, 1.3, p.data.views))
    for recipe in (gradient("poisson"), Sweep(LSQUpdate(), batch=5), ML()):
        assert close(recipe * p, one_by_one(recipe, p), 1e-5)


def test_a_search_alone_moves_nothing(p):
    q = ConjugateDirection() * gradient("poisson") * p
    after = search("poisson") * q
    assert (after.obj == q.obj).all()
    assert abs((TakeStep() * after).obj - q.obj).max() > 0


@pytest.mark.parametrize("options", SCANS[::3], ids=repr)
def test_without_numba(seed, options, monkeypatch):
    monkeypatch.setattr("opty.kernels.compiled.numba_available", lambda: False)
    p = drawn(seed, "complex128", options)
    for recipe in (ML(), ML("gaussian"), ML("amplitude"), opty.LSQML(batch=4)):
        assert close(recipe * p, one_by_one(recipe, p), 1e-10)


def test_every_device_has_the_kernels(p):
    leaves = p._live.leaves
    for kind in (Gradient, Search, BestSteps):
        for device in ("cpu", "gpu"):
            backend = SimpleNamespace(name=device)
            assert kind().supports(leaves, backend, True)
            assert not kind().supports(leaves | {"intensity_factors": np.ones(3)}, backend, True)


@pytest.mark.parametrize("noise", NOISES)
def test_likelihood_and_changes_do_not_depend_on_the_order_of_the_views(seed, noise):
    p = state(scan(seed=seed, views=12, fractional=False), wrong=0.1, dtype="complex128")
    step = ConjugateDirection() * Sweep(LikelihoodGradient(noise), order="scan") * p
    found = []
    for order in ("scan", "random"):
        gradient, search = (Sweep(op, batch=1, order=order) for op in (LikelihoodGradient(noise), LineSearch(noise)))
        found.append([(gradient * p).history["llk"], (search * step).slots["line_sums"]])
    assert found[0][0] == found[1][0]
    assert np.array_equal(found[0][1], found[1][1])
