"""Probes out of optics: an aperture, defocus and aberrations, for electron lenses and for X-ray optics alike.

The phase of the lens is that of the microscopes: chi(alpha, phi) = (2 pi / lambda) sum_nm alpha^(n+1) / (n+1) C_nm
cos(m (phi - phi_nm)), and the probe F^-1 [A exp(-i chi)]. Propagation through free space by z is C10 = z, so that
C10 > 0 (overfocus) has the focus before the sample, and the beam diverges there.

Source: Kirkland, Advanced Computing in Electron Microscopy (2020), chs. 2 and 5; Krivanek, Dellby, Lupini,
Ultramicroscopy 78, 1 (1999), for the names C_nm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
import scipy.fft

from opty.geometry import WIDEST_ANGLE, Geometry
from opty.remedies import option
from opty.words import meant

ORDERS = tuple((n, m) for n in range(1, 6) for m in range(n + 1, -1, -1) if (n + m) % 2 == 1)
LENGTHS = tuple(f"C{n}{m}" for n, m in ORDERS)
ANGLES = tuple(f"phi{n}{m}" for n, m in ORDERS if m)
ALIKE = {"Cs": "C30", "C5": "C50", "C1": "C10"}


def lens_probe(
    geometry: Geometry,
    n: int,
    *,
    defocus: float = 0.0,
    aberrations: Mapping[str, float] | None = None,
    central_stop: float = 0.0,
) -> np.ndarray:
    """Probe (n, n) complex64 of power 1 of the lens of a geometry, for patterns of n x n: see ``aperture_probe``.

    Raises ValueError for a geometry without a ``semi_angle``, and where ``aperture_probe`` does.
    """
    if geometry.semi_angle is None:
        raise ValueError(f"the geometry has no aperture, of which a probe could be made: give {option('semi_angle')}")
    pixel = geometry.sample_pixel(n)
    return aperture_probe(
        n,
        geometry.wavelength,
        pixel,
        geometry.semi_angle,
        defocus=defocus,
        aberrations=aberrations,
        central_stop=central_stop,
    )


def aperture_probe(
    n: int,
    wavelength: float,
    pixel: float,
    semi_angle: float,
    *,
    defocus: float = 0.0,
    aberrations: Mapping[str, float] | None = None,
    central_stop: float = 0.0,
) -> np.ndarray:
    """Probe behind a lens with a round aperture: P = F^-1 [A(alpha) exp(-i chi(alpha))].

    Parameters
    ----------
    n : edge of the array [px].
    wavelength : [m]; of electrons ``opty.geometry.electron_wavelength(voltage)``.
    pixel : edge of a pixel at the sample [m], ``geometry.sample_pixel(n)``.
    semi_angle : half the opening angle of the aperture [rad], 21.4e-3 for 21.4 mrad; the numerical aperture.
    defocus : C10 = -defocus [m]: positive underfocus, the focus behind the sample.
    aberrations : coefficients C10, C12, C21, C23, C30, ... to C56 [m], and the angles phi12, phi21, ... of those with
        m > 0 [rad], from the column axis towards the row axis. Cs is C30.
    central_stop : opaque part of the aperture's radius, from 0 to below 1 (no unit), as of a zone plate.

    Returns
    -------
    (n, n) complex64 of power 1, centred on n // 2.

    Raises
    ------
    ValueError : an angle that the pixels do not hold, a probe larger than the array, an unknown aberration.
    """
    if not 0 < semi_angle < WIDEST_ANGLE:
        raise ValueError(f"semi_angle is {semi_angle!r}; give an angle in radians, 21e-3 for 21 mrad")
    if not 0 <= central_stop < 1:
        raise ValueError(f"central_stop is {central_stop!r}; give the opaque part of the radius, from 0 to below 1")
    coefficients = checked_aberrations(aberrations)
    if defocus:
        if "C10" in coefficients:
            raise ValueError(
                f"defocus {defocus!r} and C10 {coefficients['C10']!r} are given: C10 is -defocus, give one"
            )
        coefficients["C10"] = -float(defocus)
    edge = wavelength / (2 * pixel)
    if semi_angle > edge:
        raise ValueError(
            f"a semi-angle of {semi_angle * 1e3:.4g} mrad does not fit in patterns that reach {edge * 1e3:.4g} mrad: "
            "check the pixel at the sample"
        )
    axis = scipy.fft.fftfreq(n, pixel) * wavelength  # angle [rad]
    alpha, phi = np.hypot(axis[:, None], axis), np.arctan2(axis[:, None], axis)
    step = abs(axis[1])
    pupil = np.clip((semi_angle - alpha) / step + 0.5, 0, 1)
    if central_stop:
        pupil *= np.clip((alpha - central_stop * semi_angle) / step + 0.5, 0, 1)
    if not pupil.any():
        raise ValueError(
            f"the central stop of {central_stop} leaves nothing of an aperture {semi_angle / step:.3g} px wide"
        )
    _check_size(coefficients, semi_angle, n * pixel)
    wave = scipy.fft.fftshift(scipy.fft.ifft2(pupil * np.exp(-1j * lens_phase(alpha, phi, wavelength, coefficients))))
    return (wave / math.sqrt(np.vdot(wave, wave).real)).astype(np.complex64)


def fresnel_curvature(n: int, pixel: float, wavelength: float, distance: float) -> np.ndarray:
    """Phase factor exp(i pi r^2 / (lambda z)) (n, n) of Fresnel's integral in the plane of the sample; r from n // 2.

    PtyPy and PyNX multiply the exit wave by it before the transform, opty leaves it in the probe: P_opty = P_theirs
    times this factor. ``pixel`` at the sample, ``wavelength`` and ``distance`` to the detector in metres.
    """
    r = (np.arange(n) - n // 2) * pixel
    return np.exp(1j * math.pi / (wavelength * distance) * (r[:, None] ** 2 + r**2))


def lens_phase(alpha: np.ndarray, phi: np.ndarray, wavelength: float, aberrations: Mapping[str, float]) -> np.ndarray:
    """Phase chi [rad] of a lens at angles ``alpha`` from the axis and ``phi`` around it [rad]; aberrations [m]."""
    chi = np.zeros(np.broadcast_shapes(alpha.shape, phi.shape))
    for n, m in ORDERS:
        if strength := aberrations.get(f"C{n}{m}", 0.0):
            turn = np.cos(m * (phi - aberrations.get(f"phi{n}{m}", 0.0))) if m else 1.0
            chi = chi + strength / (n + 1) * alpha ** (n + 1) * turn
    return chi * (2 * math.pi / wavelength)


def checked_aberrations(aberrations: Mapping[str, float] | None) -> dict[str, float]:
    """Return aberrations under their names C_nm, phi_nm; ValueError for unknown names and values that are no number."""
    out: dict[str, float] = {}
    for name, value in (aberrations or {}).items():
        plain = ALIKE.get(name, re.sub(r"^([cC]|[pP]hi)[_, ]?(\d),?(\d)$", lambda m: m[1].lower() + m[2] + m[3], name))
        plain = plain[0].upper() + plain[1:] if plain.startswith("c") else plain
        if plain not in (*LENGTHS, *ANGLES):
            raise ValueError(f"there is no aberration {name!r}{meant(name, (*LENGTHS, *ANGLES), 'there are')}")
        if plain in out:
            raise ValueError(f"the aberration {plain} is given twice")
        if isinstance(value, (bool, str)) or not math.isfinite(value):
            raise ValueError(
                f"the aberration {plain} is {value!r}; give a number in {'m' if plain[0] == 'C' else 'rad'}"
            )
        out[plain] = float(value)
    return out


def _check_size(aberrations: Mapping[str, float], semi_angle: float, width: float) -> None:
    """Refuse a probe whose rays leave the array, where it would come back on the other side."""
    reach = sum(abs(aberrations.get(f"C{n}{m}", 0.0)) * semi_angle**n for n, m in ORDERS)
    if 2 * reach > width:
        raise ValueError(
            f"the rays of the probe spread over {2 * reach:.4g} m, more than the {width:.4g} m of the array: less "
            "defocus, or a detector with finer pixels"
        )
