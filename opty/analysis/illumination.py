"""Which part of the object the data know about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opty.kernels import numpy_backend
from opty.physics.to_host import on_host

if TYPE_CHECKING:
    from opty.state import BareState

DIMMEST = 0.05


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


def lit_area(p: BareState) -> np.ndarray:
    """Mask (H, W) bool of the object pixels that are illuminated, from the probe and the positions of a state.

    The probe is the wave at the first slice; the spread of light between slices is not counted.
    """
    return lit_by(p.numpy("positions"), p.numpy("probe"), p.numpy("obj").shape)


def photons_on(positions: np.ndarray, probe: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the photons (H, W) that fall on each pixel; parameters as for ``lit_by``."""
    photons = np.zeros(shape[-2:])
    numpy_backend.add_windows(
        photons, np.rint(positions).astype(int), (np.abs(probe.astype(np.complex128)) ** 2).sum(0)[None]
    )
    return photons


def lit_by(positions: np.ndarray, probe: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Mask (H, W) bool of the pixels with at least 5 percent of the photons of well illuminated ones (90th percentile).

    positions : (N, 2) window corners [px]; probe : (M, n, n); shape : (H, W) of the object, or (L, H, W).
    Photons of all views together, averaged over a few pixels: the noise of the probe would make a ragged edge.
    """
    from scipy.ndimage import uniform_filter

    photons = uniform_filter(photons_on(positions, probe, shape), max(3, probe.shape[-1] // 20), mode="constant")
    return photons > DIMMEST * np.percentile(photons[photons > 0], 90)


def crop_to(lit: np.ndarray) -> tuple[slice, slice]:
    """Smallest window (rows, columns) that holds all True pixels of a mask (H, W); all of it where none is True."""
    if not lit.any():
        return slice(0, lit.shape[0]), slice(0, lit.shape[1])
    r, c = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    return slice(int(r[0]), int(r[-1]) + 1), slice(int(c[0]), int(c[-1]) + 1)
