"""PosCorrect beside AP, DM and RAAR: right positions stay where they are, though the object comes slowly."""

import numpy as np
import pytest
from small_scans import same, scan, state

import opty
from opty import AP, DM, LSQML, ML, RAAR, PosCorrect, rPIE
from opty.analysis import position_error, position_report
from opty.operators.position.patient import PatientPosCorrect
from opty.operators.position.wait import change, said_of_waiting
from opty.runtime.nodes import steps_of
from opty.runtime.plan import plan
from opty.simulate import experiment, objects, scans, stage

BESIDE = [
    PosCorrect() * AP(),
    PosCorrect() * DM(),
    (opty.ScaleObjProbe() * PosCorrect() * RAAR()) ** 2,
    (AP() * PosCorrect()) ** 2,
    opty.After(3, PosCorrect()) * AP() ** 2,
    PosCorrect() * AP() * rPIE(),
]
NOT_BESIDE = [PosCorrect() * ML(), PosCorrect() * rPIE(), PosCorrect() * LSQML() * AP(), PosCorrect(hold=0.0) * AP()]


def steps_that_move(recipe):
    ops = [op for s in steps_of(plan(recipe)) for op in getattr(s.op, "parts", (s.op,))]
    return [op for op in ops if isinstance(op, PosCorrect)]


@pytest.mark.parametrize("recipe", BESIDE, ids=repr)
def test_beside_engines_that_average_it_is_patient(recipe):
    assert [type(op) for op in steps_that_move(recipe)] == [PatientPosCorrect]


@pytest.mark.parametrize("recipe", NOT_BESIDE, ids=repr)
def test_beside_others_it_is_not(recipe):
    assert [type(op) for op in steps_that_move(recipe)] == [PosCorrect]


def test_it_keeps_its_parameters_and_its_name():
    recipe = PosCorrect(max_step=0.5, weights="coverage") * AP()
    (step,) = steps_that_move(recipe)
    assert (step.max_step, step.weights) == (0.5, "coverage")
    assert repr(recipe) == "PosCorrect(max_step=0.5, weights='coverage') * AP()"


def zone_plate_scan(wrong):
    """64 views of 64 x 64 under a zone plate out of focus; the start is a plain lens, less out of focus."""
    n = 64
    f = np.fft.fftshift(np.fft.fftfreq(n))
    r = np.hypot(f[:, None], f) / 0.16
    astigmatism = 1.2 * (f**2 - f[:, None] ** 2) / 0.16**2

    def focused(pupil):
        return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil)))[None]

    true = focused((r < 1) * (r > 0.35) * np.exp(1j * (6 * r**2 + astigmatism)))
    places = scans.raster((8, 8), 5, jitter=1, seed=0)
    data = experiment(objects.two_images((124, 124)), true, places, photons=1e6, position_error=wrong, seed=0)
    start = focused((r < 0.94) * np.exp(4.4j * r**2))
    start *= np.sqrt(data.photons().mean() / (abs(start) ** 2).sum())
    return opty.PtychoState(data, probe=start.astype("complex64"), device="cpu", threads=1)


def off(p):
    return position_error(p.numpy("positions"), p.data.truth["positions"])


@pytest.mark.slow
@pytest.mark.parametrize("engine", [AP(), RAAR(), DM()], ids=repr)
def test_right_positions_stay_from_a_rough_start(engine):
    """Without the wait RAAR and DM moved them by more than 20 px, and the object was as far off as 0.26."""
    p = zone_plate_scan(0.0)
    q, held = (PosCorrect() * engine) ** 60 * p, engine**60 * p
    assert off(q) < 0.05
    assert opty.analysis.errors(q)["object"] < 1.05 * opty.analysis.errors(held)["object"]


def test_wrong_positions_come_nearer_and_a_wait_is_reported():
    """From the sweep on in which the misfit changes too fast again nothing moves: the run says so, with the remedy."""
    p = zone_plate_scan(stage.Gaussian(2.0))
    with pytest.warns(opty.MisfitWarning, match=r"in its last \d+ sweeps; views seem to be off by") as caught:
        q = (PosCorrect() * RAAR()) ** 60 * p
    assert off(p) > 2.3
    assert off(q) < 1.5
    (said,) = [str(one.message) for one in caught]
    assert said.endswith("go on for more iterations, or follow with (PosCorrect() * rPIE()) ** 50")
    assert position_report(q).waiting == said
    followed = (PosCorrect() * rPIE()) ** 50 * q
    assert off(followed) < 0.2 * off(q)
    assert position_report(followed).waiting == ""


def test_a_refinement_that_never_moved_anything_is_reported():
    """Right positions stay, and wrong ones of which it sees nothing: the report tells both apart from no refinement."""
    q = (PosCorrect() * AP()) ** 30 * zone_plate_scan(0.0)
    report = position_report(q)
    assert report.moved < 1e-6
    (line,) = report.lines()
    assert line.startswith("PosCorrect() has moved no position in its 30 sweeps; beside an engine that averages")
    assert position_report(AP() ** 3 * zone_plate_scan(0.0)) is None


def test_a_short_wait_is_not_worth_a_word():
    course = np.array([40, 0, 19, 1.0, 39.0, 1.0, *np.zeros(12)])
    assert said_of_waiting({"position_course": course, "position_count": [40]}) == ""
    course[2] = 20
    assert "last 20 sweeps" in said_of_waiting({"position_course": course, "position_count": [40]})
    assert said_of_waiting({"position_course": course, "position_count": [41]}) == "", "another one ran since"
    assert said_of_waiting({}) == ""


def test_it_goes_on_from_a_file_as_without_it(tmp_path):
    data = scan(seed=2, views=20)
    p = state(data).replace(positions=data.positions + np.random.default_rng(0).normal(0, 0.6, data.positions.shape))
    recipe = PosCorrect() * AP()
    half = recipe**17 * p
    sweeps, moves, waited = half.numpy("position_course")[:3]
    assert (sweeps, waited) == (17, 0)
    assert 0 < moves < 8
    opty.save(tmp_path / "half.h5", half)
    assert same(recipe**7 * opty.load(tmp_path / "half.h5"), recipe**24 * p)


def test_the_change_of_a_misfit():
    sweep = np.arange(12.0)
    assert change(3 - 0.02 * sweep, 10, 2.0) == pytest.approx(0.02)
    assert change(3 + 0.02 * sweep, 10, 2.0) == pytest.approx(0.02)
    assert change(3 - 0.02 * sweep[:9], 10, 2.0) == np.inf
    # Of noise of 0.01 the slope has an error of 0.01 / sqrt(143), and a mean magnitude of 0.8 times that.
    noisy = 0.01 * np.random.default_rng(1).normal(size=(4000, 12))
    assert np.mean([change(one, 10, 2.0) for one in noisy]) == pytest.approx(2.8 * 0.01 / np.sqrt(143), rel=0.05)
