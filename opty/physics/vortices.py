"""Vortices of a phase, around which it does not close, and the nearest phase that has none."""

from __future__ import annotations

import math

import numpy as np

_FLOOR = 1e-4  # weight of a step between pixels of which nothing is known: what is known leads through them
_DARK = 0.1  # of the mean |O|^2: pixels as dark as that have a phase that says half as much
_ROUNDS = 200  # of conjugate gradients; in the light they come to within 0.01 rad
_NEAR, _BLUR = 3, 1.5  # px
_ENOUGH = 1e-5  # rad, rms of the preconditioned residual


def wrapped(step: np.ndarray) -> np.ndarray:
    """Return differences of phase [rad] as the shortest ones, in [-pi, pi]."""
    return step - 2 * math.pi * np.rint(step / (2 * math.pi))


def residues(phase: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the squares of 2 x 2 known pixels around which the shortest steps do not add up to zero.

    phase (H, W) [rad], known (H, W) bool -> (H - 1, W - 1) bool.
    """
    down, right = wrapped(np.diff(phase, axis=0)), wrapped(np.diff(phase, axis=1))
    around = down[:, :-1] + right[1:] - down[:, 1:] - right[:-1]
    inside = known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:] & known[1:, 1:]
    return (np.abs(around) > math.pi) & inside


def single_valued(image: np.ndarray, weight: np.ndarray, threads: int = 1) -> np.ndarray:
    """Return the phase (H, W) float64 [rad] whose steps are nearest to the shortest ones of an image.

    argmin_u sum_e w_e (u_b - u_a - wrap(arg O_b - arg O_a))^2 over the pairs e = (a, b) of neighbours, w_e =
    min(w_a, w_b)^2: without residues it is arg O, unwrapped. Its constant is that of the image, mod 2 pi.

    Parameters: image (H, W) complex; weight (H, W) from 0 to 1, how far a pixel is known.
    Source: Ghiglia, Romero, J. Opt. Soc. Am. A 11, 107 (1994): conjugate gradients, preconditioned by the solution with
    equal weights, a cosine transform.
    """
    from scipy.fft import dctn, idctn

    phase, power = np.angle(image), np.abs(image) ** 2
    weight = weight * power / (power + _DARK * max(float((power * weight).sum() / weight.sum()), 1e-300))
    square = weight**2
    across = np.minimum(square[1:], square[:-1]) + _FLOOR, np.minimum(square[:, 1:], square[:, :-1]) + _FLOOR
    rows, columns = (2 - 2 * np.cos(np.pi * np.arange(size) / size) for size in phase.shape)
    stiffness = rows[:, None] + columns
    stiffness[0, 0] = np.inf  # a constant changes no step

    def solved_evenly(a: np.ndarray) -> np.ndarray:
        return np.asarray(idctn(dctn(a, workers=threads) / stiffness, workers=threads))

    u = np.zeros(phase.shape)
    rest = _pulled([w * wrapped(np.diff(phase, axis=k)) for k, w in enumerate(across)], phase.shape)
    direction, before = u, 0.0
    for _ in range(_ROUNDS):
        ahead = solved_evenly(rest)
        if math.sqrt((ahead**2).mean()) < _ENOUGH:
            break
        now = float((rest * ahead).sum())
        direction = ahead + (now / before if before else 0.0) * direction
        before = now
        change = _pulled([w * np.diff(direction, axis=k) for k, w in enumerate(across)], phase.shape)
        length = now / float((direction * change).sum())
        u = u + length * direction
        rest = rest - length * change
    return u + float(np.angle((image * np.exp(-1j * u) * square).sum()))


def without_vortices(image: np.ndarray, weight: np.ndarray, threads: int = 1) -> tuple[np.ndarray, int]:
    """Return an image (H, W) complex with the phase of ``single_valued``, and how many residues it had.

    Without residues it is the image as it was. Residues count where the weight is above a half. Within 3 px of them,
    where waves cancel, magnitudes below their Gaussian mean (1.5 px) rise to it.
    """
    from scipy.ndimage import binary_dilation, gaussian_filter

    found = residues(np.angle(image), weight > 0.5)
    if not found.any():
        return image, 0
    core = np.zeros(image.shape, bool)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            core[rows, columns] |= found
    magnitude = np.abs(image).astype(np.float64)
    near = binary_dilation(core, iterations=_NEAR)
    filled = np.where(near, np.maximum(magnitude, gaussian_filter(magnitude, _BLUR)), magnitude)
    return filled * np.exp(1j * single_valued(image, weight, threads)), int(found.sum())


def _pulled(steps: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Return the transpose of the steps down (H - 1, W) and to the right (H, W - 1), (H, W)."""
    out = np.zeros(shape)
    down, right = steps
    out[:-1] -= down
    out[1:] += down
    out[:, :-1] -= right
    out[:, 1:] += right
    return out
