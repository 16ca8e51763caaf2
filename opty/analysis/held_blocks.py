"""The score of a recipe: blocks of detector pixels, others in each view, that it has not seen and has to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.state import BareState, handle
from opty.state.misfit import predictions
from opty.state.views import sweep_batches

SHARE = 0.06  # of the pixels that are held out
_EDGE = 32  # blocks along the edge of a pattern


@dataclass(frozen=True)
class Withheld:
    """A measurement in two parts: ``fitted`` without the blocks that are held out, ``blocks`` with these alone."""

    fitted: PtychoData
    blocks: PtychoData


def withhold(data: PtychoData, seed: int = 0) -> Withheld:
    """Hold six percent of the detector pixels out, in blocks of n / 32 pixels that are drawn for each view.

    Every view stays in the fit, so that what belongs to a view (its position, its intensity) can be fitted, and the
    blocks tell whether it was fitted to light or to noise. Masked pixels are in neither part. Of a view that the draw
    would leave without a pixel in one of the two, one pixel goes there.

    Parameters: data, whose frames are read into memory for the masks (N, n, n) bool; ``seed`` of the blocks.
    Source: the free R factor of Brunger, Nature 355, 472 (1992), with blocks of pixels left out.
    """
    rng = np.random.default_rng(seed)
    edge = max(1, data.n // _EDGE)
    tiles = -(-data.n // edge)
    out = np.empty((data.views, data.n, data.n), bool)
    for view in out:
        drawn = rng.random((tiles, tiles)) < SHARE
        view[...] = np.kron(drawn, np.ones((edge, edge), bool))[: data.n, : data.n]
    counts = np.broadcast_to(True if data.mask is None else data.mask[:], out.shape)
    for view, some in zip(out, counts, strict=True):
        _in_both(view, some)
    return Withheld(data.replace(mask=~out & counts), data.replace(mask=out & counts))


def _in_both(out: np.ndarray, counts: np.ndarray) -> None:
    """Make both parts of a view, ``out`` and the rest, hold one of the pixels that count; ValueError for one pixel."""
    places = np.flatnonzero(counts)
    drawn = out.flat[places]
    if drawn.any() and not drawn.all():
        return
    if len(places) < 2:
        raise ValueError("the mask leaves one pixel of a view, and a view takes two or more to hold some out")
    out.flat[places[len(places) // 2]] = not drawn[0]


def on(p: BareState, data: PtychoData) -> Any:
    """Return a state with the estimates of ``p`` on another measurement of the same views."""
    store = p._live
    leaves = {name: p.numpy(name) for name in store.leaves if store.layout[name].role not in ("slot", "array")}
    books: dict[str, Any] = {
        "origin": store.origin,
        "seed": store.seed,
        "iteration": store.iteration,
        "history": store.history,
    }
    machine: dict[str, Any] = {"device": p.device, "threads": p.threads, "deterministic": p.deterministic}
    return handle().restore(data, leaves, recipe=store.recipe, model=store.model, **books, **machine)


def deviances(p: BareState) -> tuple[np.ndarray, np.ndarray]:
    """Return the deviance of the counts of each view from what a state predicts (N,), and the pixels they are of (N,).

    D = 2 sum [Ihat - I + (I + 1) log((I + 1) / (Ihat + 1))] over unmasked pixels: the Poisson likelihood shifted by one
    photon. Its expectation is least where Ihat is that of I, for counts of any distribution, and dark pixels do not
    rule it. A perfect model of well-lit pixels has 1 a pixel.

    Source: Snyder et al., J. Opt. Soc. Am. A 12, 272 (1995) for the shift.
    """
    store = p._live
    xp, views = store.xp, p.data.views
    found, pixels = np.zeros(views), np.zeros(views)
    for b, counts, predicted, mask in predictions(store):
        terms = deviance(xp, counts.astype(predicted.dtype), predicted)
        found[b.number] = store.backend.to_host((terms * mask).sum(axis=(1, 2), dtype=np.float64))
        pixels[b.number] = store.backend.to_host((xp.ones_like(terms) * mask).sum(axis=(1, 2)))
    return found, pixels


def deviance(xp: Any, counts: Any, predicted: Any) -> Any:
    """Return what each pixel adds to the deviance of ``deviances``; ``xp`` is the arrays' module, NumPy or CuPy."""
    return 2 * (predicted - counts + (counts + 1) * xp.log((counts + 1) / (predicted + 1)))


def noise_deviance(p: BareState, blocks: PtychoData, seed: int = 0) -> float:
    """Return the deviance a held-out pixel that counts with the predicted expectation would have, by drawing some."""
    q, rng = on(p, blocks), np.random.default_rng(seed)
    store = q._live
    total = pixels = 0.0
    for b in sweep_batches(store):
        there = b.at_detector(b.exit_waves(), True)
        predicted = b.intensity(there)
        if store.incoherent is not None:
            predicted += store.incoherent
        expected = store.backend.to_host(predicted).astype(np.float64)
        mask = np.broadcast_to(store.backend.to_host(store.measured.mask_of(b.selection)), expected.shape)
        expected = expected[mask]
        counts = rng.poisson(expected)
        total += 2 * float((expected - counts + (counts + 1) * np.log((counts + 1) / (expected + 1))).sum())
        pixels += expected.size
    return total / pixels
