"""The observable resolution gain of Guzzi et al. 2022, Eq. 2."""

import numpy as np
import pytest

import opty
from opty.analysis import resolution_gain


def test_nine_micrometres_at_fifty_nanometres():
    geometry = opty.Geometry(wavelength=1e-9, distance=0.5, pixel_size=1e-5 / 1.6)
    pixel = geometry.sample_pixel(16)
    positions = np.array([[0, 0], [9e-6, 2e-6], [3e-6, 4e-6]])
    data = opty.PtychoData(np.ones((3, 16, 16)), positions, geometry, probe=np.ones((16, 16)))
    p = opty.PtychoState(data, device="cpu")
    assert resolution_gain(p) == pytest.approx(9e-6 / pixel)
    assert resolution_gain(p, 50e-9) == pytest.approx(180)
    with pytest.raises(ValueError, match="resolution is 0"):
        resolution_gain(p, 0)
