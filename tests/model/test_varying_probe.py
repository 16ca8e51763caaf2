"""A probe that varies along the scan, through every engine, positions, constraints, files and pictures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import varying_scene
from small_scans import same, scan, state
from thick_scene import GEOMETRY, aperture
from varying_scene import agreement, varying_state

import opty
from opty import DM, LSQML, ML, RAAR, Coarse, Identity, Refine, ScaleObjProbe, Sweep, ViewOperator, ePIE, mPIE, rPIE
from opty.analysis import errors, fine_error
from opty.errors import RecipeError
from opty.model import FarField, NearField, Object, Probe, Slices
from opty.operators import ProbeMomentum, variation
from opty.simulate import probes
from opty.testing import check_element

NEAR = opty.Geometry(wavelength=1e-9, distance=1e-3, pixel_size=1e-7, propagation="near")


@pytest.fixture(scope="module")
def varying():
    return varying_scene.simulated()


@pytest.fixture(scope="module")
def found(varying):
    return rPIE(alpha=0.1, batch=8) ** 12 * varying_state(varying)


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
@pytest.mark.parametrize(
    "model",
    [Object() * Probe(variable=2), Object() * Probe(modes=2, variable=4), Slices(2, 1e-7) * Probe(variable=1)],
    ids=repr,
)
def test_adjoint_and_derivative(model, geometry):
    """With three views a batch, two ways to vary are mixed as spectra, four as images."""
    worst = check_element(model, geometry=geometry)
    assert {"probe", "opr_modes", "opr_weights", "positions"} <= worst.keys()
    assert max(worst.values()) < 1e-14


@pytest.mark.parametrize(
    ("recipe", "times"),
    [
        (rPIE(alpha=0.1, batch=4) ** 15, 0.04),
        (rPIE(alpha=0.1) ** 14, 0.06),
        (ePIE(batch=4) ** 12, 0.3),
        (mPIE() ** 15, 0.1),
        (LSQML(batch=8) ** 15, 0.15),
        (ML("amplitude") ** 15, 0.02),
        (opty.AP() ** 30, 0.15),
    ],
    ids=repr,
)
def test_engines_find_what_varies(varying, recipe, times):
    """The misfit of a steady probe stays above half of what it began with."""
    q = recipe * varying_state(varying)
    assert q.history["misfit"][-1] < times * q.history["misfit"][0]
    assert agreement(q, varying[2])[:2].min() > 0.97


def test_a_steady_probe_does_not_explain_the_data(varying):
    q = rPIE(alpha=0.1, batch=4) ** 15 * varying_state(varying, 0)
    assert q.history["misfit"][-1] > 0.5 * q.history["misfit"][0]


def test_more_ways_to_vary_than_views_can_show():
    """Modes that no weight can need stay finite, and are said."""
    with pytest.warns(UserWarning, match="5 views differ from their mean in 4 ways at most"):
        p = state(scan(views=5), model=Object() * Probe(variable=7))
    q = ML() ** 2 * (rPIE(batch=2) ** 12 * p)
    assert np.isfinite(q.numpy("opr_modes")).all()
    assert q.numpy("opr_weights").std(axis=0)[4:].max() < 1e-6
    assert opty.misfit(q) < 0.05 * opty.misfit(p)


def test_what_varies_costs_a_steady_probe_nothing():
    rng = np.random.default_rng(11)
    data = opty.simulate.experiment(varying_scene.layer(rng, 1.2), aperture(50.0), varying_scene.places(rng))
    recipe = rPIE(alpha=0.1, batch=4) ** 15
    steady, varies = (recipe * varying_state((data, aperture(56.0), None), k) for k in (0, 4))
    assert errors(varies)["object"] < 1.5 * errors(steady)["object"] < 0.03
    assert (varies.numpy("opr_weights") ** 2).sum(axis=1).max() < 1e-3


@pytest.mark.parametrize("recipe", [DM(), RAAR()], ids=repr)
def test_the_difference_map_refuses_it(varying, recipe):
    with pytest.raises(RecipeError, match=r"nearest waves.*Probe\(modes=1, variable=3\)"):
        recipe * varying_state(varying)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
def test_fused_steps_do_what_plain_ones_do(varying, batch, whole):
    p = rPIE(batch=8) ** 6 * varying_state(varying, dtype="complex128")
    p = p.replace(positions=np.rint(p.positions)) if whole else p
    recipes = (rPIE(batch=batch), rPIE(batch=batch).fix("obj"), LSQML(batch=3 * batch), LSQML(batch=4).fix("obj"))
    for recipe in (*recipes, opty.AP(), opty.AP().fix("obj"), ML(), ML("gaussian")):
        assert "fused: " in recipe.explain(p)
        fused = recipe * p
        with opty.unfused():
            plain = recipe * p
        for name in ("obj", "probe", "opr_modes", "opr_weights"):
            one, other = fused.numpy(name), plain.numpy(name)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-11 * abs(other).max())


def transforms(recipe, p, monkeypatch):
    """Return how many images go through a Fourier transform for each view in a sweep."""
    from opty.kernels import numpy_backend

    counted, transform = [0], numpy_backend._C2C

    def count(a, *rest):
        counted[0] += a.size // 32**2
        return transform(a, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(numpy_backend, "_C2C", count)
        _ = recipe * p
    return counted[0] / p.data.views


def test_it_takes_few_more_transforms(varying, monkeypatch):
    """One view at a time none; in batches of B views 2 K + 2 a batch, where they are not on whole pixels."""
    steady, varies = (rPIE() ** 6 * varying_state(varying, k) for k in (0, 3))
    one, other = (transforms(rPIE(), p, monkeypatch) for p in (steady, varies))
    assert one == other == 6
    one, other = (transforms(rPIE(batch=9), p, monkeypatch) for p in (steady, varies))
    assert other - one <= (2 * 3 + 2) / 9 + 1e-9
    one, other = (
        transforms(rPIE(batch=9), p.replace(positions=np.rint(p.positions)), monkeypatch) for p in (steady, varies)
    )
    assert one == other == 2


def test_modes_are_orthogonal_and_weights_have_mean_zero(found):
    modes, weights = found.numpy("opr_modes"), found.numpy("opr_weights").astype(float)
    flat = modes.reshape(len(modes), -1).view(np.float32).astype(float)
    power = (np.abs(found.numpy("probe")[0].astype(complex)) ** 2).sum()
    np.testing.assert_allclose(flat @ flat.T, power * np.eye(3), atol=1e-5 * power)
    gram = weights.T @ weights
    assert abs(gram - np.diag(gram.diagonal())).max() < 1e-5 * gram.max()
    assert (np.diff(gram.diagonal()) < 0).all()
    assert abs(weights.mean(axis=0)).max() < 1e-6


@pytest.mark.parametrize("recipe", [rPIE(batch=1), rPIE(batch=16), ML("amplitude")], ids=repr)
def test_what_settles_the_modes_changes_no_pattern(varying, recipe, monkeypatch):
    """Orthogonal modes at the end of a sweep or without: the same probe in each view, for conjugate gradients too."""

    def each(p):
        p = p.numpy
        return p("probe")[None, 0] + np.tensordot(p("opr_weights"), p("opr_modes"), 1)

    p = rPIE(alpha=0.1, batch=8) ** 6 * varying_state(varying, dtype="complex128")
    settled = recipe * p
    monkeypatch.setattr(variation, "settle", lambda s: None)
    np.testing.assert_allclose(each(settled), each(recipe * p), atol=1e-9 * np.abs(each(settled)).max())


class _Loose(SimpleNamespace):
    """What ``settle`` uses of a state."""

    xp = np

    def has(self, name):
        return hasattr(self, name)

    model = FarField() * Object() * Probe(variable=3)

    @property
    def measured(self):
        return SimpleNamespace(view_count=len(self.opr_weights))

    @staticmethod
    def total(value):
        return value


def test_conjugate_gradients_are_turned_with_the_modes():
    """In the new coordinates a direction changes the probe of each view as it did, and a gradient is the gradient."""
    rng = np.random.default_rng(4)

    def noise(*shape):
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    chi, modes, weights = noise(7, 6, 6), noise(3, 6, 6), rng.normal(size=(7, 3))
    s = _Loose(probe=noise(2, 6, 6), opr_modes=modes.copy(), opr_weights=weights.copy())
    s.kept_gradient_probe = np.stack([chi.sum(axis=0), noise(6, 6)])
    s.kept_gradient_opr_modes = np.tensordot(weights.T, chi, 1)
    s.kept_gradient_opr_weights = np.tensordot(chi.conj(), modes, ((1, 2), (1, 2))).real
    s.kept_direction_probe, s.kept_direction_opr_modes = noise(2, 6, 6), noise(3, 6, 6)
    s.kept_direction_opr_weights = rng.normal(size=(7, 3))

    def change():
        return (
            s.kept_direction_probe[0]
            + np.tensordot(s.opr_weights, s.kept_direction_opr_modes, 1)
            + np.tensordot(s.kept_direction_opr_weights, s.opr_modes, 1)
        )

    before = change()
    variation.settle(s)
    np.testing.assert_allclose(change(), before, atol=1e-10)
    np.testing.assert_allclose(s.kept_gradient_opr_modes, np.tensordot(s.opr_weights.T, chi, 1), atol=1e-10)
    along = np.tensordot(chi.conj(), s.opr_modes, ((1, 2), (1, 2))).real
    np.testing.assert_allclose(s.kept_gradient_opr_weights, along, atol=1e-9)


def test_a_run_in_parts_is_the_run(varying, tmp_path):
    start = rPIE(batch=8) ** 6 * varying_state(varying)
    for recipe in (rPIE(batch=8), ML("amplitude")):
        whole, half = recipe**2 * start, recipe * start
        half.save(tmp_path / "half.h5")
        again = recipe * opty.load(tmp_path / "half.h5")
        assert again.model == whole.model
        for name in ("obj", "probe", "opr_modes", "opr_weights"):
            np.testing.assert_array_equal(whole.numpy(name), again.numpy(name))
        assert opty.rerun(tmp_path / "half.h5").identical


def test_a_checkpoint_goes_on(varying, tmp_path):
    start, file = varying_state(varying), tmp_path / "now.h5"
    whole = (opty.Save(str(file), every=3) * rPIE(batch=8)) ** 7 * start
    gone_on = opty.resume(file)
    np.testing.assert_array_equal(gone_on.numpy("opr_weights"), whole.numpy("opr_weights"))
    assert gone_on.iteration == 7


def test_the_seed_draws_what_it_starts_from(varying):
    a, b, c = (varying_state(varying, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.opr_modes, b.opr_modes)
    assert (a.numpy("opr_modes") != c.numpy("opr_modes")).any()


def test_positions_come_home(varying):
    truth = varying[0].truth["positions"]
    wrong = truth + np.random.default_rng(1).uniform(-1, 1, truth.shape)
    p = varying_state(varying).replace(positions=np.clip(wrong, 0, 31))
    q = (opty.PosCorrect(wait=False) * rPIE(alpha=0.1, batch=4)) ** 30 * p
    assert errors(q)["position"] < 0.4 * errors(p)["position"]


@pytest.mark.parametrize(
    "step",
    [
        ScaleObjProbe(),
        opty.operators.ProbePower(5e5),
        opty.operators.CentreProbe(),
        opty.Orthogonalise(),
        opty.Support(60.0),
    ],
    ids=repr,
)
def test_steps_on_the_probe_take_what_varies_along(found, step):
    before, after = opty.misfit(ScaleObjProbe() * found), opty.misfit(ScaleObjProbe() * (step * found))
    assert after == pytest.approx(before, rel=1e-3)


def test_the_mode_that_varies_keeps_its_place(varying):
    p = varying_state(varying, modes=3)
    probe = p.numpy("probe")
    turned = opty.Orthogonalise() * p.replace(probe=np.stack([probe[0], probe[1] + probe[2], probe[2] - probe[0]]))
    np.testing.assert_array_equal(turned.numpy("probe")[0], probe[0])
    assert abs(np.vdot(turned.numpy("probe")[1], turned.numpy("probe")[2])) < 1e-2 * (abs(probe[1]) ** 2).sum()


ENGINES = [ePIE(), rPIE(batch=8), mPIE(), LSQML(batch=8), ML(), opty.LBFGS(), opty.AP()]


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_what_varies_stays_with_a_fixed_probe(found, engine):
    fixed, free = (recipe**2 * found for recipe in (engine.fix("probe"), engine))
    for name in ("probe", "opr_modes", "opr_weights"):
        assert (fixed.numpy(name) == found.numpy(name)).all()
        assert (free.numpy(name) != found.numpy(name)).any(), "nothing would have moved"
    assert (fixed.numpy("obj") != found.numpy("obj")).any()
    other = engine.fix("obj") ** 2 * found
    assert (other.numpy("obj") == found.numpy("obj")).all()
    assert (other.numpy("opr_weights") != found.numpy("opr_weights")).any()


def test_a_part_is_fixed_with_the_whole():
    with pytest.raises(RecipeError, match="opr_modes is a part of the probe, and steps change both: fix 'probe'"):
        rPIE().fix("obj opr_modes")
    assert rPIE().fix("probe opr_modes").expand() == rPIE().fix("probe").expand()


@pytest.mark.parametrize("batch", [1, 4])
def test_the_same_without_numba_and_with_any_number_of_threads(varying, batch, monkeypatch):
    recipe = rPIE(alpha=0.1, batch=batch) ** 7
    one = recipe * varying_state(varying, threads=1)
    assert same(recipe * varying_state(varying, threads=3), one)
    monkeypatch.setattr("opty.kernels.compiled.numba_available", lambda: False)
    plain = recipe * varying_state(varying, dtype="complex128")
    monkeypatch.undo()
    one = recipe * varying_state(varying, dtype="complex128")
    for name in ("obj", "probe", "opr_modes", "opr_weights"):
        apart = np.abs(plain.numpy(name) - one.numpy(name)).max()
        assert apart < 1e-4 * np.abs(one.numpy(name)).max(), "live steps make rounding grow, by 1e9 in seven sweeps"


def test_coarse_and_back(found):
    same = Coarse(2, Identity()) * found
    np.testing.assert_array_equal(same.opr_weights, found.opr_weights)
    q = Coarse(2, rPIE(batch=8) ** 2) * found
    assert q.iteration == found.iteration + 2
    assert opty.misfit(rPIE(batch=8) * q) < 3 * opty.misfit(found)
    assert not np.array_equal(q.opr_weights, found.opr_weights)


def test_views_that_are_held_out_and_positions_compared(found):
    p = found
    wrong = p.numpy("positions").copy()
    wrong[[20, 41]] += (5, -6)
    q = opty.HoldOut(rPIE(batch=8)) * p.replace(positions=np.clip(wrong, 0, 31))
    assert q.iteration == p.iteration + 1
    shaken = p.numpy("positions") + np.random.default_rng(2).uniform(-1, 1, (81, 2))
    refined = (opty.PosCorrect(hold=0.0) * rPIE(batch=8)) ** 6 * p.replace(positions=np.clip(shaken, 0, 31))
    r = opty.ComparePositions(rPIE(batch=8)) * refined
    assert np.isfinite(opty.misfit(r))


def test_refine_leaves_it_to_the_engines(varying):
    with pytest.raises(RecipeError, match="along with the probe"):
        Refine("opr_weights") * rPIE() * varying_state(varying)


def test_values_texts_and_refusals():
    model = FarField() * Object() * Probe(modes=2, variable=4)
    assert repr(model) == "FarField() * Object() * Probe(modes=2, variable=4)"
    assert opty.model.parse(repr(model)) == model == opty.model.from_json(model.to_json())
    assert [leaf.name for leaf in model.leaves] == ["obj", "probe", "opr_modes", "opr_weights"]
    assert not model.thin
    assert not model.closed
    assert (NearField() * Object() * Probe(variable=0)).thin
    with pytest.raises(ValueError, match=r"variable=-1\): give in how many ways"):
        Probe(variable=-1)


def test_leaves_are_read_and_replaced(varying):
    p = varying_state(varying)
    assert p.opr_modes.shape == (3, 32, 32)
    assert p.opr_weights.shape == (81, 3)
    q = p.replace(leaves={"opr_weights": np.ones((81, 3))})
    assert (q.opr_weights == 1).all()
    with pytest.raises(ValueError, match="opr_weights has shape"):
        p.replace(leaves={"opr_weights": np.ones((81, 2))})
    assert p.replace(probe=np.concatenate([p.probe, p.probe])).model == FarField() * Object() * Probe(2, 3)


def test_explain_and_memory(varying):
    p = varying_state(varying)
    text = rPIE().explain(p)
    assert "waves of FarField() * Object() * Probe(modes=1, variable=3)" in text
    assert "writes obj, opr_modes, opr_weights, probe;" in text
    assert "opr" not in rPIE().explain(varying_state(varying, 0))
    assert "opr" not in ML().explain()


def test_simulation_is_the_formula():
    rng = np.random.default_rng(2)
    each = probes.unsteady(aperture(50.0)[0], 9, drift=True, seed=1)
    mean, leaves = probes.variation(each, 8)
    obj = rng.uniform(0.5, 1, (48, 48)) + 0j
    places = rng.integers(0, 16, (9, 2)).astype(float)
    places[:2] = (0, 0), (16, 16)
    data = opty.simulate.experiment(obj, mean, places, model=Object() * Probe(variable=8), leaves=leaves)
    for j, (r, c) in enumerate(data.truth["positions"].astype(int)):
        wave = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(each[j] * obj[r : r + 32, c : c + 32]), norm="ortho"))
        np.testing.assert_allclose(data.intensities[j], abs(wave) ** 2, rtol=1e-4, atol=1e-6 * data.intensities.max())
    bright = opty.simulate.experiment(obj, mean, places, 1e4, model=Object() * Probe(variable=8), leaves=leaves)
    assert bright.photons().mean() == pytest.approx(1e4, rel=0.02)
    ratio = bright.photons() / data.photons()
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.1)


def test_a_simulation_says_how_it_varies():
    with pytest.raises(ValueError, match=r"varies: say how, probe, leaves = .*\['opr_modes', 'opr_weights'\] are not"):
        opty.simulate.experiment(np.ones((48, 48)), aperture(50.0), [(0, 0)], model=Object() * Probe(variable=2))


def test_probes_that_vary_are_checked():
    with pytest.raises(ValueError, match="one coherent wave"):
        probes.unsteady(aperture(50.0), 9)
    with pytest.raises(ValueError, match="sizes from 0 on"):
        probes.unsteady(aperture(50.0)[0], 9, weighting=-1)
    with pytest.raises(ValueError, match="a count from 1 to N"):
        probes.variation(aperture(50.0), 2)
    each = probes.unsteady(aperture(50.0)[0], 200, weighting=0.25, intensity=0.0, seed=4)
    power = (abs(each) ** 2).sum(axis=(1, 2))
    assert ((abs(each - each.mean(axis=0)) ** 2).sum() / power.sum()) == pytest.approx(2 * 0.25**2, rel=0.15)


def test_a_slow_factor_is_no_error():
    rng = np.random.default_rng(0)
    truth = np.exp(1j * rng.uniform(0, 1, (128, 128)))
    x = np.linspace(0, np.pi, 128)
    slow = np.exp(0.6 * np.sin(x[:, None]) + 0.8j * np.sin(x))
    assert fine_error(truth * slow, truth) < 0.07 < 0.15 < opty.analysis.object_error(truth * slow, truth)
    assert fine_error(truth + 0.2, truth) > 0.04


def test_pictures_show_modes_and_weights(found, varying, tmp_path):
    fig = opty.plot.variation(found)
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in fig.axes]
    assert titles[0] == "mean probe"
    assert any(title.startswith("mode 3:") for title in titles)
    along = next(axes for axes in fig.axes if axes.get_xlabel() == "view")
    np.testing.assert_allclose(along.lines[0].get_ydata(), found.numpy("opr_weights")[:, 0])
    assert found.plot().axes
    with pytest.raises(ValueError, match=r"opty\.plot\.probe"):
        opty.plot.variation(varying_state(varying, 0))


def test_exports(found, tmp_path):
    from opty.io.export import export

    (file,) = export(tmp_path / "x.npz", found)
    with np.load(file) as held:
        np.testing.assert_array_equal(held["opr_modes"], found.opr_modes)
        np.testing.assert_array_equal(held["opr_weights"], found.opr_weights)
    data = found.data.replace(geometry=GEOMETRY, positions=found.data.positions_px * GEOMETRY.sample_pixel(32))
    q = opty.PtychoState(data, model=Object() * Probe(variable=2))
    with pytest.raises(ValueError, match="probe varies from view to view"):
        export(tmp_path / "x.ptyr", q)


def test_frames_that_stay_in_their_file(varying, tmp_path):
    opty.save(tmp_path / "scan.h5", varying[0])
    here, there = (opty.load(tmp_path / "scan.h5", stream=stream) for stream in (False, True))
    found = [rPIE(batch=8) ** 7 * varying_state((data, *varying[1:])) for data in (here, there)]
    np.testing.assert_array_equal(found[0].opr_weights, found[1].opr_weights)


@pytest.mark.parametrize("recipe", [rPIE(batch=5), ML(), opty.LBFGS(), opty.AP()], ids=repr)
def test_a_gpu_gives_the_numbers_of_numpy(gpu, recipe):
    p = state(scan(modes=2, mask=3, background=True), model=Object() * Probe(modes=2, variable=2), dtype="complex128")
    p = rPIE(batch=4) ** 6 * p
    here, there = recipe**2 * p, recipe**2 * p.to("gpu")
    for name in ("obj", "probe", "opr_modes", "opr_weights"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())


@pytest.fixture(scope="module")
def begun():
    """A small state whose weights move."""
    p = state(scan(modes=2), model=Object() * Probe(modes=2, variable=2), dtype="complex128")
    return rPIE(batch=4) ** 6 * p


@pytest.mark.parametrize(
    "op",
    [
        rPIE(),
        mPIE(),
        LSQML(batch=4),
        opty.AP(),
        ML(),
        opty.LBFGS(),
        opty.IntensityUpdate() * rPIE(batch=3),
        Coarse(2, rPIE()),
        opty.Orthogonalise(),
        opty.Support(5.0, "fourier"),
    ],
    ids=repr,
)
def test_the_laws_of_operators_hold(begun, op):
    opty.testing.check_operator(op, start=begun)


class Growing(ViewOperator, reads="delta probe", writes="probe"):
    """OPR modes and weights grow; at the end of a sweep they are mixed, which changes no view's probe."""

    mixed: bool = False

    def apply(self, s, b):
        s.opr_modes *= 1.001
        s.opr_weights[b.selection] *= 1.002

    def finish(self, s):
        if self.mixed:
            turn = np.array([[0.6, 0.8, 0.0], [-0.8, 0.7, 0.0], [0.2, 0.1, -1.1]])
            s.opr_modes = np.tensordot(turn, s.opr_modes, 1)
            s.opr_weights = s.opr_weights @ np.linalg.inv(turn)


def test_momentum_of_what_varies_is_turned_with_it(varying):
    p = varying_state(varying, dtype="complex128")
    for interval in (None, 20):
        plain, mixed = (Sweep(ProbeMomentum(0.6, interval) * Growing(m), batch=16) ** 19 * p for m in (False, True))
        one, other, start = (np.tensordot(q.opr_weights, q.opr_modes, 1) for q in (plain, mixed, p))
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-10 * abs(one).max())
        grown = 1.001 ** (19 * 6) * 1.002**19  # six batches a sweep, without momentum
        assert abs(one).max() > 1.02 * grown * abs(start).max()
        assert abs(plain.opr_modes - mixed.opr_modes).max() > 0.1 * abs(plain.opr_modes).max()


@pytest.mark.parametrize("recipe", [LSQML(batch=8), mPIE(interval=30)], ids=repr)
def test_what_varies_is_carried_on(varying, recipe):
    p = varying_state(varying)
    whole, half = recipe**18 * p, recipe**2 * (recipe**16 * p)
    for name in ("opr_modes", "opr_weights", "kept_opr_modes_velocity", "kept_opr_weights_velocity"):
        np.testing.assert_array_equal(whole.numpy(name), half.numpy(name))
    assert abs(whole.numpy("kept_opr_weights_velocity")).max() > 0
    assert "kept_opr_modes_velocity" not in (rPIE() * whole).slots
