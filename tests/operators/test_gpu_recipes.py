"""Whole recipes on a GPU, or its stand-in: the numbers of NumPy; on request the same bits in every run.

Six iterations show a difference before rounding has grown: 1e-12 apart in double precision, 2e-6 in single, over three
scans of each kind. Where patterns without noise and background are dark, a wave's phase there is a matter of rounding,
and twenty iterations of any engine blow that up: NumPy, step by step against fused, comes out 5e-3 apart in single
precision and 1e-8 in double. Those scans are compared in double precision.
"""

import pickle

import numpy as np
import pytest
from small_scans import close, same, scan, seen, state

import opty
from opty import (
    AP,
    DM,
    LBFGS,
    ML,
    RAAR,
    Every,
    ObjUpdate,
    Operator,
    Orthogonalise,
    PosCorrectAdam,
    PtychoData,
    ePIE,
    rPIE,
)
from opty.kernels import numpy_backend
from opty.physics.propagation import Propagator

RECIPES = [ePIE(), rPIE(), rPIE(batch=16), AP(), DM(), RAAR()]
SCANS = {
    "plain": {},
    "mask": {"mask": 2},
    "masks": {"mask": 3},
    "fractional": {"fractional": True},
    "near": {"near": True},
    "near-fractional": {"near": True, "fractional": True},
    "cone": {"near": False},
    "background": {"background": True},
    "background-mask": {"background": True, "mask": 2},
    "background-masks": {"background": True, "mask": 3},
    "background-fractional": {"background": True, "fractional": True},
    "background-32": {"background": True, "n": 32},  # a size at which the transforms on a GPU are opty's own
    "background-32-mask": {"background": True, "n": 32, "mask": 2},
    "background-32-fractional": {"background": True, "n": 32, "fractional": True},
}


def start(name, modes, views=20, **options):
    """Return a state somewhat off the truth of a scan of 20 views."""
    kind = dict(SCANS[name])
    near = kind.pop("near", None)
    data = scan(views=views, modes=modes, **{"fractional": False} | kind)
    if near is not None:
        data = propagated(data, "near" if near else "cone")
    p = state(data, wrong=0.1, **options)
    # From metres and back to pixels, whole positions are so no longer to the last bit.
    return p if kind.get("fractional") or near is None else p.replace(positions=np.rint(p.positions))


def propagated(data, kind):
    """Return the same scan as seen through another propagator."""
    geometry = opty.Geometry(1e-10, 0.05, 1e-6, focus_to_sample=1e-3, propagation=kind)
    propagator, truth = Propagator(geometry, 16, numpy_backend, "complex128"), data.truth
    views = []
    for position in truth["positions"]:
        corner, probe, window = seen(truth["obj"], truth["probe"], position)
        waves = propagator.forward((probe * window)[None], (position - corner)[None])
        views.append((abs(propagator.from_kernel_order(waves)) ** 2).sum(axis=(0, 1)))
    return PtychoData(np.array(views), data.positions * geometry.sample_pixel(16), geometry, truth=truth)


def varied():
    """Return every recipe on every scan, with 1 and 3 modes in turn: each recipe and each scan come with both.

    So they do in the third of the cases that is not slow.
    """
    cases = [(i, j, recipe, name) for i, name in enumerate(SCANS) for j, recipe in enumerate(RECIPES)]
    marks = {False: (), True: pytest.mark.slow}
    return [pytest.param(r, (1, 3)[(i + j) % 2], name, marks=marks[(i + j) % 3 != 0]) for i, j, r, name in cases]


@pytest.mark.parametrize(("recipe", "modes", "name"), varied(), ids=str)
def test_six_iterations_give_the_numbers_of_numpy(gpu, recipe, modes, name):
    p = start(name, modes, dtype="complex64" if "background" in name else "complex128")
    assert close(recipe**6 * p.to("gpu"), recipe**6 * p, 1e-5 if "background" in name else 1e-10)


@pytest.mark.parametrize(("recipe", "name"), [*zip(RECIPES, list(SCANS)[3::2], strict=True)], ids=str)
def test_twenty_iterations_give_the_numbers_of_numpy(gpu, recipe, name):
    p = start(name, 2, dtype="complex64" if "background" in name else "complex128")
    expected = recipe**20 * p
    assert expected.history["misfit"][-1] < 0.9 * expected.history["misfit"][0]
    assert close(recipe**20 * p.to("gpu"), expected, 1e-4 if "background" in name else 1e-6)


class Turns(Operator, reads="obj", writes="obj"):
    """Hands over an object whose columns lie one after the other, for the tests."""

    def apply(self, s):
        s.obj = s.obj.T.copy().T


def test_a_leaf_is_as_kernels_read_it_whatever_a_step_hands_over(gpu):
    p, recipe = start("background", 2), rPIE() * Turns() * rPIE(batch=5)
    q = recipe * p.to("gpu")
    assert q.obj.flags.c_contiguous
    assert close(q, recipe * p, 1e-5)


EVERYWHERE = [
    rPIE(batch=16),
    AP(),
    RAAR(),
    ML(),
    LBFGS(),
    ML("amplitude"),
    opty.Sweep(opty.operators.LSQUpdate(), batch=5),
    PosCorrectAdam() * rPIE(batch=5),
    Every(2, Orthogonalise()) * opty.LSQML(batch=5),
    opty.operators.ProbePower() * AP(),
]


@pytest.mark.parametrize("recipe", EVERYWHERE, ids=repr)
def test_a_deterministic_run_adds_nothing_up_with_atomics(gpu, recipe, monkeypatch):
    p = start("fractional" if "Adam" in repr(recipe) else "background-masks", 2, deterministic=True)
    q = p.to("gpu")
    assert q.deterministic
    if hasattr(gpu.xp.RawKernel, "_run"):  # the stand-in's: CuPy's own is not to be looked into
        _no_atomics(gpu, monkeypatch)
    once = recipe**2 * q
    assert same(once, recipe**2 * q)
    assert once.deterministic
    with opty.unfused():
        assert same(recipe**2 * q, recipe**2 * q)


def test_without_that_it_does(standin_gpu, monkeypatch):
    _no_atomics(standin_gpu, monkeypatch)
    with pytest.raises(AssertionError, match="adds atomically"):
        rPIE(batch=16) * start("plain", 1).to("gpu")
    with opty.unfused(), pytest.raises(AssertionError, match="adds atomically"):
        rPIE(batch=16) * start("plain", 1).to("gpu")


def _no_atomics(gpu, monkeypatch):
    """Let a launch of a kernel that would add atomically fail."""
    kernel = gpu.xp.RawKernel
    launch = kernel._run
    alone = {"add_to_probe": -1}  # its last argument: one slice of all views is no atomic addition

    def checked(self, grid, block, args, packed=None):
        name = self.name.partition("<")[0]
        atomic = name in ("add_windows", "add_to_object", "add_to_both", "add_light") or (
            name in alone and args[alone[name]] != 1
        )
        assert not atomic, f"{name} adds atomically"
        return launch(self, grid, block, args, packed)

    monkeypatch.setattr(kernel, "_run", checked)


def test_deterministic_belongs_to_the_run_and_not_to_the_result(tmp_path):
    p = start("plain", 1, deterministic=True)
    assert not start("plain", 1).deterministic
    assert p.deterministic
    assert (ObjUpdate() * p).deterministic
    assert p.replace(seed=3).deterministic
    assert pickle.loads(pickle.dumps(p)).deterministic
    (rPIE() * p).save(tmp_path / "r.h5")
    assert not opty.load(tmp_path / "r.h5").deterministic
    assert opty.load(tmp_path / "r.h5", deterministic=True).deterministic
