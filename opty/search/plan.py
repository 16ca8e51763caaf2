"""What ``auto`` varies: an engine, the number of modes, and what is estimated beside object and probe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from opty.algebra.operator import Identity, Operator
from opty.operators import BackgroundUpdate, IntensityUpdate, PosCorrect, PosCorrectGradient
from opty.recipes import DM, LSQML, ML, FindPositions, mPIE, rPIE

ENGINES = ("LSQML", "LSQML, ML", "DM, LSQML, ML", "ML", "rPIE", "mPIE")
RACE = ("DM, LSQML, ML",)  # tried against the first at the start: one of the two finds its way from most starts
HOPELESS = {"engine": 1.05}  # times the best score: a change that ends above is not tried again
RACE_WORTH = 0.3
ENDED_WORTH, ENDED = 0.1, 0.5  # of the likelihood at the end; and the share above the noise from which it is tried
MOST_MODES, MOST_SWEEPS, FEWEST_SWEEPS = 8, 120, 8
PRIORS = (0.1, 0.3, 1.0)
# Positions that move as a whole scale the object, and make up for a defocus that is a little wrong: on a scan with
# right positions that gained a tenth of the score, and cost a third of the accuracy.
POSITIONS_WORTH = 0.15
# On scans without a background an estimated one predicted up to a hundredth better, and made the picture 3 to 8 percent
# worse; where there is one it gained a sixth and more.
LIGHT_WORTH = 0.04
# In place of a second mode: without a background it predicted at most 11 percent better, with one of a twentieth of the
# light 14 to 27 percent.
INSTEAD_WORTH = 0.125
COSTS = {"ML": 1.7, "DM": 0.9}  # times the CPU time of LSQML(batch=8), a sweep; of the others about 1
MOVING, FAR_COST = 0.35, 4.0  # of positions refined, and of FindPositions, the same
FAR_SWEEPS, FAR = 16, 0.6  # of FindPositions; and the share of the score above the noise from which on it is tried


@dataclass(frozen=True)
class Plan:
    """A recipe and the number of modes, in the terms in which they are chosen.

    ``engine``: one of ENGINES, what runs first named first; ``sweeps`` of each part; ``positions``: "" (as they are),
    "refined" or "found" (from far, coarse to fine); ``gradient``: refined by what each residual says, in place of
    ``PosCorrect``; ``background``, ``intensities``: estimated as well; ``smooth``: weight of the prior of ML.
    """

    engine: str = "LSQML"
    modes: int = 1
    sweeps: int = 30
    positions: str = ""
    gradient: bool = False
    background: bool = False
    intensities: bool = False
    smooth: float = 0.0

    @property
    def recipe(self) -> Operator:
        """The recipe."""
        free: Operator = Identity()
        free = IntensityUpdate() * free if self.intensities else free
        free = BackgroundUpdate() * free if self.background else free
        sequential = {"rPIE": rPIE(alpha=0.3), "mPIE": mPIE()}.get(self.engine, LSQML(batch=8))
        recipe: Operator = Identity()
        if self.positions == "found":
            recipe = FindPositions(FAR_SWEEPS) * recipe
        if self.engine.startswith("DM"):
            recipe = DM() ** self.sweeps * recipe
        if self.positions:
            moved = PosCorrectGradient() if self.gradient else PosCorrect(wait=False)
            recipe = (free * moved * sequential) ** self.sweeps * recipe
        elif self.engine != "ML":
            recipe = (free * sequential) ** self.sweeps * recipe
        if self.counted:
            recipe = (free * ML(smooth=self.smooth)) ** self.sweeps * recipe
        return recipe

    @property
    def counted(self) -> bool:
        """Whether the likelihood of counts comes last."""
        return self.engine.split(", ")[-1] == "ML"

    @property
    def effort(self) -> float:
        """The CPU time of a run, in that of a sweep of ``LSQML(batch=8)`` with one mode."""
        parts = self.engine.split(", ")
        live = [part for part in parts if part not in COSTS]
        sweep = sum(COSTS[part] for part in parts if part in COSTS) + len(live) + MOVING * bool(live and self.positions)
        far = FAR_SWEEPS * FAR_COST if self.positions == "found" else 0.0
        return (1 + self.modes) / 2 * (self.sweeps * sweep + far)

    @property
    def at_its_end(self) -> Plan:
        """The plan with the likelihood of counts at its end, as most plans that are chosen have it."""
        return self if self.counted else replace(self, engine="LSQML, ML")


@dataclass(frozen=True)
class Change:
    """A plan in which one thing is different: ``name`` of it, ``value``, and what it is ``worth``: the gain in score
    that it has to bring; below 0, the loss that a simpler plan may have. It is tried where the score is above the noise
    by more than a share ``room`` of it.
    """

    plan: Plan
    name: str
    value: object
    worth: float
    room: float


def _changed(plan: Plan, name: str, value: object, worth: float, room: float | None = None) -> Change:
    changed = replace(plan, **{name: value})  # type: ignore[arg-type]
    return Change(changed, name, value, worth, worth if room is None else room)


def race(plan: Plan) -> Iterator[Change]:
    """Yield the plan with another engine to begin with."""
    yield from (_changed(plan, "engine", name, RACE_WORTH) for name in RACE)


def engines(plan: Plan) -> Iterator[Change]:
    """Yield the plan with every other engine; only one that moves views, where positions are refined."""
    names = [name for name in ENGINES if name != plan.engine and not (plan.positions and name == "ML")]
    yield from (_changed(plan, "engine", name, 0.01) for name in names)


def more_modes(plan: Plan) -> Iterator[Change]:
    """Yield the plan with one mode more, and with two more, where there is one only."""
    more = (1, 2) if plan.modes == 1 else (1,)
    yield from (_changed(plan, "modes", plan.modes + m, 0.02) for m in more if plan.modes + m <= MOST_MODES)


def second_mode(plan: Plan) -> Iterator[Change]:
    """Yield the plan with a second mode: more of them would make up for positions that are wrong."""
    if plan.modes == 1:
        yield _changed(plan, "modes", 2, 0.01)


def instead(plan: Plan) -> Iterator[Change]:
    """Yield the plan with the background estimated in place of a second mode: each makes up for the other one."""
    if plan.modes == 2 and not plan.background:
        changed = replace(plan, modes=1, background=True)
        yield Change(changed, "background", "instead", INSTEAD_WORTH, INSTEAD_WORTH)
    elif plan.modes != 2:
        yield from background(plan)


def ended(plan: Plan) -> Iterator[Change]:
    """Yield the plan with the likelihood of counts at its end: what has not converged yet gains by anything."""
    if not plan.counted:
        yield _changed(plan, "engine", "LSQML, ML", ENDED_WORTH, ENDED)


def refined(plan: Plan) -> Iterator[Change]:
    """Yield the plan with positions refined; only where that explains a good deal more."""
    if not plan.positions and plan.engine != "ML":
        yield _changed(plan, "positions", "refined", POSITIONS_WORTH)


def positions(plan: Plan) -> Iterator[Change]:
    """Yield the plan with positions refined, and found from far; these only where they explain a good deal more."""
    yield from refined(plan)
    if plan.positions != "found" and plan.engine != "ML":
        yield _changed(plan, "positions", "found", POSITIONS_WORTH, FAR)


def gradient(plan: Plan) -> Iterator[Change]:
    """Yield the plan with its refined positions moved by the gradient: quicker, once they are near."""
    if plan.positions and not plan.gradient:
        yield _changed(plan, "gradient", True, 0.02)


def background(plan: Plan) -> Iterator[Change]:
    """Yield the plan with the background estimated."""
    if not plan.background:
        yield _changed(plan, "background", True, LIGHT_WORTH)


def intensities(plan: Plan) -> Iterator[Change]:
    """Yield the plan with the intensity of each view estimated."""
    if not plan.intensities:
        yield _changed(plan, "intensities", True, LIGHT_WORTH)


def without(plan: Plan) -> Iterator[Change]:
    """Yield the plan without background and without intensities, which may have made up for modes that were missing.

    An estimated background makes up for modes that are missing: on scans without one it gained half of the score with
    one mode, 2 to 20 percent with one fewer than the beam has, and lost with all of them. Where there is one, no number
    of modes made up for it. So it is left out for one mode or two more as well.
    """
    for name in ("background", "intensities"):
        if getattr(plan, name):
            yield _changed(plan, name, False, -LIGHT_WORTH)
    if plan.background:
        for more in range(1, min(2, MOST_MODES - plan.modes) + 1):
            changed = replace(plan, background=False, modes=plan.modes + more)
            yield Change(changed, "background", (False, changed.modes), -LIGHT_WORTH, -LIGHT_WORTH)


def priors(plan: Plan) -> Iterator[Change]:
    """Yield the plan with the next stronger prior and the next weaker one; with an engine that has none, followed by
    one that does.

    Without a prior the likelihood may lose against an engine that fits noise more slowly, and win with one.
    """
    if not plan.counted:
        ended = replace(plan, engine="LSQML, ML")
        yield from (_changed(ended, "smooth", weight, 0.002) for weight in PRIORS[:2])
        return
    weights = (0.0, *PRIORS)
    at = weights.index(plan.smooth)
    yield from (_changed(plan, "smooth", weight, 0.002) for weight in weights[at + 1 : at + 2])
    yield from (_changed(plan, "smooth", weight, 0.002) for weight in weights[max(0, at - 1) : at])


def longer(plan: Plan) -> Iterator[Change]:
    """Yield the plan with twice the sweeps."""
    if plan.sweeps < MOST_SWEEPS:
        yield _changed(plan, "sweeps", 2 * plan.sweeps, 0.01)


def lengths(plan: Plan) -> Iterator[Change]:
    """Yield the plan with twice the sweeps, and with half of them: long runs fit the noise of few photons."""
    yield from longer(plan)
    if plan.sweeps > FEWEST_SWEEPS:
        yield _changed(plan, "sweeps", plan.sweeps // 2, 0.005)


# Before the scale of the positions is looked at; what costs little before what makes all later trials take longer.
FIRST = (race, refined, intensities, second_mode, instead, refined)
KINDS = (ended, priors, positions, without, more_modes, longer, background, intensities, gradient, engines, lengths)
BEST_OF = (engines,)  # all of which are tried; of the others, the first that gains
CLIMB = (more_modes, priors, longer, lengths)  # that are gone through until none gains
ANEW = {("engine", "LSQML, ML"), ("positions", "found")}  # changes that are tried again with one mode more
LITTLE = {("positions", "refined")}  # what gained nothing with positions as a whole wrong gains nothing with them right
