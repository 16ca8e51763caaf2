"""Are the frames of a near field shifted against their positions? Its images tell, by where they are alike."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree

from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.near_field import image_spectra, repeats
from opty.analysis.orientation import WAYS, Orientation
from opty.data import PtychoData
from opty.data.frame_order import frame_order

NEIGHBOURS = 24  # of each view: more than for a map, as the correlation of few pairs stands out
SHIFTS = (1, -1, 2, -2)
CUTS = 24  # frames from which on a shift is tried
SURE = 4.0  # standard errors by which images must be more alike
SIMPLER = 0.9  # times what a shift from a frame on gains, which one of all frames must gain to be named instead
AROUND = np.indices((3, 3)).reshape(2, -1).T - 1  # px round where an image must be


def shift_of_frames(data: PtychoData, frames: Frames, most_repeats: float) -> str | None:
    """Return the order of the frames, "shift:1" say, in which images are alike where positions put them, or None.

    Images at neighbouring positions are correlated, and the correlation is read where the positions of an order put
    it, minus their difference in pixels, to about a pixel. It need not be the largest there, as it is not behind a
    strong diffuser: the sum over all pairs is compared with that of the positions as given, and with axes turned.

    Parameters: data of a near field; its frames as looked at; the correlation of an image with itself elsewhere
    (``ImageShift.repeats``) from which on nothing is told.
    """
    found = image_spectra(data, frames)
    if found is None or data.pixel is None:
        return None
    views, spectra = found
    if repeats(spectra) > most_repeats:
        return None
    first = [int(cut) for cut in np.unique(np.linspace(2, data.views - 3, CUTS).astype(int))]
    names = [f"shift:{shift}" for shift in SHIFTS]
    names += [f"shift:{shift}@{cut}" for shift in (1, -1) for cut in first]
    given = data.positions_px
    turned = [Orientation(*way, np.nan).apply(given) for way in WAYS]
    places = [*turned, *(_places(given, frame_order(name, given)) for name in names)]
    alike = _alike(views, spectra, given, np.stack(places))
    ways, orders = alike[: len(WAYS)], dict(zip(names, alike[len(WAYS) :], strict=True))
    best = max(orders, key=lambda name: float(np.nansum(orders[name] - ways[0])))
    whole = best.partition("@")[0]
    if np.nansum(orders[whole] - ways[0]) > SIMPLER * np.nansum(orders[best] - ways[0]):
        best = whole
    for way in ways:
        change = orders[best] - way
        if not np.nansum(change) > SURE * math.sqrt(np.nansum(change**2)):
            return None
    return best


def _places(given: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the positions (N, 2) of the frames in an order, NaN where one has none."""
    return np.where(order[:, None] < 0, np.nan, given[order])


def _alike(views: np.ndarray, spectra: np.ndarray, given: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the correlation (T, pairs) of images where each of T positions (T, N, 2) [px] of the views puts them.

    Pairs are neighbours in the positions ``given``; NaN where a view has no position.
    """
    size, count = spectra.shape[1], min(NEIGHBOURS, len(views) - 1)
    near = cKDTree(given[views]).query(given[views], k=count + 1)[1][:, 1:]
    pairs = np.unique(np.sort(np.stack([np.repeat(np.arange(len(views)), count), near.ravel()], 1), 1), axis=0)
    found = np.empty((len(places), len(pairs)))
    for k, (one, other) in enumerate(pairs):
        image = np.fft.irfft2(spectra[one].conj() * spectra[other], s=(size, size))
        apart = places[:, views[one]] - places[:, views[other]]
        there = np.isfinite(apart).all(axis=1)
        shift = np.rint(np.where(there[:, None], apart, 0)).astype(int)
        rows, columns = (shift[:, None] + AROUND).transpose(2, 0, 1) % size
        found[:, k] = np.where(there, image[rows, columns].max(axis=1), np.nan)
    return found
