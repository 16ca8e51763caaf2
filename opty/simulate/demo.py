"""A ready scan with the flaws of a real one: photon noise, wrong positions, a starting probe that is only similar."""

from __future__ import annotations

import numpy as np

from opty.data import PtychoData
from opty.geometry import Geometry
from opty.simulate import objects, probes, scans
from opty.simulate.experiment import experiment

_N = 128


def demo_scan(seed=0) -> PtychoData:
    """Simulate 196 views of 128 x 128 pixels: a soft X-ray scan of two images with a defocused beam.

    The object is "camera" in magnitude and "moon" in phase. The beam is a diverging wave in a soft disc of 72 px, the
    step 12 px (83 % overlap) with 3 px of jitter; the stage is wrong by up to 2 px on each axis, by fractions of a
    pixel too; each view counts a million photons. ``data.probe`` is a starting guess: smaller, softer, with 17 % less
    curvature than the true one.

    Parameters
    ----------
    seed : of jitter, position errors and photon noise.

    Returns
    -------
    PtychoData, uint32, positions in metres, with ``truth`` and ``probe``.
    """
    geometry = Geometry(wavelength=1.24e-9, distance=0.2, pixel_size=55e-6)
    obj = objects.two_images((320, 320))
    positions = scans.raster((14, 14), step=12, jitter=3, seed=seed)
    probe = _beam(geometry, diameter=0.56, edge=2, curvature=3.0)
    data = experiment(obj, probe, positions, photons=1e6, position_error=2, geometry=geometry, seed=seed)
    guess = _beam(geometry, diameter=0.50, edge=4, curvature=3.6)
    return data.replace(probe=guess * np.float32(np.sqrt(data.photons().mean())))


def _beam(geometry: Geometry, diameter: float, edge: float, curvature: float) -> np.ndarray:
    """Diverging wave in a disc; its diameter in windows, its curvature as the radius [px^2 / wavelength] over n."""
    pixel = geometry.sample_pixel(_N)
    distance = curvature * _N * pixel**2 / geometry.wavelength
    return probes.spherical_wave(_N, geometry.wavelength, pixel, distance, diameter * _N * pixel, edge)
