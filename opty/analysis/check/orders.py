"""Frames in other orders, tried by short runs: which of them predicts views that the runs have not seen?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from opty.analysis.check.likeness import Likeness, line_ends, orders_like
from opty.analysis.check.trials import Score, Trials
from opty.analysis.orientation import AS_GIVEN, Orientation
from opty.analysis.probe_search import find_probe
from opty.data import PtychoData
from opty.data.frame_order import GRIDS, grid_places

WELL = 0.15  # excess of a score below which no other orientation can be better by enough
PREDICTS = 0.6  # excess of a score below which an object and a probe predict views
PREDICTS_WELL = 0.4  # the same for an order for which nothing speaks but that
CUT_NEAR, SAME_CUT = 6, 1.02  # frames by which likeness may miss a cut; and times the least misfit, which is no worse
LATE, CUTS = 0.85, 12  # where in a scan that is no raster the last views are looked at; and frames tried for a shift
FEW = 24  # views round the end of a line, which are of few lines
SIMPLE = 0.02  # of excess in favour of shifts from the first frame on
BY_ONE = ("shift:1@", "shift:-1@")
APART = 0.15  # of excess by which another guess must be worse, where one predicts views
CLOSE, CLOSE_NOTHING = 0.9, 0.75  # times its misfit; and where none predicts views
HALF = 0.5  # times its misfit: of an order and a way that are nearly the same both predict views
NOTHING = 0.8  # excess from which on nothing predicts views
ORDERS, CHEAP_ORDERS = 2, 4  # that are tried, the likeliest, where each takes a search for a probe; where none does
SHIFTS = ("shift:1", "shift:-1", "shift:2", "shift:-2", "shift:3", "shift:-3")  # tried where likeness tells nothing


@dataclass(frozen=True)
class Guess:
    """An order of the frames, a way to take positions and a starting probe, and how well they predict views.

    ``given``: how well the same views are predicted with all as given, where that was looked at: it is much worse then.
    """

    order: str | None
    way: Orientation
    probe: np.ndarray
    score: Score
    given: Score | None = None


def in_orders(trials: Trials, alike: Likeness | None, given: Guess, count: int) -> list[Guess]:
    """Return guesses of other orders that make neighbours more alike; searches for a probe for ``count`` at most.

    Where the probe is known, or the guess that takes all as given has found it, a guess is one short run: then those
    that are more alike by less than chance may make of it are tried as well.
    """
    if alike is None or not count:
        return []
    known = given.score.excess < PREDICTS  # its probe is right
    cheap = known or trials.probe is not None
    orders = (alike.better + alike.perhaps)[:CHEAP_ORDERS] if cheap else alike.better[:count]
    if known:
        found = [
            guess
            for order, view in (*_at_ends(trials, orders), *orders)
            for guess in _stands_out(trials, given, order, view)
        ]
        found = [_at_frame(trials, guess) for guess in _first_of_each(found)]
        return found or late_from_a_frame_on(trials, given)
    found = []
    for order, _ in orders:
        if not any(guess.score.excess < PREDICTS for guess in found):
            found.append(guessed(trials, order, AS_GIVEN))
    return [_at_frame(trials, guess) for guess in found]


def common_orders(trials: Trials) -> list[Guess]:
    """Return the guess of frames late or early by up to three that predicts views well, or none.

    With a known probe of other common orders, too. Where a probe has fine structure, neighbours that overlap well are
    no more alike than other views, and their likeness names no order. For where no orientation explains the frames: in
    one that is turned, a wrong order may predict views a little.
    """
    orders: tuple[str, ...] = SHIFTS
    if trials.probe is not None:
        orders += ("reversed", *(GRIDS if grid_places(trials.data.positions) is not None else ()))
    for order in orders:
        guess = guessed(trials, order, AS_GIVEN)
        if guess.score.excess < PREDICTS_WELL and not guess.score.noisy:
            return [guess]
    return []


def _first_of_each(found: list[Guess]) -> list[Guess]:
    """Return the first guess of each order."""
    return list({guess.order: guess for guess in reversed(found)}.values())


def late_from_a_frame_on(trials: Trials, given: Guess) -> list[Guess]:
    """Return the guess of frames late or early by one from a frame on that the last views tell, or none.

    Of a spiral, which begins in its middle, the middle views say nothing of those after. Elsewhere than on a raster
    that runs all one way, of which ``_at_ends`` tells, a wrong order is one where views are predicted badly. ``given``:
    the guess that takes all as given, which predicts the middle.
    """
    views = trials.data.views
    view = int(LATE * views)
    if line_ends(trials.data.positions) is not None:
        return []
    here = _with(trials, None, AS_GIVEN, given.probe, view)
    if here.score.excess < PREDICTS or here.score.noisy:
        return []
    cuts = [views * k // CUTS for k in range(CUTS // 4, CUTS)]
    tried = [
        _with(trials, f"shift:{shift}@{cut}", AS_GIVEN, given.probe, view) for shift in (1, -1) for cut in cuts if cut
    ]
    best = min(tried, key=lambda guess: guess.score.misfit)
    if best.score.excess >= PREDICTS or not much_better(best.score, here.score):
        return []
    return [_at_frame(trials, replace(best, given=here.score), views // CUTS + 1)]


def _at_ends(trials: Trials, orders: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    """Return frames late and early by one, and those orders that shift by one from a frame on, at the ends of lines.

    Elsewhere on a raster such frames are where they would be, but for a step that all have in common. Frames that are
    so from one on are so in the second half.
    """
    found = []
    for order in ("shift:-1", "shift:1", *(order for order, _ in orders if order.startswith(BY_ONE))):
        first = int(order.partition("@")[2] or trials.data.views // 2)
        ends = line_ends(trials.data.positions, first)
        if ends is not None:
            found.append((order, ends[0] if order.startswith("shift:-") else ends[1]))
    return found


def _stands_out(trials: Trials, given: Guess, order: str, view: int) -> list[Guess]:
    """Return the guess of an order, with the probe of the guess given, where it stands out round a view."""
    here_given = _with(trials, None, AS_GIVEN, given.probe, view)
    tried = _with(trials, order, AS_GIVEN, given.probe, view)
    return [replace(tried, given=here_given.score)] if much_better(tried.score, here_given.score) else []


def _at_frame(trials: Trials, guess: Guess, miss: int = CUT_NEAR) -> Guess:
    """Return the guess of a shift by one with the frame from which on it predicts views best; others as they are.

    ``miss``: by how many frames that of the guess may be off.
    """
    shift, at, first = str(guess.order).partition("@")
    if shift not in ("shift:1", "shift:-1") or guess.score.excess >= PREDICTS:
        return guess
    middle, near = (int(first), miss) if at else _from_line(trials, guess, shift)
    if not middle:
        return guess
    twice = [view for view in trials.frozen if abs(view - middle) <= near]
    if shift == "shift:-1" and twice:
        return replace(guess, order=f"{shift}@{twice[0]}")
    last = trials.data.views - 2
    views = [min(max(middle + side, 0), last) for side in (-CUT_NEAR // 2, CUT_NEAR // 2)]

    def order(cut: int) -> str:
        return f"{shift}@{cut}" if cut else shift

    while True:
        step = -(-near // CUT_NEAR)
        cuts = range(max(0, middle - near), min(last, middle + near) + 1, step)
        missed = {}
        for cut in cuts:
            tried = [_with(trials, order(cut), AS_GIVEN, guess.probe, view) for view in views]
            missed[cut] = sum(one.score.misfit for one in tried)
        alike = [cut for cut in cuts if missed[cut] < SAME_CUT * min(missed.values())]
        middle, near = 0 if 0 in alike else min(alike, key=lambda cut: abs(cut - middle)), step
        if step == 1:
            return replace(_with(trials, order(middle), AS_GIVEN, guess.probe, middle), given=guess.given)


def _from_line(trials: Trials, guess: Guess, shift: str) -> tuple[int, int]:
    """Return a view near that from which on frames of a raster are shifted by one, and by how many views it may miss.

    0 where they are so from the first line on, or positions are on no lines. By halves: round the end of a line before
    it views are predicted better as given.
    """
    positions, lines, at = trials.data.positions, [], 0
    while (ends := line_ends(positions, at, middle=False)) is not None and ends[1] >= at:
        lines.append(ends[0] if shift == "shift:-1" else ends[1])
        at = ends[0]
    low, high = 0, len(lines) - 1
    before, trials.views = trials.views, min(FEW, trials.views)
    while low < high:
        half = (low + high) // 2
        scores = [_with(trials, order, AS_GIVEN, guess.probe, lines[half]).score for order in (shift, None)]
        low, high = (low, half) if scores[0].misfit < scores[1].misfit else (half + 1, high)
    trials.views = before
    return (lines[low], 2 * (lines[low] - lines[low - 1])) if low else (0, 0)


def better(given: Guess, found: list[Guess]) -> Guess:
    """Return the best of some guesses where it stands out from that which takes all as given, else this.

    Those round a view were compared with it there.
    """
    stand_out = [g for g in found if g.given is not None or much_better(g.score, given.score)]
    return min(stand_out, key=lambda guess: guess.score.excess + SIMPLE * ("@" in str(guess.order)), default=given)


def like_way(trials: Trials, way: Orientation, probe: np.ndarray) -> Guess | None:
    """Return the best guess of an order of the frames that is nearly the same as a way to take the positions.

    Or, with the positions turned, as the positions given. Frames of a raster in the reversed order are nearly the
    raster turned by half a turn: positions that are off their places tell the two apart.
    """
    positions = trials.data.positions
    likes = [pair for pair in orders_like(positions, way) if pair[1].as_given]
    likes += orders_like(positions, AS_GIVEN)  # as where positions were turned to explain the order
    found = []
    for order, turn in dict.fromkeys(likes):
        guess = _with(trials, order, turn, probe, None)
        untold = not trials.known and turn.name == half_turn(AS_GIVEN).name
        found.append(replace(guess, way=AS_GIVEN) if untold else guess)
    return min(found, key=lambda guess: guess.score.misfit, default=None)


def guessed(trials: Trials, order: str | None, way: Orientation) -> Guess:
    """Score an order and a way, from the starting probe of the data or the one that a search finds."""
    return Guess(order, way, *scored(trials, trials.part(way, order)))


def scored(trials: Trials, part: PtychoData) -> tuple[np.ndarray, Score]:
    """Return the starting probe of the data, or the one that a search finds, and how well it predicts views."""
    if trials.probe is not None:
        return trials.probe, trials.score(part, trials.probe)
    search = find_probe(part, threads=1)
    return search.probe, trials.scored(part, search.score)


def _with(trials: Trials, order: str | None, way: Orientation, probe: np.ndarray, view: int | None) -> Guess:
    part = trials.part(way, order, view)
    return Guess(order, way, probe, trials.score(part, probe))


def much_better(one: Score, other: Score) -> bool:
    """Whether a guess stands out from another: by more than the scores of two wrong guesses differ."""
    if one.excess >= NOTHING or one.noisy:
        return one.misfit < CLOSE_NOTHING * other.misfit
    return other.excess - one.excess > APART and one.misfit < CLOSE * other.misfit


def clearly(one: Score, other: Score) -> bool:
    """Whether one of two guesses that are nearly the same is the right one."""
    return much_better(one, other) or one.misfit < HALF * other.misfit


def half_turn(way: Orientation) -> Orientation:
    """Return a way to take positions with half a turn more."""
    return Orientation(way.swap, -way.row, -way.column, way.misfit)
