"""Probes: the wave that illuminates the sample, centred on pixel n // 2 of its n x n array.

waves.py   one coherent wave: spherical wave, Gaussian, aperture, a pair of pictures
optics.py  free space (defocus), zone plate with central stop and order-sorting aperture
           (an aperture with defocus and aberrations, of electrons or X-rays, is ``opty.physics.optics.aperture_probe``)
mixed.py   incoherent modes: polynomials or Zernike terms on any probe, Hermite-Gauss beams
varying.py a probe that is another one in each view, and its OPR modes and weights

The far-field transform of the package has the sign of exp(-2 pi i f r), which goes with waves exp(+i k z): a diverging
beam has a phase that grows with the distance from its axis.
"""

from opty.physics.optics import aperture_probe, lens_probe
from opty.simulate.probes.mixed import hermite_gauss, modes, zernike, zernike_polynomial
from opty.simulate.probes.optics import defocus, zone_plate
from opty.simulate.probes.varying import unsteady, variation
from opty.simulate.probes.waves import aperture, gaussian, spherical_wave, two_images

__all__ = [
    "aperture",
    "aperture_probe",
    "defocus",
    "gaussian",
    "hermite_gauss",
    "lens_probe",
    "modes",
    "spherical_wave",
    "two_images",
    "unsteady",
    "variation",
    "zernike",
    "zernike_polynomial",
    "zone_plate",
]
