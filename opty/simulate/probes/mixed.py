"""Incoherent modes: of any probe, by polynomials or Zernike terms, and Hermite-Gauss beams."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special

from opty.simulate.probes.waves import radius


def modes(probe: np.ndarray, powers: tuple[float, ...]) -> np.ndarray:
    """Make incoherent modes out of one probe: the probe times orthogonal polynomials of growing order.

    Modes 1, 2, 3, ... are the probe times 1, row, column, row^2, row column, ... made orthogonal one after the other
    (Hermite-Gauss modes where the probe is Gaussian), so that sum over pixels of conj(P_l) P_m = 0 for l != m.

    Parameters
    ----------
    probe : (n, n) complex.
    powers : relative power of each of the M modes (no unit), all positive.

    Returns
    -------
    (M, n, n) complex64; the powers of all modes add up to the power of ``probe``, and the first has its shape.

    Raises
    ------
    ValueError : a probe that is not 2-D, or powers that are not positive.

    Source: mixed states after Thibault and Menzel, Nature 494, 68 (2013).
    """
    probe, shares = _one(probe), _powers(powers)
    row, col = (np.linspace(-1, 1, size) for size in probe.shape)
    terms = [np.outer(row**k, col**m) for k, m in _orders(shares.size)]
    columns = np.stack([(probe * term).ravel() for term in terms], axis=1).astype(np.complex128)
    orthogonal, upper = np.linalg.qr(columns)
    # QR leaves the phase of each column free; this keeps the phase of the probe.
    diagonal = upper.diagonal()
    power = np.vdot(probe, probe).real * shares / shares.sum()
    made = orthogonal * (diagonal / np.abs(diagonal) * np.sqrt(power))
    return np.ascontiguousarray(made.T).reshape(-1, *probe.shape).astype(np.complex64)


def hermite_gauss(n: int, fwhm: float | tuple[float, float], powers: tuple[float, ...]) -> np.ndarray:
    """Hermite-Gauss modes in their waist: the beam of a partially coherent source of Gaussian shape.

    u_kl(r, c) = H_k(s_r r) H_l(s_c c) exp(-(s_r^2 r^2 + s_c^2 c^2) / 2), (k, l) = (0, 0), (1, 0), (0, 1), (2, 0), ...

    Parameters
    ----------
    n : edge of the array [px].
    fwhm : full width at half maximum of the first mode's intensity [px], one number or (row, column).
    powers : relative power of each of the M modes (no unit), all positive.

    Returns
    -------
    (M, n, n) complex64, orthogonal, of total power 1.

    Raises
    ------
    ValueError : powers or widths that are not positive, modes that do not fit in the array.

    Source: Siegman, Lasers (1986), sec. 16.4 (modes); Vartanyants, Singer, New J. Phys. 12, 035004 (2010), for the
    powers that synchrotron sources give them.
    """
    shares = _powers(powers)
    width = np.broadcast_to(np.asarray(fwhm, dtype=np.float64), 2)
    if not (width > 0).all():
        raise ValueError(f"fwhm is {fwhm!r}; give a positive width in px, or two, (row, column)")
    orders = _orders(shares.size)
    lines = [_hermite_lines(n, w, max(max(order) for order in orders)) for w in width]
    made = np.stack([np.outer(lines[0][k], lines[1][m]) for k, m in orders])
    held = (made**2).sum(axis=(1, 2))
    if held.min() < 0.99:
        raise ValueError(
            f"mode {held.argmin()} of order {orders[held.argmin()]} has {held.min():.2f} of its power in {n} x {n} px: "
            "give a smaller fwhm or fewer powers"
        )
    return (made * np.sqrt(shares / shares.sum() / held)[:, None, None]).astype(np.complex64)


def zernike(
    probe: np.ndarray,
    terms: tuple[int, ...] = (1, 2, 3),
    powers: tuple[float, ...] | None = None,
    diameter: float | None = None,
    magnitude: float = 1.0,
    phase: float = 0.0,
) -> np.ndarray:
    """Modulate a probe by Zernike polynomials, in magnitude and in phase; each polynomial makes a mode.

    P_m = c_m P ((1 - a) + a Z_m) exp(i s Z_m), with a = ``magnitude``, s = ``phase``. On a disc of constant modulus and
    without a phase, the modes are orthogonal, as the polynomials are; otherwise see ``analysis.orthogonal``.

    Parameters
    ----------
    probe : (n, n) complex.
    terms : Noll's index of the polynomial of each mode: 1 piston, 2 column tilt, 3 row tilt, 4 defocus, 5 and 6
        astigmatism, ...
    powers : relative power of each mode; None: all alike.
    diameter : of the disc on which the polynomials are orthonormal [px]; None: that of 99 percent of the power.
    magnitude : how far the polynomial modulates the magnitude, from 0 (not) to 1 (entirely; its sign is a phase of pi).
    phase : how far it modulates the phase [rad for Z = 1].

    Returns
    -------
    (M, n, n) complex64; the powers of all modes add up to the power of ``probe``.

    Raises
    ------
    ValueError : a probe that is not 2-D, terms below 1, powers that are not positive or not one a term.

    Source: Noll, J. Opt. Soc. Am. 66, 207 (1976); Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, Fig. S1.
    """
    probe = _one(probe)
    shares = _powers((1.0,) * len(terms) if powers is None else powers)
    if shares.size != len(terms):
        raise ValueError(f"powers holds {shares.size} numbers for {len(terms)} terms; give one each")
    if not 0 <= magnitude <= 1:
        raise ValueError(f"magnitude is {magnitude!r}; give a share from 0 to 1")
    r = np.arange(len(probe)) - len(probe) // 2
    angle, rho = np.arctan2(r[:, None], r), radius(len(probe)) / ((diameter or _diameter(probe)) / 2)
    polynomials = [zernike_polynomial(term, rho, angle) for term in terms]
    made = np.stack([probe * ((1 - magnitude) + magnitude * z) * np.exp(1j * phase * z) for z in polynomials])
    power = (np.abs(made) ** 2).sum(axis=(1, 2))
    wanted = np.vdot(probe, probe).real * shares / shares.sum()
    return (made * np.sqrt(wanted / power)[:, None, None]).astype(np.complex64)


def zernike_polynomial(term: int, rho: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Zernike polynomial Z_j(rho, angle) by Noll's index j, of mean square 1 over the unit disc; rho has no unit.

    The angle [rad] runs from the column axis towards the row axis. Source: Noll, J. Opt. Soc. Am. 66, 207 (1976).
    """
    if term < 1 or term != int(term):
        raise ValueError(f"terms holds {term!r}; Noll's index is a whole number from 1 on")
    order = next(k for k in range(term) if (k + 1) * (k + 2) // 2 >= term)
    place = term - order * (order + 1) // 2  # 1 to order + 1
    m = 2 * (place // 2) if order % 2 == 0 else 2 * ((place - 1) // 2) + 1
    k = (order - m) // 2
    radial = (-1) ** k * rho**m * scipy.special.eval_jacobi(k, m, 0, 1 - 2 * rho**2)
    if m == 0:
        return math.sqrt(order + 1) * radial
    return math.sqrt(2 * (order + 1)) * radial * (np.cos(m * angle) if term % 2 == 0 else np.sin(m * angle))


def _one(probe: Any) -> np.ndarray:
    probe = np.asarray(probe)
    if probe.ndim != 2:
        raise ValueError(f"probe has shape {probe.shape}; give one mode (n, n)")
    return probe


def _powers(powers: Any) -> np.ndarray:
    powers = np.asarray(powers, dtype=np.float64)
    if powers.ndim != 1 or powers.size == 0 or not (powers > 0).all():
        raise ValueError(f"powers is {powers.tolist()}; give one positive relative power for each mode")
    return powers


def _orders(count: int) -> list[tuple[int, int]]:
    """(row, column) orders of polynomials in two variables: (0, 0), (1, 0), (0, 1), (2, 0), (1, 1), ..."""
    found: list[tuple[int, int]] = []
    total = 0
    while len(found) < count:
        found += [(total - k, k) for k in range(total + 1)]
        total += 1
    return found[:count]


def _hermite_lines(n: int, fwhm: float, highest: int) -> list[np.ndarray]:
    """Hermite functions (n,) of orders 0 to ``highest``, orthonormal on an endless line of pixels."""
    x = (np.arange(n) - n // 2) * (2 * math.sqrt(math.log(2)) / fwhm)
    step = x[1] - x[0]
    lines = [np.exp(-(x**2) / 2) * math.sqrt(step) / math.pi**0.25]
    for k in range(highest):
        before = lines[k - 1] * math.sqrt(k / (k + 1)) if k else 0.0
        lines.append(math.sqrt(2 / (k + 1)) * x * lines[k] - before)
    return lines


def _diameter(probe: np.ndarray) -> float:
    """Diameter [px] of the disc around the middle with 99 percent of the power."""
    r = radius(len(probe)).ravel()
    order = np.argsort(r)
    inside = np.cumsum((np.abs(probe) ** 2).ravel()[order])
    return 2 * max(float(r[order][np.searchsorted(inside, 0.99 * inside[-1])]), 1.0)
