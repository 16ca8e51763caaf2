"""The score of a start: views that a short run has not seen are predicted from what it made of the others."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.operator import Operator
from opty.data import PtychoData
from opty.data.parts import chosen
from opty.errors import DivergedError, MemoryWarning, MisfitWarning
from opty.runtime.execute import run
from opty.state import handle
from opty.state.views import sweep_batches

if TYPE_CHECKING:
    from opty.state import BareState

SHARE = 0.2  # of the views that are held out


@dataclass(frozen=True)
class HeldOut:
    """What a run predicts of views that it has not seen.

    ``squares`` (K,): sum of (sqrt I - sqrt Ihat)^2 over the unmasked pixels of
    each; ``light``: sum of I over all. Where the run diverged, squares are infinite.
    """

    squares: np.ndarray
    light: float

    @property
    def misfit(self) -> float:
        """Sum of the squares over the light (no unit), as ``opty.misfit``."""
        found = float(self.squares.sum()) / self.light if self.light > 0 else math.inf
        return found if math.isfinite(found) else math.inf


def held_out_misfit(data: PtychoData, probe: np.ndarray, recipe: Operator, seed: int = 0, **machine: Any) -> float:
    """Return the misfit of views that were held out, after a recipe on the others; see ``held_out``."""
    return held_out(data, probe, recipe, seed, **machine).misfit


def held_out(data: PtychoData, probe: np.ndarray, recipe: Operator, seed: int = 0, **machine: Any) -> HeldOut:
    """Return how views that were held out are predicted, after a recipe on the others.

    A fifth of the views, drawn by ``seed``, are left out; ``recipe`` runs on the others from ``probe`` and a flat
    object; the views left out are then predicted by its object and probe. What fits its own views by an object made for
    them alone, as a run from a wrong probe does, predicts no others.

    Parameters
    ----------
    data : PtychoData, whose views overlap. probe : (n, n) or (M, n, n) complex, of any power: it gets that of the
        brightest view. machine : device, threads.

    Returns
    -------
    HeldOut : squares of each view; infinite where the run diverges. Raises ValueError for less than five views.

    Source: the free R factor of Brunger, Nature 355, 472 (1992), with whole views left out.
    """
    if data.views < 5:
        raise ValueError(f"the scan has {data.views} views; to hold some out takes five or more")
    order = np.random.default_rng(seed).permutation(data.views)
    count = max(1, round(SHARE * data.views))
    left_out, fitted = np.sort(order[:count]), np.sort(order[count:])
    power = float(data.photons().max())
    probe = probe * math.sqrt(power / (np.abs(probe) ** 2).sum())
    whole = handle()(data, probe=probe, device="cpu")
    flat, corners = np.ones(whole.obj.shape, np.complex64), whole.numpy("positions") * (data.pixel or 1.0)
    data = data.replace(positions=corners, truth=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        warnings.simplefilter("ignore", MemoryWarning)
        try:
            p = run(recipe, handle()(chosen(data, fitted), probe=probe, obj=flat, **machine))
        except DivergedError:
            return HeldOut(np.full(count, np.inf), 1.0)
    q = handle()(chosen(data, left_out), probe=p.numpy("probe"), obj=p.numpy("obj"), **machine)
    return HeldOut(*_squares(q))


def _squares(p: BareState) -> tuple[np.ndarray, float]:
    """Return the sum of (sqrt I - sqrt Ihat)^2 of each view (N,), and that of I over all."""
    store = p._live
    xp, measured = store.xp, store.measured
    found, light = np.zeros(p.data.views), 0.0
    for b in sweep_batches(store):
        predicted = b.intensity(b.at_detector(b.exit_waves(), True))
        if store.incoherent is not None:
            predicted += store.incoherent
        intensity = b.measured(predicted)
        mask = measured.mask_of(b.selection)
        mask = xp.ones((1, 1), bool) if mask is None else mask
        squares = (xp.sqrt(intensity) - xp.sqrt(predicted)) ** 2
        some = store.backend.to_host(b.leaves["index"])
        found[some] = store.backend.to_host((squares * mask).sum(axis=(1, 2), dtype=np.float64))
        light += float((intensity * mask).sum(dtype=np.float64))
    return found, light
