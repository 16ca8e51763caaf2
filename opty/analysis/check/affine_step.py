"""An affine map of all positions at once: the Gauss-Newton step that the residuals of some views ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opty.model.views import Windows
from opty.operators.position.evidence import window_slopes
from opty.state.views import sweep_batches

if TYPE_CHECKING:
    from opty.state import BareState

NUMBERS = 6  # a row of B and a common shift, for each axis


def affine_step(p: BareState) -> np.ndarray:
    """Return the step B (2, 2) of positions x -> c + (I + B)(x - c) by which the views of a state fit better.

    Where all positions are too wide by a factor, the object that they make is so as well, and each view sees it too
    wide about the middle of its own window: no view asks to be moved. So the object is mapped with the positions,
    O(r) -> O(c + (I + B)^-1 (r - c)), and the window of a view changes by -(B u) . grad O, u from the middle of the
    probe. With dI that change of the counts expected, and r = I - Ihat, B minimises the sum over all pixels and views
    of (r - dI)^2 / (Ihat + 1); a shift common to all windows is free beside it.

    The residuals have to be those of views that did not make the object: noise that it holds looks like a stretch.

    Returns: B (no unit). The tangent is opty's.
    """
    store = p._live
    xp, host = store.xp, store.backend.to_host
    places = [xp.asarray(a, dtype=store.real_dtype) for a in _from_the_middle(p.probe)]
    slope, curvature = np.zeros(NUMBERS), np.zeros((NUMBERS, NUMBERS))
    for b in sweep_batches(store):
        changes, residual = _changes(store, b, places)
        slope += host(changes @ residual)
        curvature += host(changes @ changes.T)
    return np.asarray((np.linalg.pinv(curvature) @ slope).reshape(2, 3)[:, :2])


def _from_the_middle(probe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns (n, n) from the centre of mass of a probe (M, n, n) [px]."""
    power = (np.abs(probe) ** 2).sum(axis=0)
    rows, columns = np.indices(power.shape, dtype=float)
    return rows - (rows * power).sum() / power.sum(), columns - (columns * power).sum() / power.sum()


def _changes(store: Any, b: Any, places: list[Any]) -> tuple[Any, Any]:
    """Return the changes (6, B n n) of the counts expected for the six numbers, and their residuals (B n n), over
    sqrt(Ihat + 1); zero where pixels are masked.
    """
    xp = store.xp
    there = b.at_detector(b.exit_waves(), True)
    expected = b.intensity(there)
    if store.incoherent is not None:
        expected = expected + store.incoherent
    weight = 1 / xp.sqrt(expected + 1)
    if (mask := store.measured.mask_of(b.selection)) is not None:
        weight = weight * mask
    residual = (b.measured(expected) - expected) * weight
    found = []
    for along in window_slopes(b.patches):
        for place in (*places, None):
            window = -along if place is None else -along * place
            moved = b.at_detector(b.tangent({"obj": Windows(window)}), True)
            change = b.seen(2 * (there.real * moved.real + there.imag * moved.imag).sum(axis=1))
            found.append((change * weight).ravel())
    return xp.stack(found), residual.ravel()
