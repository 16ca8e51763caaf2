"""Single coherent waves: spherical, Gaussian, aperture, a pair of pictures."""

from __future__ import annotations

import math

import numpy as np
import scipy.special

from opty.simulate.objects import two_images as object_of_two_images


def spherical_wave(
    n: int, wavelength: float, pixel: float, distance: float, aperture: float, edge: float = 1.0
) -> np.ndarray:
    """Spherical wave behind a point focus, cut by a soft round aperture.

    phase(r) = sign(z) 2 pi / wavelength (sqrt(r^2 + z^2) - |z|)

    Parameters
    ----------
    n : edge of the array [px].
    wavelength : [m].
    pixel : edge of a pixel [m].
    distance : z, from the focus to the sample [m]; positive for a diverging beam (the focus comes first), negative for
        a converging one.
    aperture : diameter of the lit disc in the plane of the sample [m].
    edge : softness of the disc's rim [px], as in ``aperture``.

    Returns
    -------
    (n, n) complex64 of power 1.

    Raises
    ------
    ValueError : an aperture so wide that the phase turns by more than pi from one pixel to the next; the message names
        the widest one.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, Listing 1 (whose sphericalWave is given
    minus the distance).
    """
    if distance == 0 or not math.isfinite(distance):
        raise ValueError(f"distance is {distance!r}; give the metres from the focus, not zero")
    half = aperture / 2
    # The phase turns by 2 pi / wavelength * sin(angle of the ray) per metre across the disc.
    if half / math.hypot(half, distance) > wavelength / (2 * pixel):
        sine = wavelength / (2 * pixel)
        widest = 2 * abs(distance) * sine / math.sqrt(1 - sine**2)
        raise ValueError(
            f"an aperture of {aperture:.4g} m at {distance:.4g} m from the focus is too wide for pixels of "
            f"{pixel:.4g} m: the phase is aliased beyond {widest:.4g} m"
        )
    square = radius(n) ** 2 * pixel**2
    # The same as sqrt(r^2 + z^2) - |z|, without the loss of digits of a small difference.
    path = square / (np.sqrt(square + distance**2) + abs(distance))
    wave = np.exp(2j * np.pi / wavelength * math.copysign(1, distance) * path)
    return unit_power(disc(n, aperture / pixel, edge) * wave)


def gaussian(n: int, fwhm: float) -> np.ndarray:
    """Gaussian beam in its waist: flat phase.

    Parameters
    ----------
    n : edge of the array [px].
    fwhm : full width at half maximum of the intensity [px].

    Returns
    -------
    (n, n) complex64 of power 1.

    Raises
    ------
    ValueError : a width that is not positive.
    """
    if not fwhm > 0:
        raise ValueError(f"fwhm is {fwhm!r}; give a positive width in px")
    return unit_power(np.exp(-2 * math.log(2) * (radius(n) / fwhm) ** 2))


def aperture(n: int, diameter: float, edge: float = 1.0) -> np.ndarray:
    """Round aperture with a soft or hard rim and flat phase: |P|(r) = 1 / (1 + exp((r - diameter / 2) / edge)).

    Parameters
    ----------
    n : edge of the array [px].
    diameter : where the amplitude has fallen to one half [px].
    edge : softness of the rim [px]: the amplitude falls from 0.88 to 0.12 over four times as much; 0 is a hard rim,
        whose pixels get the share of them that is open.

    Returns
    -------
    (n, n) complex64 of power 1.

    Raises
    ------
    ValueError : a diameter that is not positive or does not fit in the array, a negative edge.
    """
    return unit_power(disc(n, diameter, edge))


def two_images(
    n: int,
    diameter: float,
    names: tuple[str, str] = ("cat", "astronaut"),
    phase_range: tuple[float, float] = (-1.5, 1.5),
    edge: float = 2.0,
) -> np.ndarray:
    """Compose a probe of two pictures, magnitude and phase, in a round aperture: an illumination full of detail.

    Parameters
    ----------
    n : edge of the array [px].
    diameter : of the aperture [px]; the pictures fill its bounding square.
    names : two bundled pictures or image files, see ``objects.two_images``.
    phase_range : (low, high) phase of the darkest and the brightest pixel of the second one [rad].
    edge : softness of the rim [px]; 0 is sharp.

    Returns
    -------
    (n, n) complex64 of power 1.

    Raises
    ------
    ValueError : an unknown picture, a diameter that does not fit.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement: "Chelsea" the cat and "Astronaut" as P(x, y).
    """
    window = disc(n, diameter, edge)
    size = min(n, math.ceil(diameter))
    first = n // 2 - size // 2
    wave = np.zeros((n, n), np.complex64)
    inner = (slice(first, first + size),) * 2
    wave[inner] = object_of_two_images((size, size), names, (0.0, 1.0), phase_range)
    return unit_power(window * wave)


def radius(n: int) -> np.ndarray:
    """Distance of each pixel of n x n from the middle one, n // 2 [px]."""
    r = np.arange(n) - n // 2
    return np.hypot(r[:, None], r)


def disc(n: int, diameter: float, edge: float) -> np.ndarray:
    """Amplitude (n, n) of a round opening; with edge 0 the pixels on the rim get the share that lies inside."""
    if not 0 < diameter <= n:
        raise ValueError(f"a disc of {diameter:.4g} px does not fit in {n} x {n} px: give it 0 < diameter <= {n}")
    if not edge >= 0:
        raise ValueError(f"edge is {edge!r}; give a softness in px, zero (sharp) or more")
    inside = diameter / 2 - radius(n)
    return scipy.special.expit(inside / edge) if edge else np.clip(inside + 0.5, 0, 1)


def unit_power(wave: np.ndarray) -> np.ndarray:
    """A wave scaled to power 1, complex64."""
    return (wave / math.sqrt(np.vdot(wave, wave).real)).astype(np.complex64)
