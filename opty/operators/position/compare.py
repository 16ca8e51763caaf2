"""Refined positions against those that were given: which of them explain the patterns better?"""

from __future__ import annotations

import numpy as np

from opty.algebra.leaf import with_parts
from opty.algebra.operator import Identity, Operator
from opty.errors import MisfitWarning, RecipeError, warn_user
from opty.operators.position.check import GIVEN, gone, rms
from opty.operators.position.others import MOVED, explained, not_found, others_say
from opty.runtime.nested import Nested, run_trial
from opty.state import handle
from opty.state.start import first_object

_BETTER = 0.85  # of the misfit at the places given: what a wrong probe may gain by positions moved to suit it is less
_UNSURE = 0.95  # of it: right positions, moved to suit a wrong probe, gain less
_WORSE = 1.1  # of it: more than the order of the views makes
_CLEAR = 2.0  # times lower than it has to be: what a few sweeps tell so clearly, more do not overturn
_WITHIN = 0.1  # of what counting makes: places given that explain the patterns so well are right, as far as counts tell


def goes_back(refined: float, given: float, usual: float, noise: float) -> bool:
    """Say whether positions that were given are taken, by the misfits e_refined and e_given beside noise.

    ``usual`` : u_refined; ``noise`` : the misfit that counting makes, 0 for data that are no whole numbers.
    """
    return given < _WITHIN * noise or not refined < min(_BETTER, 1 - usual) * given


def went_back(refined: float, given: float, noise: float, unexplained: np.ndarray, moved: float) -> str:
    """Return what is to be said where positions that were given are taken, "" for nothing.

    ``refined``, ``given``, ``noise`` : as for ``goes_back``; ``unexplained`` (N,) : with those refined; ``moved`` : how
    far these are from those given [px rms].
    """
    apart = f"those refined, {moved:.3g} px rms from those given"
    if given < _WITHIN * noise:
        if moved < MOVED or refined > given + _WITHIN * noise:
            return ""
        return f"the data do not tell which positions are right: the views explain the counts with {apart}, as well"
    if refined > _WORSE * given:
        return (
            f"the refined positions explain the patterns worse (misfit {refined:.4g} beside noise) than those given "
            f"({given:.4g})"
        )
    if refined < _UNSURE * given:
        return (
            f"the data do not tell for sure which positions are right: {apart}, explain the patterns better, but by "
            f"{100 * (1 - refined / given):.0f} percent of the misfit beside noise only"
        )
    if not_found(unexplained, moved):
        return (
            f"positions were not found: with {apart}, the object of the other views explains {explained(unexplained)}"
        )
    return ""


class ComparePositions(Nested, slots=GIVEN):
    """Go back to the places given where refined positions explain the patterns no better.

    The recipe runs twice from the probe as it stands and a flat object: with the positions as they are, and with those
    where their refinement began. Each view is then compared with the object that the others make (``CheckPositions``):
    e is the misfit of all views, noise of counting taken off, u the median of what is left unexplained. Positions,
    object and probe of the second run are taken unless e_refined < min(0.85, 1 - u_refined) e_given: a model that
    explains little has to gain much. They are taken, too, where e_given is less than a tenth of the misfit that
    counting makes: the probe suits the positions as they are, and other ones look worse than they are. A MisfitWarning
    says so where e is higher by 10 percent, or lower by 5 percent and more but not by enough, and where positions that
    moved by more than a pixel (rms) leave more than 30 percent unexplained in a tenth of the views, or explain the
    counts as well as those given do. Needs the model of a thin object.

    Parameters
    ----------
    recipe : an engine that moves no positions, such as ``rPIE() ** 15``; its iterations count, both times. The nearer
        it comes to the end of the fit, the better it tells: a stretch of the whole scan shows late.
    first : what runs before it, such as ``rPIE() ** 5``; None for nothing. Where e_refined is less than half of what it
        has to be after this, the positions as they are stay, and ``recipe`` does not run.

    Reads obj, probe, positions, position_given (N, 2) px; writes obj (H, W), probe (M, n, n), positions. Does nothing
    where no refinement has begun.
    History: "compare_iteration"; "compare_refined", "compare_given": e / sum I of both; "compare_back": 1 where it went
    back, else 0.
    Raises RecipeError for a model that is no thin object.
    """

    recipe: Operator
    first: Operator | None = None

    def effects(self):
        return self.reading, frozenset({"obj", "probe", "positions", GIVEN.name})

    def apply(self, s):
        if not s.has(GIVEN.name):
            return
        if not s.store.model.thin_object:
            raise RecipeError(
                f"{self!r}: the model {s.store.model!r} is no thin object; ComparePositions knows those only"
            )
        given, photons = s.position_given + (s.positions - s.position_given).mean(axis=0), s.measured.view_photons.sum()
        states = [self._flat(s, positions) for positions in (s.positions, given)]
        for recipe in (self.recipe,) if self.first is None else (self.first, self.recipe):
            for k, state in enumerate(states):
                state._live.iteration = s.store.iteration
                states[k] = run_trial(recipe, state, s.memo["run"])
                s.store.iteration = states[k].iteration
            found = [others_say(state._live) for state in states]
            refined, file = (float((f.here - f.noise).sum() / photons) for f in found)
            usual = float(np.median(found[0].unexplained))
            noise = float(found[1].noise.sum() / photons)
            if not goes_back(_CLEAR * refined, file, usual, noise):
                break
        back = goes_back(refined, file, usual, noise)
        for name, value in zip(
            ("iteration", "refined", "given", "back"), (s.iteration, refined, file, int(back)), strict=True
        ):
            s.record(f"compare_{name}", value)
        if not back:
            return
        if said := went_back(refined, file, noise, found[0].unexplained, rms(gone(s))):
            warn_user(f"{said}: went on from those given", MisfitWarning)
        for name in with_parts({"obj", "probe"}) & s.store.leaves.keys():
            setattr(s, name, s.backend.asarray(states[1].numpy(name)))
        s.positions = given

    def _flat(self, s, positions):
        """Return a state with some positions and an object that lets as much light through as the data show."""
        store, backend = s.store, s.backend
        host = {leaf.name: np.array(backend.to_host(store.leaves[leaf.name])) for leaf in store.model.leaves}
        power = (np.abs(host["probe"]) ** 2).sum()
        host["obj"][...] = first_object(store, store.object_shape) * np.sqrt(store.measured.view_photons.mean() / power)
        host["positions"] = np.array(backend.to_host(positions))
        for name in ("background", "intensity_factors"):
            if name in store.leaves:
                host[name] = np.array(backend.to_host(store.leaves[name]))
        record = {"seed": store.seed, "iteration": store.iteration, "history": {}}
        machine = {"device": backend.name, "threads": store.threads, "deterministic": store.deterministic}
        made = {"origin": store.origin, "recipe": Identity(), "model": store.model}
        return handle().restore(store.data, host, **made, **record, **machine)
