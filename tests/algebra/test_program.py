"""A program is compiled once for a recipe and a layout; what may change it is seen, and runs stay cheap to begin."""

import cProfile
import gc
import pstats
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from small_scans import same, scan, state

import opty
from opty import AP, DM, LBFGS, LSQML, ML, PosCorrect, rPIE
from opty.kernels import numpy_backend
from opty.kernels.compiled import numba_available
from opty.runtime import plan, program, sweep_programs


def compiled():
    """Return how many plans, programs and sweeps have been made."""
    caches = plan._planned, program.compile_for, sweep_programs._swept
    return np.array([cache.cache_info().misses for cache in caches])


RECIPES = {
    "rPIE": rPIE(),
    "AP": AP(),
    "DM": DM(),
    "LSQML": LSQML(batch=4),
    "ML": ML(),
    "LBFGS": LBFGS(),
    "PosCorrect": PosCorrect() * rPIE(),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_number_of_views_is_not_in_the_key(name):
    recipe = RECIPES[name]
    q = recipe * state(scan(views=5))
    before = compiled()
    recipe * state(scan(views=5))
    p = recipe * state(scan(views=9, n=20, span=20))
    assert (compiled() == before).all()
    recipe * q
    recipe * p
    assert (compiled() - before)[0] == 0  # memory that a run left behind is another layout, not another plan


def test_another_layout_compiles_anew():
    recipe = AP(obj_inertia=0.017)
    recipe * state(scan())
    for other, expected in (
        (state(scan(), dtype="complex128"), (0, 1, 1)),
        (state(scan(background=True)), (0, 1, 1)),
        (state(scan(), deterministic=True), (0, 1, 1)),
        (state(scan(fractional=False)), (0, 0, 2)),  # the memory of a batch, and the sweep
    ):
        before = compiled()
        recipe * other
        found = tuple(compiled() - before)
        assert found[:2] == expected[:2]
        assert found[2] >= 1
        before = compiled()
        recipe * other
        assert (compiled() == before).all()
    before = compiled()
    with opty.unfused():
        recipe * state(scan())
    assert tuple(compiled() - before)[:2] == (1, 1)


def test_a_layout_that_is_refused_is_refused_again():
    for _ in range(2):
        with pytest.raises(opty.EffectError, match="reads 'obj_sum'"):
            opty.operators.MergeObj() * state(scan())


def defined(factor):
    """Define an operator, as a cell of a notebook that runs again does."""

    class DefinedAgain(opty.Operator, reads="obj", writes="obj"):
        def apply(self, s):
            s.obj *= factor

    return DefinedAgain


def test_an_operator_that_is_defined_anew_is_seen():
    p = state(scan())
    first, second = defined(0.5), defined(0.25)
    halved = first() * p
    assert np.allclose((second() * p).obj, 0.25 * p.obj)
    assert np.allclose(halved.obj, 0.5 * p.obj)
    assert np.allclose((opty.parse("DefinedAgain()") * p).obj, 0.25 * p.obj)


def test_what_an_operator_declares_anew_is_seen():
    def kept(axes):
        class KeepsAnew(opty.Operator, slots=opty.Leaf("kept_anew", axes, scale=0)):
            def apply(self, s):
                s.create("kept_anew")

        return KeepsAnew()

    p = state(scan(views=6))
    assert (kept("view") * p).slots["kept_anew"].shape == (6,)
    assert (kept("view 2") * p).slots["kept_anew"].shape == (6, 2)


def test_a_rule_of_fusion_that_comes_later_is_seen(monkeypatch):
    recipe, p = rPIE(alpha=0.3), state(scan())
    q = recipe * p
    asked = []
    monkeypatch.setattr(plan, "FUSION_RULES", [*plan.FUSION_RULES, lambda steps: asked.append(steps) or steps])
    assert same(recipe * p, q)
    assert asked


def test_a_step_that_brings_a_leaf_changes_the_sweeps_behind_it():
    """Fused steps see no intensity factors: once they are there, the steps run in their parts."""
    p = state(scan(views=5))
    recipe = AP() * opty.IntensityUpdate() * AP()
    q = recipe * p
    with opty.unfused():
        expected = recipe * p
    assert np.allclose(q.obj, expected.obj, atol=1e-4)
    assert np.allclose(q.probe, expected.probe, atol=1e-4 * abs(expected.probe).max())


def test_threads_share_programs():
    recipe = PosCorrect() * rPIE(alpha=0.21)
    starts = [state(scan(views=views)) for views in (4, 5, 6, 7)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda p: recipe * p, starts))
    assert all(same(q, recipe * p) for q, p in zip(found, starts, strict=True))


# -- the price of a run, in calls of Python functions, which no load of the machine changes


CALLS = {  # a run of one turn, and a turn in a long run, on 4 views of 16 x 16
    "rPIE": (970, 693),
    "AP": (920, 608),
    "DM": (1210, 692),
    "LSQML": (950, 640),
    "ML": (1650, 1100),
    "LBFGS": (1500, 1500),
    "PosCorrect": (3400, 3300),
}


def calls(work):
    """Return how many functions are called."""
    gc.disable()
    profile = cProfile.Profile()
    try:
        profile.enable()
        work()
        profile.disable()
    finally:
        gc.enable()
    return pstats.Stats(profile).total_calls


@pytest.mark.parametrize("name", RECIPES)
def test_calls_of_a_run_and_of_a_turn(name):
    if numpy_backend._C2C is None or not numba_available():
        pytest.skip("another SciPy, or no numba: more calls")
    recipe, p = RECIPES[name], state(scan(views=4))
    few, many = recipe**3, recipe**13
    for op in (recipe, few, many):
        op * p
    run, turn = calls(lambda: recipe * p), (calls(lambda: many * p) - calls(lambda: few * p)) / 10
    most = [1.25 * count for count in CALLS[name]]
    assert run <= most[0]
    assert turn <= most[1]


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "float32", ">c8", "complex64 part"])
@pytest.mark.parametrize("shape", [(16, 16), (3, 2, 16, 12), (0, 8, 8), (5, 9, 128, 128)])
def test_small_transforms_are_those_of_scipy(dtype, shape):
    rng = np.random.default_rng(5)
    part = dtype.endswith(" part")
    a = rng.normal(size=(*shape[:-1], 2 * shape[-1])) + 1j * rng.normal(size=(*shape[:-1], 2 * shape[-1]))
    a = (a if dtype.startswith(("complex", ">")) else a.real).astype(dtype.removesuffix(" part"))
    a = a[..., ::2] if part else np.ascontiguousarray(a[..., ::2])
    for ours, theirs in ((numpy_backend.fft2, scipy.fft.fft2), (numpy_backend.ifft2, scipy.fft.ifft2)):
        expected = theirs(a, norm="ortho")
        for overwrite in (False, True):
            found = ours(a.copy() if overwrite else a, overwrite)
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected)


def test_a_text_is_no_recipe():
    p = state(scan())
    with pytest.raises(TypeError, match=r"opty\.parse\('rPIE\(\)\*\*3'\) \* p"):
        "rPIE()**3" * p
