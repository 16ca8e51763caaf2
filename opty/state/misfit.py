"""How well object, probe and positions predict the data: one forward pass over all views, nothing updated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.state.views import sweep_batches


@dataclass(frozen=True)
class Comparison:
    """Sums over unmasked pixels of all views: squares and moduli of sqrt I - sqrt Ihat, I, Ihat and sqrt I."""

    squares: float
    moduli: float
    measured: float
    predicted: float
    amplitudes: float
    pixels: float


def compare(s: Any) -> Comparison:
    """Return the sums for what an operator or a state sees of a store, as it stands; one forward pass."""
    store = s.store
    xp, measured = store.xp, store.measured
    total = xp.zeros(6)
    for b in sweep_batches(store):
        there = b.at_detector(b.exit_waves(), True)
        predicted = (xp.abs(there) ** 2).sum(axis=1)
        if store.incoherent is not None:
            predicted += store.incoherent
        intensity = measured.intensity_of(b.selection)
        amplitude = xp.sqrt(intensity, dtype=predicted.dtype)
        difference = amplitude - xp.sqrt(predicted)
        mask = measured.mask_of(b.selection)
        mask = xp.ones((1, 1), bool) if mask is None else mask
        parts = (difference**2, abs(difference), intensity, predicted, amplitude, xp.ones_like(predicted))
        total += xp.stack([(part * mask).sum(dtype=np.float64) for part in parts])
    return Comparison(*(float(v) for v in store.backend.to_host(total)))
