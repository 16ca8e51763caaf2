"""Which orders and orientations are tried, and how well each predicts views that it has not seen."""

from __future__ import annotations

import numpy as np

from opty.analysis.check.likeness import Likeness
from opty.analysis.check.orders import PREDICTS, WELL, Guess, better, common_orders, guessed, in_orders, much_better
from opty.analysis.check.trials import Score, Trials
from opty.analysis.orientation import AS_GIVEN, WAYS, Orientation

QUARTERS = ((False, 1, -1), (True, 1, 1), (True, 1, -1))  # the other ways, but for half a turn


def best_guess(trials: Trials, alike: Likeness | None, count: int) -> tuple[Guess, Guess]:
    """Return the best guess, of which at most ``count`` are of other orders, and that which takes all as given."""
    given = guessed(trials, None, AS_GIVEN)
    found = [given, *in_orders(trials, alike, given, count)]
    if not any(guess.score.excess < PREDICTS or much_better(guess.score, given.score) for guess in found):
        for way in QUARTERS if trials.probe is None else WAYS[1:]:
            found.append(guessed(trials, None, Orientation(*way, np.nan)))
            if found[-1].score.excess < PREDICTS:
                return or_common(trials, found[-1]) if trials.probe is not None and count else found[-1], given
        if count:
            found += common_orders(trials)
    return better(given, found), given


def or_common(trials: Trials, best: Guess) -> Guess:
    """Return a guess, or where it does not predict views well that of a common order which does so much better."""
    return best if best.score.excess < WELL else better(best, common_orders(trials))


def ways_of(trials: Trials, best: Guess) -> list[tuple[Orientation, Score]]:
    """Return the eight ways with their scores, from the order and the probe of the best guess; the best one first.

    A probe that was found for another way than the given belongs to the patterns, and not to the positions.
    """
    found = []
    for swap, row, column in WAYS:
        way = Orientation(swap, row, column, np.nan)
        score = trials.score(trials.part(way, best.order), best.probe)
        found.append((Orientation(swap, row, column, score.misfit), score))
    return sorted(found, key=lambda pair: pair[1].misfit)
