"""The score of a start: views that a short run has not seen are predicted from what it made of the others."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.misfit import misfit
from opty.data import PtychoData
from opty.data.parts import chosen
from opty.errors import DivergedError, MemoryWarning, MisfitWarning
from opty.runtime.execute import run
from opty.state import handle

SHARE = 0.2  # of the views that are held out


def held_out_misfit(data: PtychoData, probe: np.ndarray, recipe: Operator, seed: int = 0, **machine: Any) -> float:
    """Return the misfit of views that were held out, after a recipe on the others.

    A fifth of the views, drawn by ``seed``, are left out; ``recipe`` runs on the others from ``probe`` and a flat
    object; the views left out are then predicted by its object and probe. What fits its own views by an object made for
    them alone, as a run from a wrong probe does, predicts no others.

    Parameters
    ----------
    data : PtychoData, whose views overlap. probe : (n, n) or (M, n, n) complex, of any power: it gets that of the
        brightest view. machine : device, threads.

    Returns
    -------
    float : misfit as ``opty.misfit`` (no unit); infinity where the run diverges. Raises ValueError for less than five
    views.

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
            return math.inf
    q = handle()(chosen(data, left_out), probe=p.numpy("probe"), obj=p.numpy("obj"), **machine)
    found = misfit(q)
    return found if math.isfinite(found) else math.inf
