"""The scale between object and probe: by which exponents all goes with it, and that no bit of P O changes."""

import numpy as np
import pytest
from scale_case import ENGINES, is_scaled, ratio, scaled, switched_off, without_it
from small_scans import scan, state

import opty
from opty import AP, rPIE
from opty.algebra.operator import REGISTRY
from opty.kernels.update import scaling
from opty.runtime.scale import gives_scale
from opty.state.leaves import declared

OWN = {name: cls for name, cls in REGISTRY.items() if cls.__module__.startswith("opty.")}
BY_HAND = [opty.parse(text) for text in (
    "MergeProbe() * MergeObj(inertia=0.1, smooth=1.0) * Sweep(AccumProbe() * AccumObj() * FourierProject())",
    "MergeProbe() * Sweep(AccumProbe() * LoadKeptWaves()) * MergeObj() * Sweep(AccumObj() * RelaxedStep() * Reflect())",
    "CheckPositions() * PosSearch() * Support(7.0) * CentreProbe() * PosCorrect(search_every=2) * rPIE()",
    "PosStretch() * CompareMisfit() * RemoveRamp() * mPIE()",
    "RemoveVortices() * rPIE()",
    "Anderson(3) * rPIE(batch=3)",
    "PosModel() * PosLimit(9.0) * Orthogonalise() * PosCorrectAdam() * PosCorrectGradient() * rPIE(batch=3)",
    "PosCorrectGain(signal='detector') * PosCorrectSerial(weights='coverage') * PosCorrectAnneal() * ePIE()",
    "BackgroundUpdate() * IntensityUpdate() * ProbeMomentum(interval=3) * ObjMomentum() * Sweep(LSQUpdate(), batch=2)",
    "rPIE().fix('obj') * LSQML().fix('probe') * ML().fix('obj')",
    "TakeStep() * Sweep(LineSearch() * ExitWave()) * ConjugateDirection() * Sweep(LikelihoodGradient())",
    "Sweep(ProbeUpdate() * ObjUpdate(0.1) * FourierProject())",
)]  # fmt: skip
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


@pytest.fixture(params=["numba", "numpy", "unfused", "gpu"])
def p(request, monkeypatch):
    """A state of 12 views and two modes, worked on by loops (compiled or not), step by step, or on the stand-in."""
    p = state(scan(modes=2, background=True), deterministic=True)
    if request.param == "numpy":
        monkeypatch.setattr("opty.kernels.compiled.numba_available", lambda: False)
    if request.param == "gpu":
        request.getfixturevalue("standin_gpu")
        p = p.to("gpu")
    if request.param == "unfused":
        with opty.unfused():
            yield p
    else:
        yield p


# -- what goes with it


@pytest.mark.parametrize("name", OWN)
def test_every_name_is_declared_with_its_exponent(name):
    cls = OWN[name]
    for word in cls.reads | cls.writes:
        assert declared(word).scale is not None, word


def steps(recipe):
    from opty.runtime.fused_step import written_out
    from opty.runtime.nodes import steps_of
    from opty.runtime.plan import plan

    return {type(s.op) for s in written_out(steps_of(plan(recipe)))}


def test_every_step_that_claims_it_is_tried_below():
    claimed = {cls for cls in OWN.values() if cls.scale_free is True or not isinstance(cls.scale_free, bool)}
    tried = set().union(*map(steps, (*ENGINES, *BY_HAND)))
    # Of a model; of another recipe; of a scan that grows.
    elsewhere = {opty.Refine, opty.Coarse, opty.HoldOut, opty.PlaceInOrder, opty.BestOf, opty.ComparePositions}
    elsewhere |= {opty.Follow, opty.RegisterSlices, opty.SmoothSlices, opty.OrthogonaliseStates, opty.RestartModes}
    assert claimed - elsewhere - {opty.operators.TotalVariation} <= tried


@pytest.mark.parametrize("recipe", [*ENGINES, *BY_HAND], ids=repr)
def test_engines_do_the_same_at_any_scale(p, monkeypatch, recipe):
    switched_off(monkeypatch)
    q = recipe**2 * p
    assert None not in {leaf.scale for leaf in q._live.layout.values()}
    assert is_scaled(recipe**2 * q, recipe**2 * scaled(q, 3)) == 3


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("begun", PENDING, ids=repr)
def test_so_they_do_from_the_middle_of_an_iteration(monkeypatch, begun, dtype):
    switched_off(monkeypatch)
    q = begun * (AP() * state(scan(modes=2), dtype=dtype))
    assert is_scaled(REST[begun] * q, REST[begun] * scaled(q, 3)) == 3


@pytest.mark.parametrize(
    "turn",
    [opty.operators.ClampObj(), opty.operators.TotalVariation(), opty.ScaleObjProbe(), opty.operators.ProbePower()],
)
def test_steps_that_give_a_scale_do_not(monkeypatch, turn):
    switched_off(monkeypatch)
    q = rPIE() ** 2 * state(scan(modes=2))
    with pytest.raises(AssertionError):
        assert is_scaled(turn * q, turn * scaled(q, 3)) == 3
    assert gives_scale(turn)
    assert not gives_scale(opty.operators.TotalVariation(0.0))


# -- healthy runs


@pytest.mark.parametrize("octaves", [0, -4])
@pytest.mark.parametrize("recipe", [*ENGINES, *BY_HAND[:2], opty.PosCorrect(search_every=2) * rPIE()], ids=repr)
def test_a_run_keeps_its_bits_but_for_powers_of_two(p, monkeypatch, recipe, octaves):
    start = scaled(p, octaves)
    q = recipe**4 * start
    moved = is_scaled(without_it(recipe**4, start, monkeypatch), q)
    assert moved == 0 if octaves == 0 else abs(moved + octaves) <= 1


@pytest.mark.parametrize("octaves", [-40, -3, -2, 2, 6, 12, 40])
def test_a_probe_has_about_the_power_of_the_brightest_view(octaves):
    p = state(scan(modes=2))
    start = scaled(p, octaves)
    q = rPIE() ** 3 * start
    assert scaling.STRONG < ratio(q) < scaling.WEAK
    if not scaling.STRONG < ratio(start) < scaling.WEAK:
        assert abs(ratio(q)) < 0.6
    assert np.array_equal(q.history["misfit"], (rPIE() ** 3 * p).history["misfit"])
