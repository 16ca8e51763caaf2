"""What the whole scan has in common: an affine map and a drift of its positions; and how far they may go."""

from __future__ import annotations

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator
from opty.operators.position.check import GIVEN
from opty.operators.position.refinement import kept_inside
from opty.operators.position.trust import prior_widths
from opty.physics.scan_map import ScanModel, scan_map
from opty.physics.to_host import on_host

PULLED = Leaf("position_pulled", "view 2", unit="px", scale=0)
_UNDONE = 0.5  # of what a refinement finds beside the map, each time
_REACHED = 0.1  # the same, at the end of a run: less is missing where views have moved freely since


class PosModel(Operator, reads="positions", writes="positions", slots=PULLED):
    """Pull all positions towards a map of the whole scan: r_j <- r_j + strength (m_j - r_j).

    m_j = t + A (x_j - c) + v (tau_j - 1/2): x_j the nominal positions, c their mean, tau_j from 0 to 1 over the scan;
    t, A (scale, shear, rotation of the axes) and v (drift) fit the positions as they are best, views that went astray
    counting little (``opty.analysis.scan_map``). With strength 1 the positions have no other freedom, with 0
    the map is only reported. Stands left of the engine: ``(PosModel(strength=0.2) * PosCorrect() * rPIE()) ** 100``.

    Parameters
    ----------
    kind : "affine", "drift" or "affine+drift"; in a raster scan the drift is hard to tell from the slow axis's scale.
    strength : share of the way that each position goes, from 0 to 1; with 1 what a refinement finds of each view by
        itself is undone, on whichever side of it the step stands.

    Where ``PosCorrect`` finds the usual view beside the map, beyond the noise, and this draws it back by more than half
    of that each time, a MisfitWarning says so at the end of the run.

    Reads and writes positions (N, 2) px; writes position_pulled (N, 2) px, by how much it has moved them last.
    History: "model_iteration", "model_scale_row", "model_scale_column", "model_shear" (no unit), "model_rotation"
    [rad], "model_drift_row", "model_drift_column" [px over the scan].
    Source: Odstrcil et al., Opt. Express 26, 3108 (2018), Sec. 5 for the affine model and the pull.
    """

    kind: ScanModel = "affine"
    strength: float = 1.0

    def check(self):
        if not 0 <= self.strength <= 1:
            raise ValueError(f"PosModel(strength={self.strength}): give a share from 0 to 1")

    def at_end(self, leaves, iteration):
        names = (GIVEN.name, "position_place", "position_estimate", "position_uncertainty", PULLED.name, "positions")
        if not all(name in leaves for name in names):
            return ""
        given, place, estimate, error, pulled, here = (on_host(leaves[name]) for name in names)
        there = _beside(place + estimate, given, self.kind)
        usual, _ = prior_widths(np, there, error**2, 1.0)
        square = max((there**2).sum(), np.finfo(float).tiny)
        undone = -((pulled - pulled.mean(axis=0)) * there).sum() / square
        reached = (_beside(here, given, self.kind) * there).sum() / square
        if not usual or undone < _UNDONE or abs(1 - reached) < _REACHED:
            return ""
        return (
            f"PosCorrect() finds the usual view {usual**0.5:.2g} px beside the {self.kind} map of the scan, and "
            f"{self!r} draws it back by {undone:.0%} of that each time, on whichever side of PosCorrect() it stands: "
            "choose a smaller strength, PosModel(strength=0.1), or PosModel(strength=0.0), which only reports the map"
        )

    def apply(self, s):
        found = scan_map(s.backend.to_host(s.positions), nominal(s), self.kind)
        s.record("model_iteration", s.iteration)
        for name, value in found.parameters().items():
            s.record(f"model_{name}", value)
        if self.strength:
            moved = self.strength * (s.backend.asarray(found.positions) - s.positions)
            s.create(PULLED.name)
            s.position_pulled = moved
            s.positions = kept_inside(s, s.positions + moved - moved.mean(axis=0))


def _beside(positions: np.ndarray, given: np.ndarray, kind: ScanModel) -> np.ndarray:
    """Return how far positions lie beside a map of those given, (N, 2) px, without the mean."""
    rest = positions - scan_map(positions, given, kind).positions
    return rest - rest.mean(axis=0)


class PosLimit(Operator, reads="positions", writes="positions"):
    """Bring back positions that went too far: |r_j - x_j - mean| <= max_shift, x_j nominal, mean that of all views.

    Parameters: max_shift, the largest excursion [px].
    Reads and writes positions (N, 2) px. Stands left of the engine: ``(PosLimit(10) * PosCorrect() * rPIE()) ** 100``.
    """

    max_shift: float

    def check(self):
        if not self.max_shift > 0:
            raise ValueError(f"PosLimit({self.max_shift}): give the largest excursion, above 0, in pixels")

    def apply(self, s):
        xp = s.xp
        gone = s.positions - s.backend.asarray(nominal(s))
        mean = gone.mean(axis=0)
        length = xp.sqrt(((gone - mean) ** 2).sum(axis=1, keepdims=True))
        over = (gone - mean) * (1 - self.max_shift / xp.maximum(length, self.max_shift))
        s.positions = kept_inside(s, s.positions - over)


def nominal(s) -> np.ndarray:
    """Return the positions (N, 2) px that the data give, in the frame of the object."""
    return s.data.positions_px + s.origin
