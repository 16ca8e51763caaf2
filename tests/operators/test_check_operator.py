"""Every operator of opty's own by ``check_operator``, and what that finds in operators that are wrong."""

import itertools

import numpy as np
import pytest

import opty
from opty import AP, Operator, ViewOperator, rPIE
from opty.algebra.operator import REGISTRY
from opty.model import Object, Slices
from opty.runtime.plan import fusing, plan, steps_of, unfused
from opty.simulate.objects import random_phase
from opty.testing import check_operator
from opty.testing.operators import GEOMETRY, small_state

OWN = {name: cls for name, cls in REGISTRY.items() if cls.__module__.startswith("opty.") and name == cls.__name__}
RECIPES = [opty.parse(text) for text in (
    "ePIE()", "rPIE()", "rPIE().fix('probe')", "mPIE()", "AP()", "DM()", "RAAR()", "LSQML()",
    "ML()", "ML('amplitude', smooth=0.1)", "LBFGS()", "LBFGS('amplitude', smooth=0.1)", "LBFGS().fix('probe')",
    "ObjUpdate()", "ProbeUpdate()", "LSQUpdate()",
    "ObjMomentum(interval=1)", "ProbeMomentum(interval=1)", "ScaleObjProbe()", "ProbePower()", "CentreProbe()",
    "RemoveRamp()", "Orthogonalise()", "Support(5.0, edge=2.0)", "ClampObj()", "TotalVariation(0.01)",
    "BackgroundUpdate()", "IntensityUpdate()", "Misfit()", "Identity()", "Every(2, Orthogonalise())",
    "After(1, ClampObj())", "RemoveVortices()", "Every(2, RemoveVortices()) * rPIE()", "Anderson(3) * rPIE(batch=4)",
    "Before(2, ClampObj())", "PosCorrectAnneal()", "PosCorrectGain(signal='detector')",
    "MergeProbe() * MergeObj(inertia=0.1, smooth=1.0) * Sweep(AccumProbe() * AccumObj() * FourierProject())",
    "MergeProbe() * Sweep(AccumProbe() * LoadKeptWaves()) * MergeObj() * Sweep(AccumObj() * RelaxedStep() * Reflect())",
    "TakeStep() * Sweep(LineSearch() * ExitWave()) * ConjugateDirection() * Sweep(LikelihoodGradient())",
)]  # fmt: skip
POSITIONS = [opty.parse(text) for text in (
    "PosCorrect(search_every=2)", "PosCorrectAdam()", "PosCorrectGradient(momentum=0.3)",
    "PosCorrectSerial(weights='coverage')", "PosModel() * PosLimit(9.0) * PosSearch() * PosCorrect() * rPIE(batch=3)",
    "PosStretch()",
)]  # fmt: skip
NESTED = [opty.parse(text) for text in (
    "Coarse(2, ePIE())", "HoldOut(ePIE())", "PlaceInOrder(ePIE())", "BestOf(ePIE())",
    "RestartModes(ePIE(), turns=2)",
    "ComparePositions(PosCorrect() * ePIE())", "FindPositions(sweeps=1)",
)]  # fmt: skip
OUTPUTS = ["Log", "Progress", "Save", "Serve", "Show"]


@pytest.mark.parametrize("op", RECIPES, ids=repr)
def test_operators_of_opty(op):
    assert check_operator(op) < 1e-9


@pytest.mark.parametrize("op", POSITIONS, ids=repr)
def test_operators_of_positions(op):
    assert check_operator(op) < 1e-9


@pytest.mark.parametrize("op", NESTED, ids=repr)
def test_operators_that_run_a_recipe(op):
    assert check_operator(op, models=[None]) < 1e-9


ON_STATES = [op for op in (*RECIPES, *POSITIONS, *NESTED, opty.OrthogonaliseStates()) if "Vortices" not in repr(op)]


@pytest.mark.covering
@pytest.mark.parametrize("op", ON_STATES, ids=repr)
def test_operators_on_a_mixture_of_object_states(op):
    assert check_operator(op, models=[Object(states=2)]) < 1e-9


def test_refine_moves_the_numbers_of_a_model():
    assert check_operator(opty.Refine("spacing"), models=[Slices(2, spacing=5e-7)]) < 1e-9


@pytest.mark.parametrize("op", [opty.SmoothSlices(), opty.RegisterSlices(reach=2.0)], ids=repr)
def test_operators_of_slices(op):
    columns = np.array([np.exp(1j * random_phase((40, 40), 3.0, seed=1).real)] * 2)
    start = small_state(Slices(2, spacing=5e-7, tilt=(0.01, 0.02))).replace(obj=columns)
    assert check_operator(op, start=start) < 1e-9


def test_refine_moves_lengths_of_the_geometry():
    assert check_operator(opty.Refine("distance"), models=[None, Object(states=2)]) < 1e-9


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_of_opty(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    made = {"Save": opty.Save("x.h5", every=1), "Show": opty.Show(every=3, path="x.png"), "Serve": opty.Serve(port=0)}
    assert check_operator(made[name] if name in made else OWN[name](), models=[None]) < 1e-9


def test_each_operator_is_checked():
    def inside(op):
        yield type(op).__name__
        with unfused():
            yield from (type(s.op).__name__ for s in steps_of(plan(op)))

    checked = set(itertools.chain.from_iterable(map(inside, [*RECIPES, *POSITIONS, *NESTED, *ON_STATES]))) | {
        "Refine",
        "RegisterSlices",
        "SmoothSlices",
        "FindPositions",
        "Follow",  # tests/io/test_follow.py
        *OUTPUTS,
    }
    built_in = {"Compose", "Repeat", "Sweep", "Every", "After", "Before", "Identity"}
    assert OWN.keys() - built_in == checked - built_in


# -- what is found


class WritesPast(Operator, reads="obj", writes="obj"):
    """Changes the probe in place, around what it declares."""

    def apply(self, s):
        s.store.leaves["probe"] *= 1.01


class PutsPast(Operator, reads="obj", writes="obj"):
    """Puts another array in place of the probe."""

    def apply(self, s):
        s.store.leaves["probe"] = s.store.leaves["probe"] * 1.01


class WritesPastOfAView(ViewOperator, reads="delta"):
    """Changes a position that no one said it would."""

    def apply(self, s, b):
        b.store.leaves["positions"][0] += 0.25


class ReadsAField(ViewOperator, reads="delta", writes="obj"):
    """Reads windows that it does not declare, where no other step has opened them."""

    def apply(self, s, b):
        s.obj[0, 0] += 1e-9 * abs(b.patches).max()


class MakesPast(Operator, reads="obj", writes="obj"):
    """Makes an array that it does not declare."""

    def apply(self, s):
        s.store.leaves["mine"] = s.obj.real.copy()


class RemembersViews(Operator, reads="obj", writes="obj"):
    """Keeps something outside of the state."""

    def apply(self, s):
        turns = globals().setdefault("TURNS", [])
        turns.append(s.iteration)
        s.obj *= 1 + 1e-3 * len(turns)


class Cheats(Operator, reads="obj", writes="obj"):
    """Does something else where steps are fused."""

    def apply(self, s):
        s.obj *= 1.001 if fusing() else 1.0


class NeedsClosed(Operator, reads="obj", writes="obj"):
    """Needs nearest waves, and says so."""

    needs_closed = True

    def apply(self, s):
        s.obj *= 0.999


class Projects(ViewOperator, reads="waves", writes="delta"):
    """Goes to the measured amplitudes, with or without the mask."""

    masked: bool = False

    def apply(self, s, b):
        there = b.at_detector(b.waves)
        predicted = s.xp.sqrt(s.xp.maximum((abs(there) ** 2).sum(axis=1), 1e-12))
        step = s.xp.sqrt(s.measured.intensity_of(b.selection)) - predicted
        if self.masked and (mask := s.measured.mask_of(b.selection)) is not None:
            step = step * mask
        b.delta = b.from_detector(there * (step / predicted)[:, None]).astype(s.dtype)


def test_a_projection_that_leaves_masked_pixels_out():
    assert check_operator(Projects(masked=True)) < 1e-9
    assert check_operator(opty.FourierProject()) < 1e-9


@pytest.mark.parametrize(
    ("op", "error", "says"),
    [
        (WritesPast(), opty.EffectError, r"WritesPast\(\) writes 'probe' without declaring it"),
        (PutsPast(), opty.EffectError, r"PutsPast\(\) writes 'probe' without declaring it"),
        (WritesPastOfAView(), AssertionError, r"changes the state that it starts from: positions"),
        (ReadsAField(), opty.EffectError, "ReadsAField reads 'patches' without declaring it"),
        (MakesPast(), (opty.EffectError, KeyError), "mine"),
        (RemembersViews(), AssertionError, r"R \* \(R \* p\) is not R\*\*2 \* p"),
        (Projects(), AssertionError, r"Projects\(\): masked pixels change the object by .* take s\.measured\.mask_of"),
        (Cheats(), AssertionError, r"Cheats\(\).*: fused is not step by step: .*obj by 1.0e-03"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_what_is_wrong_is_found(op, error, says):
    with pytest.raises(error, match=says):
        check_operator(op, models=[None])


def test_what_it_changed_to_look_is_as_before():
    begin, apply = rPIE.__dict__.get("begin"), WritesPast.__dict__["apply"]
    with pytest.raises(opty.EffectError):
        check_operator(WritesPast(), models=[None])
    assert rPIE.__dict__.get("begin") is begin
    assert WritesPast.__dict__["apply"] is apply


def test_a_model_without_nearest_waves_has_to_be_refused(monkeypatch):
    assert check_operator(NeedsClosed()) < 1e-9
    monkeypatch.setattr("opty.runtime.program.check_model", lambda groups, model: None)
    with pytest.raises(AssertionError, match="needs the nearest waves of a model and runs with"):
        check_operator(NeedsClosed())


def test_a_state_of_ones_own_brings_the_arrays_that_it_reads():
    p = small_state().replace(arrays={"pinhole": np.ones((16, 16))})
    assert check_operator(opty.Support("pinhole"), start=p) < 1e-9
    with pytest.raises(opty.EffectError, match="pinhole"):
        check_operator(opty.Support("pinhole"))


def test_the_small_scan_is_of_its_model():
    thick = small_state(Slices(2, spacing=5e-7))
    assert thick.data.truth["obj"].shape[0] == thick.obj.shape[0] == 2
    assert small_state().data.truth["obj"].ndim == small_state().obj.ndim == 2
    assert thick.data.geometry == GEOMETRY
    q = AP() ** 3 * small_state()
    assert opty.misfit(q) < 0.5 * opty.misfit(small_state())
