"""Views that went astray: where else could they lie? Places are found by correlation and tried at the detector."""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy.ndimage import minimum_filter

from opty.model.sample import transmission
from opty.operators.fourier import intensity_of
from opty.operators.merge import each
from opty.state.views import Batch, memory_batch

_PEAKS = 4  # minima that are looked at
_COMBED = 4  # views in one search for which places all over the circle are tried
_BETTER = 0.2  # of the excess of the misfit: in a part without structure every place is as good, and noise would rule
# Of the excess that may be left at a place far off. Views that came home had 0.01 to 0.23 left; those that an
# unfinished object threw off, 0.26 to 0.8.
_LEFT = 0.2


def trial_misfits(s, views, positions, whole: bool = False):
    """Return the misfits (K,) float64 that views (K,) would have at positions (K, 2) px, all else as it is.

    sum w (sqrt I - sqrt Ihat)^2 of each; the windows must lie inside the object. ``whole`` says that all positions are
    whole pixels.
    """
    return s.store.of_each(functools.partial(_misfits_of, whole), views, positions)


def _misfits_of(whole: bool, s, views, positions):
    out = s.xp.empty(len(views), np.float64)
    size = memory_batch(s)
    for first in range(0, len(views), size):
        some = slice(first, first + size)
        out[some] = _misfits(s, Batch.at(s, views[some], positions[some], whole))
    return out


def _misfits(s, b):
    there = b.at_detector(b.exit_waves(), True)
    predicted = intensity_of(s, b, there)
    gap = s.xp.sqrt(b.measured(predicted))
    gap -= s.xp.sqrt(predicted)
    if (mask := s.measured.mask_of(b.selection)) is not None:
        gap *= mask
    gap *= gap
    return gap.sum(axis=(1, 2), dtype=np.float64)


def found_places(s, views, usual, astray, reach: int, near: float = math.inf, far=True):
    """Return where views (K,) numbers, the worst first, fit best within ``reach`` px of where they are, (K, 2) px.

    The exit wave of a view, with the measured modulus put on it, is a picture of the object as the view knows it, be it
    in the wrong place. E(d) = ||psi'||^2 - 2 |sum conj(psi') P O(r + d)| + sum |P|^2 |O(r + d)|^2 says how well it fits
    the object at every whole-pixel shift d, by a few Fourier transforms; one of its minima is the object that the view
    itself has made where it is. The lowest of the others are tried at the detector, with their neighbours. For the
    first few views marked in ``astray`` (K,) bool that this does not help, places all over the circle are tried.
    ``usual`` (K,) are the misfits that the views should have: a place within ``near`` px is taken where the excess over
    them falls by a fifth, one farther off where it falls to a fifth, and ``far`` says, (K,) bool or for all, that the
    view may go there: views fit an unfinished object a little better in many places. A view whose place is no number
    stays there, for the watch to see.
    """
    places, to_host, store = s.positions[s.backend.asarray(views)], s.backend.to_host, s.store
    looked = np.flatnonzero(np.isfinite(to_host(places)).all(axis=1))
    usual, astray = s.backend.asarray(np.stack([usual, np.broadcast_to(far, len(views))], axis=1)), np.asarray(astray)
    for proposed, most in ((_proposed, None), (_combed, _COMBED)):
        looked = looked[:most]
        some = s.backend.asarray(looked)
        work = functools.partial(_found, proposed, reach, near)
        found = store.of_each(work, views[looked], places[some], usual[some])
        better = to_host(found[:, 2] > 0)
        some = s.backend.asarray(looked[better])
        places[some] = found[s.backend.asarray(np.flatnonzero(better)), :2]
        looked = looked[~better & astray[looked]]
    return places


def _found(proposed, reach: int, near: float, s, views: np.ndarray, places, usual):
    """Return the best of the places proposed for each view that are clearly better, and whether one is, (K, 3)."""
    out = np.zeros((len(views), 3))
    usual, far = s.backend.to_host(usual).T
    for k, view in enumerate(views.tolist()):
        here = float(trial_misfits(s, views[k : k + 1], places[k : k + 1])[0])
        excess = here - usual[k]
        tried = proposed(s, Batch.at(s, np.array([view])), reach)
        if not len(tried):
            continue
        better = here - _BETTER * abs(excess)
        much_better = min(better, usual[k] + _LEFT * excess) if far[k] else -math.inf
        distance = np.hypot(*(tried - s.backend.to_host(places)[k]).T)
        misfits = _tried(s, view, tried)
        misfits[~(misfits < np.where(distance > near, much_better, better))] = math.inf
        if np.isfinite(misfits.min()):
            out[k] = *tried[misfits.argmin()], 1
    return s.backend.asarray(out)


def _tried(s, view: int, places: np.ndarray) -> np.ndarray:
    return s.backend.to_host(trial_misfits(s, np.full(len(places), view), s.backend.asarray(places), whole=True))


def _proposed(s, b, reach: int) -> np.ndarray:
    """Return whole-pixel places (K, 2) float64 round the lowest minima of E, but not where the view is."""
    corner, low, high = _room(s, b, reach)
    distance = s.backend.to_host(_wave_distance(s, b, reach))
    distance = distance[tuple(slice(reach + a, reach + z + 1) for a, z in zip(low, high, strict=True))]
    minima = np.argwhere(distance == minimum_filter(distance, 5))
    minima = minima[np.argsort(distance[tuple(minima.T)])] + low
    return corner + _with_neighbours(minima[np.abs(minima).max(axis=1) > 1][:_PEAKS], low, high)


def _combed(s, b, reach: int) -> np.ndarray:
    """Return whole-pixel places (K, 2) float64 round the best of places three pixels apart."""
    corner, low, high = _room(s, b, reach)
    axes = [np.arange(a - a % -3, z + 1, 3) for a, z in zip(low, high, strict=True)]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    shifts = shifts[np.hypot(*shifts.T) <= reach]
    best = shifts[np.argsort(_tried(s, int(b.leaves["index"][0]), (corner + shifts).astype(np.float64)))]
    return corner + _with_neighbours(best[:_PEAKS], low, high)


def _room(s, b, reach: int):
    """Return the corner (2,) of a view's window, and the lowest and highest shifts (2,) that keep it in the object."""
    corner = s.backend.to_host(b.corners)[0].astype(np.float64)
    low, high = -np.minimum(corner, reach), np.minimum(np.array(s.object_shape) - s.data.n - corner, reach)
    return corner, low.astype(int), high.astype(int)


def _with_neighbours(shifts: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    around = np.indices((3, 3)).reshape(2, -1).T - 1
    return np.unique(np.clip((shifts[:, None] + around).reshape(-1, 2), low, high), axis=0)


def _wave_distance(s, b, reach: int):
    """Return E(d) without its constant, (2 reach + 1, 2 reach + 1) real; nothing lies beyond the object."""
    xp, backend, n = s.xp, s.backend, s.data.n
    there = b.at_detector(b.exit_waves(), True)
    b.put_modulus(there, s.incoherent, False)
    psi = b.from_detector(there)
    size = n + 2 * reach
    inside, taken = _overlap(backend.to_host(b.corners)[0] - reach, size, s.object_shape)
    obj = s.store.leaves["obj"]
    states = each(obj if s.model.mixture else transmission(obj, False))
    around = xp.zeros((len(states), size, size), s.dtype)
    around[:, *taken] = states[:, *inside]

    def correlated(window, image):
        """sum_r conj(window(r)) image(r + d)."""
        padded = xp.zeros((size, size), s.dtype)
        padded[:n, :n] = window
        spectrum = backend.fft2(padded, True).conj()
        spectrum *= backend.fft2(image.astype(s.dtype), True)
        return backend.ifft2(spectrum, True)[: 2 * reach + 1, : 2 * reach + 1] * size

    incident = b.incident[0]
    # States that were made behind the object saw the same light.
    psi = psi[0].reshape(len(incident), len(states), -1, n, n).sum(axis=2)
    light = correlated((xp.abs(incident) ** 2).sum(axis=0), (xp.abs(around) ** 2).sum(axis=0)).real
    asked = (incident.conj()[:, None] * psi).sum(axis=0)
    return light - 2 * xp.abs(sum(correlated(one, image) for one, image in zip(asked, around, strict=True)))


def _overlap(corner, size: int, shape):
    """Return the slices of an object under a window, which may lie partly outside, and those of the window."""
    inside, taken = [], []
    for low, length in zip(corner.tolist(), shape, strict=True):
        first, last = max(low, 0), min(low + size, length)
        inside.append(slice(first, last))
        taken.append(slice(first - low, last - low))
    return tuple(inside), tuple(taken)
