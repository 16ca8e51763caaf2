"""Views that explain themselves where they are: held out of the fit, and looked for in what the others made."""

from __future__ import annotations

import functools

import numpy as np

from opty.algebra.leaf import with_parts
from opty.algebra.operator import Identity, Operator
from opty.data.parts import chosen
from opty.operators.position.others import others_say
from opty.operators.position.refinement import kept_inside
from opty.operators.position.search import trial_misfits
from opty.operators.position.signals import light, other_light
from opty.runtime.nested import Nested, run_inside, take_record
from opty.state import handle
from opty.state.views import Batch, memory_batch

_SPREADS, _ABOVE = 5.0, 0.3  # how far above the usual misfit: standard deviations, and share of the usual one
_ALONE = 0.7  # share of its light that others shed too, over the usual one, below which a view is alone
_MOST = 0.3  # of the views may be held out at once
_DIM = 0.02  # of the most light: where less falls, the object is not known
_STEPS = 32  # places tried along each axis at first


class HoldOut(Nested):
    """Hold views out that may have printed their own object where they are; run a recipe on the others; look for them.

    Held out are views whose misfit stands out, by five standard deviations and by 30 percent over the usual one, and
    those that light most of their window alone: such a view explains itself anywhere, and its misfit does not stand
    out; and, of a thin object, views that ``CheckPositions`` finds lost. Where the others bring hardly any light the
    object becomes its mean. After the recipe each view that was held out goes to the place within ``search_radius``
    where it fits the object of the others best, or stays where none is better.

    Parameters
    ----------
    recipe : runs on the other views; its iterations count.
    search_radius : how far views are looked for [px]; None for half of a window.

    Reads obj, probe, positions, background; writes what the recipe writes of obj (H, W) and probe (M, n, n), and
    positions (N, 2) px. Does nothing where no view is to be held out, or fewer than eight would be left.
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
        writes = self.recipe_writes & {"obj", "probe"} | {"positions"}
        return self.reading | {"background"}, writes

    def apply(self, s):
        out = held_out(s)
        rest = np.setdiff1d(np.arange(s.data.views), out)
        if not len(out) or len(rest) < 8:
            return
        after = run_inside(self.recipe, _without(s, rest), s.memo["run"])
        take_record(s, after)
        backend, writes = s.backend, self.effects()[1]
        for name in with_parts(writes & {"obj", "probe"}) & s.store.leaves.keys():
            found = backend.asarray(after.numpy(name))
            if s.store.declared[name].over == "view":
                getattr(s, name)[backend.asarray(rest)] = found
            else:
                setattr(s, name, found)
        positions = backend.to_host(s.positions).copy()
        positions[rest] = after.numpy("positions")
        centre = positions.mean(axis=0)
        s.positions = backend.asarray(positions)
        reach = s.data.n // 2 if self.search_radius is None else self.search_radius
        places = s.backend.asarray(positions[out])
        positions[out] = backend.to_host(s.store.of_each(functools.partial(_places, reach), out, places))
        s.positions = kept_inside(s, backend.asarray(positions - positions.mean(axis=0) + centre))


def held_out(s) -> np.ndarray:
    """Return the numbers of the views to be held out, the worst first if they are too many."""
    to_host, views = s.backend.to_host, np.arange(s.data.views)
    photons = s.measured.view_photons
    root = np.sqrt(np.maximum(photons, 1e-3 * photons.mean()))
    misfit = to_host(trial_misfits(s, views, s.positions)) / root
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
    all_light, out, views = light(s), s.xp.empty(s.data.views), np.arange(s.data.views)
    size = memory_batch(s.store)
    for first in range(0, len(views), size):
        b = Batch.at(s.store, views[first : first + size])
        share, _ = other_light(s, b, all_light)
        power = b.illum_power
        out[first : first + size] = (share * power).sum(axis=(1, 2)) / (power + 0 * share).sum(axis=(1, 2))
    return out


def _without(s, rest: np.ndarray):
    """Return a state of some views, whose object is its mean where they bring hardly any light."""
    store, backend = s.store, s.backend
    estimates = {name: leaf for name, leaf in store.layout.items() if leaf.role == "estimate"}
    host = {name: np.array(backend.to_host(store.leaves[name])) for name in estimates}
    host |= {name: host[name][rest] for name, leaf in estimates.items() if leaf.over == "view"}
    power, total = (np.abs(host["probe"]) ** 2).sum(axis=0), np.zeros(store.object_shape)
    for r, c in np.rint(host["positions"]).astype(int):
        total[r : r + store.n, c : c + store.n] += power
    dim, obj = total < _DIM * total.max(), host["obj"]
    obj[..., dim] = obj[..., ~dim].mean(axis=-1, keepdims=True)
    record = {"seed": store.seed, "iteration": store.iteration, "history": store.history, "visits": store.visits}
    machine = {"device": backend.name, "threads": store.threads, "deterministic": store.deterministic}
    made = {"origin": store.origin, "recipe": Identity(), "model": store.model}
    return handle().restore(chosen(store.data, rest), host, **made, **record, **machine)


def _places(reach: int, s, views: np.ndarray, here):
    """Return the places (K, 2) px where views fit best."""
    found = [_place(s, view, place, reach) for view, place in zip(views.tolist(), s.backend.to_host(here), strict=True)]
    return s.backend.asarray(np.reshape(found, (-1, 2)).astype(np.float64))


def _place(s, view: int, here: np.ndarray, reach: int) -> np.ndarray:
    """Return the place (2,) px within ``reach`` where a view fits best, and ``here`` where no other is better."""
    largest = np.array(s.object_shape) - s.data.n
    step = max(1, (2 * reach) // _STEPS)
    best, least = here, _misfit(s, view, here[None])[0]
    centres, half = np.rint(here)[None], reach
    while True:
        axis = np.arange(-half, half + 1, step)
        around = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        places = np.unique(np.clip((centres[:, None] + around).reshape(-1, 2), 0, largest), axis=0)
        misfits = _misfit(s, view, places)
        order = np.argsort(misfits)
        if misfits[order[0]] < least:
            best, least = places[order[0]], misfits[order[0]]
        if step == 1:
            return best
        centres, half, step = places[order[:4]], step - 1, max(1, step // 2)


def _misfit(s, view: int, places: np.ndarray) -> np.ndarray:
    return s.backend.to_host(trial_misfits(s, np.full(len(places), view), s.backend.asarray(places)))
