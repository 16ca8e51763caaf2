"""A probe that is another one in each view: beams that wander and flicker, and their OPR modes and weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.fft

from opty.remedies import here

_HOW = "probe, leaves = opty.simulate.probes.variation(probes of all views, K) and experiment(..., leaves=leaves)"
_HOW_IN_FILE = "which a text file cannot: in Python, with opty.simulate.probes.variation"


def check_given(model: Any, lacking: Iterable[str]) -> None:
    """Refuse a probe that varies where nobody says how: ``lacking`` are the leaves of the model that are not given."""
    if names := sorted({"opr_modes", "opr_weights"}.intersection(lacking)):
        raise ValueError(f"{model!r} varies: say how, {here(_HOW, _HOW_IN_FILE)}; {names} are not given")


def unsteady(
    probe: np.ndarray,
    views: int,
    *,
    weighting: float = 0.2,
    intensity: float = 0.1,
    drift: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """Return a probe for each view: the light wanders over the aperture and flickers, P_j = F^-1 [A_j F P].

    A_j(q) = [1 + weighting (a_j q_r / s_r + b_j q_c / s_c)] sqrt(1 + intensity c_j), s the rms of q over |F P|^2 and
    a, b, c of mean zero and rms one.

    Parameters
    ----------
    probe : (n, n) complex. views : N. weighting, intensity : rms of the change of the amplitude over the aperture, and
        of the intensity (no unit).
    drift : a, b, c are random walks along the scan; False: a new number in each view. seed : of them.

    Returns
    -------
    (N, n, n) complex128. Raises ValueError for a probe that is not 2-D, no views, or negative sizes.
    """
    probe = np.asarray(probe)
    if probe.ndim != 2:
        raise ValueError(f"probe has shape {probe.shape}; expected (n, n), one coherent wave")
    if views < 1 or weighting < 0 or intensity < 0:
        raise ValueError(
            f"views={views}, weighting={weighting}, intensity={intensity}: give one view or more, and sizes from 0 on"
        )
    numbers = np.random.default_rng(seed).normal(size=(3, views))
    numbers = np.cumsum(numbers, axis=1) if drift else numbers
    numbers -= numbers.mean(axis=1, keepdims=True)
    numbers /= np.maximum(numbers.std(axis=1, keepdims=True), np.finfo(float).tiny)
    spectrum = scipy.fft.fft2(scipy.fft.ifftshift(probe.astype(np.complex128)))
    power = np.abs(spectrum) ** 2 / (np.abs(spectrum) ** 2).sum()
    waves = np.ones((views, *probe.shape))
    for numbers_of, q in zip(numbers, np.meshgrid(*map(scipy.fft.fftfreq, probe.shape), indexing="ij"), strict=False):
        waves += weighting * numbers_of[:, None, None] * q / np.sqrt((power * q**2).sum())
    waves = waves * np.sqrt(np.maximum(1 + intensity * numbers[2], 0))[:, None, None] * spectrum
    return scipy.fft.fftshift(scipy.fft.ifft2(waves), axes=(-2, -1))


def variation(each: Any, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the mean of probes of all views, and how they vary: P_j = P + sum_k c_jk U_k, c real.

    U and c are the ``count`` strongest singular vectors of P_j - P as real numbers.

    Parameters: each (N, n, n) complex; count K, from 1 to N.

    Returns
    -------
    probe (1, n, n), and leaves for ``experiment(..., model=Object() * Probe(variable=K), leaves=leaves)``:
    opr_modes (K, n, n), each of the power of the probe, and opr_weights (N, K). Raises ValueError for another shape or
    count.
    """
    each = np.asarray(each, np.complex128)
    if each.ndim != 3 or not 1 <= count <= len(each):
        raise ValueError(f"probes of shape {each.shape}, count={count}: give (N, n, n), and a count from 1 to N")
    mean = each.mean(axis=0)
    weights, sizes, modes = np.linalg.svd((each - mean).reshape(len(each), -1).view(float), full_matrices=False)
    size = np.linalg.norm(mean)
    found = {
        "opr_modes": (size * modes[:count]).view(np.complex128).reshape(count, *mean.shape),
        "opr_weights": weights[:, :count] * sizes[:count] / size,
    }
    return mean[None], found
