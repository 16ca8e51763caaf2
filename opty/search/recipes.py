"""search(recipes, p): which recipe predicts best what it has not seen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from opty.algebra.operator import Operator
from opty.algebra.text import parse
from opty.analysis.held_blocks import withhold
from opty.ptycho_state import PtychoState
from opty.search.trial import Interrupted, Trial, finished, table, tried


@dataclass(frozen=True)
class Search:
    """What ``search`` found; print it for the table.

    ``trials``, the best score first; ``state``: what the best recipe makes of the whole measurement; ``whole``: all
    recipes were tried and the best one ran to its end on the whole measurement. Where Ctrl-C ended the search,
    ``state`` has the estimates of the best trial, which has not seen the blocks that were held out.
    """

    trials: tuple[Trial, ...]
    state: PtychoState = field(repr=False)
    whole: bool

    @property
    def best(self) -> Trial:
        """The trial with the best score."""
        return self.trials[0]

    @property
    def recipe(self) -> Operator:
        """The recipe with the best score."""
        return self.best.recipe

    def __str__(self) -> str:
        return table(self.trials)


def search(
    recipes: Iterable[Operator | str],
    p: PtychoState,
    *,
    sweeps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    tell: Callable[[Trial], None] | None = None,
) -> Search:
    """Try recipes on a state, score each by detector pixels that it has not seen, and run the best on all of them.

    Blocks of pixels, others in each view, are held out, six percent of the detector (``opty.analysis.withhold``). Each
    recipe runs from ``p`` on the rest, and is scored by the deviance of the counts in the blocks from what it predicts
    there, D = 2 sum [Ihat - I + (I + 1) log((I + 1) / (Ihat + 1))], a pixel. The fitted misfit is no score: noise in
    the object lowers it.

    Parameters
    ----------
    recipes : to try, as values or as text. p : a fresh state, of iteration 0.
    sweeps : how often each recipe is repeated, ``recipe ** sweeps``; None: as they stand.
    seconds : of the clock, after which no further recipe starts, and the one that runs ends with its turn; the best
        then runs to its end on the whole measurement.
    seed : of the blocks. tell : called with each trial as it ends.

    Returns
    -------
    Search : trials, the best first; the best recipe; and its state.

    Raises
    ------
    ValueError : no recipe, none that ran, or a state that has seen the data already: a score of pixels that it was
        fitted to tells nothing. KeyboardInterrupt : Ctrl-C before the first trial ended; later it gives the best so
        far.

    Source: the free R factor of Brunger, Nature 355, 472 (1992).
    """
    chosen = [parse(one) if isinstance(one, str) else one for one in recipes]
    if not chosen:
        raise ValueError("search has no recipes; give one or more, such as [rPIE() ** 30, ML() ** 30]")
    if p.iteration:
        raise ValueError(
            f"the state stands at iteration {p.iteration} and has seen all pixels: search from a fresh one, "
            "opty.PtychoState(data, probe=p.probe)"
        )
    if sweeps is not None:
        chosen = [one**sweeps for one in chosen]
    deadline = math.inf if seconds is None else time.perf_counter() + seconds
    held = withhold(p.data, seed)
    trials: list[Trial] = []
    try:
        for recipe in chosen:
            if trials and time.perf_counter() > deadline:
                break
            trials.append(tried(recipe, p, held, deadline))
            if tell is not None:
                tell(trials[-1])
        best = _best(trials)
        state, whole = finished(best.recipe, p)
    except (Interrupted, KeyboardInterrupt):
        if not any(one.state for one in trials):
            raise KeyboardInterrupt from None
        best = _best(trials)
        state, whole = estimates(best, p), False
    whole = whole and len(trials) == len(chosen) and all(one.whole for one in trials)
    return Search(tuple(sorted(trials, key=lambda one: one.score)), state, whole)


def estimates(trial: Trial, p: PtychoState) -> PtychoState:
    """Return ``p`` with what a trial estimated."""
    assert trial.state is not None
    store = trial.state._live
    names = [name for name in store.leaves if store.layout[name].role == "estimate"]
    given = {name: trial.state.numpy(name) for name in names if name != "background"}
    return p.replace(leaves=given, background=trial.state.background)


def _best(trials: list[Trial]) -> Trial:
    ran = [one for one in trials if math.isfinite(one.score)]
    if not ran:
        said = f": {trials[0].recipe!r}: {trials[0].why}" if trials else ""
        raise ValueError(f"no recipe ran{said}")
    return min(ran, key=lambda one: one.score)
