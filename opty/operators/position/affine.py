"""An affine map of all positions at once, and the object with them: what the residuals of the views ask for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from opty.model.views import Windows
from opty.operators.position.evidence import block_sums, window_slopes
from opty.operators.position.signals import other_light
from opty.state.views import Batch, memory_batch

NUMBERS = 6  # a row of B and a common shift, for each axis
_ARRAYS = 4  # of the size of the waves that are worked on at once


class AffineStep(NamedTuple):
    """A step B of positions x -> c + (I + B)(x - c), (2, 2), and the covariance (4, 4) of its elements, row by row."""

    matrix: np.ndarray
    covariance: np.ndarray


def affine_step(store: Any, every: int = 1, light: Any = None) -> AffineStep:
    """Return the step B by which the views of a state fit better.

    Where all positions are too wide by a factor, the object that they make is so as well, and each view sees it too
    wide about the middle of its own window: no view asks to be moved. So the object is mapped with the positions,
    O(r) -> O(c + (I + B)^-1 (r - c)), and the window of a view changes by -(B u) . grad O, u from the middle of the
    probe. With dI that change of the counts expected, and r = I - Ihat, B minimises the sum over all pixels and views
    of (r - dI)^2 / (Ihat + 1); a shift common to all windows is free beside it. Object and probe are held: where the
    probe follows the map in part, B is too short.

    Residuals of views that made the object serve where the positions may have moved: the object follows them and is no
    obstacle to the map; but noise that it holds then looks like a small one.

    Parameters
    ----------
    store : of the state. every : the curvature and the noise of the slope are measured on each ``every``-th view.
    light : (H, W), that of all views on the object; each pixel then counts by the share of it that is other views'.

    The covariance is C^-1 N C^-1, C the curvature and N the sum of the squares of what 8 x 8 blocks of the patterns
    say of the slope, as in ``measured_evidence``. The tangent is opty's.
    """
    host, (slope, curvature, noise) = store.backend.to_host, store.summed(lambda part: _sums(part, every, light))
    inverse = np.linalg.pinv(host(curvature))
    free = [0, 1, 3, 4]  # without the shifts
    matrix = (inverse @ host(slope)).reshape(2, 3)[:, :2]
    return AffineStep(matrix, (inverse @ host(noise) @ inverse)[np.ix_(free, free)])


def _sums(store: Any, every: int, light: Any) -> tuple[Any, Any, Any]:
    """Return slope (6,), curvature (6, 6) and noise (6, 6) of the views of a store, those of all scaled from some."""
    xp, views = store.xp, store.data.views
    places = [
        xp.asarray(a, dtype=store.real_dtype) for a in _from_the_middle(store.backend.to_host(store.leaves["probe"]))
    ]
    slope = xp.zeros(NUMBERS, np.float64)
    curvature, noise = (xp.zeros((NUMBERS, NUMBERS), np.float64) for _ in range(2))
    size = max(1, memory_batch(store) // _ARRAYS)
    for first in range(0, views, size):
        number = np.arange(first, min(first + size, views))
        slope += _slope(store, Batch.at(store, number), places, light)
    closer = np.arange(0, views, every)
    for first in range(0, len(closer), size):
        bent, scatter = _curvature(store, Batch.at(store, closer[first : first + size]), places, light)
        curvature += bent
        noise += scatter
    grown = views / max(len(closer), 1)
    return slope, curvature * grown, noise * grown


def _from_the_middle(probe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns (n, n) from the centre of mass of a probe (M, n, n) [px]."""
    power = (np.abs(probe) ** 2).sum(axis=0)
    rows, columns = np.indices(power.shape, dtype=float)
    return rows - (rows * power).sum() / power.sum(), columns - (columns * power).sum() / power.sum()


def _slopes(store: Any, b: Any, light: Any) -> list[Any]:
    """Return the slopes of the object windows along rows and columns, times the share of the light of other views."""
    slopes = window_slopes(b.patches)
    if light is not None:
        share, _ = other_light(store, b, light)
        for along in slopes:
            along *= share if along.ndim == 3 else share[:, None]
    return list(slopes)


def _compared(store: Any, b: Any) -> tuple[Any, Any, Any]:
    """Return the waves at the detector, 1 / sqrt(Ihat + 1) where pixels count and 0 elsewhere, and the residuals
    (B, n, n) times that.
    """
    there = b.at_detector(b.exit_waves(), True)
    expected = b.intensity(there)
    if store.incoherent is not None:
        expected = expected + store.incoherent
    weight = 1 / store.xp.sqrt(expected + 1)
    if (mask := store.measured.mask_of(b.selection)) is not None:
        weight = weight * mask
    return there, weight, (b.measured(expected) - expected) * weight


def _slope(store: Any, b: Any, places: list[Any], light: Any) -> Any:
    there, weight, residual = _compared(store, b)
    pulled = b.pulled(2 * weight * residual)
    asked, _ = b.gather("obj", b.from_detector(there * pulled[:, None]))
    asked = asked.conj()
    found = []
    for along in _slopes(store, b, light):
        product = (asked * along).real
        image = product.sum(axis=tuple(range(product.ndim - 2)), dtype=np.float64)
        found += [-(image * place).sum() for place in (*places, 1.0)]
    return store.xp.stack(found)


def _curvature(store: Any, b: Any, places: list[Any], light: Any) -> tuple[Any, Any]:
    xp = store.xp
    there, weight, residual = _compared(store, b)
    found = xp.empty((b.size, NUMBERS, b.n, b.n), store.real_dtype)
    windows = (-along * place for along in _slopes(store, b, light) for place in (*places, 1.0))
    for k, window in enumerate(windows):
        moved = b.at_detector(b.tangent({"obj": Windows(window.astype(store.dtype, copy=False))}), True)
        found[:, k] = b.seen(2 * (there.real * moved.real + there.imag * moved.imag).sum(axis=1)) * weight
    flat = found.swapaxes(0, 1).reshape(NUMBERS, -1)
    curvature = (flat @ flat.T).astype(np.float64)
    found *= residual[:, None]
    blocks = block_sums(xp, found).swapaxes(0, 1).reshape(NUMBERS, -1).astype(np.float64)
    return curvature, blocks @ blocks.T
