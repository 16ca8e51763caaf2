"""Arrays of a device are accepted as they are."""

import numpy as np

from opty.analysis import frc, illuminated, object_error, position_error


class OnDevice:
    """Behaves as a CuPy array does towards NumPy: no conversion unless it is asked for."""

    device = "gpu:0"

    def __init__(self, a):
        self.a = a

    def get(self):
        return self.a

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array is not allowed")


def test_every_measure_takes_device_arrays():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(32, 32)) + 1j * rng.normal(size=(32, 32))
    positions = rng.uniform(0, 20, (9, 2))
    assert object_error(OnDevice(image), image, OnDevice(np.ones((32, 32), bool))) < 1e-8
    assert position_error(OnDevice(positions), positions) == 0
    assert frc(OnDevice(image), OnDevice(image)).resolution() == 1
    lit = illuminated(OnDevice(positions), OnDevice(np.ones((8, 8))), (32, 32), min_views=1)
    np.testing.assert_array_equal(lit, illuminated(positions, np.ones((8, 8)), (32, 32), min_views=1))
