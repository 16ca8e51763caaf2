"""Fits on a GPU, or its stand-in: fused as on the CPU, and with its numbers; on scans drawn by the name of the test.

The search of ML along its direction amplifies rounding, and so it is compared in double precision.
"""

import zlib

import numpy as np
import pytest
from small_scans import close, drift, same, scan, state

import opty
from opty import ML, Sweep
from opty.operators import LikelihoodGradient, LineSearch, LSQUpdate

STEP = {"complex64": 2e-5, "complex128": 1e-11}  # the most that a step may differ by
NOISES = ("poisson", "gaussian", "amplitude")
SCANS = [
    {"modes": modes, "mask": mask, "background": background, "fractional": fractional}
    for modes, mask, background in ((1, 0, False), (1, 2, True), (3, 3, True), (3, 2, False))
    for fractional in (False, True)
]
# A size at which the transforms on a GPU are opty's own.
SCANS += [
    {"n": 32, "modes": 2, "mask": 3, "background": True, "fractional": fractional} for fractional in (False, True)
]
KINDS = ("far", "cone", "near")


@pytest.fixture
def seed(request):
    """A seed that each test has to itself, the same in every run."""
    return zlib.crc32(request.node.name.encode()) >> 1


def drawn(seed, dtype, options, kind="far", **more):
    """Return a random state, near its truth."""
    data = scan(seed=seed, views=11, **options)
    if kind != "far":
        geometry = opty.Geometry(1e-10, 1.0, 1e-6, 1e-3, kind)
        data = data.replace(positions=data.positions * geometry.sample_pixel(16), geometry=geometry)
    p = state(data, wrong=0.1, dtype=dtype, seed=seed % 1000, **more)
    # From metres and back to pixels, whole positions are so no longer to the last bit.
    return p if options.get("fractional") else p.replace(positions=np.rint(p.positions))


@pytest.fixture
def calls(gpu, monkeypatch):
    """The methods of fused steps that a test calls, by name."""
    found = set()

    def told(name, method):
        def call(*args, **options):
            found.add(name)
            return method(*args, **options)

        return call

    for name in ("follow_slope", "changes", "products"):
        monkeypatch.setattr(gpu.Engine, name, told(name, getattr(gpu.Engine, name)))
    return found


@pytest.mark.covering
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("options", SCANS, ids=repr)
def test_maximum_likelihood(calls, seed, noise, options):
    p, recipe = drawn(seed, "complex128", options), ML(noise) ** 4
    expected = recipe * p
    assert expected.history["llk"][-1] < expected.history["llk"][0]
    assert close(recipe * p.to("gpu"), expected, 1e-6)
    assert calls == {"follow_slope", "changes"}


@pytest.mark.covering(2)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fractional", [False, True])
def test_maximum_likelihood_through_every_propagator(gpu, seed, noise, kind, fractional):
    p = drawn(seed, "complex128", {"modes": 2, "mask": 2, "fractional": fractional}, kind)
    for recipe in (ML(noise) ** 3, ML(noise).fix("probe") ** 2):
        assert close(recipe * p.to("gpu"), recipe * p, 1e-6)


@pytest.mark.covering
@pytest.mark.parametrize("options", SCANS[::3], ids=repr)
@pytest.mark.parametrize("noise", NOISES)
def test_gradient_and_search_in_single_precision(gpu, seed, noise, options):
    p = drawn(seed, "complex64", options)
    gradient, search = Sweep(LikelihoodGradient(noise), order="scan"), Sweep(LineSearch(noise), order="scan")
    assert close(gradient * p.to("gpu"), gradient * p, STEP["complex64"])
    q = opty.operators.ConjugateDirection() * gradient * p
    assert close(search * q.to("gpu"), search * q, STEP["complex64"])


@pytest.mark.covering
@pytest.mark.parametrize("options", SCANS, ids=repr)
@pytest.mark.parametrize("dtype", STEP)
def test_least_squares(calls, seed, options, dtype):
    p, recipe = drawn(seed, dtype, options), opty.LSQML(batch=4)
    assert close(recipe**5 * p.to("gpu"), recipe**5 * p, 1e-4 if dtype == "complex64" else 1e-6)
    assert calls == {"products"}
    assert drift(p, recipe * p) > 1e-3


@pytest.mark.covering(2)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("update", ["both", "obj", "probe"])
@pytest.mark.parametrize("batch", [1, 3, "all"])
def test_steps_of_least_squares(gpu, seed, kind, fractional, update, batch):
    p = drawn(seed, "complex128", {"modes": 2, "mask": 3, "background": True, "fractional": fractional}, kind)
    recipe = Sweep(LSQUpdate(update=update, ridge=seed % 3 / 10, step=0.9), batch)
    once = recipe * p.to("gpu")
    assert close(once, recipe * p, 1e-9)
    with opty.unfused():
        assert close(once, recipe * p.to("gpu"), 1e-9)


@pytest.mark.parametrize("fractional", [False, True])
def test_any_number_of_views_at_a_time(gpu, seed, fractional, monkeypatch):
    p = drawn(seed, "complex128", {"modes": 2, "mask": 3, "fractional": fractional}).to("gpu")
    whole = ML() ** 2 * p
    monkeypatch.setattr(gpu, "batch_memory", lambda threads: 4 * 2 * 16**2 * 16)
    assert "4 views at a time" in str(ML().explain(p))
    assert close(ML() ** 2 * p, whole, 1e-9)


@pytest.mark.covering
@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("recipe", [ML() ** 3, ML("gaussian") ** 2, opty.LSQML(batch=4) ** 3], ids=repr)
def test_deterministic_twice_the_same_bits(gpu, seed, recipe, fractional):
    options = {"modes": 2, "mask": 3, "background": True, "fractional": fractional}
    q = drawn(seed, "complex64", options, deterministic=True).to("gpu")
    assert same(recipe * q, recipe * q)


def test_a_flickering_beam_is_left_to_the_steps_themselves(calls, seed):
    p = drawn(seed, "complex128", {"modes": 1})
    p = p.replace(intensity_factors=np.linspace(0.7, 1.3, p.data.views))
    for recipe in (ML(), opty.LSQML(batch=5)):
        assert close(recipe * p.to("gpu"), recipe * p, 1e-6)
    assert not calls
