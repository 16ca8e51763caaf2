"""An object that is a mixture of states: through every engine, positions, operators and files."""

from __future__ import annotations

import numpy as np
import pytest
from mixed_scene import TWO, mixed, mixed_state, simulated, truth
from small_scans import scan
from test_varying_probe import NEAR
from thick_scene import GEOMETRY, SIZE
from thin_scene import every_engine
from told_memory import assert_told

import opty
from opty import AP, DM, LSQML, ML, RAAR, OrthogonaliseStates, ScaleObjProbe, mPIE, rPIE
from opty.errors import RecipeError
from opty.model import Blur, Element, FlyScan, Object, Probe, Slices, Wavelengths
from opty.model.complete import complete
from opty.model.host_views import HostViews
from opty.operators import ClampObj, ProbePower, RegisterSlices, RemoveRamp, RemoveVortices, SmoothSlices
from opty.testing import check_element


class Doubled(Element):
    """Each state twice, each with half of the light."""

    closed = True

    def states_behind(self, count):
        return 2 * count

    def forward(self, v, wave):
        return np.repeat(wave, 2, axis=1) / np.sqrt(2).astype(v.real_dtype)

    def tangent(self, v, dwave, changes):
        return None if dwave is None else self.forward(v, dwave)

    def backward(self, v, chi, power):
        return chi.reshape(len(chi), -1, 2, v.n, v.n).sum(axis=2) / np.sqrt(2).astype(v.real_dtype), power


class Access:
    """What ``ComparePositions`` uses of a state."""

    def __init__(self, p):
        self.store, self.backend = p._live, p._live.backend


@pytest.fixture(scope="module")
def scene():
    return simulated()


@pytest.fixture(scope="module")
def p(scene):
    """Return a state on its way."""
    return rPIE(alpha=0.1, batch=4) ** 8 * mixed_state(scene)


@pytest.mark.parametrize("geometry", [None, NEAR], ids=["far", "near"])
@pytest.mark.parametrize(
    "model",
    [TWO, Blur(0.5) * Object(states=3), Wavelengths((0.9, 1.1)) * TWO * FlyScan(2) * Probe(variable=1)],
    ids=repr,
)
def test_adjoint_and_derivative(model, geometry):
    worst = check_element(model, geometry=geometry)
    assert {"obj", "probe", "positions"} <= worst.keys()
    assert max(worst.values()) < 1e-14


def test_patterns_of_all_states_and_modes_add_up():
    rng = np.random.default_rng(0)
    n, corner = 12, (3, 5)
    obj, probe = (rng.normal(size=(2, *shape)) + 1j * rng.normal(size=(2, *shape)) for shape in ((20, 22), (n, n)))
    model = complete(TWO, None, n)
    assert model.states(2) == 4
    v = HostViews(model, {"obj": obj, "probe": probe}, np.array([corner], float))
    expected = sum(
        abs(np.fft.fft2(mode * state[3 : 3 + n, 5 : 5 + n], norm="ortho")) ** 2 for mode in probe for state in obj
    )
    np.testing.assert_allclose(v.intensity(v.at_detector(v.exit_waves()))[0], expected, rtol=1e-12)


def test_one_state_is_the_thin_object():
    assert Object(states=1) == Object()
    assert repr(Object()) == "Object()"
    assert complete(None, None, 8).thin
    assert not complete(TWO, None, 8).thin
    with pytest.raises(ValueError, match="from 1 on"):
        Object(states=0)
    with pytest.raises(RecipeError, match="states of a thick object are not supported"):
        TWO * Slices(2, 1e-6)


@every_engine(lsqml=0.1)
def test_every_engine_fits_the_patterns(scene, recipe, times):
    p = mixed_state(scene)
    assert opty.misfit(recipe * p) < times * opty.misfit(p)


@pytest.mark.parametrize("recipe", [DM() ** 12, RAAR() ** 12, opty.LBFGS("amplitude") ** 12], ids=repr)
def test_those_that_keep_waves_or_memory_fit_too(scene, recipe):
    p = mixed_state(scene)
    assert opty.misfit(recipe * p) < 0.2 * opty.misfit(p)


def test_two_states_fit_what_one_does_not(scene):
    recipe = rPIE(alpha=0.1, batch=4) ** 30
    one, two = (recipe * mixed_state(scene, model) for model in (Object(), TWO))
    assert opty.misfit(two) < 0.25 * opty.misfit(one)
    assert opty.analysis.errors(rPIE(alpha=0.1, batch=4) ** 120 * two)["object"] < 0.15


def test_the_probe_that_varies_goes_with_states(scene):
    p = mixed_state(scene, TWO * Probe(variable=2))
    q = rPIE(alpha=0.1, batch=4) ** 10 * p
    assert opty.misfit(q) < 0.1 * opty.misfit(p)


def test_equal_states_never_separate(scene):
    """Hence the noise with which they start."""
    p = mixed_state(scene).replace(obj=np.full((2, SIZE, SIZE), 0.5**0.5, np.complex64))
    q = rPIE(alpha=0.1, batch=4) ** 3 * p
    np.testing.assert_array_equal(q.numpy("obj")[0], q.numpy("obj")[1])
    first, second = opty.PtychoState(scene[0], scene[1], model=TWO).numpy("obj")
    assert (first == 1).all()
    assert 0.09 < np.sqrt((abs(second) ** 2).mean()) < 0.11


@pytest.mark.parametrize("step", [opty.PosCorrect(wait=False), opty.PosCorrectGradient()], ids=repr)
def test_positions_come_home(scene, step):
    true = scene[0].truth["positions"]
    wrong = np.clip(true + np.random.default_rng(1).uniform(-1.5, 1.5, true.shape), 0, 31)
    q = (step * rPIE(alpha=0.05, batch=4)) ** 30 * mixed_state(scene).replace(positions=wrong)
    before, after = (opty.analysis.position_error(a, true, affine=True) for a in (wrong, q.numpy("positions")))
    assert after < 0.35 * before


@pytest.mark.parametrize("signal", ["object", "detector"])
def test_the_peaks_of_correlations_move_positions_too(p, signal):
    step = opty.PosCorrectGain(signal=signal)
    q = (step * rPIE(alpha=0.1, batch=4)) ** 2 * p
    moved = q.numpy("positions") - p.numpy("positions")
    assert 0 < abs(moved).max() < 0.7


def test_a_view_in_a_wrong_place_is_found(scene):
    q = rPIE(alpha=0.1, batch=4) ** 15 * mixed_state(scene)
    positions = q.numpy("positions")
    positions[40] += (9, -8)
    with pytest.warns(opty.MisfitWarning, match=r"1 of 81 views could not be placed \(number 40\)"):
        found = opty.CheckPositions() * q.replace(positions=positions)
    assert np.flatnonzero(found.numpy("position_lost")).tolist() == [40]
    searched = (opty.PosSearch(12) * opty.PosCorrectGain() * rPIE(alpha=0.1, batch=4)) ** 2 * q.replace(
        positions=positions
    )
    away = searched.numpy("positions")[40] - q.numpy("positions")[40]
    assert abs(away).max() < 2


@pytest.mark.parametrize("recipe", [rPIE(batch=5), ML(), DM(), OrthogonaliseStates() * LSQML(batch=5)], ids=repr)
def test_a_gpu_gives_the_numbers_of_numpy(gpu, recipe):
    model = TWO * Probe(modes=2)
    data = scan(modes=2, mask=3, background=True)
    p = rPIE(batch=4) * opty.PtychoState(data, model=model, dtype="complex128", device="cpu", threads=1)
    here, there = recipe**2 * p, recipe**2 * p.to("gpu")
    for name in ("obj", "probe"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())
    for step in (ScaleObjProbe(), RemoveRamp(), ClampObj(hi=0.9)):
        one, other = ((step * q).numpy("obj") for q in (there, here))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())


def differ(obj):
    """Say whether no two states are equal anywhere, which would stay so."""
    return (obj[0] != obj[1]).all()


def test_whatever_begins_anew_begins_with_states_that_differ(scene, p):
    from opty.analysis.halves import in_halves
    from opty.data.parts import chosen
    from opty.state.growth import grow

    assert all(differ(half.numpy("obj")) for half in in_halves(p, "views"))
    flat = opty.ComparePositions(rPIE())._flat(Access(p), p.positions)
    assert differ(flat.numpy("obj"))
    assert np.ptp(abs(flat.numpy("obj")[0])) == 0
    q = opty.PtychoState(chosen(scene[0], np.arange(30)), scene[1], model=TWO)
    store = q._live.fork(set(q._live.leaves))
    grow(store, scene[0])
    assert store.object_shape[0] > q.obj.shape[1]
    assert differ(store.leaves["obj"])


# -- steps that a model refuses


CALLS = []


class IterationsSeen(opty.Operator, reads="", writes=""):
    """Note its calls."""

    def apply(self, s):
        CALLS.append(s.iteration)


@pytest.mark.parametrize("refused", [OrthogonaliseStates(), SmoothSlices(), RegisterSlices()])
def test_a_step_that_the_model_refuses_costs_no_iteration(p, refused):
    CALLS.clear()
    thin = opty.PtychoState(p.data)
    with pytest.raises(RecipeError, match="leave the step out"):
        refused * (IterationsSeen() * rPIE()) ** 3 * thin
    with pytest.raises(RecipeError, match="leave the step out"):
        opty.Coarse(2, refused) * IterationsSeen() * thin
    assert not CALLS


# -- the mix of the states that no pattern tells


def test_orthogonal_states_predict_the_same(p):
    q = OrthogonaliseStates() * p.replace(obj=mixed(p.numpy("obj")).astype(np.complex64))
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-4)
    light = opty.analysis.illumination.photons_on(p.numpy("positions"), p.numpy("probe"), (SIZE, SIZE))
    flat = q.numpy("obj").astype(complex).reshape(2, -1)
    gram = (flat.conj() * light.ravel()) @ flat.T
    assert abs(gram[0, 1]) < 1e-5 * abs(gram[0, 0])
    assert gram[0, 0].real > gram[1, 1].real
    np.testing.assert_allclose(abs(opty.analysis.object_states(p)), abs(q.numpy("obj")), atol=2e-4)
    np.testing.assert_allclose((OrthogonaliseStates() * q).numpy("obj"), q.numpy("obj"), atol=1e-5)
    with pytest.raises(RecipeError, match="no mixture of states: leave the step out"):
        OrthogonaliseStates() * opty.PtychoState(p.data)
    with pytest.raises(RecipeError, match=r"take p\.obj"):
        opty.analysis.object_states(opty.PtychoState(p.data))


def test_orthogonal_states_are_those_at_any_scale(p):
    other = OrthogonaliseStates() * p.replace(obj=p.numpy("obj") / 8, probe=8 * p.numpy("probe"))
    np.testing.assert_array_equal(8 * other.numpy("obj"), (OrthogonaliseStates() * p).numpy("obj"))


@pytest.mark.parametrize("recipe", [DM(), mPIE()], ids=repr)
def test_a_run_goes_on_with_what_it_remembers(scene, recipe):
    """Kept waves and velocities are turned with the states."""
    second = 0.2 * scene[1] * np.linspace(-1, 1, scene[1].shape[-1])
    p = mixed_state((scene[0], np.concatenate([scene[1], second])))
    half = recipe**3 * p
    plain, turned = recipe**2 * half, recipe**2 * (OrthogonaliseStates() * half)
    assert opty.misfit(turned) == pytest.approx(opty.misfit(plain), rel=2e-3)


def test_waves_kept_behind_other_states_are_turned(scene):
    """Of views (m, l, w) the axis in the middle is that of the object's states."""
    p = mixed_state(scene, Doubled() * TWO * Probe())
    half = DM() ** 3 * p
    plain, turned = DM() ** 2 * half, DM() ** 2 * (OrthogonaliseStates() * half)
    assert opty.misfit(turned) == pytest.approx(opty.misfit(plain), rel=2e-3)


def test_errors_are_those_of_the_nearest_mix(scene):
    true = truth()
    at = np.arange(SIZE)
    ramp = np.exp(0.05j * at[:, None] - 0.02j * at)
    p = mixed_state(scene).replace(obj=(1.3 * mixed(true) * ramp).astype(np.complex64))
    found = opty.analysis.errors(p)
    assert list(found) == ["object", "state 1", "state 2", "position", "position_affine"]
    assert max(found["object"], found["state 1"], found["state 2"]) < 1e-4
    p = p.replace(obj=np.stack([true[0], 0 * true[1]]).astype(np.complex64))
    assert opty.analysis.errors(p)["object"] > 0.05
    with pytest.raises(ValueError, match="states of a mixture"):
        opty.analysis.align_states(true[0], true)


def test_states_of_one_measurement_are_compared_modulo_the_mix(p):
    q = p.replace(obj=mixed(p.numpy("obj"), 3).astype(np.complex64))
    found = opty.analysis.difference(q, p)
    assert found.obj < 1e-3
    assert found.curve.correlation[:10].min() > 0.999
    np.testing.assert_allclose(found.objects[1], opty.analysis.object_states(p)[0])


def test_halves_are_compared(scene):
    found = opty.analysis.resolution(
        opty.PtychoState(scene[0], scene[1], model=TWO), rPIE(alpha=0.1, batch=4) ** 10, split="views"
    )
    assert found.curve.correlation[1:5].min() > 0.8


def test_error_bars_are_those_of_the_strongest_state(p):
    found = opty.analysis.uncertainty(p, rPIE(batch=4), n=4, repeats=0, draw="prediction")
    lit = found.lit
    assert np.isfinite(found.phase[lit]).all()
    assert np.median(found.phase[lit]) < 0.2


# -- operators on the object


def test_the_scale_of_probe_and_object(p):
    q = ScaleObjProbe() * p.replace(probe=3 * p.numpy("probe"))
    assert opty.misfit(q) == pytest.approx(opty.misfit(ScaleObjProbe() * p), rel=1e-4)
    light = opty.analysis.illumination.photons_on(p.numpy("positions"), q.numpy("probe"), (SIZE, SIZE))
    seen = np.sqrt((abs(q.numpy("obj")) ** 2).sum(axis=0))
    assert (seen * light).sum() / light.sum() == pytest.approx(1, abs=0.01)
    assert opty.misfit(ProbePower(photons=1e5) * p) == pytest.approx(opty.misfit(p), rel=1e-4)
    assert opty.misfit(RemoveRamp(whole=True) * p) == pytest.approx(opty.misfit(p), rel=1e-2)


def test_the_scale_is_brought_back(p):
    from opty import PtychoState

    store = p._live.fork(set(p._live.leaves))
    store.leaves["probe"] /= 64
    store.leaves["obj"] *= 64
    q = rPIE(batch=8) * PtychoState._of(store)
    power = (abs(q.numpy("probe")) ** 2).sum()
    assert 0.2 < power / q.data.photons().max() < 5
    assert opty.misfit(q) < 2 * opty.misfit(p)


def test_clamped_is_the_magnitude_of_all_states(p):
    free = np.sqrt((abs(p.numpy("obj")) ** 2).sum(axis=0))
    obj = (ClampObj(lo=0.95, hi=1.0) * p).numpy("obj")
    seen = np.sqrt((abs(obj) ** 2).sum(axis=0))
    np.testing.assert_allclose(seen, free.clip(0.95, 1.0), atol=1e-5)
    assert free.min() < 0.95 < 1.0 < free.max()
    again = ClampObj(lo=0.95, hi=1.0) * p.replace(obj=mixed(p.numpy("obj")).astype(np.complex64))
    np.testing.assert_allclose(abs(mixed(obj)), abs(again.numpy("obj")), atol=1e-5)


def test_what_makes_no_sense_of_states_is_refused(p):
    for step in (ClampObj(phase_lo=0.0), SmoothSlices(), RemoveVortices(), opty.RegisterSlices()):
        with pytest.raises(RecipeError):
            step * p
    with pytest.raises(RecipeError, match="no pattern tells the phase of each"):
        opty.analysis.phase_map(p)


def test_a_coarse_level_helps_states_along(scene):
    p = mixed_state(scene)
    q = opty.Coarse(2, rPIE(alpha=0.1, batch=4) ** 10) * p
    assert opty.misfit(q) < 0.4 * opty.misfit(p)


@pytest.mark.parametrize("modes", [1, 2])
def test_explain_tells_the_memory_of_states(modes):
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 12, (24, 2))
    beam = rng.normal(size=(2, modes, 64, 64)) * np.hanning(64)[:, None] * np.hanning(64)
    probe = 9 * (beam[0] + 1j * beam[1])
    frames = np.broadcast_to((abs(np.fft.fft2(probe, norm="ortho")) ** 2).sum(axis=0), (24, 64, 64))
    data = opty.PtychoData(rng.poisson(frames).astype("uint16"), places * GEOMETRY.sample_pixel(64), geometry=GEOMETRY)
    p = opty.PtychoState(data, probe, device="cpu", threads=1, model=Object(states=3) * Probe())
    for recipe in (rPIE(batch=8), LSQML(batch=8), ML(), AP(), DM()):
        assert_told(recipe, p, 0.2)
    assert "waves of FarField() * Object(states=3)" in rPIE().explain(p)


# -- files


def test_files_hold_states(p, tmp_path):
    p.save(tmp_path / "x.h5")
    q = opty.load(tmp_path / "x.h5", data=p.data)
    assert q.model == p.model
    np.testing.assert_array_equal(q.obj, p.obj)
    assert "object 2 states of 64 x 64" in repr(q)
    data = opty.load(tmp_path / "x.h5")
    assert data.model == p.model


def test_layers_of_ptypy_are_states(p, tmp_path):
    from opty.io.export import export

    export(tmp_path / "x.ptyr", p)
    q = opty.load(tmp_path / "x.ptyr", data=p.data)
    assert isinstance(q.model.sample, Object)
    assert q.model.sample.states == 2
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-3)
    np.testing.assert_allclose(q.obj, opty.analysis.object_states(p), rtol=1e-6)


def test_exports_are_orthogonal(p, tmp_path):
    import tifffile

    from opty.io.export import export

    states = opty.analysis.object_states(p)
    magnitude, phase = export(tmp_path / "x.tif", p)
    np.testing.assert_allclose(tifffile.imread(magnitude), np.abs(states), rtol=1e-5)
    with tifffile.TiffFile(phase) as tiff:
        assert "2 states, the strongest first, FarField() * Object(states=2)" in tiff.pages[0].description
    (file,) = export(tmp_path / "x.npz", p)
    with np.load(file) as found:
        np.testing.assert_allclose(found["obj"], states)


# -- pictures


def test_pictures_show_the_orthogonal_states(p):
    from opty import plot

    for fig in (p.plot(), plot.obj(p)):
        titles = [axes.get_title(loc="left") for axes in fig.axes]
        assert any(title.startswith("state 1, ") for title in titles)
        assert "state 2, phase (rad)" in titles
        assert not any("product" in title or "slice" in title for title in titles)
    states = opty.analysis.object_states(p)
    axes = next(axes for axes in plot.magnitude(p).axes if axes.get_title(loc="left") == "state 1 magnitude")
    rows, cols = plot.images.crop_to(plot.images.lit_area(p))
    np.testing.assert_allclose(axes.images[0].get_array().data, np.abs(states[0])[rows, cols])
    titles = [axes.get_title(loc="left") for axes in plot.demo_figure(p).axes]
    assert {"true state 1, magnitude", "recovered state 1, phase (rad)"} <= set(titles)
    with pytest.raises(ValueError, match=r"opty\.plot\.obj"):
        plot.slices(p)


def test_the_live_page_gets_the_orthogonal_states(p):
    from opty.live.snapshot import Snapshot

    snapshot = Snapshot.of(p)
    facts = snapshot.facts()
    assert (facts["slices"], facts["layer"]) == (2, "state")
    np.testing.assert_array_equal(snapshot.obj, opty.analysis.object_states(p))
    whole = (0, SIZE), (0, SIZE), 64
    assert snapshot.object_part(None, *whole).numbers == snapshot.object_part(0, *whole).numbers
