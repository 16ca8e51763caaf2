"""Probes: the wave that illuminates the sample, centred on pixel n // 2 of its n x n array.

The far-field transform of the package has the sign of exp(-2 pi i f r), which goes with waves exp(+i k z): a diverging
beam has a phase that grows with the distance from its axis.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
import scipy.special


def spherical_wave(n, wavelength, pixel, distance, aperture, edge=1.0) -> np.ndarray:
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
    radius = aperture / 2
    # The phase turns by 2 pi / wavelength * sin(angle of the ray) per metre across the disc.
    if radius / math.hypot(radius, distance) > wavelength / (2 * pixel):
        sine = wavelength / (2 * pixel)
        widest = 2 * abs(distance) * sine / math.sqrt(1 - sine**2)
        raise ValueError(
            f"an aperture of {aperture:.4g} m at {distance:.4g} m from the focus is too wide for pixels of "
            f"{pixel:.4g} m: the phase is aliased beyond {widest:.4g} m"
        )
    square = _radius(n) ** 2 * pixel**2
    # The same as sqrt(r^2 + z^2) - |z|, without the loss of digits of a small difference.
    path = square / (np.sqrt(square + distance**2) + abs(distance))
    wave = np.exp(2j * np.pi / wavelength * math.copysign(1, distance) * path)
    return _unit_power(_disc(n, aperture / pixel, edge) * wave)


def gaussian(n, fwhm) -> np.ndarray:
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
    return _unit_power(np.exp(-2 * math.log(2) * (_radius(n) / fwhm) ** 2))


def aperture(n, diameter, edge=1.0) -> np.ndarray:
    """Round aperture with a soft rim and flat phase: |P|(r) = 1 / (1 + exp((r - diameter / 2) / edge)).

    Parameters
    ----------
    n : edge of the array [px].
    diameter : where the amplitude has fallen to one half [px].
    edge : softness of the rim [px]: the amplitude falls from 0.88 to 0.12 over four times as much.

    Returns
    -------
    (n, n) complex64 of power 1.

    Raises
    ------
    ValueError : a diameter that is not positive or does not fit in the array, an edge that is not positive.
    """
    return _unit_power(_disc(n, diameter, edge))


def defocus(probe, wavelength, pixel, distance) -> np.ndarray:
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


def modes(probe, powers) -> np.ndarray:
    """Make incoherent modes out of one probe: the probe times orthogonal polynomials of growing order.

    Modes 1, 2, 3, ... are the probe times 1, row, column, row^2, row column, ... made orthogonal one after the other
    (Hermite-Gauss modes where the probe is Gaussian), so that sum over pixels of conj(P_l) P_m = 0 for l != m.

    Parameters
    ----------
    probe : (n, n) complex.
    powers : relative power of each of the M modes (no unit), all positive.

    Returns
    -------
    (M, n, n) complex64; the powers of all modes add up to that of ``probe``, and the first has its shape.

    Raises
    ------
    ValueError : a probe that is not 2-D, or powers that are not positive.

    Source: mixed states after Thibault and Menzel, Nature 494, 68 (2013).
    """
    probe, powers = np.asarray(probe), np.asarray(powers, dtype=np.float64)
    if probe.ndim != 2:
        raise ValueError(f"probe has shape {probe.shape}; give one mode (n, n)")
    if powers.ndim != 1 or powers.size == 0 or not (powers > 0).all():
        raise ValueError(f"powers is {powers.tolist()}; give one positive relative power for each mode")
    row, col = (np.linspace(-1, 1, size) for size in probe.shape)
    terms: list[np.ndarray] = []
    while len(terms) < powers.size:
        order = next(k for k in range(powers.size) if (k + 1) * (k + 2) // 2 > len(terms))
        terms += [np.outer(row ** (order - k), col**k) for k in range(order + 1)]
    columns = np.stack([(probe * term).ravel() for term in terms[: powers.size]], axis=1).astype(np.complex128)
    orthogonal, upper = np.linalg.qr(columns)
    # QR leaves the phase of each column free; this one keeps that of the probe.
    diagonal = upper.diagonal()
    power = np.vdot(probe, probe).real * powers / powers.sum()
    made = orthogonal * (diagonal / np.abs(diagonal) * np.sqrt(power))
    return np.ascontiguousarray(made.T).reshape(-1, *probe.shape).astype(np.complex64)


def _radius(n: int) -> np.ndarray:
    r = np.arange(n) - n // 2
    return np.hypot(r[:, None], r)


def _disc(n: int, diameter: float, edge: float) -> np.ndarray:
    if not 0 < diameter <= n:
        raise ValueError(f"a disc of {diameter:.4g} px does not fit in {n} x {n} px: give it 0 < diameter <= {n}")
    if not edge > 0:
        raise ValueError(f"edge is {edge!r}; give a positive softness in px (1 is sharp)")
    return scipy.special.expit((diameter / 2 - _radius(n)) / edge)


def _unit_power(wave: np.ndarray) -> np.ndarray:
    return (wave / math.sqrt(np.vdot(wave, wave).real)).astype(np.complex64)
