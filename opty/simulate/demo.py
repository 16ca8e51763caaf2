"""Ready scans: one with the flaws of a real one, and the test of position refinement of Guzzi et al. 2022."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.geometry import Geometry
from opty.simulate import objects, probes, scans, stage
from opty.simulate.detector import Detector
from opty.simulate.experiment import experiment

_N = 128
_NEAR = Geometry(wavelength=1e-10, distance=1.92e-3, pixel_size=1e-7, propagation="near")
_PLACES = 5  # separate stream of random numbers for the position errors


def demo_scan(seed: int = 0) -> PtychoData:
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


def misplaced_scan(
    error: Any = None,
    near: bool = False,
    photons: float | None = None,
    modes: int = 1,
    overlap: float = 0.85,
    seed: int = 0,
) -> PtychoData:
    """Simulate the position test of Guzzi et al. 2022: 100 views of 128 x 128 px whose positions are wrong.

    The object is "camera" in magnitude and "moon" in phase, the probe "cat" and "astronaut" in a soft aperture of 96
    px. The views lie on a 10 x 10 grid with 3 px of jitter, and each pixel has a Gaussian noise of 1 percent.
    ``data.probe`` is a starting guess from the aperture alone: a soft disc of flat phase, at the mean power
    of the data.

    Parameters
    ----------
    error : how the stage departs from the positions: an error of ``stage``, a list of them, a number (uniform on both
        sides) or None for ``stage.Gaussian(6.4)``, 5 percent of a view on each axis: 8 px on the mean.
    near : near field (0.1 nm, pixels of 100 nm, 1.92 mm: 0.15 of the distance at which the transfer function is
        undersampled) instead of the far field.
    photons : counted photons a view on the mean, in place of the noise of 1 percent.
    modes : incoherent modes of the probe, each of half the power of the one before.
    overlap : of neighbouring apertures, as a share of their diameter.
    seed : of jitter, position errors and noise.

    Returns
    -------
    PtychoData with ``truth`` and ``probe``; positions in pixels in the far field, in metres in the near field.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, "Dynamics of the position refinement signal", with
    pictures that are at hand.
    """
    diameter = 0.75 * _N
    nominal = scans.raster((10, 10), scans.step_for_overlap(overlap, diameter), jitter=3, seed=seed)
    errors = stage.Gaussian(0.05 * _N) if error is None else error
    wrong = stage.reached(nominal, errors, np.random.default_rng([seed, _PLACES])) - nominal
    reach = np.concatenate([nominal, nominal + wrong])
    rows, columns = (int(size) + _N + 8 for size in np.ceil(np.ptp(reach, axis=0)))
    obj = objects.two_images((rows, columns))
    probe = probes.two_images(_N, diameter)
    if modes > 1:
        probe = probes.modes(probe, tuple(0.5**k for k in range(modes)))
    exact = Detector(counting=False, dtype="float32", relative_noise=0.01)
    data = experiment(
        obj,
        probe,
        nominal,
        photons or 1e6,
        geometry=_NEAR if near else None,
        position_error=wrong,
        detector=None if photons else exact,
        seed=seed,
    )
    return data.replace(probe=probes.aperture(_N, diameter, edge=4) * np.float32(np.sqrt(data.photons().mean())))
