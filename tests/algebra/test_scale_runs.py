"""The scale between object and probe in whole runs: brought back where it runs away, left alone where it is given."""

import warnings

import numpy as np
import pytest
from scale_case import (
    BY_TURNS,
    ENGINES,
    power_against_dark,
    power_not_held,
    power_of,
    ratio,
    scaled,
    switched_off,
    without_it,
)
from small_scans import everything, same, scan, state

import opty
from opty import (
    AP,
    DM,
    LSQML,
    ML,
    RAAR,
    After,
    Before,
    Every,
    ObjUpdate,
    Operator,
    Orthogonalise,
    ProbeUpdate,
    Sweep,
    ViewOperator,
    ePIE,
    mPIE,
    rPIE,
)
from opty.kernels.update import scaling
from opty.ptycho_state import PtychoState
from opty.runtime.scale import gives_scale
from opty.state.light import light_on

# -- data that do not agree


@pytest.fixture(scope="module")
def inconsistent():
    """36 views of 32 x 32, of few photons and some px away from where they are said to be; the start knows the beam's
    aperture.
    """
    from opty.simulate import experiment, objects, probes, scans, stage

    raster = scans.raster((6, 6), 4, jitter=1, seed=3)
    picture, beam = objects.two_images((110, 110)), probes.two_images(32, 26)
    data = experiment(picture, beam, raster, photons=100, position_error=stage.Gaussian(2.0), seed=3)
    start = probes.aperture(32, 26, edge=2) * np.sqrt(data.photons().mean())
    return PtychoState(data, probe=start.astype("complex64"), device="cpu", threads=1, margin=12)


def test_without_it_the_scale_runs_away(inconsistent, monkeypatch):
    switched_off(monkeypatch)
    largest = []
    with pytest.raises(opty.DivergedError):
        largest.extend(abs(q.obj).max() for q in (rPIE() ** 200).iter(inconsistent))
    assert (largest[59] / largest[19]) ** (1 / 40) > 1.3
    assert largest[-1] > 1e18


@pytest.mark.parametrize(
    "recipe", [*ENGINES, opty.PosCorrect() * rPIE(), opty.PosCorrect() * LSQML(batch=4), BY_TURNS], ids=repr
)
def test_with_it_nothing_does(inconsistent, recipe):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", opty.MisfitWarning)
        q = recipe ** (200 if recipe == rPIE() else 100) * inconsistent
    assert abs(q.obj).max() < 100
    assert scaling.STRONG < ratio(q) < scaling.WEAK


def test_the_misfits_are_those_of_a_run_without_it(inconsistent, monkeypatch):
    power_not_held(monkeypatch)
    q = rPIE() ** 80 * inconsistent
    assert np.array_equal(q.history["misfit"], without_it(rPIE() ** 80, inconsistent, monkeypatch).history["misfit"])


# -- a probe that takes up what does not fit

FULL_STEPS = ePIE(probe_step=1.0)


@pytest.fixture(scope="module")
def grown(inconsistent):
    """A state of three modes after eight sweeps, in which the power of the probe has been looked at."""
    start = PtychoState(inconsistent.data, inconsistent.probe, modes=3, device="cpu", threads=1, margin=12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", opty.MisfitWarning)
        return FULL_STEPS**8 * start


def test_a_live_sweep_keeps_the_power_of_the_probe(grown, monkeypatch):
    q = FULL_STEPS**92 * grown
    held = grown.numpy("held_power")[0]
    assert held == pytest.approx(4 * power_against_dark(grown), rel=1e-2)
    assert 0.5 * held < power_of(q) < 1.6 * held
    assert abs(q.obj).max() < 10
    power_not_held(monkeypatch)
    p = FULL_STEPS**92 * grown
    assert power_of(p) > 4 * held
    assert opty.misfit(q) < 1.02 * opty.misfit(p)


def test_pixels_in_the_dark_stay_as_they_are(grown):
    q = FULL_STEPS**64 * grown
    assert power_of(q) < 6 * power_of(grown)
    dark = light_on(q._live) == 0
    assert dark.sum() > 100
    assert np.all(q.obj[dark] == 1)


def test_the_power_is_held_from_a_file_on_as_without_it(grown, tmp_path):
    far = FULL_STEPS**56 * grown
    whole = FULL_STEPS**24 * far
    assert power_of(whole) < 6 * power_of(grown)
    for turns in range(2, 12):  # some end between a look and what follows from it
        opty.save(tmp_path / f"{turns}.h5", FULL_STEPS**turns * far)
        assert same(FULL_STEPS ** (24 - turns) * opty.load(tmp_path / f"{turns}.h5"), whole)


GIVING = [
    opty.operators.ClampObj(hi=50),
    opty.ScaleObjProbe(),
    opty.operators.ProbePower(),
    opty.operators.TotalVariation(1e-9),
]


@pytest.mark.parametrize("step", GIVING, ids=repr)
def test_where_a_step_gives_a_scale_pixels_in_the_dark_go_along(grown, step, monkeypatch):
    loop = (step * FULL_STEPS) ** 92
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", opty.MisfitWarning)
        q = loop * grown
        power_not_held(monkeypatch)
        p = loop * grown
    assert power_against_dark(q) < 10 * power_against_dark(grown) < 0.1 * power_against_dark(p)
    assert opty.misfit(q) < opty.misfit(p)


def test_a_scale_that_a_step_gives_once_stays(grown):
    q = FULL_STEPS**24 * opty.operators.ProbePower(photons=5e4) * grown
    assert power_of(q) > 4e4
    assert power_against_dark(q) < 6 * power_against_dark(grown)


# -- where it is left alone


class SaysNothingOfScale(Operator, reads="obj", writes="obj"):
    """A step of a user's that says nothing of the scale."""

    def apply(self, s):
        s.obj *= 1


class HalvesProbeScale(Operator, reads="probe", writes="probe"):
    """A step of a user's that is made for a probe of any scale."""

    scale_free = True

    def apply(self, s):
        s.probe *= 1 - 1e-3


COUNT = opty.Leaf("count_of_mine", "1", scale=0)
TREND = opty.Leaf("trend_of_mine", "mode row col", dtype="complex", grid="window", scale=1)


class Remembers(ViewOperator, reads="delta", slots=opty.Leaf("memory_of_mine", "3")):
    """A step of a user's that remembers something."""

    def apply(self, s, b):
        s.create("memory_of_mine")


class RemembersWithScale(ViewOperator, reads="delta", slots=(COUNT, TREND)):
    """A step of a user's that says how its memory goes with the scale."""

    scale_free = True

    def apply(self, s, b):
        s.create("count_of_mine")
        if s.create("trend_of_mine"):
            s.trend_of_mine += 1


class LooksAtScale(Operator, reads="obj probe"):
    """A step of a user's that writes nothing."""

    def apply(self, s):
        s.record("largest", float(abs(s.obj).max()))


class LooksAtWaves(ViewOperator, reads="waves", writes="waves"):
    """A step of a user's on exit waves, which have no scale."""

    def apply(self, s, b):
        b.waves = b.waves * 1


TURN = rPIE(batch=6)
LEFT_ALONE = [
    opty.operators.ClampObj(hi=1e3) * TURN,
    opty.operators.TotalVariation(1e-6) * TURN,
    opty.ScaleObjProbe() * TURN,
    opty.operators.ProbePower(photons=1e-3) * TURN,
    TURN * opty.operators.ClampObj(hi=1e3),
    Every(100, opty.operators.ClampObj(hi=1e3)) * TURN,
    SaysNothingOfScale() * TURN,
    Remembers() * TURN,
    ML(smooth=1e-6),
    TURN * (opty.operators.ClampObj(hi=1e3) * TURN) ** 2,
]
FIXED = [engine().fix(leaf) for leaf in ("obj", "probe") for engine in (ePIE, rPIE, mPIE, LSQML, AP, DM, RAAR, ML)]
FIXED += [
    Orthogonalise() * opty.Support(7.0) * opty.operators.CentreProbe() * rPIE().fix("probe"),
    opty.operators.ProbeMomentum() * rPIE().fix("probe"),
    Sweep(After(9, ProbeUpdate()) * ObjUpdate()),
    Sweep(Every(3, ObjUpdate(), first=9) * ProbeUpdate()),
    opty.PosCorrect() * AP().fix("probe"),
]
BROUGHT_BACK = [
    opty.operators.ClampObj(hi=1e3) * TURN**3,
    HalvesProbeScale() * TURN,
    LooksAtScale() * TURN,
    LooksAtScale() * Sweep(ProbeUpdate() * ObjUpdate() * LooksAtWaves()),
    opty.Misfit() * opty.Log(99) * TURN,
    opty.operators.TotalVariation(0.0) * TURN,
    opty.Support("disc") * opty.PosCorrect(weights="trust") * TURN,
    BY_TURNS,
    Sweep(Every(2, ProbeUpdate()) * Every(2, ObjUpdate(), first=1)),
    Every(2, AP().fix("probe")) * AP().fix("obj"),
    rPIE().fix("obj") ** 2 * rPIE().fix("probe") ** 2,
    Sweep(After(1, ProbeUpdate()) * ObjUpdate()),
]


@pytest.fixture
def weak():
    """A state whose probe is much too weak; it holds arrays of the user's."""
    start = scaled(state(scan(modes=2, background=True)), -6)
    return start.replace(arrays={"disc": np.ones((16, 16)), "trust": np.ones(12)})


@pytest.mark.parametrize("recipe", [*LEFT_ALONE, *FIXED], ids=repr)
def test_where_a_step_gives_a_scale_it_is_left_alone(weak, monkeypatch, recipe):
    power_not_held(monkeypatch)
    assert same(recipe**3 * weak, without_it(recipe**3, weak, monkeypatch))


@pytest.mark.parametrize("recipe", BROUGHT_BACK, ids=repr)
def test_where_none_does_it_is_brought_back(weak, monkeypatch, recipe):
    assert abs(ratio(recipe**3 * weak)) < 1
    assert ratio(without_it(recipe**3, weak, monkeypatch)) > 3


def test_what_is_fixed_keeps_its_bits(weak):
    assert np.array_equal((rPIE().fix("probe") ** 3 * weak).probe, weak.probe)
    assert np.array_equal((LSQML().fix("obj") ** 3 * weak).obj, weak.obj)
    assert np.array_equal((ML().fix("probe") ** 3 * weak).probe, weak.probe)
    late = AP().fix("obj") ** 3 * weak
    assert np.array_equal((Sweep(Before(2, ObjUpdate()) * ProbeUpdate()) ** 3 * late).obj, late.obj)


def test_what_a_user_makes_of_a_step_of_optys_is_another_step():
    class MineScaled(ObjUpdate):
        def apply(self, s, b):
            s.obj[...] = 1

    assert not MineScaled.scale_free
    assert gives_scale(MineScaled())


def test_memory_of_another_step_is_left_alone(weak, monkeypatch):
    q = Sweep(Remembers()) * weak
    assert "memory_of_mine" in q.slots
    assert same(TURN**3 * q, without_it(TURN**3, q, monkeypatch))


def test_memory_that_is_declared_goes_along(weak):
    q = Sweep(RemembersWithScale()) * weak
    r = TURN**3 * q
    assert abs(ratio(r)) < 1
    octaves = np.log2(r.slots["trend_of_mine"][0, 0, 0].real)
    assert octaves == round(octaves) >= 5
    assert r.slots["count_of_mine"] == 0


# -- the laws


@pytest.fixture(params=["cpu", "gpu"])
def runaway(request):
    """A state far from the scale to which it is brought back."""
    p = scaled(state(scan(modes=2, background=True), deterministic=True), -3)
    if request.param == "gpu":
        request.getfixturevalue("standin_gpu")
    return p.to(request.param)


class RunsAway(Operator, reads="probe obj", writes="probe obj"):
    """Moves the scale by a factor each time, for the tests."""

    scale_free = True
    estimates = False

    def apply(self, s):
        s.probe *= 0.4
        s.obj /= 0.4


LAWS = [
    RunsAway() * rPIE(),
    RunsAway() * LSQML(batch=4),
    RunsAway() * DM(),
    RunsAway() * ML(),
    RunsAway() * (rPIE().fix("obj") * rPIE().fix("probe")),
    RunsAway() * Every(2, AP().fix("obj")) * AP().fix("probe"),
    (RunsAway() * rPIE()) ** 2 * mPIE(),
    rPIE().fix("obj") ** 2 * RunsAway() * rPIE().fix("probe") ** 2,
]


EVERYWHERE = [*(("cpu", recipe) for recipe in LAWS), *(("gpu", recipe) for recipe in LAWS[1:6:2])]


@pytest.mark.parametrize(("runaway", "recipe"), EVERYWHERE, ids=repr, indirect=["runaway"])
def test_the_split_law_holds(runaway, monkeypatch, recipe):
    q = recipe**5 * runaway
    assert not np.array_equal(q.probe, without_it(recipe**5, runaway, monkeypatch).probe)
    assert same(q, recipe**2 * (recipe**3 * runaway))
    assert same(q, recipe * (recipe**4 * runaway))
    assert same(q, list((recipe**5).iter(runaway))[-1])
    assert same(q, recipe**5 * scaled(runaway, 0).donate())


@pytest.mark.covering
@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize(("runaway", "recipe"), EVERYWHERE, ids=repr, indirect=["runaway"])
def test_a_run_that_stopped_goes_on_to_the_same_bits(runaway, tmp_path, recipe, where):
    from opty.algebra.compose import compose, factors
    from opty.runtime.recipe_edit import without_outputs

    parts = list(factors(recipe))
    path = tmp_path / "stopped.h5"
    parts.insert(min(where, len(parts)), opty.Save(str(path)))
    saving = compose(*reversed(parts)) ** 4
    q = saving * runaway
    resumed = opty.resume(path, device=runaway.device, deterministic=True)
    assert same(resumed, q)
    assert same(without_outputs(saving) * runaway, q)


@pytest.mark.parametrize("engine", [rPIE(), LSQML(batch=4), ML(), AP()], ids=repr)
def test_the_last_good_state_is_of_one_scale(runaway, engine):
    class SpoilsScale(Operator, writes="background"):
        def apply(self, s):
            if s.iteration == 4:
                s.background[0, 0] = np.nan

    recipe = SpoilsScale() * RunsAway() * engine
    with pytest.raises(opty.DivergedError) as caught:
        recipe**9 * runaway
    assert caught.value.state.iteration == 4
    last = caught.value.state
    held = everything((RunsAway() * engine) ** 4 * runaway)
    same_but_background = {**everything(last), "background": held["background"]}
    assert same(held, same_but_background)


def test_no_array_of_another_state_is_scaled(runaway):
    q = scaled(Sweep(opty.operators.AccumObj()) * (mPIE() * runaway), -3)
    before = everything(q)
    assert {"obj_sum", "obj_weight"} <= set(q.slots)
    rPIE() ** 3 * q
    assert same(q, before)
    r = rPIE() ** 3 * q
    assert r.slots["obj_sum"] is not q.slots["obj_sum"]
    moved = np.log2(abs(r.numpy("obj_weight")).max() / abs(q.numpy("obj_weight")).max())
    assert moved == 2 * round(moved / 2) != 0


@pytest.mark.parametrize(("recipe", "arrays"), [(rPIE(), 2), (DM(), 2), (LSQML(batch=4), 4), (ML(), 6)], ids=repr)
def test_it_takes_two_or_three_launches_a_turn(standin_gpu, monkeypatch, recipe, arrays):
    from collections import Counter

    p, launches, kernel = state(scan(), deterministic=True).to("gpu"), Counter(), standin_gpu.xp.RawKernel
    launch = kernel._run

    def counted(self, grid, block, args, packed=None):
        launches[self.name.partition("<")[0]] += 1
        return launch(self, grid, block, args, packed)

    monkeypatch.setattr(kernel, "_run", counted)
    recipe**5 * p
    assert launches["add_up_power"] == 5
    assert launches["take_scale"] == 5 * -(-arrays // 4)
