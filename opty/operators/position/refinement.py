"""What all methods of position refinement share: a signal and a step for each view, limits, weights, history."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import ViewOperator
from opty.errors import RecipeError
from opty.operators.position.check import GIVEN
from opty.operators.position.signals import norms, other_light
from opty.physics.scan_map import position_error
from opty.remedies import here
from opty.state.light import rough_light

READS = "delta illum patches positions probe position_misfit"
POSITION_MISFIT = Leaf("position_misfit", "view", unit="sqrt(photons)", scale=0)


class PositionRefinement(ViewOperator, reads=READS, writes="positions", slots=(POSITION_MISFIT, GIVEN), register=False):
    """A step that moves positions: ``sense`` gathers numbers on each view, ``shifts`` makes displacements of them.

    Nothing moves before the end of the sweep, when ``move`` makes a step of each displacement: what a view does matters
    to no other. Each pixel counts by the share of its light that is other views': what a view sees alone it explains
    wherever it is, and without this, views at the rim of a scan run outwards. Steps are weighted, cut to ``max_step``,
    and keep the windows inside the object; the mean of all positions, which no data can tell, is brought back to where
    it was.

    All but ``PosCorrect`` follow their signal wherever it leads, and move right positions too: noise, a wrong probe and
    an unfinished object look like displacements, and the object follows. Where the refinement began is kept,
    position_given (N, 2) px; with it ``ComparePositions(rPIE() ** 12)`` tells whether others fit better.

    Subclasses have two fields beside their own: ``max_step``, the longest step [px], and ``weights`` of the views:
    "equal", "coverage" (the eighth root of the light that all views shed where this one does) or the name of an array
    (N,) of the state.

    History, once a sweep: "position_iteration"; "position_signal" = mean length of the displacements found [px] (Guzzi
    et al. 2022, supplement, Eq. 4); "position_step" = longest step [px]; "object_change" = sum_j ||O_j - O'_j||^2 with
    O' the window updated as by ePIE (Eq. 3); where the data know the truth, "position_error" = mean distance from the
    true positions after the mean offset is taken off [px] (Eqs. 5, 6), "position_error_affine" = the same after the
    best affine map is.
    """

    scale_free = True
    deferred_writes = frozenset({"positions"})
    gathers = frozenset({"obj"})
    memo_rows = frozenset({"sensed", "change", "power", "weights"})
    numbers: ClassVar[int] = 2  # that ``sense`` gathers on a view
    scratch_waves = (6.0, 4.5)  # slopes and products of a fit, or spectra of a registration, beside what an update has
    scratch_slices = (0.0, 9.0, 0.0)

    def check(self):
        name = type(self).__name__
        if not self.max_step > 0:
            raise ValueError(f"{name}(max_step={self.max_step}): give the longest step, above 0, in pixels")
        if not self.weights.isidentifier():
            given = here(", as from p.replace(arrays=dict(trust=...))", "")
            raise ValueError(
                f"{name}(weights={self.weights!r}): give 'equal', 'coverage', or the name of an array of the state "
                f"with one number a view{given}"
            )

    def effects(self):
        named = set() if self.weights in ("equal", "coverage") else {self.weights}
        return self.reads | named, self.writes

    def sense(self, s: Any, b: Any, asked: Any, share: Any) -> Any:
        """Return what a batch tells of its positions, (B, numbers) real.

        ``share`` (B, n, n) is the share of the light on each pixel that is other views', ``asked`` (B, n, n) is share
        times sum_m conj(P_m) dpsi_m, or the adjoint of another model: the change of the object that explains the
        batch's residual there; of slices (B, L, n, n).
        """
        raise RecipeError(
            f"{type(self).__name__} has no sense(self, s, b, asked, share): how are positions found wrong?"
        )

    def shifts(self, s: Any, sensed: Any) -> Any:
        """Return by how much each position seems to be wrong, (N, 2) float64 px, from all numbers (N, numbers)."""
        return sensed

    def move(self, s: Any, shifts: Any) -> Any:
        """Return by how much to move each position, (N, 2) float64 px."""
        return shifts

    def begin(self, s):
        views, memo = s.data.views, s.memo
        memo["sensed"] = s.xp.zeros((views, self.numbers), np.float64)
        memo["change"] = s.xp.zeros(views, np.float64)
        memo["power"] = s.xp.ones(views, np.float64)
        memo["light"] = rough_light(s.store)
        s.create("position_misfit")
        if s.create(GIVEN.name):
            s.position_given = s.positions.copy()
        if self.weights != "equal":
            memo["weights"] = s.xp.zeros(views, np.float64)

    def apply(self, s, b):
        memo, views = s.memo, b.selection
        asked, power = b.gather("obj", b.delta)
        s.position_misfit[views] = norms(b.delta)
        memo["change"][views] = norms(asked)
        memo["power"][views] = power.reshape(len(power), -1).max(axis=1)
        share, around = other_light(s, b, memo["light"])
        asked = asked * (share if asked.ndim == 3 else share[:, None])
        memo["sensed"][views] = self.sense(s, b, asked, share)
        if self.weights != "equal":
            memo["weights"][views] = self._weights(s, b, around)

    def finish(self, s):
        xp, memo = s.xp, s.memo
        shifts = self.shifts(s, memo["sensed"])
        step = self.move(s, shifts)
        if self.weights != "equal":
            step = step * memo["weights"][:, None]
        length = xp.sqrt((step**2).sum(axis=1, keepdims=True))
        step = step * (self.max_step / xp.maximum(length, self.max_step))
        centre = s.positions.mean(axis=0)
        s.positions = kept_inside(s, s.positions + step)
        self.settle(s)
        s.positions = kept_inside(s, s.positions + (centre - s.positions.mean(axis=0)))
        self._record(s, xp.sqrt((shifts**2).sum(axis=1)), xp.minimum(length, self.max_step))

    def settle(self, s: Any) -> None:
        """Look at all positions once more before their mean is brought back; subclasses may override it."""

    def _record(self, s, found, steps):
        change = (s.memo["change"] / s.xp.maximum(s.memo["power"], np.finfo(float).tiny) ** 2).sum()
        signal, longest, change = s.backend.to_host(s.xp.stack([found.mean(), steps.max(), change])).tolist()
        s.record("position_iteration", s.memo["number"])
        s.record("position_signal", signal)
        s.record("position_step", longest)
        s.record("object_change", change)
        truth = (s.data.truth or {}).get("positions")
        if truth is not None:
            positions = s.backend.to_host(s.positions)
            s.record("position_error", position_error(positions, truth))
            s.record("position_error_affine", position_error(positions, truth, affine=True))

    def _weights(self, s, b, around):
        """Return the weight of each view of the batch, (B,)."""
        if self.weights != "coverage":
            weights = getattr(s, self.weights)
            if weights.shape != (s.data.views,):
                raise ValueError(
                    f"{self!r}: the array {self.weights!r} has shape {weights.shape}; expected ({s.data.views},)"
                )
            return weights[b.selection]
        power = b.illum_power.sum(axis=(1, 2), dtype=np.float64)
        mean = (around * b.illum_power).sum(axis=(1, 2), dtype=np.float64) / s.xp.maximum(power, np.finfo(float).tiny)
        # The eighth root is that of Listing 3 of Guzzi et al. 2022: hardly less than 1 but at the rim of the scan.
        return (mean / s.memo["light"].max()) ** 0.125


def kept_inside(s, positions):
    """Return positions with every window inside the object."""
    largest = s.xp.asarray([size - s.data.n for size in s.object_shape], dtype=positions.dtype)
    return s.xp.clip(positions, 0, largest)
