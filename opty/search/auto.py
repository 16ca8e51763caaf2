"""auto(data): from a raw scan to a recipe, chosen by what predicts held-out pixels, and its result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from opty.algebra.operator import Operator
from opty.analysis.check.quick import quick_look
from opty.analysis.check.scan_stretch import Stretch
from opty.analysis.coverage import is_near
from opty.analysis.held_blocks import noise_deviance, on
from opty.data import PtychoData
from opty.operators import ScaleObjProbe
from opty.ptycho_state import PtychoState
from opty.search.judgement import Verdict, difference, judged, of_scale
from opty.search.part import Part
from opty.search.plan import ANEW, BEST_OF, CLIMB, ENDED, FIRST, HOPELESS, KINDS, Change, Plan, priors
from opty.search.repair import Repaired, repaired
from opty.search.scale import ASIDE, GAIN, look_at_scale, mendable, pointed, rescaled, scale_is_known, stretched
from opty.search.start import Begin, begin, half_turned
from opty.search.trial import SURE, Interrupted, Trial, finished, table, tried

MINUTES = 5.0
BARELY = 0.5  # of what a change has to gain: one that gains less is not tried again, unless plan.py says so
TURN_WORTH, TURN_ALIKE, TURN_ROOM = 0.01, 0.005, 0.05  # of half a turn: its gain, and the share above the noise
EFFORT = 16.0  # times the run on the whole scan that is likely to be chosen: what all of it may take
MOST = 19.5  # times the one without a candidate that turns out no better: what all of it may take then
MARGIN = 1.3  # over the time that a run is expected to take


@dataclass(frozen=True)
class Auto:
    """What ``auto`` found; print it for the report.

    ``state``: the result; ``expression``: what made it, to be run and changed; ``trials``: what was tried, on a part of
    the scan; ``verdict``; ``said``: what was found, repaired and doubted; ``options`` of ``opty.load`` that repair a
    file in the same way; ``data``: the measurement as it was reconstructed; ``seconds`` of CPU time;
    ``interrupted``: Ctrl-C ended the search, and ``state`` is the best so far.
    """

    state: PtychoState = field(repr=False)
    expression: str
    verdict: Verdict
    trials: tuple[Trial, ...] = field(repr=False)
    said: tuple[str, ...]
    options: dict[str, Any]
    seconds: float
    interrupted: bool

    @property
    def recipe(self) -> Operator:
        """The recipe that was chosen."""
        return self.state.recipe

    @property
    def data(self) -> PtychoData:
        """The measurement after the repairs."""
        return self.state.data

    def __str__(self) -> str:
        said = "\n".join(f"  {line}" for line in self.said)
        head = f"verdict     {self.verdict}\nexpression  {self.expression}\nCPU time    {self.seconds:.1f} s"
        return f"{head}\nfound\n{said}\ntried\n{table(self.trials)}"


def auto(
    data: PtychoData,
    *,
    minutes: float = MINUTES,
    seed: int = 0,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    force: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Auto:
    """Reconstruct a scan with a recipe that is chosen for it: nothing to tune.

    Dead, hot and saturated pixels are masked, missing and frozen frames left out, and in a near field the distance of
    the focus, or scale and rotation of the positions, taken from how the patterns move. A starting probe is searched
    for where the data bring none, and the way round of the positions. Then recipes run on the middle of the scan, with
    blocks of detector pixels held out: engines, numbers of modes, refined positions, background, intensities, priors,
    longer runs, each kept only where it predicts the held-out pixels better for sure. The best runs on the whole scan.
    The fitted misfit decides nothing.

    Parameters
    ----------
    data : PtychoData. minutes : of the clock, for all of it. seed : of every random choice.
    device, threads, deterministic : as for PtychoState. force : reconstruct even what is pointless as it is.
    tell : called with a line of text for each thing that is done, with the time left.

    Returns
    -------
    Auto : state, expression, verdict and the table of what was tried. Ctrl-C gives the best so far.

    Raises
    ------
    ValueError : a scan of which a reconstruction is pointless, with the reason. KeyboardInterrupt : Ctrl-C before the
        first trial ended.
    """
    if not (isinstance(minutes, (int, float)) and minutes > 0):
        raise ValueError(f"minutes is {minutes!r}; give a number above 0")
    machine = {"device": device, "threads": threads, "deterministic": deterministic}
    return _Search(data, minutes, seed, machine, force, tell or (lambda line: None)).run()


class _Search:
    """One search: what is known so far, and how much time is left."""

    def __init__(
        self,
        data: PtychoData,
        minutes: float,
        seed: int,
        machine: dict[str, Any],
        force: bool,
        tell: Callable[[str], None],
    ):
        self.began, self.cpu = time.perf_counter(), time.process_time()
        self.deadline = self.began + 60 * minutes
        self.seed, self.machine, self.tell = seed, machine, tell
        self.trials: list[Trial] = []
        self.stretch: Stretch | None = None  # of the positions as they are
        self.measured: tuple[Trial, float] | None = None  # a trial, and the noise of its counts
        self.looking = 0.0  # seconds that the look at the scale took
        self.asked: Trial | None = None  # the trial that ran with other scales as well
        self.known: Part | None = None  # the part of which others predict worse for sure
        self.turned = False  # whether half a turn of the positions is decided
        self.useless: set[tuple[str, object]] = set()  # changes that are not tried again
        self.repaired: Repaired = repaired(data)
        if self.repaired.problems and not force:
            raise ValueError(f"a reconstruction would be pointless: {'; '.join(self.repaired.problems)}")
        for line in self.repaired.done:
            tell(line)

    def say(self, what: str) -> None:
        self.tell(f"{what} ({max(0.0, self.deadline - time.perf_counter()):.0f} s left)")

    def run(self) -> Auto:
        start: Begin = begin(self.repaired.data, self.seed, self.machine, self.say)
        doubts = quick_look(start.data.replace(probe=start.probe) if start.text else start.data).warnings
        for line in (*start.said, *doubts):
            self.tell(line)
        self.given, self.part = start, Part(start, self.seed, self.machine)
        plan, best, stopped = Plan(modes=self.part.modes), None, False
        try:
            plan, best = self._chosen(plan)
            state, whole = self._final(plan, best)
        except (Interrupted, KeyboardInterrupt) as stop:
            ran = [one for one in self.part.known.values() if one.state is not None]
            if not ran:
                raise KeyboardInterrupt from None
            best = min(ran, key=lambda one: one.score)
            state, whole, stopped = self._kept(best, getattr(stop, "state", None)), False, True
        if not whole:  # a run that was cut off has not come to its last step
            state = ScaleObjProbe() * state
        verdict = self._verdict(plan, best, whole, stopped)
        if verdict.word == "right" and time.perf_counter() + best.clock < self.deadline:
            found = self.stretch  # with a model that was not chosen yet, what differs may not be the scale
            if found is None or found.off:
                found = look_at_scale(state, self.part.whole.positions_px)
            verdict = of_scale(verdict, found, lambda: self.known is self.part or scale_is_known(state))
        self.tell(f"verdict: {verdict}")
        ranked = tuple(sorted(self.trials, key=lambda one: one.score))
        cpu = time.process_time() - self.cpu
        said = (*self.repaired.done, *self.part.begin.said, *doubts, *self._part_of(state.data))
        return Auto(state, self._expression(best, state), verdict, ranked, said, self._options(), cpu, stopped)

    # -- the search

    def _chosen(self, plan: Plan) -> tuple[Plan, Trial]:
        """Return the best plan and its trial: each kind of change by turns, until none gains or the time is over.

        The scale of the positions is looked at early. The plan runs with positions wider and narrower where there are
        more modes, as fewer than the beam has hide the scale, once it has its prior, and where nothing improves it.
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
            if plan.modes > before.modes or KINDS[number] is priors or idle == len(KINDS):
                plan, best = self._half_turned(plan, best)
                plan, best = self._bracketed(plan, best)
                idle = idle if plan is before else 0
            number = (number + 1) % len(KINDS)
            if plan.modes > before.modes:  # what gained nothing without this mode may gain now
                self.useless -= ANEW
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
        for change in kind(plan):
            if (change.name, change.value) in self.useless or self._room(best) < change.room:
                continue
            if not self._time_for(plan, best, change.plan):
                continue
            trial = self._try(change.plan)
            if change.worth > 0 and trial.score > HOPELESS.get(change.name, 1 - change.worth * BARELY) * best.score:
                self.useless.add((change.name, change.value))
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
        if self.measured is None or self.measured[0] is not best:
            self.measured = best, noise_deviance(best.state, self.part.held.blocks, self.seed)
        return 1 - self.measured[1] / best.score

    def _half_turned(self, plan: Plan, best: Trial) -> tuple[Plan, Trial]:
        """Run the plan with the positions turned by half a turn, and keep them so where it predicts better for sure.

        Asked again, with what is the best then, where it scores alike.
        """
        start = self.part.begin
        if not start.text or self.turned or self._room(best) < TURN_ROOM or not self._time_for(plan, best):
            return plan, best
        turned = Part(half_turned(start, self.seed, None, search=False), self.seed, self.machine)
        trial = tried(plan.recipe, turned.start(plan.modes), turned.held, self.deadline)
        self.say(f"{trial.score:.4f}  the same with positions turned by half a turn")
        self.turned = trial.score > (1 + TURN_ALIKE) * best.score
        if not (trial.whole and trial.beats(best, TURN_WORTH)):
            return plan, best
        self.turned, before = True, (self.given, self.part)
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
        self.looking = time.perf_counter() - began
        if self.stretch is None or not mendable(data, self.stretch):
            return plan, best
        return self._multiplied(plan, best, self.stretch.scale, SURE)

    def _bracketed(self, plan: Plan, best: Trial) -> tuple[Plan, Trial]:
        """Run the plan with positions wider and narrower, and take the scale to which the three scores point."""
        done = best is self.asked or self.known is self.part
        if best.state is None or done or is_near(self.part.data) or not self._time_for(plan, best, sides=2):
            return plan, best
        self.asked, sides = best, []
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
        self.useless.clear()  # where positions are wrong, little else gains
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
        the likelihood at its end; where that is far from the noise, the longest that was tried. A candidate that is
        longer may lose: then all of it may take ``MOST`` times one run of the others.
        """
        sweep = best.clock / plan.effort
        trial = sweep * (candidate or plan).effort
        likely = max(best.clock, sweep * plan.at_its_end.effort)
        if self._room(best) > ENDED:
            likely = max(likely, *(one.clock for one in self.trials))
        now, reserve, run = time.perf_counter(), self._reserve(best), self.part.ratio
        spent = now - self.began + sides * trial + reserve
        if spent + trial * run > EFFORT * run * max(trial, likely) or spent + likely * run > MOST * run * likely:
            return False
        last = max(trial, best.clock) * self.part.longer
        return now + MARGIN * (sides * trial + last) + reserve < self.deadline

    def _reserve(self, best: Trial) -> float:
        """Return the seconds that the run for the verdict takes, and the look at the scale."""
        return MARGIN * best.clock + max(MARGIN * best.clock, self.looking)

    # -- the result

    def _final(self, plan: Plan, best: Trial) -> tuple[PtychoState, bool]:
        self.say(f"the whole scan: {plan.recipe!r}, {plan.modes} mode{'s' * (plan.modes > 1)}")
        until = self.deadline - self._reserve(best)
        fits = time.perf_counter() + MARGIN * best.clock * self.part.longer < until
        recipe = ScaleObjProbe() * plan.recipe
        return finished(recipe, self.part.state(self.part.whole, plan.modes), math.inf if fits else until)

    def _kept(self, best: Trial, reached: PtychoState | None) -> PtychoState:
        """Return what an interrupted search has: the run on the whole scan as far as it came, or the best trial."""
        if reached is not None and reached.data is self.part.whole and reached.iteration:
            return reached
        assert best.state is not None
        return on(best.state, self.part.data)

    def _verdict(self, plan: Plan, best: Trial, whole: bool, stopped: bool) -> Verdict:
        assert best.state is not None
        noise = noise_deviance(best.state, self.part.held.blocks, self.seed)
        if stopped or time.perf_counter() + best.clock > self.deadline:
            return judged(best.score, noise, None, whole)
        other = replace(plan, engine="LSQML" if plan.engine != "LSQML" else "ML", smooth=0.0)
        try:
            second, _ = finished(other.recipe, self.part.other_start(plan.modes), self.deadline)
        except (Interrupted, ArithmeticError):
            return judged(best.score, noise, None, whole)
        return judged(best.score, noise, difference(best.state, second), whole)

    def _part_of(self, data: PtychoData) -> tuple[str, ...]:
        """Say that a result is not of the whole scan, or not of all of its resolution; nothing where it is."""
        whole = self.part.whole
        if (data.views, data.n) == (whole.views, whole.n):
            return ()
        coarse = "" if data.n == whole.n else f", at {whole.n // data.n} times the pixel"
        ended = "the search ended before the whole scan was run"
        return (f"the result is of {data.views} of {whole.views} views{coarse}: {ended}",)

    def _options(self) -> dict[str, Any]:
        options = dict(self.repaired.options)
        start = self.part.begin
        if start.way is not None:
            swap, flip = start.way.turn
            options |= ({"transpose": True} if swap else {}) | ({"flip": flip} if flip else {})
        if start.scale is not None:
            options["position_scale"] = start.scale
        return options

    def _expression(self, best: Trial, state: PtychoState) -> str:
        """Return what made the state: of a run that was cut off by the time, the turns that were made."""
        probe = f", {self.part.begin.text}" if self.part.begin.text else ""
        modes = "" if best.modes == self.part.modes else f", modes={best.modes}"
        seed = f", seed={self.seed}" if self.seed else ""
        return f"{state.recipe!r} * opty.PtychoState(data{probe}{modes}{seed})"
