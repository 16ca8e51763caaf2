"""A scan whose positions are right, which tests stretch, turn and shake."""

import numpy as np
import pytest

from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects, scans


@pytest.fixture(scope="module")
def right():
    """Return 80 views of 32 x 32 with the true probe and the truth, 1e5 photons each."""
    n, pixel = 32, 1e-7
    places = np.rint(scans.fermat(80, 2.6))
    places -= places.min(axis=0)
    shape = tuple(int(x) + n + 4 for x in places.max(axis=0))
    obj = objects.two_images(shape, ("camera", "moon"), (0.4, 1), (-0.9, 0.6))
    probe = aperture_probe(n, 1.5e-10, pixel, 2.4e-4, defocus=2.5e-3)
    data = experiment(obj, probe, places, 1e5, seed=4)
    return data.replace(probe=data.truth["probe"])
