"""Compare an object with the truth but for a factor that varies slowly: what a probe that varies may take from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from opty.analysis.align import align

WIDTH = 10.0  # px


def fine_error(obj: Any, truth: Any, mask: Any = None, offset: Any = None, width: float = WIDTH) -> float:
    """Relative error of an object after a slow complex factor: ||s obj - truth|| / ||truth|| over the mask.

    s(r) = G[conj(obj) truth] / G[|obj|^2] with a Gaussian G of standard deviation ``width`` [px], after constant, ramp
    and shift are removed. Where a probe varies slowly along the scan, so may the object, and no pattern changes.

    Parameters: obj, truth, mask, offset as for ``object_error``; raises ValueError as it does.
    """
    aligned, _ = align(obj, truth, mask, offset)
    truth = np.asarray(truth, np.complex128)
    seen = np.ones(truth.shape) if mask is None else np.asarray(mask, float)

    def smooth(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image, width, mode="constant")

    product = seen * aligned.conj() * truth
    power = smooth(seen * np.abs(aligned) ** 2)
    factor = (smooth(product.real) + 1j * smooth(product.imag)) / np.maximum(power, 1e-12 * power.max())
    lit = seen > 0
    return float(np.linalg.norm((factor * aligned - truth)[lit]) / np.linalg.norm(truth[lit]))
