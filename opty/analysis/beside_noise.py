"""A result beside counting noise: its misfit, and pixels that a run of any model has not seen."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.check.trials import root_variance
from opty.analysis.held_blocks import deviances, noise_deviance, on, withhold
from opty.errors import DivergedError, MisfitWarning
from opty.recipes import rPIE
from opty.runtime.execute import run
from opty.state.misfit import compare, predictions

if TYPE_CHECKING:
    from opty.state import BareState

AGAIN = rPIE(alpha=0.1, batch=8).fix("probe") ** 40  # for the object of any model, several slices too


def pixels_beside_noise(p: BareState) -> float:
    """Return the deviance of pixels held out over that of counting noise, after a run from a flat object.

    Everything else, such as the probe, its weights, and spacings, is as in the result.
    """
    held = withhold(p.data)
    flat = p.replace(obj=np.ones(p.obj.shape, p.obj.dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        try:
            found = on(run(AGAIN, on(flat, held.fitted)), held.blocks)
        except DivergedError:
            return math.inf
    squares, pixels = deviances(found)
    return float(squares.sum() / pixels.sum()) / noise_deviance(found, held.blocks)


def noise_misfit(p: BareState) -> float:
    """Return the misfit that counts have whose expectation is what a state predicts (no unit).

    sum E (sqrt k - sqrt Ihat)^2 / sum I over unmasked pixels of all views, k of a Poisson law of mean Ihat.
    """
    total = 0.0
    for b, _, predicted, mask in predictions(p._live):
        to_host = b.store.backend.to_host
        total += float((root_variance(to_host(predicted).astype(np.float64)) * to_host(mask)).sum())
    return total / compare(p._live).measured
