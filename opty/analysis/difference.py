"""Two states of one measurement, compared: objects, probes, positions, and how well each predicts the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.frc import RingCorrelation, frc
from opty.analysis.illumination import lit_area
from opty.analysis.misfit import misfit, r_factor
from opty.analysis.object_states import aligned_objects
from opty.analysis.rectangle import largest_rectangle
from opty.physics.centre_of_light import centre_of_light
from opty.physics.modes import orthogonal

if TYPE_CHECKING:
    from opty.state import BareState


@dataclass(frozen=True, eq=False)
class Difference:
    """What ``difference`` found.

    ``obj`` : relative difference of the objects where both are lit, constant, ramp and shift taken off; of mixtures
    that of all states, in the mix that is the nearest. ``objects`` (2, H, W) complex : both, of mixtures the strongest
    state of the second and what goes with it, in the frame of the second, the first aligned with it; ``lit`` (H, W)
    bool. ``curve`` : their Fourier ring correlation; None where less than 16 x 16 px are lit. ``probe`` : relative
    difference of the strongest orthogonal modes, the opposite ramp, a shift by whole pixels and a constant taken off.
    ``positions`` : rms distance [px], without the common offset. ``misfits``, ``r_factors`` : of the two.
    """

    obj: float
    objects: np.ndarray
    lit: np.ndarray
    curve: RingCorrelation | None
    probe: float
    positions: float
    misfits: tuple[float, float]
    r_factors: tuple[float, float]

    def __str__(self) -> str:
        lines = {
            "object": f"differ by {self.obj:.4g} of their norm",
            "probe": f"{self.probe:.4g} of its norm",
            "positions": f"{self.positions:.3g} px rms",
            "misfit": f"{self.misfits[0]:.4g} and {self.misfits[1]:.4g}",
            "R-factor": f"{self.r_factors[0]:.4g} and {self.r_factors[1]:.4g}",
        }
        return "\n".join(f"{name:<14} {line}" for name, line in lines.items())


def difference(p: BareState, q: BareState) -> Difference:
    """Compare two states of the same measurement, such as two engines, recipes or halves of a run.

    Raises ValueError where the measurements have other views or pixels, or the lit areas have nothing in common.
    """
    if (p.data.views, p.data.n) != (q.data.views, q.data.n):
        one, two = (f"{s.data.views} views of {s.data.n} x {s.data.n}" for s in (p, q))
        raise ValueError(f"the states have {one}, and {two}: compare states of one measurement")
    offset = np.rint(_beam(p) - _beam(q)).astype(int)
    lit = lit_area(q)
    aligned, second, found = aligned_objects(p, q, lit, offset)
    lit = lit & (aligned != 0)
    area = largest_rectangle(lit)
    large = min(part.stop - part.start for part in area) >= 16
    away = (p.numpy("positions") - p.origin) - (q.numpy("positions") - q.origin)
    away = away - away.mean(axis=0)
    probes = [orthogonal(s.numpy("probe"))[0] for s in (p, q)]
    return Difference(
        obj=found.error,
        objects=np.stack([aligned, second]),
        lit=lit,
        curve=frc(aligned[area], second[area]) if large else None,
        probe=_apart(probes[0] * _ramp(p.data.n, found.ramp).conj(), probes[1]),
        positions=float(np.sqrt((away**2).sum(axis=1).mean())),
        misfits=(misfit(p), misfit(q)),
        r_factors=(r_factor(p), r_factor(q)),
    )


def _beam(p: BareState) -> np.ndarray:
    """Return where the beam meets the object at the position (0, 0) of the data, (2,) [px] from the same place."""
    return p.origin + centre_of_light((np.abs(p.numpy("probe")) ** 2).sum(axis=0, dtype=np.float64))


def _ramp(n: int, ramp: tuple[float, float]) -> np.ndarray:
    row, col = (np.exp(1j * slope * np.arange(n)) for slope in ramp)
    return row[:, None] * col


def _apart(one: np.ndarray, two: np.ndarray) -> float:
    """Return min over c and whole-pixel shifts s of ||c one(r - s) - two|| / ||two||."""
    cross = np.fft.ifft2(np.fft.fft2(two) * np.fft.fft2(one).conj())
    best = np.abs(cross).max() / (np.linalg.norm(one) * np.linalg.norm(two))
    return float(np.sqrt(max(0.0, 1 - best**2)))
