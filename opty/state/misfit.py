"""How well object, probe and positions predict the data: one forward pass over all views, nothing updated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.state.store import Store
from opty.state.views import Batch, sweep_batches


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
    xp = store.xp
    total = xp.zeros(6)
    for _, intensity, predicted, mask in predictions(store, some=True):
        amplitude = xp.sqrt(intensity)
        difference = amplitude - xp.sqrt(predicted)
        parts = (difference**2, abs(difference), intensity, predicted, amplitude, xp.ones_like(predicted))
        total += xp.stack([(part * mask).sum(dtype=np.float64) for part in parts])
    return Comparison(*(float(v) for v in store.backend.to_host(store.total(total))))


def predictions(store: Store, some: bool = False) -> Iterator[tuple[Batch, Any, Any, Any]]:
    """Yield, batch by batch, the batch, its counts and what is predicted (B, n, n), and the mask (1 or B, n, n) bool.

    In the order of the transform, on the device; background included. ``some`` : see ``sweep_batches``.
    """
    for b in sweep_batches(store, some):
        yield b, *predicted(b)


def predicted(b: Batch) -> tuple[Any, Any, Any]:
    """Return the counts of a batch and what is predicted (B, n, n), and the mask (1 or B, n, n) bool."""
    store, xp, measured = b.store, b.store.xp, b.store.measured
    found = b.intensity(b.at_detector(b.exit_waves(), True))
    if store.incoherent is not None:
        found += store.incoherent
    mask = measured.mask_of(b.selection)
    mask = xp.ones((1, *found.shape[1:]), bool) if mask is None else mask
    return b.measured(found), found, mask[None] if mask.ndim == 2 else mask
