"""Views that explain themselves where they are: held out of the fit, and looked for in what the others made."""

from __future__ import annotations

import numpy as np

from opty.algebra.operator import Operator
from opty.operators.position.check import GIVEN
from opty.operators.position.others import others_say
from opty.operators.position.refinement import kept_inside
from opty.operators.position.search import trial_misfits
from opty.operators.position.signals import other_light
from opty.operators.position.some_views import best_places, root_photons, state_of, take_estimates
from opty.runtime.nested import Nested, run_trial, take_record
from opty.state.light import rough_light
from opty.state.views import Batch, memory_batch

_SPREADS, _ABOVE = 5.0, 0.3  # how far above the usual misfit: standard deviations, and share of the usual one
_ALONE = 0.7  # share of its light that others shed too, over the usual one, below which a view is alone
_MOST = 0.3  # of the views may be held out at once


class HoldOut(Nested, slots=GIVEN):
    """Hold views out that may have printed their own object where they are; run a recipe on the others; look for them.

    Held out are views whose misfit stands out, by five standard deviations and by 30 percent over the usual one, and
    those that light most of their window alone: such a view explains itself anywhere, and its misfit does not stand
    out; and, of a thin object, views that ``CheckPositions`` finds lost. Where the others bring hardly any light the
    object becomes its mean. After the recipe each view that was held out goes to the place where it fits the
    object of the others best, within ``search_radius`` of where it is, or of where it was given, moved by what the
    stage erred at the views before and after it; it stays where none is better.

    Parameters
    ----------
    recipe : runs on the other views; its iterations count.
    search_radius : how far views are looked for [px]; None for half of a window.

    Reads obj, probe, positions, background, position_given (N, 2) px; writes what the recipe writes of obj (H, W) and
    probe (M, n, n), and positions (N, 2) px. Does nothing where no view is to be held out, or fewer than eight
    would be left.
    Source: opty's own; the search as in PtyPy (Enders, Thibault, Proc. R. Soc. A 472, 20160640 (2016)).
    """

    recipe: Operator
    search_radius: int | None = None

    def check(self):
        super().check()
        if self.search_radius is not None and self.search_radius < 1:
            raise ValueError(
                f"HoldOut(search_radius={self.search_radius}): give a distance from 1 up, in pixels, or None"
            )

    def effects(self):
        writes = self.recipe_writes & {"obj", "probe"} | {"positions", GIVEN.name}
        return self.reading | {"background"}, writes

    def apply(self, s):
        out = held_out(s)
        rest = np.setdiff1d(np.arange(s.data.views), out)
        if not len(out) or len(rest) < 8:
            return
        after = run_trial(self.recipe, state_of(s, rest), s.memo["run"])
        take_record(s, after)
        take_estimates(s, after, rest, self.effects()[1])
        positions = s.backend.to_host(s.positions).copy()
        centre = positions.mean(axis=0)
        reach = np.full(len(out), s.data.n // 2 if self.search_radius is None else self.search_radius)
        found = best_places(s, out, positions[out], reach)
        if s.has(GIVEN.name):
            asked = expected_places(positions, s.backend.to_host(s.position_given), out, rest)
            there = best_places(s, out, np.clip(asked, 0, np.array(s.object_shape) - s.data.n), reach)
            here, other = (s.backend.to_host(trial_misfits(s, out, s.backend.asarray(k))) for k in (found, there))
            found = np.where((other < here)[:, None], there, found)
        positions[out] = found
        s.positions = kept_inside(s, s.backend.asarray(positions - positions.mean(axis=0) + centre))


def expected_places(positions: np.ndarray, given: np.ndarray, out: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return where views ``out`` (K,) are if the stage erred as at the views ``rest`` before and after them, (K, 2) px.

    ``positions``, ``given`` (N, 2) px: where views are now, and where they were given.
    """
    erred = positions[rest] - given[rest]
    return given[out] + np.stack([np.interp(out, rest, axis) for axis in erred.T], axis=1)


def held_out(s) -> np.ndarray:
    """Return the numbers of the views to be held out, the worst first if they are too many."""
    to_host, views = s.backend.to_host, np.arange(s.data.views)
    misfit = to_host(trial_misfits(s, views, s.positions)) / root_photons(s)
    usual = np.median(misfit)
    spread = 1.4826 * np.median(np.abs(misfit - usual))
    over = (misfit - usual) / max(_SPREADS * spread, _ABOVE * usual, np.finfo(float).tiny)
    shared = to_host(shared_light(s))
    alone = _ALONE * np.median(shared) / np.maximum(shared, 1e-9)
    lost = others_say(s).lost if s.store.model.thin_object else np.zeros(len(views))
    suspect = np.maximum(np.maximum(over, alone), 2.0 * lost)
    ranked = np.argsort(-suspect, kind="stable")[: int(_MOST * len(views))]
    return np.sort(ranked[suspect[ranked] > 1])


def shared_light(s):
    """Return the share of each view's light that falls where others shed light too, (N,): sum S (L - S) / L / sum S."""
    all_light, out, views = rough_light(s.store), s.xp.empty(s.data.views), np.arange(s.data.views)
    size = memory_batch(s.store)
    for first in range(0, len(views), size):
        b = Batch.at(s.store, views[first : first + size])
        share, _ = other_light(s, b, all_light)
        power = b.illum_power
        out[first : first + size] = (share * power).sum(axis=(1, 2)) / (power + 0 * share).sum(axis=(1, 2))
    return out
