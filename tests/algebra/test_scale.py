"""The scale between object and probe: exponents of all that goes with it, and that it does not run away."""

import warnings

import numpy as np
import pytest
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
from opty.algebra.operator import REGISTRY
from opty.algebra.scale import EXPONENTS, gives_scale
from opty.backend import fused_cpu, fused_fit, plain, plain_fit, scaling
from opty.state import PtychoState

OWN = {name: cls for name, cls in REGISTRY.items() if cls.__module__.startswith("opty.")}
ENGINES = [ePIE(), rPIE(), rPIE(batch=4), mPIE(), LSQML(batch=4), AP(), DM(), RAAR(), ML(), ML("amplitude")]
BY_HAND = [opty.parse(text) for text in (
    "MergeProbe() * MergeObj(inertia=0.1, smooth=1.0) * Sweep(AccumProbe() * AccumObj() * FourierProject())",
    "MergeProbe() * Sweep(AccumProbe() * Recall()) * MergeObj() * Sweep(AccumObj() * Difference() * Reflect())",
    "PosSearch() * Support(7.0) * CentreProbe() * Orthogonalise() * PosCorrect(every=2) * rPIE()",
    "PosModel() * PosLimit(9.0) * PosCorrectAdam() * PosCorrectGradient(momentum=0.3) * rPIE(batch=3)",
    "PosCorrectGain(signal='detector') * PosCorrectSerial(weights='coverage') * PosCorrectAnneal() * ePIE()",
    "BackgroundUpdate() * IntensityUpdate() * ProbeMomentum(every=3) * ObjMomentum() * Sweep(LSQUpdate(), batch=2)",
    "rPIE(update='probe') * LSQML(update='obj') * ML(update='probe')",
    "TakeStep() * Sweep(LineSearch() * ExitWave()) * ConjugateDirection() * Sweep(LikelihoodGradient())",
    "Sweep(ProbeUpdate() * ObjUpdate(0.1) * FourierProject())",
)]  # fmt: skip
BY_TURNS = rPIE(update="obj") * rPIE(update="probe")
# Left in the middle: what is pending belongs to the state.
PENDING = [opty.parse(text) for text in (
    "Sweep(AccumProbe() * AccumObj() * FourierProject())",
    "MergeObj() * Sweep(AccumProbe() * AccumObj() * FourierProject())",
    "Sweep(LikelihoodGradient())",
    "ConjugateDirection() * Sweep(LikelihoodGradient())",
)]  # fmt: skip
REST = dict(zip(PENDING, map(opty.parse, (
    "MergeProbe() * MergeObj()", "MergeProbe()", "TakeStep() * Sweep(LineSearch()) * ConjugateDirection()",
    "TakeStep() * Sweep(LineSearch())",
)), strict=True))  # fmt: skip


@pytest.fixture
def switched_off(monkeypatch):
    """No scale is ever brought back."""
    monkeypatch.setattr(scaling, "WEAK", np.inf)
    monkeypatch.setattr(scaling, "STRONG", -np.inf)


@pytest.fixture(params=["numba", "numpy", "unfused", "gpu"])
def p(request, monkeypatch):
    """A state of 12 views and two modes, worked on by loops (compiled or not), step by step, or on the stand-in."""
    p = state(scan(modes=2, background=True), deterministic=True)
    if request.param == "numpy":
        monkeypatch.setattr(fused_cpu, "loops", lambda: plain)
        monkeypatch.setattr(fused_fit, "loops", lambda: plain_fit)
    if request.param == "gpu":
        request.getfixturevalue("standin_gpu")
        p = p.to("gpu")
    if request.param == "unfused":
        with opty.unfused():
            yield p
    else:
        yield p


def scaled(p, octaves):
    """Return the state with P 2^octaves, O 2^-octaves, and all that goes with them; in arrays of its own."""
    store = p._live.fork(set(p._live.leaves))
    for name, leaf in store.leaves.items():
        leaf *= leaf.dtype.type(2.0 ** (octaves * EXPONENTS[name]))
    return PtychoState._of(store)


def is_scaled(q, r):
    """Return by how many octaves the probe of r is stronger, all else being the same bits; the history is not looked at
    where it has the unit of the object.
    """
    a, b = everything(q), everything(r)
    octaves = np.log2(abs(b["probe"]).max() / abs(a["probe"]).max())
    assert octaves == round(octaves)
    names = a.keys() - {"history:object_change"}
    assert a.keys() == b.keys()
    for name in names:
        factor = 2.0 ** (octaves * EXPONENTS.get(name, 0))
        assert np.array_equal(a[name] * a[name].dtype.type(factor), b[name]), name
    return octaves


# -- what goes with it


@pytest.mark.parametrize("name", OWN)
def test_the_table_knows_every_name(name):
    cls = OWN[name]
    assert cls.reads | cls.writes <= EXPONENTS.keys()


def steps(recipe):
    from opty.algebra.fusedstep import written_out
    from opty.algebra.plan import plan, steps_of

    return {type(s.op) for s in written_out(steps_of(plan(recipe)))}


def test_every_step_that_claims_it_is_tried_below():
    claimed = {cls for cls in OWN.values() if cls.scale_free is True or not isinstance(cls.scale_free, bool)}
    tried = set().union(*map(steps, (*ENGINES, *BY_HAND)))
    assert claimed - {opty.TotalVariation} <= tried


@pytest.mark.parametrize("recipe", [*ENGINES, *BY_HAND], ids=repr)
def test_engines_do_the_same_at_any_scale(p, switched_off, recipe):
    q = recipe**2 * p
    assert EXPONENTS.keys() >= q._live.leaves.keys()
    assert is_scaled(recipe**2 * q, recipe**2 * scaled(q, 3)) == 3


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("begun", PENDING, ids=repr)
def test_so_they_do_from_the_middle_of_an_iteration(switched_off, begun, dtype):
    q = begun * (AP() * state(scan(modes=2), dtype=dtype))
    assert is_scaled(REST[begun] * q, REST[begun] * scaled(q, 3)) == 3


@pytest.mark.parametrize("turn", [opty.ClampObj(), opty.TotalVariation(), opty.ScaleObjProbe(), opty.ProbePower()])
def test_steps_that_give_a_scale_do_not(switched_off, turn):
    q = rPIE() ** 2 * state(scan(modes=2))
    with pytest.raises(AssertionError):
        assert is_scaled(turn * q, turn * scaled(q, 3)) == 3
    assert gives_scale(turn)
    assert not gives_scale(opty.TotalVariation(0.0))


# -- healthy runs


@pytest.mark.parametrize("octaves", [0, -4])
@pytest.mark.parametrize("recipe", [*ENGINES, *BY_HAND[:2], opty.PosCorrect(every=2) * rPIE()], ids=repr)
def test_a_run_keeps_its_bits_but_for_powers_of_two(p, monkeypatch, recipe, octaves):
    start = scaled(p, octaves)
    q = recipe**4 * start
    with monkeypatch.context() as patch:
        patch.setattr(scaling, "WEAK", np.inf)
        patch.setattr(scaling, "STRONG", -np.inf)
        without = recipe**4 * start
    moved = is_scaled(without, q)
    assert moved == 0 if octaves == 0 else abs(moved + octaves) <= 1


def ratio(p):
    """Return by how many octaves the probe's amplitude is too weak for the brightest view."""
    return 0.5 * np.log2(p.data.photons().max() / (abs(p.numpy("probe")) ** 2).sum())


@pytest.mark.parametrize("octaves", [-40, -3, -2, 2, 6, 12, 40])
def test_a_probe_has_about_the_power_of_the_brightest_view(octaves):
    p = state(scan(modes=2))
    start = scaled(p, octaves)
    q = rPIE() ** 3 * start
    assert scaling.STRONG < ratio(q) < scaling.WEAK
    if not scaling.STRONG < ratio(start) < scaling.WEAK:
        assert abs(ratio(q)) < 0.6
    assert np.array_equal(q.history["misfit"], (rPIE() ** 3 * p).history["misfit"])


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


def test_without_it_the_scale_runs_away(inconsistent, switched_off):
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
    q = rPIE() ** 80 * inconsistent
    monkeypatch.setattr(scaling, "WEAK", np.inf)
    assert np.array_equal(q.history["misfit"], (rPIE() ** 80 * inconsistent).history["misfit"])


# -- where it is left alone


class Unknown(Operator, reads="obj", writes="obj"):
    """A step of a user's that says nothing of the scale."""

    def apply(self, s):
        s.obj *= 1


class Halves(Operator, reads="probe", writes="probe"):
    """A step of a user's that is made for a probe of any scale."""

    scale_free = True

    def apply(self, s):
        s.probe *= 1 - 1e-3


class Remembers(ViewOperator, reads="delta", writes="memory_of_mine"):
    """A step of a user's that remembers something."""

    def apply(self, s, b):
        s.create("memory_of_mine", (3,), np.float64)


class Looks(Operator, reads="obj probe"):
    """A step of a user's that writes nothing."""

    def apply(self, s):
        s.record("largest", float(abs(s.obj).max()))


class LooksAtWaves(ViewOperator, reads="delta waves", writes="waves"):
    """A step of a user's on exit waves, which have no scale."""

    def apply(self, s, b):
        b.waves = b.waves * 1


TURN = rPIE(batch=6)
LEFT_ALONE = [
    opty.ClampObj(hi=1e3) * TURN,
    opty.TotalVariation(1e-6) * TURN,
    opty.ScaleObjProbe() * TURN,
    opty.ProbePower(photons=1e-3) * TURN,
    TURN * opty.ClampObj(hi=1e3),
    Every(100, opty.ClampObj(hi=1e3)) * TURN,
    Unknown() * TURN,
    Remembers() * TURN,
    ML(smooth=1e-6),
    TURN * (opty.ClampObj(hi=1e3) * TURN) ** 2,
]
FIXED = [engine(update=update) for update in ("obj", "probe") for engine in (ePIE, rPIE, mPIE, LSQML, AP, DM, RAAR, ML)]
FIXED += [
    Orthogonalise() * opty.Support(7.0) * opty.CentreProbe() * rPIE(update="obj"),
    opty.ProbeMomentum() * rPIE(update="obj"),
    Sweep(After(9, ProbeUpdate()) * ObjUpdate()),
    Sweep(Every(3, ObjUpdate(), first=9) * ProbeUpdate()),
    opty.PosCorrect() * AP(update="obj"),
]
BROUGHT_BACK = [
    opty.ClampObj(hi=1e3) * TURN**3,
    Halves() * TURN,
    Looks() * TURN,
    Looks() * Sweep(ProbeUpdate() * ObjUpdate() * LooksAtWaves()),
    opty.Misfit() * opty.Log(99) * TURN,
    opty.TotalVariation(0.0) * TURN,
    opty.Support("disc") * opty.PosCorrect(weights="trust") * TURN,
    BY_TURNS,
    Sweep(Every(2, ProbeUpdate()) * Every(2, ObjUpdate(), first=1)),
    Every(2, AP(update="obj")) * AP(update="probe"),
    rPIE(update="probe") ** 2 * rPIE(update="obj") ** 2,
    Sweep(After(1, ProbeUpdate()) * ObjUpdate()),
]


@pytest.fixture
def weak():
    """A state whose probe is much too weak; it holds arrays of the user's."""
    start = scaled(state(scan(modes=2, background=True)), -6)
    return start.replace(arrays={"disc": np.ones((16, 16)), "trust": np.ones(12)})


def without_it(recipe, p, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(scaling, "WEAK", np.inf)
        patch.setattr(scaling, "STRONG", -np.inf)
        return recipe * p


@pytest.mark.parametrize("recipe", [*LEFT_ALONE, *FIXED], ids=repr)
def test_where_a_step_gives_a_scale_it_is_left_alone(weak, monkeypatch, recipe):
    assert same(recipe**3 * weak, without_it(recipe**3, weak, monkeypatch))


@pytest.mark.parametrize("recipe", BROUGHT_BACK, ids=repr)
def test_where_none_does_it_is_brought_back(weak, monkeypatch, recipe):
    assert abs(ratio(recipe**3 * weak)) < 1
    assert ratio(without_it(recipe**3, weak, monkeypatch)) > 3


def test_what_is_fixed_keeps_its_bits(weak):
    assert np.array_equal((rPIE(update="obj") ** 3 * weak).probe, weak.probe)
    assert np.array_equal((LSQML(update="probe") ** 3 * weak).obj, weak.obj)
    assert np.array_equal((ML(update="obj") ** 3 * weak).probe, weak.probe)
    late = AP(update="probe") ** 3 * weak
    assert np.array_equal((Sweep(Before(2, ObjUpdate()) * ProbeUpdate()) ** 3 * late).obj, late.obj)


def test_what_a_user_makes_of_a_step_of_optys_is_another_step():
    class Mine(ObjUpdate):
        def apply(self, s, b):
            s.obj[...] = 1

    assert not Mine.scale_free
    assert gives_scale(Mine())


def test_memory_of_another_step_is_left_alone(weak, monkeypatch):
    q = Sweep(Remembers()) * weak
    assert "memory_of_mine" in q.slots
    assert same(TURN**3 * q, without_it(TURN**3, q, monkeypatch))


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
    RunsAway() * (rPIE(update="probe") * rPIE(update="obj")),
    RunsAway() * Every(2, AP(update="probe")) * AP(update="obj"),
    (RunsAway() * rPIE()) ** 2 * mPIE(),
    rPIE(update="probe") ** 2 * RunsAway() * rPIE(update="obj") ** 2,
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


@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize(("runaway", "recipe"), EVERYWHERE, ids=repr, indirect=["runaway"])
def test_a_run_that_stopped_goes_on_to_the_same_bits(runaway, tmp_path, recipe, where):
    from opty.algebra.compose import compose, factors
    from opty.operators.outputs import without_outputs

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
    class Spoils(Operator, writes="background"):
        def apply(self, s):
            if s.iteration == 4:
                s.background[0, 0] = np.nan

    recipe = Spoils() * RunsAway() * engine
    with pytest.raises(opty.DivergedError) as caught:
        recipe**9 * runaway
    assert caught.value.state.iteration == 4
    last = caught.value.state
    held = everything((RunsAway() * engine) ** 4 * runaway)
    same_but_background = {**everything(last), "background": held["background"]}
    assert same(held, same_but_background)


def test_no_array_of_another_state_is_scaled(runaway):
    q = scaled(Sweep(opty.AccumObj()) * (mPIE() * runaway), -3)
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
