"""Parts of a measurement: every other view, half of the counts of every view, or nearly all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from opty.algebra.operator import Identity
from opty.data import PtychoData
from opty.data.parts import chosen
from opty.remedies import option
from opty.state import BareState, handle
from opty.state.start import first_object

_AROUND = 12  # neighbours by which the half of a view is decided
FEWEST = 8  # views, of which each half gets four


def in_halves(start: BareState, split: str, seed: int = 0) -> tuple[BareState, BareState]:
    """Return two states that start as ``start`` does, each with half of its measurement; see ``resolution``."""
    data = start.data
    data.need_frames()
    if split == "counts":
        every = np.arange(data.views)
        heads, tails = (_on(start, half, every, 0.5) for half in thinned(data, seed))
        return heads, tails
    if split != "views":
        raise ValueError(f'split is {split!r}; give "views" for half scans, or "counts" for half doses')
    first = alternating(data.positions_px)
    parts = np.flatnonzero(first), np.flatnonzero(~first)
    one, two = (_on(start, chosen(data, part), part, 1.0) for part in parts)
    return one, two


def alternating(positions: np.ndarray) -> np.ndarray:
    """Choose half of the views (N,) bool so that they are spread evenly: on a grid a chess board.

    Each view, in turn, goes to the half that is less near to it; the halves differ by one view at most.

    Raises ValueError for fewer than 8 views.
    """
    views = len(positions)
    if views < FEWEST:
        raise ValueError(f"{views} views: halves of fewer than {FEWEST} tell nothing; split the counts instead")
    distance, index = cKDTree(positions).query(positions, k=min(_AROUND + 1, views))
    width = max(float(np.median(distance[:, 1])), 1e-9)
    weight = np.exp(-((distance / width) ** 2) / 2)
    side = np.zeros(views)
    most = -(-views // 2)
    for j in range(views):
        pull = float((weight[j] * side[index[j]]).sum())
        full = [(side == s).sum() >= most for s in (1, -1)]
        side[j] = -1 if full[0] or (pull > 0 and not full[1]) else 1
    return side > 0


def thinned(data: PtychoData, seed: int = 0) -> tuple[PtychoData, PtychoData]:
    """Deal each photon to one of two measurements, by the toss of a coin: both are Poisson, and independent.

    n -> Binomial(n, 1/2) and the rest. A background of the data is halved. The frames are held in memory.

    Raises ValueError where intensities are not whole counts.
    """
    rng = np.random.default_rng(seed)
    shape = data.intensities.shape
    one, two = np.empty(shape, np.uint32), np.empty(shape, np.uint32)
    for place, images in data.blocks():
        counts = _whole(images, option("split", "views"))
        one[place] = rng.binomial(counts, 0.5)
        two[place] = counts - one[place]
    background = None if data.background is None else data.background / 2
    fields: dict[str, Any] = {"background": background, "truth": None, "source": None}
    return data.replace(intensities=one, **fields), data.replace(intensities=two, **fields)


def without_some(data: PtychoData, share: float, rng: np.random.Generator) -> PtychoData:
    """Delete each photon with the probability ``share``, and scale the rest: n -> Binomial(n, 1 - share) / (1 - share).

    The frames are held in memory. Raises ValueError where intensities are not whole counts.
    """
    kept = np.empty(data.intensities.shape, np.float32)
    for place, images in data.blocks():
        kept[place] = rng.binomial(_whole(images, option("draw", "prediction")), 1 - share) / (1 - share)
    return data.replace(intensities=kept, truth=None, source=None)


def _whole(images: np.ndarray, otherwise: str) -> np.ndarray:
    """Return whole counts as integers; ValueError, naming another option, where they are not whole."""
    counts = np.rint(images)
    if not np.array_equal(counts, images):
        wrong = float(np.asarray(images)[counts != images][0])
        raise ValueError(
            f"the intensities are not whole counts (one is {wrong:.6g}), which cannot be dealt out: load counts of "
            f"photons, or {otherwise}"
        )
    return counts.astype(np.int64)


def _on(start: BareState, data: PtychoData, views: np.ndarray, dose: float) -> BareState:
    """Return the estimates of a state on some of its views, or on a share of its dose; its object new once it ran."""
    store = start._live
    layout = {name: leaf for name, leaf in store.layout.items() if leaf.role == "estimate"}
    leaves = {name: start.numpy(name) for name in layout}
    for name, leaf in layout.items():
        if leaf.axes[:1] == ("view",):
            leaves[name] = leaves[name][views]
        if leaf.unit in ("photons", "sqrt(photons)"):
            leaves[name] = leaves[name] * np.asarray(dose if leaf.unit == "photons" else dose**0.5, leaves[name].dtype)
    if start.iteration:
        leaves["obj"] = first_object(store, store.object_shape)
    machine: dict[str, Any] = {"device": start.device, "threads": start.threads, "deterministic": start.deterministic}
    books: dict[str, Any] = {"origin": store.origin, "seed": start.seed, "iteration": 0, "history": {}}
    return handle().restore(data, leaves, recipe=Identity(), model=store.model, **books, **machine)
