"""Is a scan a perfect raster? Then an object may be multiplied by anything that has its period: the raster artefact."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from opty.analysis.check.findings import Findings
from opty.data import PtychoData

FEWEST = 25  # views: fewer are periodic by chance
FINE = 8  # pixels along a step, into which positions are sorted
PERIODIC = 0.7  # of the views in step: 0.9 for a jitter of an eighth of the step on both sides, 0.64 for a quarter
LEAST_STEP = 4.0  # px: a finer raster has its frequencies where few objects have detail


def in_step(positions: np.ndarray) -> tuple[float, float]:
    """Return by how much positions (N, 2) [px] are periodic, from 0 to 1, and their usual step [px].

    max_k |sum_j exp(2 pi i k . r_j)| / N over periods from 0.75 to 1.5 steps: 1 for a lattice, or lines of one pitch.
    """
    step = float(np.median(cKDTree(positions).query(positions, k=2)[0][:, 1]))
    if not step > 0:
        return 0.0, step
    places = np.rint((positions - positions.min(axis=0)) * (FINE / step)).astype(int)
    shape = 2 * (places.max(axis=0) + 1)
    if np.prod(shape, dtype=float) > 1e8:
        return 0.0, step  # positions that jump far away are another finding
    found = np.zeros(shape, np.float32)
    np.add.at(found, tuple(places.T), 1)
    height = np.abs(np.fft.rfft2(found)) / len(positions)
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])) * FINE  # periods a step
    return float(height[(k > 1 / 1.5) & (k < 1 / 0.75)].max(initial=0.0)), step


def of_raster(data: PtychoData) -> Findings:
    """Warn of a scan on a raster without jitter."""
    if data.views < FEWEST:
        return Findings()
    share, step = in_step(data.positions_px)
    if share < PERIODIC or not LEAST_STEP <= step <= data.n:  # windows apart have another unit, or no overlap
        return Findings()
    return Findings(
        warnings=(
            f"the scan is a raster with a step of {step:.3g} px and hardly any jitter: its period may show in the "
            "object, in areas without texture most. A jitter of a third of the step prevents it; TotalVariation(0.002) "
            "on the left of the engine takes it out",
        )
    )
