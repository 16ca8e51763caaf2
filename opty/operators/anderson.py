"""Anderson acceleration: the next object and probe are mixed from those that the last sweeps made."""

from __future__ import annotations

from typing import Literal

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator, ViewOperator
from opty.algebra.protocols import State, Views
from opty.errors import RecipeError
from opty.model.probe import PROBE
from opty.model.sample import OBJ, transmission
from opty.operators.conjugate import inner
from opty.operators.lsq import moved, updating
from opty.state.light import rough_light
from opty.words import joined

_RIDGE = 1e-7  # of the mean of <F_k, F_k>: what rounding leaves of them in single precision
_LARGEST = 30.0  # sum of |a_k|: larger ones come from changes that hardly differ
_BOTH = "obj probe"
_COUNT = Leaf("kept_sweeps", "3", scale=0, belongs_to=_BOTH)  # how many are kept, the place of the newest, and memory


class Anderson(ViewOperator, reads="obj probe positions"):
    """Mix object and probe of the last sweeps into those from which the next one starts: O <- sum_k a_k G_k.

    G_k is what the k-th last sweep made of object and probe, F_k what it changed them by. The a_k, of sum one and the
    same for both, minimise |sum_k a_k F_k|^2: the mixture of starts that a sweep would change least. The norm is that
    of the waves: changes of the object count by the light on each pixel, those of the probe by sum_j |O_j|^2, taken as
    the same for all pixels. Where a sweep is nearly linear this is GMRES with the sweep as preconditioner: it needs no
    derivative of the model, and no transform.

    A sweep has to be the same map each time: with this step its views make the same batches in the same order, drawn
    from the seed; an engine with momentum is no such map: take rPIE, or LSQML(momentum=0). Where a misfit is larger
    than that of the sweep before, or sum_k |a_k| is 30 or more, all sweeps but the last one are forgotten: the run goes
    on from what that made, and the mixing begins anew.

    Parameters
    ----------
    memory : sweeps that are mixed, from 2 on; object and probe are kept twice for each.
    update : "both", or the only one of "obj" and "probe" that is mixed.

    Positions, background, intensity factors and what varies of a probe go on as their own steps move them.
    Reads positions; reads and writes obj (H, W), probe (M, n, n) and its memory: kept_made_obj_k, kept_change_obj_k
    (H, W), kept_made_probe_k, kept_change_probe_k (M, n, n), k = 0 to memory - 1, and kept_sweeps (3,). Sweeps that
    improve object or probe without this step drop it.
    Source: Anderson, J. ACM 12, 547 (1965); Walker, Ni, SIAM J. Numer. Anal. 49, 1715 (2011), Eq. 1.2 and Sec. 2.
    """

    memory: int = 5
    update: Literal["both", "obj", "probe"] = "both"
    over_ranks = True
    scale_free = True
    estimates = False  # no mixture without updates
    same_batches = True
    copied = frozenset({"obj", "probe"})
    advice = "the recipe without Anderson, or starting it later with After(20, Anderson())"

    def check(self) -> None:
        if self.memory < 2:
            raise ValueError(f"Anderson(memory={self.memory}): give how many sweeps are mixed, from 2 on")

    @property
    def slots(self) -> tuple[Leaf, ...]:  # type: ignore[override]
        """What the last sweeps made and changed."""
        images = [leaf for leaf in (OBJ, PROBE) if leaf.name in moved(self.update)]
        kept = [
            leaf.like(_kept(what, leaf.name, k), belongs_to=_BOTH)
            for k in range(self.memory)
            for leaf in images
            for what in ("made", "change")
        ]
        return (_COUNT, *kept)

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        memory = frozenset(leaf.name for leaf in self.slots)
        return self.reads | memory, moved(self.update) | memory

    def fixed(self, leaves: frozenset[str]) -> Operator | None:
        return updating(self, leaves)

    def is_capturable(self, s: State) -> bool:
        return True

    def begin(self, s: State) -> None:
        for leaf in self.slots:
            s.create(leaf.name)
        for name in moved(self.update):
            s.memo[name] = getattr(s, name).copy()

    def apply(self, s: State, b: Views) -> None:
        """Do nothing: a whole sweep counts."""

    def finish(self, s: State) -> None:
        names = sorted(moved(self.update))
        kept, last, memory = (int(number) for number in s.backend.to_host(s.kept_sweeps))
        forget = memory != self.memory or _has_risen(s)
        count, newest = 1 if forget else min(kept + 1, memory), (last + 1) % self.memory
        self._keep(s, names, newest)
        if count > 1:
            count = self._mix(s, names, [(newest - k) % self.memory for k in range(count)])
        s.kept_sweeps = s.backend.asarray(np.array([count, newest, self.memory], float))

    def _keep(self, s: State, names: list[str], place: int) -> None:
        changed = False
        for name in names:
            made, change = (getattr(s, _kept(what, name, place)) for what in ("made", "change"))
            made[...] = getattr(s, name)
            change[...] = made - s.memo[name]
            changed = changed or bool(change.any())
        if not changed:
            raise RecipeError(
                f"{self!r} mixes what the sweep that it is part of makes of {joined(names)}, and that changes nothing: "
                "write it left of an engine that moves them in its sweep, such as Anderson() * rPIE(batch=4)"
            )

    def _mix(self, s: State, names: list[str], places: list[int]) -> int:
        """Mix what lies in some places, the newest first; return how many of these sweeps are to be kept."""
        if (shares := _shares(_products(s, names, places))) is None:
            return 1
        for name in names:
            mixed = getattr(s, name)
            mixed[...] = 0
            for k, share in zip(places, shares, strict=True):
                mixed += s.real_dtype.type(share) * getattr(s, _kept("made", name, k))
        return len(places)


def _kept(what: str, name: str, k: int) -> str:
    return f"kept_{what}_{name}_{k}"


def _has_risen(s: State) -> bool:
    """Say whether the misfit of the last sweep that is known is larger than that of the one before."""
    misfit = s.history["misfit"][-2:] if "misfit" in s.history else []
    return len(misfit) == 2 and not misfit[1] <= misfit[0]


def _products(s: State, names: list[str], places: list[int]) -> np.ndarray:
    """Return Re <F_k, F_l> (K, K) float64 of the changes in some places, by the light."""
    shone = rough_light(s.store)
    known = s.obj.ndim == 2 or s.model.mixture  # how much of the light the object lets through
    seen = shone * (s.xp.abs(transmission(s.obj, s.model.mixture)) ** 2 if known else 1)
    by = {"obj": shone, "probe": seen.sum() / (s.xp.abs(s.probe) ** 2).sum()}
    out = np.empty((len(places), len(places)))
    for i, k in enumerate(places):
        weighted = [by[name] * getattr(s, _kept("change", name, k)) for name in names]
        for j, other in enumerate(places[: i + 1]):
            product = inner(s.xp, [getattr(s, _kept("change", name, other)) for name in names], weighted)
            out[i, j] = out[j, i] = float(s.backend.to_host(product))
    return out


def _shares(products: np.ndarray) -> np.ndarray | None:
    """Return a (K,) of sum one that minimises a^T (products + ridge) a; None where it comes out too large."""
    ridge = _RIDGE * np.trace(products) / len(products) + np.finfo(float).tiny
    shares = np.linalg.solve(products + ridge * np.eye(len(products)), np.ones(len(products)))
    shares /= shares.sum()
    return shares if np.abs(shares).sum() < _LARGEST else None
