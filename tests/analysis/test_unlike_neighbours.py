"""Frames in another order in a beam with fine structure, where neighbours are no more alike than others."""

import numpy as np
import pytest

from opty import Geometry
from opty.analysis.check.decision import decide
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.health import health
from opty.analysis.check.in_brief import ways_in_brief
from opty.analysis.check.likeness import likeness
from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects, scans

N, VIEWS = 64, 110
WAVELENGTH, PIXEL = 1.5e-10, 75e-6


@pytest.fixture(scope="module")
def spiral():
    """A Fermat spiral in the beam of a zone plate, on a sample with sharp edges; its probe is known."""
    pixel = WAVELENGTH * 2.0 / (N * PIXEL)
    semi_angle = 0.34 * WAVELENGTH / pixel
    probe = aperture_probe(N, WAVELENGTH, pixel, semi_angle, defocus=10 * pixel / semi_angle, central_stop=0.4)
    places = scans.fermat(VIEWS, 6.0)
    places -= places.min(axis=0)
    size = int(places.max()) + N + 8
    rng = np.random.default_rng(3)
    row, column = np.indices((size, size))
    phase = np.zeros((size, size))
    for _ in range(160):
        at, radius = rng.uniform(0, size, 2), rng.uniform(2, 9)
        phase[np.hypot(row - at[0], column - at[1]) < radius] += rng.uniform(-0.9, 0.9)
    obj = np.exp(1j * phase) * (0.85 + 0.03 * objects.random_phase((size, size), 4.0, seed=4).real)
    data = experiment(obj, probe, places, 1e6, geometry=Geometry(WAVELENGTH, 2.0, PIXEL), seed=5)
    return data.replace(truth=None, probe=data.truth["probe"])


def lost(data, first, count=1):
    """Return the data without ``count`` frames from frame ``first`` on, at the first of the positions."""
    frames = np.delete(np.arange(data.views), slice(first, first + count))
    return data.replace(intensities=data.intensities[:][frames], positions=data.positions[: len(frames)])


def brief(data):
    return ways_in_brief(data, look_at_frames(data))


def test_likeness_names_no_order_here(spiral):
    late = lost(spiral, 0)
    alike = likeness(late, look_at_frames(late))
    assert not any(order == "shift:1" for order, _ in alike.better + alike.perhaps)


@pytest.mark.slow
def test_a_right_scan_is_left_alone(spiral):
    assert brief(spiral).every == ()
    found = decide(spiral, look_at_frames(spiral))
    assert (found.fits, found.order, found.findings.every) == ("as given", "as given", ())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_frames_lost_at_the_start(spiral, count):
    late = lost(spiral, 0, count)
    (problem,) = brief(late).problems
    assert f"frame_order='shift:{count}'" in problem
    assert decide(late, look_at_frames(late)).order == f"shift:{count}"


def test_frames_early_by_one_and_reversed(spiral):
    counts = spiral.intensities[:]
    early = spiral.replace(intensities=np.roll(counts, 1, axis=0))
    assert "frame_order='shift:-1'" in brief(early).problems[0]
    assert "frame_order='reversed'" in brief(spiral.replace(intensities=counts[::-1])).problems[0]


@pytest.mark.parametrize("first", [50, 65])
def test_a_frame_lost_beyond_the_middle_of_a_spiral(spiral, first):
    """The middle of the scan, which comes first, is predicted as it should be."""
    (problem,) = brief(lost(spiral, first)).problems
    named = int(problem.partition("frame_order='shift:1@")[2].partition("'")[0])
    assert abs(named - first) <= 2


@pytest.mark.slow
def test_frames_lost_at_the_start_without_a_probe(spiral):
    late = lost(spiral, 0).replace(probe=None)
    assert decide(late, look_at_frames(late)).order == "shift:1"


def test_where_nothing_explains_the_frames_it_is_said(spiral):
    found = health(lost(spiral, 0, 9))
    assert found.ok
    assert found.verdict == "cannot tell"
    assert "verdict     cannot tell" in str(found)
    assert any("check the order of the frames" in line for line in found.warnings)
