"""Positions whose errors add up from view to view: the scan is put together again, one view after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.leaf import with_parts
from opty.algebra.operator import Operator
from opty.errors import RecipeError
from opty.operators.position.check import GIVEN, unfound
from opty.operators.position.others import FOUND, others_say
from opty.operators.position.refinement import kept_inside
from opty.operators.position.search import trial_misfits
from opty.operators.position.some_views import DIM, best_places, light_of, root_photons, state_of, take_estimates
from opty.runtime.nested import Nested, run_trial, take_record

_VIEWS = 16  # fewer are not worth it
_FIRST, _SHARE = 8, 0.125  # views to begin with: so many, and this share of all, at least
_LONGER = 3  # times the recipe on those
_NEXT = 0.05  # of the views are placed before the recipe runs again
_OVERLAP = 0.6  # of the light of a view has to fall where the object is known
_REACH = 3.5  # standard deviations of a step of the stage
_SMALLEST, _UNKNOWN = 0.5, 1 / 32  # such a standard deviation: at least [px]; of the window, where nothing has moved
_POOR, _AGAIN = 2.0, 3  # times the usual misfit: a view that fits so badly is placed again, up to three times
_ASTRAY, _EARLY = 0.45, 0.25  # left unexplained of the usual view: a beginning is given up, before a quarter is placed
_BETTER = 0.75  # of what is left unexplained in the worst tenth, or the scan stays as it was
_BEGINNINGS = 3  # that are followed to the end


class PlaceInOrder(Nested, slots=GIVEN):
    """Put a scan together again, view after view in the order of the scan: for a stage whose errors add up.

    A random walk or a drift of the stage takes a view far from where it was asked to be, yet hardly farther than the
    view before it. The recipe runs on a few consecutive views; then the next ones, a twentieth of the scan at a time,
    are looked for around p_j = r_k + (g_j - g_k), g the places given and r_k the place found of the view k that is
    nearest in the order of the scan, within 3.5 standard deviations of the steps g_j - r_j makes from view to view; the
    recipe runs again on all that are placed, and so on. A view waits until the object is known where it falls; one that
    fits badly is placed again. Several beginnings are tried, those stretches first whose steps are smallest, and up to
    three are followed to the end.

    Nothing is done where the views explain each other already: where, as ``CheckPositions`` measures it, less than 0.25
    is left unexplained in the worst tenth, and their displacement does not jump. Nothing changes where that is not
    better by a quarter afterwards, a jump counted as one more.

    Parameters: recipe, a refinement and an engine, such as ``(PosCorrect(hold=0.0) * LSQML(batch=8)) ** 4``; its
    iterations count.

    Reads obj, probe, positions, background; writes obj (H, W), probe (M, n, n), positions (N, 2) px, and position_given
    (N, 2) px, the places where the refinement began, where none has begun.
    History: "order_iteration"; "order_before", "order_after": what is left unexplained in the worst tenth.
    Raises RecipeError for a model that is no thin object.
    Source: opty's own; images added one by one to a mosaic: Szeliski, Found. Trends Comput. Graph. Vis. 2, 1 (2006),
    section 4.
    """

    recipe: Operator

    def effects(self):
        writes = self.recipe_writes & {"obj", "probe"} | {"positions", GIVEN.name}
        return self.reading | {"background"}, writes

    def apply(self, s):
        if not s.store.model.thin_object:
            raise RecipeError(f"{self!r}: the model {s.store.model!r} is no thin object; PlaceInOrder knows those only")
        before = unfound(s.store)
        if s.data.views < _VIEWS or before < FOUND:
            return
        if s.create(GIVEN.name):
            s.position_given += s.positions
        given = s.backend.to_host(s.position_given).copy()
        away = s.backend.to_host(s.positions) - given
        centre, start, runs = s.positions.mean(axis=0), _estimates(s), 0
        best, least = start, _BETTER * before
        for first in beginnings(away - away.mean(axis=0)):
            for name, value in start.items():
                setattr(s, name, value.copy())
            if not self._put_together(s, given, away, first):
                continue
            after, runs = unfound(s.store), runs + 1
            if after < least:
                best, least = _estimates(s), after
            if after < FOUND or runs == _BEGINNINGS:
                break
        for name, value in best.items():
            setattr(s, name, value)
        s.positions = kept_inside(s, s.positions + (centre - s.positions.mean(axis=0)))
        s.record("order_iteration", s.iteration)
        s.record("order_before", before)
        s.record("order_after", before if best is start else least)

    def _put_together(self, s: Any, given: np.ndarray, away: np.ndarray, first: slice) -> bool:
        """Place all views, beginning with some, and say whether that was worth following to the end.

        ``away`` (N, 2) px is where views were found before, beside the places ``given`` (N, 2).
        """
        placed, times = np.zeros(len(given), bool), np.zeros(len(given), int)
        placed[first], new = True, np.zeros(0, int)
        recipe = self.recipe**_LONGER
        while True:
            inside = np.flatnonzero(placed)
            after = run_trial(recipe, state_of(s, inside), s.memo["run"])
            take_record(s, after)
            take_estimates(s, after, inside, self.recipe_writes)
            if len(inside) <= _EARLY * len(given) and np.median(others_say(after._live).unexplained) > _ASTRAY:
                return False
            misfit = s.backend.to_host(trial_misfits(s, inside, s.positions[inside])) / root_photons(s)[inside]
            poor = np.intersect1d(inside[misfit > _POOR * np.median(misfit)], new)
            times[new] += 1
            placed[poor[times[poor] < _AGAIN]] = False
            if placed.all():
                return True
            recipe, new = self.recipe, self._place_next(s, given, away, placed)
            placed[new] = True

    def _place_next(self, s: Any, given: np.ndarray, away: np.ndarray, placed: np.ndarray) -> np.ndarray:
        """Place the next views, and return their numbers."""
        inside, left = np.flatnonzero(placed), np.flatnonzero(~placed)
        positions = s.backend.to_host(s.positions).copy()
        sigma = step_size(np.where(placed[:, None], positions - given, away), placed, s.data.n)
        before = inside[np.abs(inside - left[:, None]).argmin(axis=1)]
        gap = np.abs(before - left)
        largest = np.array(s.object_shape) - s.data.n
        positions[left] = np.clip(positions[before] + given[left] - given[before], 0, largest)
        s.positions = s.backend.asarray(positions)
        seen = _seen(s, light_of(s, inside), left)
        order = np.lexsort((-seen, gap, seen < _OVERLAP))[: int(np.ceil(_NEXT * len(given)))]
        order = order[seen[order] >= _OVERLAP] if seen[order[0]] >= _OVERLAP else order[:1]
        next_ones, reach = left[order], np.ceil(_REACH * sigma * np.sqrt(gap[order]))
        positions[next_ones] = best_places(s, next_ones, positions[next_ones], np.minimum(reach, s.data.n // 2))
        s.positions = s.backend.asarray(positions)
        return next_ones


def beginnings(away: np.ndarray) -> list[slice]:
    """Return stretches of consecutive views that do not overlap, those with the smallest steps first.

    ``away`` (N, 2) px is how far each view is from where it was given.
    """
    views = len(away)
    length = max(_FIRST, int(_SHARE * views))
    steps = (np.diff(away, axis=0) ** 2).sum(axis=1)
    rough = np.convolve(steps, np.ones(length - 1), "valid")  # of the stretch that begins at each view
    found: list[slice] = []
    for first in np.argsort(rough, kind="stable").tolist():
        if all(abs(first - other.start) >= length for other in found):
            found.append(slice(first, first + length))
    return found


def step_size(away: np.ndarray, placed: np.ndarray, n: int) -> float:
    """Return the standard deviation along an axis [px] of steps of displacements (N, 2) from view to view.

    Steps between a view that is ``placed`` (N,) and one that is not are none of the stage.
    """
    steps = (np.diff(away, axis=0) ** 2).sum(axis=1)[placed[1:] == placed[:-1]]
    if not steps.any():
        return n * _UNKNOWN
    return max(float(np.sqrt(np.median(steps) / (2 * np.log(2)))), _SMALLEST)  # the median of an exponential law


def _estimates(s: Any) -> dict[str, Any]:
    """Return copies of what is put together anew."""
    return {
        name: getattr(s, name).copy() for name in with_parts({"obj", "probe"}) & s.store.leaves.keys() | {"positions"}
    }


def _seen(s: Any, light: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Return the share of the light of each view that falls where ``light`` (H, W) makes the object known, (K,)."""
    power = (np.abs(s.backend.to_host(s.probe)) ** 2).sum(axis=0)
    known, n = light > DIM * light.max(), s.data.n
    corners = np.rint(s.backend.to_host(s.positions)[views]).astype(int)
    return np.array([power[known[r : r + n, c : c + n]].sum() for r, c in corners]) / power.sum()
