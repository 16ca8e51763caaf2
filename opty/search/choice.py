"""The best plan for a scan: changes tried by turns, while there is time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from opty.analysis.check.scan_stretch import Stretch
from opty.analysis.coverage import is_near
from opty.analysis.held_blocks import noise_deviance
from opty.search.judgement import NEAR_NOISE
from opty.search.part import Part
from opty.search.plan import (
    ANEW,
    BEST_OF,
    CLIMB,
    ENDED,
    FIRST,
    HOPELESS,
    KINDS,
    LITTLE,
    Change,
    Plan,
    more_modes,
    priors,
)
from opty.search.scale import ASIDE, GAIN, look_at_scale, mendable, pointed, rescaled, stretched
from opty.search.start import Begin, half_turned
from opty.search.trial import SURE, Trial, tried

BARELY = 0.5  # of what a change has to gain: one that gains less is not tried again, unless plan.py says so
TURN_WORTH, TURN_ALIKE, TURN_ROOM = 0.005, 0.005, 0.05  # of half a turn: its gain, and the share above the noise
EFFORT = 16.3  # times the run on the whole scan that is likely to be chosen: what all of it may take
MOST = 19.0  # times the one without a candidate that turns out no better: what all of it may take then
MANY = 3  # modes that what is far from the noise is likely to need, at least
LOOKS = 1.5  # times the look at the scale: the one of the verdict asks whether the scale is known, too
MARGIN = 1.2  # over the time that a run is expected to take


class Choice:
    """The search for the plan that predicts held-out pixels best: what is known so far, and how much time is left.

    ``part`` : of the scan, with the start as it was mended; ``given`` : the start with positions of the given scale.
    ``trials`` : all of them. ``stretch`` : of the positions as they are, where it was looked for. ``known`` : the part
    of which positions wider and narrower predict worse for sure. ``deadline`` : of ``time.perf_counter()``, from
    ``began`` on. ``say`` : called with what is done.
    """

    def __init__(
        self,
        start: Begin,
        seed: int,
        machine: dict[str, Any],
        began: float,
        deadline: float,
        say: Callable[[str], None],
    ):
        self.seed, self.machine, self.say = seed, machine, say
        self.began, self.deadline = began, deadline
        self.given, self.part = start, Part(start, seed, machine)
        self.trials: list[Trial] = []
        self.stretch: Stretch | None = None
        self.known: Part | None = None
        self._measured: tuple[Trial, float] | None = None  # a trial, and the noise of its counts
        self._looking = 0.0  # seconds that the look at the scale takes with one mode
        self._asked: Trial | None = None  # the trial that ran with other scales as well
        self._twin: Trial | None = None  # the trial that ran with half a turn as well
        self._turned = False  # whether half a turn of the positions is decided
        self._useless: set[tuple[str, object]] = set()  # changes that are not tried again

    def chosen(self, plan: Plan) -> tuple[Plan, Trial]:
        """Return the best plan and its trial: each kind of change by turns, until none gains or the time is over.

        The scale of the positions is looked at early. The plan runs with positions wider and narrower once more modes
        were tried, as fewer than the beam has hide the scale, and where nothing improves it.
        """
        best = self._try(plan)
        for kind in FIRST:
            plan, best = self._climbed(kind, plan, best)
        plan, best = self._half_turned(plan, best)
        plan, best = self._scaled(plan, best)
        idle = number = 0
        while idle < len(KINDS):
            before = plan
            plan, best = self._climbed(KINDS[number], plan, best)
            idle = idle + 1 if plan is before else 0
            if plan.modes > before.modes or KINDS[number] is more_modes or idle == len(KINDS):
                plan, best = self._half_turned(plan, best)
                plan, best = self._bracketed(plan, best)
                idle = idle if plan is before else 0
            number = (number + 1) % len(KINDS)
            if plan.modes > before.modes:  # what gained nothing without this mode may gain now
                self._useless -= ANEW
                number = 0
        if not math.isfinite(best.score):
            raise ValueError(f"no recipe ran: {self.trials[0].why}")
        return plan, best

    def _climbed(self, kind: Callable[[Plan], Iterator[Change]], plan: Plan, best: Trial) -> tuple[Plan, Trial]:
        """Return the best plan after one kind of change, or, of those of which there is always more, several."""
        while (found := self._better(plan, kind, best)) is not None:
            plan, best = found
            if kind not in CLIMB:
                break
        return plan, best

    def _better(self, plan: Plan, kind: Callable[[Plan], Iterator[Change]], best: Trial) -> tuple[Plan, Trial] | None:
        """Return the first of some plans, or the best of all, that is better for sure than the best so far."""
        found = None
        if kind is priors and self._room(best) > ENDED:  # noise is the least of what is wrong
            return None
        for change in kind(plan):
            if (change.name, change.value) in self._useless or self._room(best) < change.room:
                continue
            if change.plan.positions == "found" and is_near(self.part.data):
                continue  # the images themselves show where views are
            if not self._time_for(plan, best, change.plan):
                continue
            trial = self._try(change.plan)
            if change.worth > 0 and trial.score > HOPELESS.get(change.name, 1 - change.worth * BARELY) * best.score:
                self._useless.add((change.name, change.value))
            better = trial.whole and trial.beats(best, change.worth)
            if better and (found is None or trial.score < found[1].score):
                found = change.plan, trial
                if kind not in BEST_OF:
                    break
        return found

    def _room(self, best: Trial) -> float:
        """Return the share of the score that the best of models could gain: what lies above the noise of counts."""
        if best.state is None:
            return 1.0
        if self._measured is None or self._measured[0] is not best:
            self._measured = best, noise_deviance(best.state, self.part.held.blocks, self.seed)
        return 1 - self._measured[1] / best.score

    def _half_turned(self, plan: Plan, best: Trial) -> tuple[Plan, Trial]:
        """Run the plan with the positions turned by half a turn, and keep them so where it predicts better for sure.

        Asked again, with what is the best then, where it scores alike.
        """
        start = self.part.begin
        if not start.text or self._turned or best is self._twin or self._room(best) < TURN_ROOM:
            return plan, best
        if not self._time_for(plan, best):
            return plan, best
        self._twin = best
        turned = Part(half_turned(start, self.seed, None, search=False), self.seed, self.machine)
        trial = tried(plan.recipe, turned.start(plan.modes), turned.held, self.deadline)
        self.say(f"{trial.score:.4f}  the same with positions turned by half a turn")
        self._turned = trial.score > (1 + TURN_ALIKE) * best.score
        if not (trial.whole and trial.beats(best, TURN_WORTH)):
            return plan, best
        self._turned, before = True, (self.given, self.part)
        self.given = half_turned(self.given, self.seed, self.machine["threads"], search=True)
        again = self.given
        if start.scale is not None:
            again = rescaled(again, start.scale, self.seed, self.machine["threads"])
        self.part = Part(again, self.seed, self.machine)
        trial = self._try(plan)
        if trial.whole and trial.beats(best, TURN_WORTH):
            return plan, trial
        self.given, self.part = before
        return plan, best

    def _scaled(self, plan: Plan, best: Trial) -> tuple[Plan, Trial]:
        """Look for another scale of the positions, and take it where the plan predicts better with it for sure."""
        data = self.part.data
        if best.state is None or is_near(data) or not self._time_for(plan, best):
            return plan, best
        self.say("scale of the positions")
        began = time.perf_counter()
        self.stretch = look_at_scale(best.state, data.positions_px)
        self._looking = 2 * (time.perf_counter() - began) / (1 + plan.modes)
        if self.stretch is None or not mendable(data, self.stretch):
            return plan, best
        return self._multiplied(plan, best, self.stretch.scale, SURE)

    def _bracketed(self, plan: Plan, best: Trial) -> tuple[Plan, Trial]:
        """Run the plan with positions wider and narrower, and take the scale to which the three scores point."""
        done = best is self._asked or self.known is self.part
        if best.state is None or done or is_near(self.part.data) or not self._time_for(plan, best, sides=2):
            return plan, best
        self._asked, sides = best, []
        for by in (-ASIDE, ASIDE):
            part = Part(stretched(self.part.begin, math.exp(by)), self.seed, self.machine)
            sides.append(tried(plan.recipe, part.start(plan.modes), part.held, self.deadline))
            self.say(f"{sides[-1].score:.4f}  the same with positions multiplied by {math.exp(by):.3f}")
        if not all(one.state is not None and one.whole for one in sides):
            return plan, best
        found = pointed(sides[0].of_views, best.of_views, sides[1].of_views)
        self.known = self.part if found.known else self.known
        if not found.sure:
            return plan, best
        return self._multiplied(plan, best, found.scale * (self.part.begin.scale or 1.0), 0.0)

    def _multiplied(self, plan: Plan, best: Trial, scale: float, sure: float) -> tuple[Plan, Trial]:
        """Try the plan with the given positions multiplied by a scale, and keep that where it predicts better."""
        before = self.part
        self.part = Part(rescaled(self.given, scale, self.seed, self.machine["threads"]), self.seed, self.machine)
        self.say(self.part.begin.said[-1])
        plans, better = dict.fromkeys((replace(plan, positions=""), plan)), False
        try:
            found, trial = min(((one, self._try(one)) for one in plans), key=lambda pair: pair[1].score)
            better = trial.beats(best, GAIN, sure)
        finally:  # Ctrl-C as well
            if not better:
                self.part = before
        if not better:
            self.say("positions as they were: with them multiplied, pixels held out are predicted no better for sure")
            return plan, best
        self.stretch = None  # of positions that are no more
        self._useless &= LITTLE  # where positions are wrong, little else gains
        return found, trial

    def _try(self, plan: Plan) -> Trial:
        what = plan.recipe, plan.modes
        part = self.part
        if what in part.known:
            return part.known[what]
        part.known[what] = trial = tried(plan.recipe, part.start(plan.modes), part.held, self.deadline)
        self.trials.append(trial)
        score = f"{trial.score:.4f}" if math.isfinite(trial.score) else trial.why
        self.say(f"{score}  {plan.recipe!r}, {plan.modes} mode{'s' * (plan.modes > 1)}")
        return trial

    def _time_for(self, plan: Plan, best: Trial, candidate: Plan | None = None, sides: int = 1) -> bool:
        """Say whether there is time for one more trial, or for the plan as many times, the whole scan after it, and the
        verdict.

        All of it may take ``EFFORT`` times one run of what is likely to be chosen: the candidate, or the best plan with
        the likelihood at its end, and with several modes where that is far from the noise. A candidate that is longer
        may lose: then all of it may take ``MOST`` times one run of the others, unless one run of the best, without the
        likelihood at its end, is too short for that already.
        """
        sweep = best.clock / plan.effort
        trial = sweep * (candidate or plan).effort
        likely = max(best.clock, sweep * plan.at_its_end.effort)
        if self._room(best) > ENDED:
            several = replace(plan.at_its_end, modes=max(plan.modes, MANY))
            likely = max(sweep * several.effort, *(one.clock for one in self.trials))
        now, reserve, run = time.perf_counter(), self.reserve(plan, best), self.part.ratio
        done = now - self.began + reserve
        spent, short = done + sides * trial, best.clock < likely and done > (MOST - 1) * run * best.clock
        if spent + trial * run > EFFORT * run * max(trial, likely):
            return False
        if spent > (MOST - 1) * run * likely and not short:
            return False
        last = max(trial, best.clock) * self.part.longer
        return now + MARGIN * (sides * trial + last) + reserve < self.deadline

    def reserve(self, plan: Plan, best: Trial) -> float:
        """Return the seconds that the run for the verdict takes, and, where that may be "right", the look at the
        scale."""
        second = best.clock * second_plan(plan).effort / plan.effort
        looks = self._room(best) < 1 - 1 / NEAR_NOISE
        return MARGIN * second + looks * LOOKS * max(best.clock, self._looking * (1 + plan.modes) / 2)


def second_plan(plan: Plan) -> Plan:
    """Return the plan of the second run, with another engine."""
    return replace(plan, engine="LSQML" if plan.engine != "LSQML" else "ML", smooth=0.0)
