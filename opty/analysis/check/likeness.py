"""Which order of the frames makes those at neighbouring positions most alike? No probe and no geometry is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from opty.analysis.check.frame_statistics import Frames
from opty.analysis.orientation import WAYS, Orientation
from opty.data import PtychoData
from opty.data.frame_order import GRIDS, frame_order, grid_places

EDGE = 24  # pixels that a pattern is binned to
COMPONENTS = 32  # of the patterns: the largest of their differences; the others are mostly noise
NEIGHBOURS, AROUND = 4, 40
# Standard errors by which another order must make neighbours more alike to be worth a trial; and one that costs little.
LIKELY, PERHAPS = 1.5, 0.0
SIMPLER = 0.01  # in favour of orders without a frame at which they begin
CUTS = 48  # frames from which on a shift is tried
FEWEST = 16  # views
SAME_STEP = 1.0  # of the usual step: by which that along a line may differ from it
NEARLY = 1.0  # of the usual step: rms by which positions in another order may be off the same positions turned


@dataclass(frozen=True)
class Likeness:
    """How alike the frames at neighbouring positions are, for the frames as given and in other orders.

    ``given``: mean square difference of neighbours over that of any two frames: far below 1 where frames and positions
    belong together and overlap, 1 where neighbours are no more alike than others. ``error``: its standard error.
    ``better``: orders (as ``opty.load(frame_order=)`` takes them) that make neighbours more alike, by more than chance
    easily does, the best one first, and for each the view round which that shows most. ``perhaps``: those that do so by
    less, as where neighbours overlap little.
    """

    given: float
    error: float
    contrast: float
    better: tuple[tuple[str, int], ...]
    perhaps: tuple[tuple[str, int], ...] = ()


def likeness(data: PtychoData, frames: Frames) -> Likeness | None:
    """Compare the order of the frames with others; None where there are too few views, or the frames are all alike."""
    if data.views < FEWEST:
        return None
    features, contrast = _features(data, frames)
    usual = 2 * (features**2).sum(axis=1).mean()
    if not usual > 0:
        return None
    trial = _Trial(features / np.sqrt(usual), data.positions)
    given = trial.pairs(np.arange(data.views))
    found = {}
    for name in _names(data, trial):
        found[name] = trial.pairs(frame_order(name, data.positions))
    gain = {name: _gain(found[name], given) for name in found}
    likeliest = sorted(found, key=lambda order: found[order].mean() + SIMPLER * ("@" in order))
    error = float(given.std() / np.sqrt(len(given)))
    orders = [(name, trial.where(given - found[name])) for name in likeliest]
    better = tuple(order for order in orders if gain[order[0]] > LIKELY)
    perhaps = tuple(order for order in orders if PERHAPS < gain[order[0]] <= LIKELY)
    return Likeness(float(given.mean()), error, contrast, better, perhaps)


def orders_like(positions: np.ndarray, way: Orientation) -> tuple[tuple[str, Orientation], ...]:
    """Return orders of the frames that are nearly the same as positions (N, 2) taken in a way, and how to turn them.

    An order sends frame j to position o(j). Where these are the positions turned, p_o(j) = V p_j up to a shift and a
    part of a step, as the reversed order of a raster turns it by half a turn, the order with the turn W V^-1 is nearly
    the way W alone.
    """
    centred = positions - positions.mean(axis=0)
    step = float(np.median(cKDTree(centred).query(centred, k=2)[0][:, 1]))
    found = []
    for name in (*(GRIDS if grid_places(positions) is not None else ()), "reversed"):
        which = frame_order(name, positions)
        if (which == np.arange(len(which))).all():
            continue
        for turn in _ways():
            off = centred[which] - turn.apply(centred)
            if np.sqrt((off**2).sum(axis=1).mean()) < NEARLY * step:
                rest = way.matrix @ turn.matrix.T
                found.append((name, next(each for each in _ways() if np.array_equal(each.matrix, rest))))
    return tuple(found)


def line_ends(positions: np.ndarray, first: int = 0, middle: bool = True) -> tuple[int, int] | None:
    """Return a view that begins a line of a raster and one that ends one, from view ``first`` on.

    They are those in the ``middle`` of the lines from there on, or the first. None where positions (N, 2) in their
    order are no lines that all run one way: most views are one and the same step from the one before.
    """
    steps = np.diff(positions, axis=0)
    usual = np.median(steps, axis=0)
    far = np.flatnonzero(np.linalg.norm(steps - usual, axis=1) > SAME_STEP * np.linalg.norm(usual))
    if not 2 <= len(far) <= len(steps) / 3:
        return None
    after = far[far >= first] if (far >= first).any() else far[-1:]
    last = int(after[len(after) // 2 if middle else 0])
    return last + 1, last


def _ways() -> tuple[Orientation, ...]:
    return tuple(Orientation(*way, np.nan) for way in WAYS)


class _Trial:
    """Differences of the frames at neighbouring positions."""

    def __init__(self, features: np.ndarray, positions: np.ndarray):
        self.features = features
        near = min(NEIGHBOURS, len(positions) - 1)
        other = cKDTree(positions).query(positions, k=near + 1)[1][:, 1:]
        self.around = cKDTree(positions).query(positions, k=min(AROUND, len(positions)))[1]
        self.first, self.second = np.repeat(np.arange(len(positions)), near), other.reshape(-1)

    def where(self, change: np.ndarray) -> int:
        """Return the view round which the differences of pairs change most."""
        of_views = change.reshape(len(self.around), -1).sum(axis=1)
        return int(of_views[self.around].sum(axis=1).argmax())

    def pairs(self, order: np.ndarray) -> np.ndarray:
        """Return the difference of each pair of neighbours; 1, as of any two, where a position has no frame."""
        frame = np.full(len(order), -1)
        frame[order[order >= 0]] = np.flatnonzero(order >= 0)
        one, two = frame[self.first], frame[self.second]
        cost = ((self.features[one] - self.features[two]) ** 2).sum(axis=1)
        return np.where((one < 0) | (two < 0), 1.0, cost)


def _names(data: PtychoData, trial: _Trial) -> list[str]:
    """Return the orders to try: on the grid, if there is one, and shifts, from the start or from a frame on."""
    places = grid_places(data.positions)
    names = list(GRIDS) if places is not None else []
    names += [f"shift:{shift}" for shift in (1, -1, 2, -2)] + ["reversed"]
    given = np.arange(data.views)
    names = [name for name in names if not (frame_order(name, data.positions) == given).all()]
    for shift in (1, -1):
        cuts = np.unique(np.linspace(2, data.views - 3, CUTS).astype(int))
        cost = {cut: _cost(trial, data, shift, cut) for cut in cuts}
        best = min(cost, key=cost.__getitem__)
        apart = int(np.diff(cuts).max())
        near = range(max(1, best - apart), min(data.views - 1, best + apart + 1))
        names.append(f"shift:{shift}@{min(near, key=lambda cut: _cost(trial, data, shift, cut))}")
    return names


def _cost(trial: _Trial, data: PtychoData, shift: int, cut: int) -> float:
    return float(trial.pairs(frame_order(f"shift:{shift}@{cut}", data.positions)).mean())


def _gain(cost: np.ndarray, given: np.ndarray) -> float:
    """Return by how much less the pairs of neighbours differ than as given, in standard errors."""
    change = given - cost
    return float(change.sum() / max(np.sqrt((change**2).sum()), 1e-12))


def _features(data: PtychoData, frames: Frames) -> tuple[np.ndarray, float]:
    """Return the patterns (N, components) along their main differences, and the contrast of the patterns.

    Roots of the binned counts, less their mean.
    """
    by = -(-data.n // EDGE)
    edge = data.n // by
    good = ~(frames.bad | frames.dead)
    out = np.empty((data.views, edge * edge), np.float32)
    for place, images in data.blocks():
        counted = np.where(good, images, 0)[:, : edge * by, : edge * by]
        binned = counted.reshape(len(images), edge, by, edge, by).sum(axis=(2, 4), dtype=np.float64)
        out[place] = np.sqrt(binned).reshape(len(images), -1)
    lost = [*frames.dark, *frames.full, *frames.bright]
    kept = np.setdiff1d(np.arange(data.views), lost)
    mean = out[kept].mean(axis=0)
    noise = np.minimum(mean**2, 0.25).sum() if frames.whole else 0.0
    out -= mean
    out[lost] = 0.0
    spread = float((out[kept] ** 2).sum(axis=1).mean())
    values, vectors = np.linalg.eigh(out.T @ out)
    contrast = spread / noise - 1 if noise else np.inf
    return out @ vectors[:, np.argsort(values)[::-1][:COMPONENTS]], contrast
