"""One recipe tried: run on what is not held out, scored by the blocks that are."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.held_blocks import Withheld, deviances, on
from opty.errors import DivergedError, EffectError, InterruptedWarning, MemoryWarning, MisfitWarning, RecipeError
from opty.runtime.execute import run, turns
from opty.runtime.interrupt import ctrl_c_returns
from opty.state import BareState

SURE = 2.0  # standard errors by which a score has to be better
WORTH = 0.002  # of the score: what is less is not worth a longer recipe


class Interrupted(Exception):
    """Ctrl-C was pressed: no further trial starts. ``state`` is what the run reached that it ended."""

    def __init__(self, state: BareState):
        super().__init__()
        self.state = state


@dataclass(frozen=True)
class Trial:
    """What came of one recipe.

    ``score``: deviance of the held-out pixels from what the recipe predicts there, a pixel (no unit): about 1 is the
    noise of counted photons where there is light, infinity stands for a run that failed; ``why`` says how. ``seconds``
    of CPU time, ``clock`` those of the clock; ``state`` as the run left it, None where it failed; ``whole``: it came to
    its end; ``of_views``: what each view adds to the score, for a comparison view by view.
    """

    recipe: Operator
    modes: int
    score: float
    seconds: float
    clock: float = field(repr=False, compare=False)
    state: Any = field(repr=False, compare=False)
    why: str = ""
    whole: bool = True
    of_views: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)

    def beats(self, other: Trial, worth: float = WORTH, sure: float = SURE) -> bool:
        """Say whether the score is better for sure: by ``sure`` standard errors of the views' differences, and by
        ``worth``.

        Below 0 ``worth`` is what the score of a simpler recipe may be above the other one.
        """
        if worth < 0:
            return self.score < (1 - worth) * other.score
        if not math.isfinite(self.score) or not math.isfinite(other.score):
            return math.isfinite(self.score)
        if len(self.of_views) != len(other.of_views):
            raise ValueError("trials of different views cannot be compared view by view")
        better = other.of_views - self.of_views
        error = float(better.std(ddof=1)) / math.sqrt(len(better)) if len(better) > 1 else math.inf
        return float(better.mean()) > sure * error and self.score < (1 - worth) * other.score


def tried(recipe: Operator, start: BareState, held: Withheld, deadline: float = math.inf) -> Trial:
    """Run a recipe from ``start`` on the measurement without the held-out blocks, and score it by these.

    ``deadline`` : of ``time.perf_counter()``; a run that reaches it ends with the turn under way.
    Raises Interrupted where Ctrl-C ended the run.
    """
    cpu, clock, modes = time.process_time(), time.perf_counter(), len(start.probe)

    def spent() -> tuple[float, float]:
        return time.process_time() - cpu, time.perf_counter() - clock

    try:
        p, whole = finished(recipe, on(start, held.fitted), deadline)
    except DivergedError:
        return Trial(recipe, modes, math.inf, *spent(), None, "diverged")
    except (EffectError, RecipeError, ValueError) as error:
        return Trial(recipe, modes, math.inf, *spent(), None, str(error))
    seconds = spent()
    found, pixels = deviances(on(p, held.blocks))
    score = float(found.sum() / pixels.sum())
    if not math.isfinite(score):
        return Trial(recipe, modes, math.inf, *seconds, None, "diverged")
    return Trial(recipe, modes, score, *seconds, p, "" if whole else "out of time", whole, found / pixels.mean())


def finished(recipe: Operator, p: BareState, deadline: float = math.inf) -> tuple[Any, bool]:
    """Return what a recipe makes of a state, and whether it came to its end before ``deadline``.

    Raises Interrupted for Ctrl-C.
    """
    q: Any = p
    with ctrl_c_returns(), warnings.catch_warnings():
        for known in (MisfitWarning, MemoryWarning):
            warnings.simplefilter("ignore", known)
        warnings.simplefilter("error", InterruptedWarning)
        try:
            if math.isinf(deadline):
                return run(recipe, p), True
            for q in turns(recipe, p):
                if time.perf_counter() > deadline:
                    return q, False
        except (InterruptedWarning, KeyboardInterrupt) as stopped:
            raise Interrupted(getattr(stopped, "state", None) or q) from None
    return q, True


def table(trials: Iterable[Trial]) -> str:
    """Return trials as text, one a line, the best score first."""
    ranked = sorted(trials, key=lambda one: one.score)
    rows = [f"{'score':>8} {'CPU s':>7} {'modes':>5}  recipe"]
    for one in ranked:
        score = f"{one.score:>8.4f}" if math.isfinite(one.score) else f"{'-':>8}"
        why = f"  ({one.why})" if one.why else ""
        rows.append(f"{score} {one.seconds:>7.1f} {one.modes:>5}  {one.recipe!r}{why}")
    return "\n".join(rows)
