"""How densely a scan covers the object: size of the probe, step, overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from opty.data import PtychoData


def scan_numbers(positions: np.ndarray, pixel: float | None, diameter: float, probe_from: str) -> dict[str, Any]:
    """Return extent, step, overlap and coverage of positions (N, 2) [px], as ``info`` tells them."""
    rows, cols = (float(v) for v in np.ptp(positions, axis=0))
    out: dict[str, Any] = {"extent_px": (rows, cols), "probe_diameter_px": diameter, "probe_from": probe_from}
    if pixel is not None:
        out["extent"] = (rows * pixel, cols * pixel)
    if len(positions) > 1:
        step = float(np.median(cKDTree(positions).query(positions, k=2)[0][:, 1]))
        lit = np.pi / 4 * diameter**2
        out |= {"step_px": step, "overlap": max(0.0, 1 - step / diameter)}
        out["coverage"] = len(positions) * lit / ((rows + diameter) * (cols + diameter))
    return out


def odd_positions(positions: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the views far from all others (ten usual steps), and those within a hundredth of a pixel of an earlier."""
    if len(positions) < 3:
        return (), ()
    tree = cKDTree(positions)
    nearest = tree.query(positions, k=2)[0][:, 1]
    far = np.flatnonzero(nearest > 10 * max(float(np.median(nearest)), 0.1))
    repeated = {max(pair) for pair in tree.query_pairs(0.01)}
    return tuple(far.tolist()), tuple(sorted(int(j) for j in repeated))


def is_near(data: PtychoData) -> bool:
    """Whether a measurement is of the near field, where a pattern is an image of the lit sample."""
    return data.geometry is not None and data.geometry.propagation == "near"


def size_known(data: PtychoData) -> bool:
    """Whether the probe's size is known before a reconstruction; else, in the far field, only the least it can be."""
    return data.probe is not None or is_near(data)


def probe_power(data: PtychoData) -> np.ndarray:
    """Estimate the probe's intensity (n, n) at the sample, centred, from the mean pattern or amplitude."""
    if is_near(data):
        return sum(images.sum(axis=0, dtype=np.float64) for _, images in data.blocks()) / data.views
    return focused(data.mean_amplitude())


def focused(amplitude: np.ndarray) -> np.ndarray:
    """Return the intensity (n, n) of the probe in focus, centred, of which the far field has this amplitude."""
    return np.abs(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(amplitude)))) ** 2


def diameter(power: np.ndarray) -> float:
    """Diameter [px] of the uniform disc with the same half-power radius around the centre of mass."""
    rows, cols = np.indices(power.shape)
    total = power.sum()
    radius = np.hypot(rows - (rows * power).sum() / total, cols - (cols * power).sum() / total).ravel()
    order = np.argsort(radius)
    inside = np.cumsum(power.ravel()[order])
    half = radius[order][np.searchsorted(inside, total / 2)]
    return float(max(1.0, 2 * np.sqrt(2) * half))
