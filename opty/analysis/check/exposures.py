"""Two exposures in one scan: frames of which some have so many times the light of the others, and nothing between."""

from __future__ import annotations

import numpy as np

from opty.data import PtychoData

FEWEST, SHARE = 4, 0.05  # frames of an exposure, and their share of all
APART = 1.3  # times the light, from which on two groups are two exposures
GAP = 0.4  # of the distance of the two groups, in logarithms, that must be empty: of drawn samples it was below 0.2


def dim_exposure(photons: np.ndarray) -> np.ndarray | None:
    """Return which views (N,) are of the shorter of two exposures, or None where there is one.

    The photons (N,) of the views fall into two groups, by the least variance of their logarithms within the groups
    (Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979)), with a wide gap between: views at the edge of a part of the
    sample that absorbs would fill it.
    """
    lit = np.flatnonzero(photons > 0)
    fewest = max(FEWEST, int(SHARE * len(lit)))
    if len(lit) < 2 * fewest:
        return None
    order = lit[np.argsort(photons[lit])]
    light = np.log(photons[order])
    count = np.arange(1, len(light))
    low = np.cumsum(light)[:-1] / count
    high = (light.sum() - np.cumsum(light)[:-1]) / (len(light) - count)
    between = count * (len(light) - count) * (high - low) ** 2
    cut = int(between.argmax())
    apart = high[cut] - low[cut]
    split = min(count[cut], len(light) - count[cut]) >= fewest
    if not split or apart < np.log(APART) or light[cut + 1] - light[cut] < GAP * apart:
        return None
    found = np.zeros(len(photons), bool)
    found[order[: cut + 1]] = True
    return found


def of_one_exposure(data: PtychoData, whole: bool, seed: int = 0) -> PtychoData:
    """Return data whose views have one exposure, as they are where they have.

    Where counts are ``whole``, photons of the brighter views are left out by chance (drawn by ``seed``), which leaves
    counts of Poisson statistics; else the dim views are made brighter.
    """
    photons = data.photons()
    dim = dim_exposure(photons)
    if dim is None:
        return data
    ratio = float(np.median(photons[dim]) / np.median(photons[(photons > 0) & ~dim]))
    counts = data.intensities[:].copy()
    if whole:
        thinned = np.random.default_rng(seed).binomial(counts[~dim].astype(np.int64), ratio)
        counts[~dim] = thinned.astype(counts.dtype)
    else:
        counts = counts.astype(np.float32)
        counts[dim] /= ratio
    return data.replace(intensities=counts)
