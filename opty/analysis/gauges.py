"""What no data tell of an object, taken out of small deviations: constant factor, phase ramp, common shift."""

from __future__ import annotations

import numpy as np


def without_gauges(obj: np.ndarray, reference: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Return an object (H, W) less what it has of the six freedoms, against a reference from which it deviates little.

    obj - O (a + i b + i k . r) + s . grad O, O the reference, with a, b, k, s by least squares over the lit pixels. For
    larger deviations there is ``align``.
    """
    rows, columns = reference.shape
    row, column = np.meshgrid(np.arange(rows) - rows / 2, np.arange(columns) - columns / 2, indexing="ij")
    slopes = [np.gradient(reference, axis=axis) for axis in (0, 1)]
    freedoms = [reference, 1j * reference, 1j * row * reference, 1j * column * reference, *slopes]
    matrix = np.stack([freedom[lit] for freedom in freedoms], axis=1).astype(np.complex128)
    deviation = (obj - reference)[lit].astype(np.complex128)
    system = np.concatenate([matrix.real, matrix.imag])
    found = np.linalg.lstsq(system, np.concatenate([deviation.real, deviation.imag]), rcond=1e-9)[0]
    return np.asarray(obj - sum(part * freedom for part, freedom in zip(found, freedoms, strict=True)))
