"""Which part of the object the data know about."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.kernels import numpy_backend
from opty.physics.to_host import on_host


def illuminated(
    positions: Any, probe: Any, shape: tuple[int, ...], min_views: int = 3, threshold: float = 0.1
) -> np.ndarray:
    """Find the pixels that enough views light up.

    A view lights a pixel where sqrt(sum_m |P_m|^2) > threshold times its maximum.

    Parameters
    ----------
    positions : (N, 2) window corners in the frame of the object [px], rounded to whole pixels.
    probe : (n, n) or (M, n, n) complex.
    shape : (H, W) of the object [px], or (L, H, W): the first slice, on which the probe falls.
    min_views : views that a pixel needs.
    threshold : fraction of the largest amplitude (no unit).

    Returns
    -------
    (H, W) bool.

    Raises
    ------
    ValueError : a window that leaves the object.
    """
    shape = tuple(shape)[-2:]
    probe = on_host(probe)
    n = probe.shape[-1]
    corners = np.rint(on_host(positions)).astype(int)
    if (corners < 0).any() or (corners + n > shape).any():
        low, high = corners.min(axis=0).tolist(), (corners.max(axis=0) + n).tolist()
        raise ValueError(
            f"the windows reach from {low} to {high}, outside an object of {tuple(shape)}: "
            "give positions that are window corners in pixels of this object"
        )
    amplitude = np.sqrt((np.abs(probe.reshape(-1, n, n)) ** 2).sum(axis=0))
    views = np.zeros(shape, np.int32)
    numpy_backend.add_windows(views, corners, (amplitude > threshold * amplitude.max())[None])
    return views >= min_views
