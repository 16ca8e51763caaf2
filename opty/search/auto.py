"""auto(data): from a raw scan to a recipe, chosen by what predicts held-out pixels, and its result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opty.algebra.operator import Operator
from opty.analysis.check.quick import quick_look
from opty.analysis.held_blocks import noise_deviance, on
from opty.data import PtychoData
from opty.operators import ScaleObjProbe
from opty.ptycho_state import PtychoState
from opty.search.choice import MARGIN, Choice, second_plan
from opty.search.judgement import Verdict, difference, judged, of_scale
from opty.search.plan import Plan
from opty.search.repair import Repaired, repaired
from opty.search.scale import look_at_scale, scale_is_known
from opty.search.start import Begin, begin
from opty.search.trial import Interrupted, Trial, finished, table

MINUTES = 5.0


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
    """What is done for one scan: repairs, a start, the choice of a plan, the run on the whole scan, the verdict."""

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
        choice = self.choice = Choice(start, self.seed, self.machine, self.began, self.deadline, self.say)
        plan, best, stopped = Plan(modes=choice.part.modes), None, False
        try:
            plan, best = choice.chosen(plan)
            state, whole = self._final(plan, best)
        except (Interrupted, KeyboardInterrupt) as stop:
            ran = [one for one in choice.part.known.values() if one.state is not None]
            if not ran:
                raise KeyboardInterrupt from None
            best = min(ran, key=lambda one: one.score)
            state, whole, stopped = self._kept(best, getattr(stop, "state", None)), False, True
        if not whole:  # a run that was cut off has not come to its last step
            state = ScaleObjProbe() * state
        verdict = self._verdict(plan, best, whole, stopped)
        if verdict.word == "right" and time.perf_counter() + best.clock < self.deadline:
            found = choice.stretch  # with a model that was not chosen yet, what differs may not be the scale
            if found is None or found.off:
                found = look_at_scale(state, choice.part.whole.positions_px)
            verdict = of_scale(verdict, found, lambda: choice.known is choice.part or scale_is_known(state))
        self.tell(f"verdict: {verdict}")
        ranked = tuple(sorted(choice.trials, key=lambda one: one.score))
        cpu = time.process_time() - self.cpu
        said = (*self.repaired.done, *choice.part.begin.said, *doubts, *self._part_of(state.data))
        return Auto(state, self._expression(best, state), verdict, ranked, said, self._options(), cpu, stopped)

    def _final(self, plan: Plan, best: Trial) -> tuple[PtychoState, bool]:
        part = self.choice.part
        self.say(f"the whole scan: {plan.recipe!r}, {plan.modes} mode{'s' * (plan.modes > 1)}")
        until = self.deadline - self.choice.reserve(plan, best)
        fits = time.perf_counter() + MARGIN * best.clock * part.longer < until
        recipe = ScaleObjProbe() * plan.recipe
        return finished(recipe, part.state(part.whole, plan.modes), math.inf if fits else until)

    def _kept(self, best: Trial, reached: PtychoState | None) -> PtychoState:
        """Return what an interrupted search has: the run on the whole scan as far as it came, or the best trial."""
        if reached is not None and reached.data is self.choice.part.whole and reached.iteration:
            return reached
        assert best.state is not None
        return on(best.state, self.choice.part.data)

    def _verdict(self, plan: Plan, best: Trial, whole: bool, stopped: bool) -> Verdict:
        assert best.state is not None
        noise = noise_deviance(best.state, self.choice.part.held.blocks, self.seed)
        if stopped or time.perf_counter() + best.clock > self.deadline:
            return judged(best.score, noise, None, whole)
        try:
            second, _ = finished(second_plan(plan).recipe, self.choice.part.other_start(plan.modes), self.deadline)
        except (Interrupted, ArithmeticError):
            return judged(best.score, noise, None, whole)
        return judged(best.score, noise, difference(best.state, second), whole)

    def _part_of(self, data: PtychoData) -> tuple[str, ...]:
        """Say that a result is not of the whole scan, or not of all of its resolution; nothing where it is."""
        whole = self.choice.part.whole
        if (data.views, data.n) == (whole.views, whole.n):
            return ()
        coarse = "" if data.n == whole.n else f", at {whole.n // data.n} times the pixel"
        ended = "the search ended before the whole scan was run"
        return (f"the result is of {data.views} of {whole.views} views{coarse}: {ended}",)

    def _options(self) -> dict[str, Any]:
        options = dict(self.repaired.options)
        start = self.choice.part.begin
        if start.way is not None:
            swap, flip = start.way.turn
            options |= ({"transpose": True} if swap else {}) | ({"flip": flip} if flip else {})
        if start.scale is not None:
            options["position_scale"] = start.scale
        return options

    def _expression(self, best: Trial, state: PtychoState) -> str:
        """Return what made the state: of a run that was cut off by the time, the turns that were made."""
        probe = f", {self.choice.part.begin.text}" if self.choice.part.begin.text else ""
        modes = "" if best.modes == self.choice.part.modes else f", modes={best.modes}"
        seed = f", seed={self.seed}" if self.seed else ""
        return f"{state.recipe!r} * opty.PtychoState(data{probe}{modes}{seed})"
