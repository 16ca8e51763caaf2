"""What optics make of a wave: free space, and a zone plate with its stop and its order-sorting aperture."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from opty.simulate.probes.waves import disc, radius, unit_power


def defocus(probe: np.ndarray, wavelength: float, pixel: float, distance: float) -> np.ndarray:
    """Propagate a probe through free space by the angular spectrum.

    P(z) = F^-1 [F P exp(2 pi i z (sqrt(1 / wavelength^2 - f^2) - 1 / wavelength))]; evanescent waves are dropped,
    and so is the carrier exp(i k z). The array is periodic: light that leaves it on one side comes back on the other,
    which happens beyond about n pixel^2 / wavelength for a probe that fills the band.

    Parameters
    ----------
    probe : (n, n) or (M, n, n) complex.
    wavelength : [m].
    pixel : edge of a pixel [m].
    distance : along the beam [m]; negative goes back towards the source.

    Returns
    -------
    the shape of ``probe``, complex64; the power stays as it is.

    Source: Goodman, Introduction to Fourier Optics, sec. 3.10 (angular spectrum).
    """
    probe = np.asarray(probe)
    row, col = (scipy.fft.fftfreq(size, pixel) for size in probe.shape[-2:])
    square = row[:, None] ** 2 + col**2
    axial = np.sqrt(np.maximum(wavelength**-2 - square, 0))
    transfer = np.exp(-2j * np.pi * distance * square / (axial + 1 / wavelength)) * (square < wavelength**-2)
    return scipy.fft.ifft2(scipy.fft.fft2(probe.astype(np.complex128)) * transfer).astype(np.complex64)


def zone_plate(
    n: int,
    wavelength: float,
    pixel: float,
    diameter: float,
    outer_zone: float,
    central_stop: float = 0.0,
    osa: tuple[float, float] | None = None,
) -> np.ndarray:
    """First-order focus of a Fresnel zone plate, of focal length f = diameter * outer_zone / wavelength.

    P(r) = exp(i pi r^2 / (wavelength f)) F[pupil](r / (wavelength f)); the pupil is the zone plate less its central
    stop. ``defocus`` carries it away from the focus. Only the first order is made: the stop and the order-sorting
    aperture keep the zeroth out, and the higher ones focus upstream of the aperture, where it stops most of them.

    Parameters
    ----------
    n : edge of the array [px].
    wavelength : [m].
    pixel : edge of a pixel in the focal plane [m]; not more than ``outer_zone``.
    diameter : of the zone plate [m].
    outer_zone : width of the outermost zone [m]. The focal spot has a full width at half maximum of 1.03 outer zones,
        and its first dark ring at 1.22.
    central_stop : diameter of the opaque disc in the middle of the zone plate [m].
    osa : (diameter, distance) of the order-sorting aperture [m], the distance upstream of the focus; None: it takes
        nothing from the first order.

    Returns
    -------
    (n, n) complex64 of power 1.

    Raises
    ------
    ValueError : lengths that are not positive or do not go together: pixels too coarse for the angles, an aperture
        wider than the stop, through which the zeroth order would pass.

    Source: Attwood, Soft X-Rays and Extreme Ultraviolet Radiation (1999), secs. 9.2 to 9.5; Goodman, Introduction to
    Fourier Optics, sec. 5.2 (field in the focal plane of a lens).
    """
    if not (diameter > 0 and outer_zone > 0 and 0 <= central_stop < diameter):
        raise ValueError(
            f"diameter {diameter!r}, outer_zone {outer_zone!r}, central_stop {central_stop!r}: give positive lengths "
            "in metres, and a stop smaller than the zone plate"
        )
    if pixel > outer_zone:
        raise ValueError(
            f"pixels of {pixel:.4g} m are too coarse for the focus of a zone plate with an outermost zone of "
            f"{outer_zone:.4g} m: its rays are steeper than such pixels can hold"
        )
    focal = diameter * outer_zone / wavelength
    step = wavelength * focal / (n * pixel)  # of the pupil's samples in the plane of the zone plate
    pupil = disc(n, diameter / step, 0)
    if central_stop:
        pupil -= disc(n, central_stop / step, 0)
    if not pupil.any():
        raise ValueError(f"the stop leaves less than a sample of the pupil in {n} x {n} px: give more or larger pixels")
    focus = scipy.fft.fftshift(scipy.fft.ifft2(scipy.fft.ifftshift(pupil)))
    focus *= np.exp(1j * np.pi * (radius(n) * pixel) ** 2 / (wavelength * focal))
    if osa is not None:
        focus = _through(focus, wavelength, pixel, *_checked(osa, central_stop, focal))
    return unit_power(focus)


def _checked(osa: Any, central_stop: float, focal: float) -> tuple[float, float]:
    opening, distance = osa
    if not (opening > 0 and 0 < distance < focal):
        raise ValueError(
            f"osa is {osa!r}; give (diameter, distance upstream of the focus) in metres, the distance below the focal "
            f"length of {focal:.4g} m"
        )
    if opening > central_stop:
        raise ValueError(
            f"an order-sorting aperture of {opening:.4g} m lets the zeroth order pass beside a stop of "
            f"{central_stop:.4g} m: make it smaller, or the stop larger"
        )
    return opening, distance


def _through(focus: np.ndarray, wavelength: float, pixel: float, opening: float, distance: float) -> np.ndarray:
    """Send the beam of a focus through a round opening that stands upstream of it."""
    n = len(focus)
    if wavelength * distance < n * pixel**2:  # near: there the beam is about as wide as in the focus
        there = defocus(focus, wavelength, pixel, -distance)
        return defocus(there * disc(n, min(opening / pixel, n), 0), wavelength, pixel, distance)
    # Far: Fresnel's integral as one transform, on a grid that widens with the beam.
    chirp = np.exp(-1j * np.pi * (radius(n) * pixel) ** 2 / (wavelength * distance))
    step = wavelength * distance / (n * pixel)
    there = scipy.fft.ifft2(scipy.fft.ifftshift(focus * chirp))
    there *= scipy.fft.ifftshift(disc(n, min(opening / step, n), 0))
    return scipy.fft.fftshift(scipy.fft.fft2(there)) * chirp.conj()
