"""A near field that is taken as far field: its patterns move as images do, and tell the focus."""

from pathlib import Path

import numpy as np
import pytest

import opty
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.near_field import image_shift, taken_as_far
from opty.simulate import demo_scan, experiment, objects, scans

P25 = Path(__file__).parents[3] / "shared" / "data" / "PETRAIII_P25_Near_Field_Ptycho.cxi"
FOCUS, N = 4e-3, 64


@pytest.fixture(scope="module")
def images():
    """Images of 64 x 64 in a cone beam, magnified 251 times, with speckles in the beam."""
    geometry = opty.Geometry(1e-10, 1.0, 55e-6, FOCUS, "near")
    rng = np.random.default_rng(3)
    r2 = sum((np.indices((N, N)) - N / 2) ** 2) / (0.33 * N) ** 2
    speckle = objects.random_phase((N, N), 4.0, seed=4)
    places = scans.fermat(60, 3.0) + rng.uniform(-0.4, 0.4, (60, 2))
    places -= places.min(axis=0)
    shape = tuple(int(x) + N + 6 for x in places.max(axis=0))
    obj = objects.two_images(shape, ("camera", "brick"), (0.5, 1), (-0.6, 0.6))
    data = experiment(obj, np.exp(-r2) * speckle, places, 3e5, geometry=geometry, seed=5)
    return data.replace(truth=None)


def test_images_tell_how_much_they_are_magnified(images):
    found = image_shift(images, look_at_frames(images))
    assert found.agree > 0.5
    assert found.magnification * 55e-6 == pytest.approx((FOCUS + 1) / FOCUS, rel=0.02)
    assert found.matrix[0, 0] < 0 > found.matrix[1, 1]


def test_taken_as_far_the_focus_is_said(images):
    far = images.replace(geometry=opty.Geometry(1e-10, 1.0, 55e-6))
    (said,) = taken_as_far(far, look_at_frames(far)).problems
    assert "load with propagation='near' and focus_to_sample=0.0" in said
    focus = float(said.split("focus_to_sample=")[1])
    assert focus == pytest.approx(FOCUS, rel=0.01)
    assert taken_as_far(images, look_at_frames(images)).ok  # taken as what it is


def test_a_far_field_is_none():
    data = demo_scan().replace(truth=None, probe=None)
    assert image_shift(data, look_at_frames(data)) is None


@pytest.mark.slow
@pytest.mark.skipif(not P25.exists(), reason="no real near-field scan")
def test_p25_without_options():
    data = opty.load(P25)
    (said,) = taken_as_far(data, look_at_frames(data)).problems
    assert float(said.split("focus_to_sample=")[1]) == pytest.approx(3.65e-3, rel=0.01)
