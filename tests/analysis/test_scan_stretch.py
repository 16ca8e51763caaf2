"""Positions of another scale, stretched or turned: found by views held out, and no right scan is touched."""

import math

import numpy as np
import pytest

import opty
from opty.analysis.decision import decide
from opty.analysis.frame_statistics import look_at_frames
from opty.analysis.held_out import HeldOut
from opty.analysis.scan_stretch import find_stretch, mapped, of_stretch, surely_less
from opty.analysis.verdict import verdict
from opty.data.scan_grid import rotated
from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects, scans


@pytest.fixture(scope="module")
def right():
    n, pixel = 32, 1e-7
    places = np.rint(scans.fermat(80, 2.6))
    places -= places.min(axis=0)
    shape = tuple(int(x) + n + 4 for x in places.max(axis=0))
    obj = objects.two_images(shape, ("camera", "moon"), (0.4, 1), (-0.9, 0.6))
    probe = aperture_probe(n, 1.5e-10, pixel, 2.4e-4, defocus=2.5e-3)
    data = experiment(obj, probe, places, 1e5, seed=4)
    return data.replace(probe=data.truth["probe"], truth=None)


def stretched(data, factors=(1, 1), turn=0.0):
    return data.replace(positions=rotated(data.positions / np.array(factors), -turn))


@pytest.mark.parametrize(("factors", "turn"), [((1, 1), 0.0), ((1.1, 1.0), 0.0), ((1, 1), 0.06)])
def test_the_map_that_was_undone_is_found(right, factors, turn):
    wrong = stretched(right, factors, turn)
    found = find_stretch(wrong, wrong.probe)
    assert np.allclose(found.factors, factors, atol=0.02)
    assert math.isclose(found.rotation, turn, abs_tol=0.015)
    assert found.known
    assert found.better == (factors != (1, 1) or turn != 0)
    assert found.misfit <= found.given
    assert bool(of_stretch(found).every) == found.better


def test_the_remedy_is_said(right):
    wrong = stretched(right, (1.25, 1.25))
    found = decide(wrong, look_at_frames(wrong))
    assert found.fits == "as given"
    (said,) = found.findings.warnings
    assert "load with position_scale=1.2" in said


@pytest.mark.slow
def test_verdicts_on_a_scale(right):
    for data, word in ((right, "right"), (stretched(right, (1.06, 1.06)), "doubtful")):
        p = opty.rPIE(alpha=0.05) ** 20 * opty.PtychoState(data, device="cpu", threads=1)
        assert verdict(p, test=True).word == word


def test_maps_are_those_of_the_options():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(9, 2))
    places -= places.mean(axis=0)
    at = np.array([math.log(1.2), math.log(1.1), 0.3, 0.0])
    factors = 1.2 * math.sqrt(1.1), 1.2 / math.sqrt(1.1)
    assert np.allclose(mapped(places, at), rotated(places * factors, 0.3))


def test_surely_less_needs_two_standard_errors():
    base = np.array([4.0, 5.0, 6.0, 5.0])
    assert surely_less(HeldOut(base - np.array([1, 1.1, 0.9, 1]), 9.0), HeldOut(base, 9.0))
    assert not surely_less(HeldOut(base - np.array([1, -0.9, 0.5, 0.2]), 9.0), HeldOut(base, 9.0))
    assert not surely_less(HeldOut(np.full(4, np.inf), 1.0), HeldOut(base, 9.0))
    assert surely_less(HeldOut(base, 9.0), HeldOut(np.full(4, np.inf), 1.0))
