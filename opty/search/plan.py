"""What ``auto`` varies: an engine, the number of modes, and what is estimated beside object and probe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from opty.algebra.operator import Identity, Operator
from opty.operators import BackgroundUpdate, IntensityUpdate, PosCorrect
from opty.recipes import DM, LSQML, ML, FindPositions, mPIE, rPIE

ENGINES = ("ML", "DM, ML", "LSQML", "LSQML, ML", "rPIE", "mPIE")
HOPELESS = {"engine": 1.3}  # times the best score: a change that brings more is not tried again
MOST_MODES, MOST_SWEEPS, FEWEST_SWEEPS = 8, 120, 8
PRIORS = (0.1, 0.3, 1.0)
# Positions that move as a whole scale the object, and make up for a defocus that is a little wrong: on a scan with
# right positions that gained a tenth of the score, and cost a third of the accuracy.
POSITIONS_WORTH = 0.15
FAR_SWEEPS = 16  # of FindPositions


@dataclass(frozen=True)
class Plan:
    """A recipe and the number of modes, in the terms in which they are chosen.

    ``engine``: one of ENGINES, what runs first named first; ``sweeps`` of each part; ``positions``: "" (as they are),
    "refined" or "found" (from far, coarse to fine); ``background``, ``intensities``: estimated as well; ``smooth``:
    weight of the prior of ML.
    """

    engine: str = "ML"
    modes: int = 1
    sweeps: int = 30
    positions: str = ""
    background: bool = False
    intensities: bool = False
    smooth: float = 0.0

    @property
    def recipe(self) -> Operator:
        """The recipe."""
        free: Operator = Identity()
        free = IntensityUpdate() * free if self.intensities else free
        free = BackgroundUpdate() * free if self.background else free
        last = ML(smooth=self.smooth)
        sequential = {"rPIE": rPIE(alpha=0.3), "mPIE": mPIE()}.get(self.engine, LSQML(batch=8))
        recipe: Operator = Identity()
        if self.positions == "found":
            recipe = FindPositions(FAR_SWEEPS) * recipe
        if self.engine.startswith("DM"):
            recipe = DM() ** self.sweeps * recipe
        if self.positions:
            recipe = (free * PosCorrect() * sequential) ** self.sweeps * recipe
        elif self.engine in ("LSQML", "LSQML, ML", "rPIE", "mPIE"):
            recipe = (free * sequential) ** self.sweeps * recipe
        if self.engine.endswith("ML") and self.engine != "LSQML":
            recipe = (free * last) ** self.sweeps * recipe
        return recipe


@dataclass(frozen=True)
class Change:
    """A plan in which one thing is different: ``name`` of it, ``value``, and the gain in score that it has to bring."""

    plan: Plan
    name: str
    value: object
    worth: float


def _changed(plan: Plan, name: str, value: object, worth: float) -> Change:
    return Change(replace(plan, **{name: value}), name, value, worth)  # type: ignore[arg-type]


def engines(plan: Plan) -> Iterator[Change]:
    """Yield the plan with every other engine."""
    yield from (_changed(plan, "engine", name, 0.002) for name in ENGINES if name != plan.engine)


def more_modes(plan: Plan) -> Iterator[Change]:
    """Yield the plan with more modes: one more, and two more."""
    yield from (_changed(plan, "modes", m, 0.01) for m in (plan.modes + 1, plan.modes + 2) if m <= MOST_MODES)


def positions(plan: Plan) -> Iterator[Change]:
    """Yield the plan with positions refined, and found from far; these only where they explain a good deal more."""
    if not plan.positions:
        yield _changed(plan, "positions", "refined", POSITIONS_WORTH)
    if plan.positions != "found":
        yield _changed(plan, "positions", "found", POSITIONS_WORTH)


def background(plan: Plan) -> Iterator[Change]:
    """Yield the plan with the background estimated."""
    if not plan.background:
        yield _changed(plan, "background", True, 0.01)


def intensities(plan: Plan) -> Iterator[Change]:
    """Yield the plan with the intensity of each view estimated."""
    if not plan.intensities:
        yield _changed(plan, "intensities", True, 0.01)


def priors(plan: Plan) -> Iterator[Change]:
    """Yield the plan with the next stronger prior, where its engine has one."""
    stronger = [weight for weight in PRIORS if weight > plan.smooth]
    if "ML" in plan.engine.split(", ") and stronger:
        yield _changed(plan, "smooth", stronger[0], 0.005)


def lengths(plan: Plan) -> Iterator[Change]:
    """Yield the plan with twice the sweeps, and with half of them: long runs fit the noise of few photons."""
    if plan.sweeps < MOST_SWEEPS:
        yield _changed(plan, "sweeps", 2 * plan.sweeps, 0.01)
    if plan.sweeps > FEWEST_SWEEPS:
        yield _changed(plan, "sweeps", plan.sweeps // 2, 0.005)


KINDS = (engines, more_modes, positions, background, intensities, priors, lengths)
