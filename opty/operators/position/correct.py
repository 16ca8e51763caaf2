"""The refinement to use: steps weighted by what the counts tell, and a search for views that went astray."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import ClassVar

import numpy as np

from opty.algebra.leaf import Leaf
from opty.errors import MisfitWarning, warn_user
from opty.operators.position.check import GIVEN, LOST, PLACE, UNEXPLAINED, ask_others, gone, rms, said
from opty.operators.position.evidence import EVIDENCE_NUMBERS, measured_evidence
from opty.operators.position.gain import learned
from opty.operators.position.refinement import READS, PositionRefinement
from opty.operators.position.relocate import NEAR, bring_home
from opty.operators.position.signals import FIT_NUMBERS, fit_numbers
from opty.operators.position.trust import held_step, knowledge, smooth_terms
from opty.operators.position.wait import COURSE, may_move, remembered, said_of_waiting

MEMORY = (
    GIVEN,
    PLACE,
    Leaf("position_gain", "view", scale=0),
    Leaf("position_shift", "view 2", unit="px", scale=0),
    Leaf("position_count", "1", scale=0),
    Leaf("position_estimate", "view 2", unit="px", scale=0),
    Leaf("position_uncertainty", "view", unit="px", scale=0),
    UNEXPLAINED,
    LOST,
    Leaf("position_evidence", f"view {EVIDENCE_NUMBERS + 1}", scale=0),
    Leaf("position_smooth", "view term", scale=0),
    COURSE,
)
_LEAST = 0.15  # of the gains
_UP, _DOWN = 1.1, 0.9  # what a gain learns from one sweep
_PARTS = 4  # sweeps in which all views are looked at closely once, before any moves
_SOON, _THEN = 8, 32  # the same, the second time and from then on
_ASK = 40  # sweeps between two comparisons of the views with each other, the first one at half of it
_AVERAGED = 5  # sweeps over which an estimate is averaged
_FAR = 0.5  # px that the usual view seems off, from which a warning says so: what an object lacks looks like less
_WIDTHS = 4.0  # widths of the displacements found, within which a place that is a little better is taken
_PATIENCE = 59  # sweeps before views that could not be placed are worth a warning


class PosCorrect(
    PositionRefinement, reads=f"{READS} obj background {' '.join(leaf.name for leaf in MEMORY)}", slots=MEMORY
):
    """Refine positions, without anything to tune, and leave them where the counts say that they are right.

    In each sweep the residual of a view is fitted by the change that a step d of its position makes: slope g = sum r dA
    at the detector (r = sqrt(I) - A, A the predicted amplitudes), curvature M = sum dA dA. M and the noise of g are
    measured on some of the views in each sweep, through the propagator. The noise is that of sums over blocks of
    pixels, so that what a wrong probe or an unfinished object leaves over counts as noise.

    Nothing moves in the first three sweeps, in which all views are looked at, nor while the usual view lies within 1.2
    (1 + 3 / sqrt N) variances of where the refinement began. Otherwise views take the step that minimises sum r^2 /
    (2 s^2) + |r_j - x_j|^2 / (2 tau^2), s^2 the noise and tau the width of the displacements found, from the data
    (empirical Bayes): where the counts tell little, views stay near the places x_j where the refinement began,
    which are those that ``FindPositions`` has found where it ran before. The smooth part of all displacements, to
    which object and probe adapt, may grow as large as that of independent displacements of width tau; beyond that
    it is drawn back by three standard deviations in each sweep. Steps are multiplied by a gain that grows by a
    tenth while a view goes on in one direction, and shrinks where it turns back.

    What an object still lacks looks like wrong positions, and moving them makes room for it. So nothing moves, and no
    view is looked for, until the misfit of the views changes by no more than 1 percent a sweep, at least for six
    sweeps. The change is the slope of log sum |delta|^2 over 12 sweeps, and its standard error. Where it has waited for
    the last 40 sweeps and the usual view seems to be off by more than half a pixel, a MisfitWarning says so at the end
    of the run; ``position_report`` says it of any displacement.

    Beside AP, DM and RAAR, whose object follows slowly or wanders, it waits longer, gains stay at 0.3 and less, and no
    view is looked for (``PatientPosCorrect``): find positions with another engine.

    No gradient leads home a view that lies farther away than the object's details are wide: in every
    ``search_every``-th sweep PosSearch looks for those whose misfit stands out, or, while the scan as a whole is left
    where it is, for those that ``CheckPositions`` found lost (of a thin object). Only lost ones are moved farther than
    four widths of the displacements found, and only to where a fifth of the excess of their misfit is left.

    Parameters
    ----------
    search_radius : how far views that went astray are looked for [px]; 0 for not at all.
    search_every : sweeps between two searches.
    max_step, weights : longest step [px]; weights of the views, as in every refinement.
    hold : weight of the places where the refinement began: 1 by the noise, 0 for not at all, from the first sweep on.
    wait : False to move views from the fourth sweep on, where the object has its features already; with ``hold`` 0
        nothing waits.

    History, beside that of every refinement: "position_moved", rms distance from the places given (before
    ``FindPositions``, where that ran), the common offset taken off, and "position_uncertainty", median of the
    standard errors [px]; and that of ``CheckPositions``, which looks in the 20th sweep and every 40 sweeps. From
    the 60th on a MisfitWarning names views that two looks in a row found lost.

    Reads delta (B, M, n, n), illum, patches, probe, obj, background; writes positions (N, 2) px; position_uncertainty
    (N,) px, the standard error of each position with object and probe held; and its memory position_given and
    position_place (N, 2) px, the places given and those where the refinement began, position_unexplained,
    position_lost (N,), as CheckPositions, position_gain (N,), position_shift, position_estimate (N, 2) px,
    position_misfit (N,), position_evidence (N, 8), position_smooth (N, K), position_count (1,), position_course (18,),
    what it knows of the wait.
    Source: Gauss-Newton at the detector: Dwivedi et al., Ultramicroscopy 192, 29 (2018); slope: Odstrcil et al., Opt.
    Express 26, 3108 (2018), Eq. 26; variance of a slope from blocks of residuals: Conley, J. Econometrics 92, 1 (1999);
    empirical Bayes: Efron, Morris, JASA 68, 117 (1973); gains that learn: Zhang et al., Opt.
    Express 21, 13592 (2013).
    The search is opty's, and so is the wait.
    """

    search_radius: int = 24
    search_every: int = 20
    max_step: float = 2.0
    weights: str = "equal"
    hold: float = 1.0
    wait: bool = True
    numbers = FIT_NUMBERS
    advice = "starting PosCorrect later with After(20, PosCorrect())"
    first_gain: ClassVar[float] = 1.0
    largest_gain: ClassVar[float] = 1.5
    averaged: ClassVar[bool] = False  # see held_step
    fewest: ClassVar[int] = 6  # sweeps of which the misfit is known before views move
    late: ClassVar[int] = 40  # sweeps of waiting after which it is said that views seem to be off

    def check(self):
        super().check()
        if self.search_radius < 0:
            raise ValueError(
                f"PosCorrect(search_radius={self.search_radius}): give a distance from 0 (no search) up, in pixels"
            )
        if self.search_every < 1:
            raise ValueError(f"PosCorrect(search_every={self.search_every}): give a number of sweeps from 1 on")
        if not self.hold >= 0:
            raise ValueError(f"PosCorrect(hold={self.hold}): give a weight of the given places from 0 (none) up")

    def waits(self, leaves):
        if not self.hold:
            return 0
        done = int(leaves["position_count"][0]) if "position_count" in leaves else 0
        known = remembered(leaves)
        wait = self.fewest - 1 - int(known.sweeps if known else 0) if self._waits else 0
        return max(0, _PARTS - 1 - done, wait)

    @property
    def _waits(self) -> bool:
        return bool(self.hold) and (self.wait or self.averaged)

    def at_end(self, leaves, iteration):
        wait = remembered(leaves)
        return said_of_waiting(leaves) if wait is not None and wait.waited >= self.late and wait.seems > _FAR else ""

    def beside_averages(self):
        from opty.operators.position.patient import PatientPosCorrect  # which is made from this class

        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return PatientPosCorrect(**given) if self.hold else self

    def begin(self, s):
        super().begin(s)
        if s.create("position_gain"):
            s.position_gain += self.first_gain
        if s.create(PLACE.name):
            s.position_place = s.positions.copy()
        for leaf in MEMORY:
            if leaf.name != "position_smooth":
                s.create(leaf.name)

    def sense(self, s, b, asked, share):
        return fit_numbers(s, b, asked, share)

    def shifts(self, s, sensed):
        views, count = s.data.views, int(s.position_count[0])
        parts = min(_PARTS, views) if self.hold else 1
        if self.hold:
            self._look(s, sensed, looked_at(count, views, parts))
        elif count % _SOON == 0:
            self._look(s, sensed, np.arange(views))
        if not s.has("position_smooth"):
            smooth = smooth_terms(s.backend.to_host(s.position_place))
            s.create("position_smooth", term=smooth.shape[1])
            s.position_smooth = smooth
        told = s.memo["told"] = knowledge(s.xp, sensed, s.position_misfit, s.position_evidence)
        away = gone(s, PLACE)
        variance = self._averaged(s, told, away, count + 1 - parts)
        s.position_uncertainty = s.xp.sqrt(variance)
        if self.hold and (count + 1) % _ASK == _ASK // 2:
            self._ask(s, count)
        still = s.xp.zeros((views, 2)), s.xp.zeros(()), s.xp.zeros(views)
        held = still
        if count + 1 >= parts:
            held = held_step(told, away, s.position_smooth, s.position_estimate, variance, self.hold, self.averaged)
        s.memo["usual"], s.memo["looks"], moves = held[1], True, True
        if self._waits:
            moves, s.memo["looks"] = may_move(s, held[0], self.fewest, self.averaged)
        step, s.memo["usual"], s.memo["width"] = held if moves else still
        return step

    def _ask(self, s, count: int) -> None:
        """See which views are lost; warn of what was so at the last look, too."""
        if not s.store.model.thin_object:
            return
        moved = rms(gone(s))
        before = said(s, moved)
        ask_others(s, s.memo["number"])
        now = said(s, moved)
        known = remembered({COURSE.name: s.backend.to_host(s.position_course)})
        just_begun = known is not None and 0 < known.moves < _ASK
        if now and before and count >= _PATIENCE and not just_begun:
            warn_user(now, MisfitWarning)

    def _look(self, s, sensed, some: np.ndarray) -> None:
        """Measure what some neighbouring views tell."""
        if not len(some):
            return
        views = slice(some[0], some[-1] + 1)
        s.position_evidence[views, :-1] = measured_evidence(s, some, s.memo["light"])
        s.position_evidence[views, -1] = sensed[views, 0] + sensed[views, 4]

    def _averaged(self, s, told, gone, seen: int):
        """Average where the views seem to be, and return the variance (N,) px^2 of that.

        ``seen`` : sweeps since all views have been looked at.
        """
        xp, new = s.xp, told.step
        length = xp.sqrt((new**2).sum(axis=1, keepdims=True))
        new = gone + new * (self.max_step / xp.maximum(length, self.max_step))
        keep = 1 / min(max(seen, 0) + 1, _AVERAGED)
        s.position_estimate = (1 - keep) * s.position_estimate + keep * new
        return told.error**2

    def move(self, s, shifts):
        gains = s.position_gain * learned(s.xp, shifts, s.position_shift, _UP, _DOWN)
        s.position_gain = s.xp.clip(gains, _LEAST, self.largest_gain)
        s.position_shift = shifts
        return s.position_gain[:, None] * shifts

    def settle(self, s):
        s.position_count += 1
        if self.search_radius and int(s.position_count[0]) % self.search_every == 0:
            self._search(s)

    def _search(self, s):
        """Look for views that went astray; where the scan as a whole is held, for those alone that are lost.

        An object that is wrong as a whole explains many views better elsewhere.
        """
        to_host = s.backend.to_host
        lost = to_host(s.position_lost) > 0
        if not self.hold:
            bring_home(s, self.search_radius, math.inf)
        elif (usual := float(to_host(s.memo["usual"]))) > 0:
            near = max(NEAR, _WIDTHS * usual**0.5)
            bring_home(s, self.search_radius, near, to_host(s.memo["width"] > 0), far=lost)
        elif s.memo["looks"] and lost.any():
            bring_home(s, self.search_radius, free=lost, others=False)

    def _record(self, s, found, steps):
        super()._record(s, found, steps)
        numbers = s.xp.stack([(gone(s) ** 2).sum(axis=1).mean() ** 0.5, s.xp.median(s.position_uncertainty)])
        moved, uncertainty = s.backend.to_host(numbers).tolist()
        s.record("position_moved", moved)
        s.record("position_uncertainty", uncertainty)


def looked_at(count: int, views: int, parts: int) -> np.ndarray:
    """Return the numbers of the views to be looked at in sweep ``count``: all in ``parts`` sweeps, then ever slower."""
    for size in (parts, _SOON):
        if count < size:
            return np.array_split(np.arange(views), size)[count]
        count -= size
    return np.array_split(np.arange(views), _THEN)[count % _THEN]
