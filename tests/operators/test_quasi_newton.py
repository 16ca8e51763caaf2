"""Quasi-Newton steps: the two loops against the matrix that they stand for, descent, memory, and how fast it is."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from small_scans import drift, same, scan, state

import opty
from opty import LBFGS, ML, Every, Orthogonalise, Sweep, rPIE
from opty.operators import LikelihoodGradient, QuasiNewtonStep
from opty.runtime.memory_estimate import footprint
from opty.runtime.program import program_of
from opty.simulate import experiment, objects, probes, scans

NOISES = ("poisson", "gaussian", "amplitude")
MEMORY = {"kept_pairs", "kept_search", "kept_curvatures"} | {
    f"kept_{what}_{name}" for what in ("base", "base_gradient", "steps", "changes") for name in ("obj", "probe")
}


def gradient(noise):
    return Sweep(LikelihoodGradient(noise), order="scan")


def flat(*arrays):
    """Complex arrays as one real vector."""
    return np.concatenate([np.ascontiguousarray(a).ravel().view(float) for a in arrays])


def inverse_by_matrices(diagonal, pairs):
    """H of L-BFGS by its definition: H <- V^T H V + s s^T / <s, y>, V = 1 - y s^T / <s, y>, the oldest pair first."""
    h = np.diag(diagonal)
    for s, y in pairs:
        rho = 1 / (s @ y)
        v = np.eye(len(s)) - rho * np.outer(y, s)
        h = v.T @ h @ v + rho * np.outer(s, s)
    return h


@pytest.mark.parametrize("turns", [1, 3, 5])
def test_the_step_is_that_of_the_matrix(turns):
    """After 5 turns with room for two pairs, the oldest two are forgotten."""
    p = state(scan(views=4, span=3, n=8), wrong=0.05, dtype="complex128")
    memory, damping = 2, 0.1
    pairs, x, g, q = [], None, None, p
    for _ in range(turns):
        with_gradient = gradient("amplitude") * q
        metric = []
        for name, shape in (("obj", p.obj.shape), ("probe", p.probe.shape)):
            light = with_gradient.numpy(f"{name}_weight")
            metric.append(np.broadcast_to(light + damping * light.max(), shape))
        new_x = flat(q.numpy("obj"), q.numpy("probe"))
        new_g = flat(with_gradient.numpy("obj_gradient"), with_gradient.numpy("probe_gradient"))
        if x is not None:
            pairs = [*pairs, (new_x - x, new_g - g)][-memory:]
        x, g = new_x, new_g
        m = np.concatenate([np.repeat(part.ravel(), 2) for part in metric])
        length = 0.25 if not pairs else pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ (pairs[-1][1] / m))
        q = QuasiNewtonStep(memory, damping=damping) * with_gradient
        expected = x - inverse_by_matrices(length / m, pairs) @ g
        found = flat(q.numpy("obj"), q.numpy("probe"))
        assert abs(found - expected).max() < 1e-9 * abs(expected).max()
    assert (np.diff(q.history["llk"]) < 0).all()  # no step was taken back, or the formula above were another


class Throw(opty.Operator, reads="obj", writes="obj"):
    """Multiply the object behind the back of a search: its memory stays."""

    by: float = 1.0
    scale_free = True

    def apply(self, s):
        obj = s.obj
        obj *= self.by


def test_a_step_that_rises_is_taken_back_and_shortened():
    q = LBFGS("amplitude") ** 4 * state(scan(modes=2), wrong=0.3, dtype="complex128")
    as_usual = LBFGS("amplitude") * q
    assert not np.array_equal(as_usual.numpy("kept_base_obj"), q.numpy("kept_base_obj"))
    thrown = LBFGS("amplitude") * Throw(3.0) * q
    assert np.array_equal(thrown.numpy("kept_base_obj"), q.numpy("kept_base_obj"))
    assert np.array_equal(thrown.numpy("kept_pairs"), q.numpy("kept_pairs"))
    assert thrown.numpy("kept_search")[1:3].tolist() == [0.25, 1]
    again = LBFGS("amplitude") ** 6 * thrown
    assert again.numpy("kept_search")[3] < q.numpy("kept_search")[3]


class Shake(opty.Operator, reads="positions", writes="positions"):
    """Move positions at random."""

    def apply(self, s):
        s.positions = s.positions + np.random.default_rng(0).uniform(-0.5, 0.5, s.positions.shape)


def test_it_begins_anew_where_other_steps_have_raised_the_least_likelihood():
    q = LBFGS("amplitude") ** 20 * state(scan(modes=2), wrong=0.3)
    r = LBFGS("amplitude") ** 12 * Shake() * q
    assert r.numpy("kept_search")[3] > q.numpy("kept_search")[3]
    llk = r.history["llk"]
    assert llk[-1] < llk[20] / 1.2


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_the_likelihood_falls(noise, smooth):
    p = state(scan(modes=2, mask=3, background=True), wrong=0.4)
    q = LBFGS(noise, smooth) ** 40 * p
    llk = q.history["llk"]
    assert llk.shape == q.history["misfit"].shape == (40,) == (q.iteration,)
    assert llk[-1] < llk[0] / 20
    rises = (np.diff(llk) > 0).sum()
    assert rises <= (4 if not smooth else 8)  # single steps that are taken back


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("complex64", 1e-5), ("complex128", 1e-12)])
def test_the_truth_is_a_fixed_point(noise, dtype, tolerance):
    p = state(scan(modes=3, mask=2, background=True), wrong=0, dtype=dtype)
    assert drift(p, LBFGS(noise) ** 20 * p) < tolerance


@pytest.mark.parametrize("recipe", [LBFGS(), LBFGS("amplitude", smooth=0.1, memory=2), opty.PosCorrect() * LBFGS()])
def test_the_split_law(recipe, tmp_path):
    p = state(scan(modes=2, mask=3, background=True))
    q = recipe**4 * p
    assert same(recipe**3 * q, recipe**7 * p)
    opty.save(tmp_path / "q.h5", q)
    assert same(recipe**3 * opty.load(tmp_path / "q.h5").to("cpu"), recipe**7 * p)


def test_the_memory_does_not_outlive_what_it_was_made_with():
    p = state(scan(modes=2))
    for engine in (rPIE(), ML(), Orthogonalise()):
        assert not MEMORY & set((engine * (LBFGS() ** 3 * p)).slots)
    assert set((LBFGS() * p).slots) == MEMORY
    for engine in (ML(), opty.mPIE(), opty.DM()):
        assert set((LBFGS() * engine**2 * p).slots) == MEMORY
    q = LBFGS() ** 4 * p
    assert (LBFGS(memory=3) * q).numpy("kept_pairs").tolist() == [0, 3, 0]  # another memory begins anew
    fixed = LBFGS().fix("probe") ** 4 * q
    assert (fixed.numpy("probe") == q.numpy("probe")).all()
    assert fixed.history["llk"][-1] < fixed.history["llk"][4]


def test_pairs_of_a_probe_that_varies_are_turned_along_with_its_modes():
    """Products of steps and changes stay what they were when the modes are made orthogonal again, in each turn."""
    model = opty.model.Object() * opty.model.Probe(modes=2, variable=2)
    p = state(scan(modes=2), model=model, dtype="complex128")
    q = LBFGS("amplitude") ** 5 * (rPIE(batch=4) ** 12 * p)
    pairs = int(q.numpy("kept_pairs")[0])
    assert pairs >= 2
    names = ("obj", "probe", "opr_modes", "opr_weights")
    found = np.zeros(pairs)
    for name in names:
        step, change = q.numpy(f"kept_steps_{name}"), q.numpy(f"kept_changes_{name}")
        if name == "opr_weights":  # views come first
            step, change = step.swapaxes(0, 1), change.swapaxes(0, 1)
        assert abs(step[:pairs]).max() > 0
        found += [np.vdot(a, b).real for a, b in zip(step[:pairs], change[:pairs], strict=True)]
    assert found == pytest.approx(q.numpy("kept_curvatures")[:pairs], rel=1e-9)
    assert q.history["llk"][-1] < q.history["llk"][0]


def test_it_takes_fewer_turns_than_conjugate_gradients():
    """Each turn is one pass over the views, of ML two; in the same turns it comes lower, in most of several scans."""
    ratios = []
    for seed in range(5):
        p = state(scan(views=20, seed=seed), wrong=0.4)
        turns = 30
        ratios.append(opty.misfit(LBFGS("amplitude") ** (2 * turns) * p) / opty.misfit(ML("amplitude") ** turns * p))
    assert np.median(ratios) < 0.5


@pytest.mark.parametrize("wrong", [dict(memory=0), dict(damping=0.0), dict(smooth=-1.0)])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="give"):
        LBFGS(**wrong)


@pytest.mark.parametrize("memory", [2, 12])
def test_explain_tells_the_memory_of_the_pairs(memory):
    """Not less than it takes, and at most a third more."""
    p = state(scan(views=6, n=48, span=80))
    recipe = LBFGS(memory=memory)
    recipe * p  # what is made once
    tracemalloc.start()
    recipe**3 * p
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    told = footprint(p._live, program_of(recipe, p._live))
    there = told.data + sum(a.nbytes for a in p._live.leaves.values())
    assert 0.95 * peak < told.total - there < 1.35 * peak


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
def test_a_step_between_turns_takes_away_what_it_has_learnt():
    """And after the loop, or seldom, it does not; the figures are in docs/engines.md."""
    bent = np.exp(0.02j * np.add.outer(*2 * [(np.arange(32) - 16.0) ** 2]))
    probe = probes.aperture(32, 16, edge=2)
    beam = np.stack([probe * bent, 0.05 * probe * (np.arange(32) - 16)])
    data = experiment(objects.two_images((66, 66)), beam, scans.raster((7, 7), step=4, jitter=1), photons=1e6)
    p = rPIE() ** 5 * opty.ScaleObjProbe() * opty.PtychoState(data, probe=probe, modes=2, device="cpu")
    with pytest.warns(opty.RecipeWarning, match="learns next to nothing"):
        q = (Orthogonalise() * LBFGS()) ** 40 * p
    after, seldom = (r * p for r in (Orthogonalise() * LBFGS() ** 40, (Every(10, Orthogonalise()) * LBFGS()) ** 40))
    assert opty.misfit(after) == pytest.approx(0.00031, rel=0.1)
    assert opty.misfit(seldom) < 1.15 * opty.misfit(after)
    assert opty.misfit(q) > 2.5 * opty.misfit(after)
    wrong, right = (opty.analysis.errors(one)["object"] for one in (q, after))
    assert wrong > 3 * right
