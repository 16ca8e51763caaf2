"""What the whole scan has in common: an affine map and a drift of its positions; and how far they may go."""

from __future__ import annotations

import numpy as np

from opty.algebra.operator import Operator
from opty.operators.position.refinement import kept_inside
from opty.physics.scan_map import ScanModel, scan_map


class PosModel(Operator, reads="positions", writes="positions"):
    """Pull all positions towards a map of the whole scan: r_j <- r_j + strength (m_j - r_j).

    m_j = t + A (x_j - c) + v (tau_j - 1/2): x_j the nominal positions, c their mean, tau_j from 0 to 1 over the scan;
    t, A (scale, shear, rotation of the axes) and v (drift) fit the positions as they are best, views that went astray
    counting little (``opty.analysis.scan_map``). With strength 1 the positions have no other freedom, with 0
    the map is only reported. Stands left of the engine: ``(PosModel(strength=0.2) * PosCorrect() * rPIE()) ** 100``.

    Parameters
    ----------
    kind : "affine", "drift" or "affine+drift"; in a raster scan the drift is hard to tell from the slow axis's scale.
    strength : share of the way that each position goes, from 0 to 1.

    Reads and writes positions (N, 2) px.
    History: "model_iteration", "model_scale_row", "model_scale_column", "model_shear" (no unit), "model_rotation"
    [rad], "model_drift_row", "model_drift_column" [px over the scan].
    Source: Odstrcil et al., Opt. Express 26, 3108 (2018), Sec. 5 for the affine model and the pull.
    """

    kind: ScanModel = "affine"
    strength: float = 1.0

    def check(self):
        if not 0 <= self.strength <= 1:
            raise ValueError(f"PosModel(strength={self.strength}): give a share from 0 to 1")

    def apply(self, s):
        found = scan_map(s.backend.to_host(s.positions), nominal(s), self.kind)
        s.record("model_iteration", s.iteration)
        for name, value in found.parameters().items():
            s.record(f"model_{name}", value)
        if self.strength:
            moved = self.strength * (s.backend.asarray(found.positions) - s.positions)
            s.positions = kept_inside(s, s.positions + moved - moved.mean(axis=0))


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
