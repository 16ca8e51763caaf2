"""Two exposures in one scan: frames of which some have so many times the light of the others, and nothing between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from opty.data import PtychoData

FEWEST, SHARE = 4, 0.05  # frames of an exposure, and their share of all
APART = 1.3  # times the light, from which on two groups are two exposures
GAP = 0.4  # of the distance of the two groups, in logarithms, that must be empty: of drawn samples it was below 0.2
GAP_BESIDE = 0.2  # the same beside a map of the sample
GAP_APART = 0.75  # the same where dim views lie together, as behind a part of the sample that absorbs
MIXED, NEAREST = 0.6, 4  # times the pairs of neighbours of two groups that chance would make, of so many for each view
ENOUGH = 40  # views: fewer do not tell a map of the sample
LEFT = 0.45  # times the deviations from that map, which are left with two exposures: on samples with one it was 0.67
AROUND = 8  # views by which the light of a view is told
FLAT = 0.3  # how strongly the slope of the light is held at zero, where few views tell it
TRIED = 1.3, 1.6, 2.0, 2.8, 4.0, 6.0, 10.0  # times the light, from which the search for two exposures begins
ROUNDS = 20


@dataclass(frozen=True)
class TwoExposures:
    """``dim`` (N,) bool: views of the shorter exposure; ``ratio``: their light over that of the longer one."""

    dim: np.ndarray
    ratio: float


def two_exposures(photons: np.ndarray, positions: np.ndarray) -> TwoExposures | None:
    """Return the two exposures of a scan, or None where there is one.

    Parameters: photons (N,) of the views; their positions (N, 2) in any unit.

    The photons of the views fall into two groups, by the least variance of their logarithms within the groups
    (Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979)), with a wide gap between: views at the edge of a part of the
    sample that absorbs would fill it; where the dim views lie together, and are not all views up to one or from one
    on, the gap must be wider. Where there are no such groups, as a sample absorbs strongly, the same is asked of
    what is left of the logarithms after a smooth map of the sample is taken off, which is fitted together with the
    two exposures; there dim and bright views must lie among each other.
    """
    lit = np.flatnonzero(photons > 0)
    light, places = np.log(photons[lit]), positions[lit]
    dim = _in_two_groups(light)
    if dim is not None and np.count_nonzero(dim[1:] != dim[:-1]) > 1 and not _mixed(dim, places):
        dim = _in_two_groups(light, GAP_APART)
    elif dim is None and len(lit) >= ENOUGH:
        beside = _beside_the_sample(light, places)
        if beside is not None:
            light, dim = beside, _in_two_groups(beside, GAP_BESIDE)
            dim = dim if dim is not None and _mixed(dim, places) else None
    if dim is None:
        return None
    found = np.zeros(len(photons), bool)
    found[lit[dim]] = True
    return TwoExposures(found, float(np.exp(np.median(light[dim]) - np.median(light[~dim]))))


def of_one_exposure(data: PtychoData, exposures: TwoExposures, whole: bool, seed: int = 0) -> PtychoData:
    """Return data whose views have the shorter of two exposures.

    Where counts are ``whole``, photons of the brighter views are left out by chance (drawn by ``seed``), which leaves
    counts of Poisson statistics; else the dim views are made brighter.
    """
    dim, ratio = exposures.dim, exposures.ratio
    counts = data.intensities[:].copy()
    if whole:
        thinned = np.random.default_rng(seed).binomial(counts[~dim].astype(np.int64), ratio)
        counts[~dim] = thinned.astype(counts.dtype)
    else:
        counts = counts.astype(np.float32)
        counts[dim] /= ratio
    return data.replace(intensities=counts)


def _in_two_groups(light: np.ndarray, gap: float = GAP) -> np.ndarray | None:
    """Return which of the logarithms (N,) are of the lower of two groups with a gap between, or None."""
    fewest = max(FEWEST, int(SHARE * len(light)))
    if len(light) < 2 * fewest:
        return None
    order = np.argsort(light)
    rising = light[order]
    count = np.arange(1, len(light))
    low = np.cumsum(rising)[:-1] / count
    high = (rising.sum() - np.cumsum(rising)[:-1]) / (len(light) - count)
    between = count * (len(light) - count) * (high - low) ** 2
    cut = int(between.argmax())
    apart = high[cut] - low[cut]
    split = min(count[cut], len(light) - count[cut]) >= fewest
    if not split or apart < np.log(APART) or rising[cut + 1] - rising[cut] < gap * apart:
        return None
    found = np.zeros(len(light), bool)
    found[order[: cut + 1]] = True
    return found


def _mixed(dim: np.ndarray, positions: np.ndarray) -> bool:
    """Whether dim and bright views lie among each other."""
    around = cKDTree(positions).query(positions, k=min(NEAREST + 1, len(positions)))[1][:, 1:]
    return bool((dim[around] != dim[:, None]).mean() > MIXED * 2 * dim.mean() * (1 - dim.mean()))


def _beside_the_sample(light: np.ndarray, positions: np.ndarray) -> np.ndarray | None:
    """Return the logarithms (N,) of the light less what the views around let expect of a view of the longer exposure.

    For each ratio tried, views are sorted by their sign against the smooth map, and map and ratio fitted again, until
    nothing changes; the ratio that leaves the least mean deviation is kept. None where none leaves much less of it.
    """
    smooth = _smoothing(positions)
    best, least = None, LEFT * np.abs(light - smooth @ light).mean()
    for apart in np.log(TRIED):
        dim = light - smooth @ light < -apart / 4
        for _ in range(ROUNDS):
            left = light - smooth @ (light + apart * dim)
            before, dim = dim, left < -apart / 2
            if not FEWEST <= dim.sum() <= len(light) - FEWEST:
                break
            apart = np.median(left[~dim]) - np.median(left[dim])
            if np.array_equal(before, dim):
                break
        deviation = np.abs(left + apart * dim).mean()
        if FEWEST <= dim.sum() <= len(light) - FEWEST and deviation < least:
            best, least = left, deviation
    return best


def _smoothing(positions: np.ndarray) -> csr_matrix:
    """Return the sparse (N, N) weights by which the views around tell a view: a plane fitted to the nearest ones.

    Weights fall off as a Gaussian of the median distance of ``AROUND`` views; the view itself is left out.
    """
    distances, around = (found[:, 1:] for found in cKDTree(positions).query(positions, k=AROUND + 1))
    reach = np.maximum(np.median(distances, axis=1), np.finfo(float).tiny)[:, None]
    weights = np.exp(-0.5 * (distances / reach) ** 2)
    offsets = (positions[around] - positions[:, None]) / reach[..., None]
    plane = np.concatenate([np.ones((*weights.shape, 1)), offsets], axis=-1)
    weighted = weights[..., None] * plane
    normal = weighted.swapaxes(1, 2) @ plane + FLAT * weights.sum(axis=1)[:, None, None] * np.diag([0.0, 1.0, 1.0])
    rows = np.linalg.solve(normal, weighted.swapaxes(1, 2))[:, 0]
    return csr_matrix((rows.ravel(), around.ravel(), np.arange(0, rows.size + 1, AROUND)), shape=(len(rows), len(rows)))
